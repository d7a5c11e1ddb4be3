"""Pretrained weights in the cache: the slow half of a training, done once."""

import dataclasses
import hashlib
import json

from safetensors.torch import load_file, save_file

from sglib.data.synthetic import renderer_digest
from sglib.files import cache_dir, replacing
from sglib.training.recipe import Recipe
from sglib.training.shipped import N_TWIN, Start, pretrain

_METHOD = 1  # enters every key: raise it when the same recipe comes to give other weights


def starting_point(
    twin: Recipe | None, seed: int, device: str = "cpu", *, n_twin: int = N_TWIN
) -> Start | None:
    """Return the weights that `shipped.pretrain` gives, from the cache where they are; or None.

    No photograph enters them, so one pretraining serves every person held out.
    """
    if twin is None:
        return None
    settings = [dataclasses.asdict(twin), type(twin.policy).__name__, n_twin, seed, _METHOD]
    text = json.dumps([settings, renderer_digest()], sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:24]
    path = cache_dir() / "pretrained" / f"{name}.safetensors"
    if not path.exists():
        state = pretrain(twin, seed, device, n_subjects=n_twin)
        with replacing(path) as temporary:
            save_file({key: value.contiguous().cpu() for key, value in state.items()}, temporary)
    return load_file(path)
