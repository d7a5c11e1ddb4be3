"""Under which key a run is stored: what was asked, and what the network and a training step do.

The first half of a key is the hash of what was asked: settings, data, split, seed, engine. It
stays when files move. The second is a fingerprint of the code that answers: a network of another
size, another forward pass, loss, update, augmentation, draw or split under the same name give
another one, so that a store never returns the numbers of a network that is no more.
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from sglib.data.faces import HEIGHT, WIDTH, FaceSet
from sglib.data.splits import make_split
from sglib.models.networks import build as build_model
from sglib.studies.store import N_ASKED
from sglib.training.reference import FitData, fit_reference
from sglib.training.schedule import make_schedule
from sglib.training.settings import Experiment

N_FINGERPRINT = 8  # hexadecimal digits
_N_PROBE, _N_EPOCHS = 4, 2  # pictures and epochs of the probe: a few milliseconds


def key_of(
    settings: Mapping[str, object],
    *,
    digest: str,
    split: Sequence[object],
    seed: int,
    engine: str,
    fingerprint: str,
) -> str:
    """Return the key of a run: equal procedures share it, under whatever names.

    Args:
        settings: everything that is varied, as plain values.
        digest: of the data set.
        split: scheme and fold.
        seed: of every draw.
        engine: "compiled" or "reference-<device>".
        fingerprint: of the code, from `fingerprint` or `digest_of`.
    """
    asked = {
        "method": 1,  # as in the keys of stores from before there were fingerprints
        "settings": settings,
        "digest": digest,
        "split": split,
        "seed": seed,
        "engine": engine,
    }
    text = json.dumps(asked, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:N_ASKED] + fingerprint


def fingerprint(experiment: Experiment, faces: FaceSet, scheme: str) -> str:
    """Return what tells one network and training from another: their answers to a fixed probe.

    Two epochs of the reference engine on four made-up pictures with a fixed seed, in float64 and
    rounded, so that processors agree; and the first split of the scheme.
    """
    row = dataclasses.replace(experiment, name="", section="", n_epochs=_N_EPOCHS)
    split = make_split(faces, scheme, split_seed=1)
    with one_thread():
        trained = _trained(row, _network(row))
    return digest_of({trained: split.train, "val": split.val})


def _network(row: Experiment) -> str:
    """Return the digest of the network as it is now; a notebook may have changed it."""
    model = build_model(row.model, head=row.head, p_drop=row.p_drop).double().eval()
    with torch.no_grad():
        for weights in model.parameters():
            weights.copy_(torch.cos(torch.arange(weights.numel())).reshape(weights.shape) / 9)
        pixels = torch.from_numpy(_probe().train_images)[:, None].double() / 255
        return digest_of({repr(model): model(pixels).numpy()})


@functools.lru_cache(maxsize=1024)
def _trained(row: Experiment, network: str) -> str:
    """Return the digest of the probe's run; `network` tells two networks of one name apart."""
    schedule = make_schedule(row, _N_PROBE, 0)
    done = fit_reference(row, _probe(), schedule, dtype=torch.float64)
    return digest_of({**done.weights, **done.history, "probs": done.val_probs})


def _probe() -> FitData:
    pixels = np.random.default_rng(0).integers(0, 256, (_N_PROBE, HEIGHT, WIDTH), dtype=np.uint8)
    labels = np.arange(_N_PROBE, dtype=np.int64) % 2
    return FitData(pixels, labels, pixels[::-1].copy(), labels)


def digest_of(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the hash of names, shapes and values; the values to five digits.

    Of each array the length and a projection are taken, so that the last bits, in which
    processors differ, hardly ever meet the edge between two rounded values.
    """
    facts = []
    for name, array in sorted(arrays.items()):
        flat = np.asarray(array, dtype=np.float64).ravel()
        length = np.linalg.norm(flat)
        along = flat @ np.cos(np.arange(flat.size)) / (length or 1)
        facts.append([name, np.shape(array), f"{length:.4e}", f"{along:.5f}"])
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:N_FINGERPRINT]


@contextmanager
def one_thread(needed: bool = True) -> Iterator[None]:
    """Hold PyTorch to one thread: more threads change the order of sums, and so the last bits."""
    before = torch.get_num_threads()
    if needed and before != 1:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if needed and before != 1:
            torch.set_num_threads(before)
