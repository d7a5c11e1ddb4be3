"""The recipes that are shipped, by name, and their training from start to end."""

import dataclasses

import numpy as np
from torch import Tensor

from sglib.errors import SglibError
from sglib.recipe import Recipe, Trained, fit_recipe
from sglib.synthetic import render_faces

TWIN_SEED = 11  # of the synthetic people; not 0, the embedded default data set
_TWIN_OFFSET = 1000  # pretraining and training draw from different streams

_BASE = Recipe(network="base", n_epochs=80, blend=0.5, twin_subjects=4000, twin_epochs=8)
RECIPES: dict[str, Recipe] = {
    "small": dataclasses.replace(_BASE, network="small"),
    "base": _BASE,
    "best": dataclasses.replace(_BASE, n_models=5),
}


def get_recipe(name: str) -> Recipe:
    """Return a shipped recipe.

    Raises:
        SglibError: there is none of this name.
    """
    if name not in RECIPES:
        raise SglibError(f"no recipe {name!r}; there are: {', '.join(RECIPES)}")
    return RECIPES[name]


def fit_models(
    recipe: Recipe, images: np.ndarray, labels: np.ndarray, *, seed: int, device: str = "cpu"
) -> list[Trained]:
    """Do the whole recipe: pretrain and train `n_models` networks with seeds seed, seed + 1, …"""
    return [
        fit_recipe(
            recipe,
            images,
            labels,
            seed=s,
            device=device,
            initial=pretrain(recipe, seed=s, device=device),
        )
        for s in range(seed, seed + recipe.n_models)
    ]


def pretrain(recipe: Recipe, *, seed: int, device: str = "cpu") -> dict[str, Tensor] | None:
    """Train on the synthetic twin and return the state dict; None for a recipe without.

    No photograph enters, so one result serves every fold of a cross-validation.
    """
    if not recipe.twin_subjects:
        return None
    twin = render_faces(seed=TWIN_SEED, n_subjects=recipe.twin_subjects)
    assert twin.labels is not None
    # Many images and few passes: larger steps.
    first = dataclasses.replace(recipe, n_epochs=recipe.twin_epochs, batch_size=64, lr=4e-3)
    trained = fit_recipe(first, twin.images, twin.labels, seed=_TWIN_OFFSET + seed, device=device)
    return trained.model.state_dict()
