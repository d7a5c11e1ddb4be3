"""The second half of a run's key: eight digits of what the network and the training do.

A network of another size, another forward pass, loss, update, augmentation, draw or split under
the same name give other digits, so that a store never returns the numbers of a network that is no
more. Moved or reworded code gives the same.
"""

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch

from sglib.data.faces import HEIGHT, WIDTH, FaceSet
from sglib.data.splits import make_split
from sglib.models.networks import build
from sglib.training.reference import fit_reference
from sglib.training.schedule import make_schedule
from sglib.training.settings import Experiment, FitData

_N_PROBE = 4  # pictures of the probe: a few milliseconds


def fingerprint(experiment: Experiment, faces: FaceSet, scheme: str) -> str:
    """Return what becomes of four made-up pictures in two epochs of the reference engine.

    In float64 and rounded, so that processors agree; the first split of the scheme enters too.
    """
    row = replace(experiment, name="", section="", n_epochs=2)
    split = make_split(faces, scheme, split_seed=1)
    with one_thread():
        return digest_of({_trained(row, _network(row)): split.train, "val": split.val})


def _network(row: Experiment) -> str:
    """Return the digest of the network as it is now; a notebook may have changed it."""
    network = build(row.model, head=row.head, p_drop=row.p_drop).double().eval()
    pixels = torch.from_numpy(probe().train_images)[:, None].double() / 255
    with torch.no_grad():
        for weights in network.parameters():
            weights.copy_(torch.cos(torch.arange(weights.numel())).reshape(weights.shape) / 9)
        return digest_of({repr(network): network(pixels).numpy()})


@functools.lru_cache(maxsize=1024)
def _trained(row: Experiment, network: str) -> str:
    """Return the digest of the probe's run; `network` tells two networks of one name apart."""
    done = fit_reference(row, probe(), make_schedule(row, _N_PROBE, 0), dtype=torch.float64)
    return digest_of({**done.weights, **done.history, "probs": done.val_probs})


def probe() -> FitData:
    """Return four made-up pictures to train on, and the same in another order to validate."""
    pixels = np.random.default_rng(0).integers(0, 256, (_N_PROBE, HEIGHT, WIDTH), dtype=np.uint8)
    labels = np.arange(_N_PROBE, dtype=np.int64) % 2
    return FitData(pixels, labels, pixels[::-1].copy(), labels)


def digest_of(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the hash of names, shapes and values, of which length and a projection are rounded.

    So the last bits, in which processors differ, hardly ever meet the edge of two rounded values.
    """
    facts = []
    for name, array in sorted(arrays.items()):
        flat = np.asarray(array, dtype=np.float64).ravel()
        length = np.linalg.norm(flat)
        along = flat @ np.cos(np.arange(flat.size)) / (length or 1)
        facts.append([name, np.shape(array), f"{length:.4e}", f"{along:.5f}"])
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:8]


@contextmanager
def one_thread(needed: bool = True) -> Iterator[None]:
    """Hold PyTorch to one thread: more threads change the order of sums, and so the last bits."""
    before = torch.get_num_threads()
    if needed:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if needed:
            torch.set_num_threads(before)
