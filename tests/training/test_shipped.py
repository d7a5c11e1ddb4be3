import dataclasses

import numpy as np
import pytest
import torch
from sglib.models.ours import build_network
from sglib.training.shipped import SHIPPED, Model, fit_shipped, get_shipped, pretrain

from sglib import SglibError
from sglib.models.networks import count_parameters
from sglib.training import shipped
from sglib.training.recipe import Recipe

PHOTOS = Recipe(network="small", n_epochs=1)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, np.ndarray]:
    """Eight images, and a twin of two people."""
    monkeypatch.setattr(shipped, "N_TWIN", 2)
    images = np.random.default_rng(0).integers(0, 256, (8, 30, 32), dtype=np.uint8)
    return images, np.arange(8) % 2


def head(network: torch.nn.Module) -> torch.Tensor:
    return network.state_dict()["head.weight"]


def test_sizes() -> None:
    sizes = {
        name: count_parameters(build_network(model.photos.network))
        for name, model in SHIPPED.items()
    }
    assert list(sizes) == ["small", "base", "best"]
    assert sizes["small"] <= 9538
    assert sizes["base"] <= 32730
    assert SHIPPED["small"].n_networks == SHIPPED["base"].n_networks == 1
    for model in SHIPPED.values():
        assert model.twin is not None
        assert model.twin.network == model.photos.network


def test_unknown_name() -> None:
    assert get_shipped("best") is SHIPPED["best"]
    with pytest.raises(SglibError, match="no model 'huge'; there are: small, base, best"):
        get_shipped("huge")


def test_each_network_has_a_seed_of_its_own(few) -> None:
    model = Model(photos=PHOTOS, twin=PHOTOS, n_networks=2)
    first, second = fit_shipped(model, *few, seed=4)
    alone = dataclasses.replace(model, n_networks=1)
    (again,) = fit_shipped(alone, *few, seed=5)
    assert not torch.equal(head(first), head(second))
    assert torch.equal(head(second), head(again))
    assert not first.training


def test_pretraining(few) -> None:
    assert pretrain(None, 0) is None
    start = pretrain(PHOTOS, 0)
    assert start is not None
    still = dataclasses.replace(PHOTOS, lr=0.0)
    (network,) = fit_shipped(Model(photos=still, twin=PHOTOS), *few)
    assert torch.equal(head(network), start["head.weight"])
    (network,) = fit_shipped(Model(photos=still), *few, start=lambda *_: start)
    assert torch.equal(head(network), start["head.weight"])


def test_the_student_learns_the_teachers_answers(few, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = few
    monkeypatch.setitem(SHIPPED, "sure", Model(photos=dataclasses.replace(PHOTOS, n_epochs=40)))
    longer = dataclasses.replace(PHOTOS, n_epochs=40)
    student = Model(photos=longer, teacher="sure", n_companions=1, repeats=2)
    (network,) = fit_shipped(student, images, labels)
    (again,) = fit_shipped(student, images, 1 - labels)
    assert not torch.equal(head(network), head(again))
