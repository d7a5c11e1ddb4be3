"""Model files for tests: untrained networks from a seed, so that nothing ships."""

from pathlib import Path

import numpy as np
import torch
from predict_fakes import random_images

from sglib.models import files
from sglib.models.ensemble import to_input
from sglib.models.files import Member, ModelFile
from sglib.models.networks import build


def make_model(
    *networks: str, name: str = "fake", seed: int = 0, head: str = "logit", **settings: object
) -> ModelFile:
    """Return a model of untrained networks that does not give all pictures the same answer."""
    networks = networks or ("ConvNN_2",)
    states = []
    for i, network in enumerate(networks):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + i)
            module = build(network)
        states.append({k: v.numpy().copy() for k, v in module.state_dict().items()})
    members = tuple(Member(network, head=head, seed=seed + i) for i, network in enumerate(networks))
    facts = {"name": name, "members": members, "data": "tiny", "data_digest": "0" * 64} | settings
    # spread around one half, as an untrained network does not do by itself
    model = ModelFile(**facts, states=tuple(states))
    with torch.inference_mode():
        margins = model.ensemble().margins(to_input(random_images(64, seed=99)))
    wide = np.float32(max(float(margins.std()), 1e-3))
    for state in states:
        last = "head" if "head.bias" in state else "fc2"
        state[f"{last}.weight"] = state[f"{last}.weight"] / wide
        middle = np.float32([0, float(margins.median())])
        state[f"{last}.bias"] = (state[f"{last}.bias"] - middle) / wide
    return ModelFile(**facts, states=tuple(states))


def save_model(folder: Path, *networks: str, **settings: object) -> Path:
    """Write such a model file and return its path."""
    model = make_model(*networks, **settings)
    return files.save(folder / f"{model.name}.safetensors", model)
