"""Every random draw of one run, made up front from its seed.

A run therefore never depends on its neighbours, on the engine or on the number of workers, and two
engines that are given the same schedule can be compared step by step. Draws come in epoch order
from one stream each, so a longer run starts like a shorter one, and experiments that differ in one
setting share all draws that the setting does not touch (common random numbers make the paired
differences of a study sharper).
"""

import dataclasses
import threading

import numpy as np
import torch

from sglib import SglibError
from sglib.models.networks import build
from sglib.training.settings import Experiment

_INIT, _ORDER, _AUGMENT, _DROPOUT = range(4)  # one stream of random numbers each
_torch_seed_lock = threading.Lock()  # PyTorch's initialisers draw from a global generator


@dataclasses.dataclass(frozen=True, eq=False)
class Schedule:
    """What a run will do; S is the number of samples of an epoch (images and added copies)."""

    initial: dict[str, np.ndarray]  # parameter name → float32 array, PyTorch's initialisation
    # int32 (n_epochs, S), rows of the training part in the order they are shown. A mini-batch is
    # the next `batch_size` of them; the last of an epoch may be smaller.
    order: np.ndarray
    flips: np.ndarray  # bool (n_epochs, S): mirrored, or changed by the experiment's method
    masks: np.ndarray | None  # uint8 (n_epochs, S, n_hidden), 1 = the unit of fc1 is kept
    torch_seed: int = 0  # of what is drawn on the way, by a method of Table 1 or a user's network


def make_schedule(experiment: Experiment, n_train: int, seed: int | tuple[int, ...]) -> Schedule:
    """Draw the schedule of a run on `n_train` images, before augmentation adds copies.

    Each seed, of one or several non-negative integers, is a stream of its own. `SglibError` if
    dropout is asked of a network that has no layer fc1.
    """
    initial = _initial_weights(experiment, seed)
    rows = np.arange(n_train, dtype=np.int32)
    mirrored = np.zeros(n_train, dtype=bool)
    draw = _rng(seed, _AUGMENT)
    if experiment.augment == "flip_add":
        # The text's reading (§4.2): mirrored copies of a share of the images join the set, once.
        added = draw.permutation(n_train)[: int(experiment.augment_fraction * n_train)]
        rows = np.concatenate([rows, np.sort(added).astype(np.int32)])
        mirrored = np.concatenate([mirrored, np.ones(len(added), dtype=bool)])
    n_epochs, n_samples = experiment.n_epochs, len(rows)
    shuffle = _rng(seed, _ORDER)
    places = np.stack([shuffle.permutation(n_samples) for _ in range(n_epochs)])
    order, flips = rows[places], mirrored[places]
    if experiment.augment not in ("none", "flip_add"):
        # The code comment's reading: each image is mirrored with a probability, anew each epoch.
        flips = draw.random((n_epochs, n_samples)) < experiment.augment_fraction
    masks = None
    if experiment.p_drop > 0:
        if "fc1.bias" not in initial:
            needs = "p_drop drops units of a layer fc1 by forward(images, mask=None)"
            raise SglibError(
                f"{experiment.model}: {needs}; this network has none: p_drop must be 0"
            )
        n_hidden = len(initial["fc1.bias"])
        uniform = _rng(seed, _DROPOUT).random((n_epochs, n_samples, n_hidden), dtype=np.float32)
        masks = (uniform >= experiment.p_drop).astype(np.uint8)
    return Schedule(initial, order, flips, masks, torch_seed=int(draw.integers(2**63)))


def _rng(seed: int | tuple[int, ...], stream: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream,)))


def _initial_weights(experiment: Experiment, seed: int | tuple[int, ...]) -> dict[str, np.ndarray]:
    state = np.random.SeedSequence(seed, spawn_key=(_INIT,)).generate_state(1, np.uint64)[0]
    with _torch_seed_lock, torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(state >> 1))  # PyTorch takes 63 bits
        model = build(experiment.model)
        return {name: value.numpy().copy() for name, value in model.state_dict().items()}
