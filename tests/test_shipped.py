import dataclasses

import numpy as np
import pytest
import torch

from sglib.errors import SglibError
from sglib.models import count_parameters
from sglib.networks import build_network
from sglib.recipe import Recipe
from sglib.shipped import RECIPES, fit_models, get_recipe, pretrain


def test_sizes() -> None:
    sizes = {name: count_parameters(build_network(r.network)) for name, r in RECIPES.items()}
    assert list(sizes) == ["small", "base", "best"]
    assert sizes["small"] <= 9538
    assert sizes["base"] <= 32730
    assert RECIPES["small"].n_models == RECIPES["base"].n_models == 1


def test_unknown_name() -> None:
    assert get_recipe("best") is RECIPES["best"]
    with pytest.raises(SglibError, match="no recipe 'huge'; there are: small, base, best"):
        get_recipe("huge")


def test_start_to_end() -> None:
    recipe = Recipe(network="small", n_epochs=1, twin_subjects=1, twin_epochs=1, n_models=2)
    images = np.random.default_rng(0).integers(0, 256, (8, 30, 32), dtype=np.uint8)
    first, second = fit_models(recipe, images, np.arange(8) % 2, seed=4)
    alone = dataclasses.replace(recipe, n_models=1)
    again = fit_models(alone, images, np.arange(8) % 2, seed=5)[0]
    weights = [t.model.state_dict()["head.weight"] for t in (first, second, again)]
    assert not torch.equal(weights[0], weights[1])
    assert torch.equal(weights[1], weights[2])


def test_pretraining_is_off_by_default() -> None:
    assert pretrain(Recipe(), seed=0) is None
    start = pretrain(Recipe(network="small", twin_subjects=1, twin_epochs=1), seed=0)
    assert start is not None
    assert "head.weight" in start
