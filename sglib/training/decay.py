"""Is λ of the paper's formula (1) Adam's `weight_decay`? Three ways to decay, step by step."""

import dataclasses

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from sglib.data.faces import FaceSet
from sglib.models.networks import build_model
from sglib.studies.tables import BASELINE
from sglib.training.reference import scale_pixels
from sglib.training.schedule import make_schedule
from sglib.training.settings import Experiment


def compare_decays(
    faces: FaceSet, *, l2: float = 1e-2, n_steps: int = 50, experiment: Experiment = BASELINE
) -> pd.DataFrame:
    """Train a few steps with λ·½wᵀw written into the loss, and with what optimisers offer.

    Args:
        faces: a labelled set.
        l2: λ; large, so that a difference would show within the steps.
        n_steps: training steps at batch size 1, in float64; at most one per image.
        experiment: network and learning rate.

    Returns:
        index: "Adam(weight_decay=λ)" and "AdamW(weight_decay=λ)"; `largest_difference` of any
        weight from the explicit penalty's, and `same` (below 1e-8).
    """
    if n_steps > len(faces):
        raise ValueError(f"n_steps must be at most {len(faces)}, got {n_steps}")
    settings = dataclasses.replace(experiment, n_epochs=1)
    schedule = make_schedule(settings, len(faces), 0)
    rows = schedule.order[0, :n_steps]
    scaled = scale_pixels(faces.images[rows], settings.scaling)
    images = torch.from_numpy(scaled).double().unsqueeze(1)  # (n_steps, 1, 30, 32)
    labels = torch.from_numpy(faces.labels[rows])

    def train(kind: type[torch.optim.Optimizer], decay: float, penalty: float) -> np.ndarray:
        model = build_model(settings.model).double()
        model.load_state_dict({k: torch.from_numpy(v) for k, v in schedule.initial.items()})
        optimizer = kind(model.parameters(), lr=settings.lr, weight_decay=decay)
        for image, label in zip(images, labels, strict=True):
            loss = F.cross_entropy(model(image[None]), label[None])
            squares = sum((weight**2).sum() for weight in model.parameters())
            optimizer.zero_grad()
            (loss + penalty * squares / 2).backward()
            optimizer.step()
        return torch.cat([weight.detach().flatten() for weight in model.parameters()]).numpy()

    explicit = train(torch.optim.Adam, 0.0, l2)
    found = {
        "Adam(weight_decay=λ)": train(torch.optim.Adam, l2, 0.0),
        "AdamW(weight_decay=λ)": train(torch.optim.AdamW, l2, 0.0),
    }
    gaps = {name: float(np.abs(weights - explicit).max()) for name, weights in found.items()}
    table = pd.DataFrame.from_dict(gaps, orient="index", columns=["largest_difference"])
    return table.assign(same=table["largest_difference"] < 1e-8)
