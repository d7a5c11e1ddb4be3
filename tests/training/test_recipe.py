"""recipe: one training, then what is made of several; small and few, so that seconds do."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from sglib import SglibError
from sglib.data.augment import POLICIES
from sglib.data.faces import FaceSet
from sglib.models.ensemble import Ensemble
from sglib.training import recipe as recipe_module
from sglib.training.recipe import Recipe, fit_model, train

QUICK = Recipe("face9k", n_epochs=3, batch_size=4)
PLAIN = dataclasses.replace(QUICK, policy=POLICIES["none"])
ONCE = dataclasses.replace(QUICK, n_epochs=1)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGLIB_ROOT", str(tmp_path))


@pytest.fixture
def eight() -> FaceSet:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, 30, 32), dtype=np.uint8)
    ids = np.arange(8).astype(str)
    return FaceSet("eight", images, ids, labels=np.arange(8) % 2, subjects=ids)


def head(network: torch.nn.Module) -> torch.Tensor:
    return network.state_dict()["head.weight"]


@pytest.mark.parametrize("network", ["face9k", "face28k", "ConvNN_1", "ConvNN_2"])
def test_overfits_eight_images(network: str, eight: FaceSet) -> None:
    recipe = Recipe(network, policy=POLICIES["none"], n_epochs=80, batch_size=8, lr=3e-3)
    trained = train(recipe, eight, seed=0)
    assert not trained.training
    assert ((Ensemble([trained]).predict(eight.images) > 0.5) == eight.labels).all()


def test_same_seed_same_weights(eight: FaceSet) -> None:
    torch.manual_seed(1)
    first = train(QUICK, eight, seed=3)
    state = torch.random.get_rng_state()
    torch.manual_seed(2)  # the global generator must not matter
    again, other = (train(QUICK, eight, seed=seed) for seed in (3, 4))
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert not torch.equal(head(first), head(other))
    torch.manual_seed(1)
    assert torch.equal(state, torch.random.get_rng_state()), "the global generator was used"


def test_the_rate_rises_and_falls_to_nothing() -> None:
    rates = [recipe_module._rate(progress) for progress in np.linspace(0.01, 0.99, 50)]
    assert np.argmax(rates) == 5  # of 50: the warm-up's share is a tenth
    assert max(rates) <= 1
    assert rates[-1] < 0.001


def test_starting_weights(eight: FaceSet) -> None:
    first = train(QUICK, eight, seed=0).state_dict()
    for still in (dataclasses.replace(QUICK, lr=0.0), dataclasses.replace(QUICK, n_epochs=0)):
        kept = train(still, eight, seed=1, initial=first)
        assert torch.equal(head(kept), first["head.weight"])


def test_blending_goes_part_of_the_way_from_the_start(tiny_faces) -> None:
    whole = dataclasses.replace(ONCE, n_people=1, start_epochs=1)
    still, full, half = (
        head(fit_model(recipe, tiny_faces, seed=0).networks[0])
        for recipe in (
            dataclasses.replace(whole, n_epochs=0),
            whole,
            dataclasses.replace(whole, blend=0.5),
        )
    )
    assert not torch.equal(still, full)
    torch.testing.assert_close(half, (still + full) / 2)


def test_the_networks_of_a_model_start_apart_and_those_of_one_place_together(tiny_faces) -> None:
    still = Recipe("face9k", n_epochs=0, n_people=1, start_epochs=1, n_networks=2)
    first, second = (fit_model(still, tiny_faces, seed=seed).networks for seed in (0, 1))
    assert torch.equal(head(first[1]), head(second[1]))
    assert not torch.equal(head(first[0]), head(first[1]))


def test_a_wrong_picture_is_refused(eight: FaceSet) -> None:
    wrong = dataclasses.replace(eight)
    object.__setattr__(wrong, "images", np.zeros((8, 30, 32), np.float32))
    with pytest.raises(SglibError, match="images must be uint8"):
        train(QUICK, wrong, seed=0)


def test_each_network_has_a_seed_of_its_own_and_repetitions_share_none(tiny_faces) -> None:
    both = fit_model(dataclasses.replace(ONCE, n_networks=2, mirror=True), tiny_faces, seed=2)
    alone = fit_model(ONCE, tiny_faces, seed=5)
    first, second = both.networks
    assert not torch.equal(head(first), head(second))
    assert torch.equal(head(second), head(alone.networks[0]))  # seeds 4 and 5
    assert (both.mirror, alone.mirror) == (True, False)


def test_a_network_is_trained_once_and_kept(tiny_faces, tmp_path, monkeypatch) -> None:
    first = fit_model(ONCE, tiny_faces, seed=0).predict(tiny_faces.images)
    monkeypatch.setattr(recipe_module, "train", None)
    again = fit_model(dataclasses.replace(ONCE, mirror=True), tiny_faces, seed=0).one_view()
    np.testing.assert_array_equal(again.predict(tiny_faces.images), first)
    assert len(list((tmp_path / "data/cache/networks").iterdir())) == 1


@pytest.mark.parametrize("changed", ["settings", "start", "faces", "seed", "device", "network"])
def test_what_changes_the_weights_trains_another(changed, tiny_faces, monkeypatch) -> None:
    fit_model(ONCE, tiny_faces, seed=0)
    monkeypatch.setattr(recipe_module, "train", lambda *_, **__: 1 / 0)
    recipe, faces = ONCE, tiny_faces
    options = {"seed": int(changed == "seed"), "device": "cuda" if changed == "device" else "cpu"}
    if changed == "settings":
        recipe = dataclasses.replace(ONCE, lr=1e-4)
    if changed == "start":
        recipe = dataclasses.replace(ONCE, n_people=1)
    if changed == "faces":
        faces = tiny_faces.subset(np.arange(len(tiny_faces)) > 0)
    if changed == "network":  # edited under its old name
        monkeypatch.setattr("sglib.models.networks.FaceNet.TOP", 16)
    with pytest.raises(ZeroDivisionError):
        fit_model(recipe, faces, **options)
