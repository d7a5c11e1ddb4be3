"""recipe: one training, then what is made of several; small and few, so that seconds do."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from sglib import SglibError
from sglib.data.augment import POLICIES
from sglib.data.splits import make_split
from sglib.models.ensemble import Ensemble
from sglib.training import recipe as recipe_module
from sglib.training.recipe import (
    Recipe,
    Training,
    fit_model,
    fit_ours,
    pretrain,
    pretrain_all,
    train,
)

QUICK = Training("face9k", n_epochs=3, batch_size=4)
PLAIN = dataclasses.replace(QUICK, policy=POLICIES["none"])
ONCE = dataclasses.replace(QUICK, n_epochs=1)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGLIB_ROOT", str(tmp_path))


@pytest.fixture
def eight() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (8, 30, 32), dtype=np.uint8), np.arange(8) % 2


def head(network: torch.nn.Module) -> torch.Tensor:
    return network.state_dict()["head.weight"]


@pytest.mark.parametrize("network", ["face9k", "face28k", "ConvNN_1", "ConvNN_2"])
def test_overfits_eight_images(network: str, eight) -> None:
    images, labels = eight
    settings = Training(network, policy=POLICIES["none"], n_epochs=80, batch_size=8)
    trained = train(settings, images, labels, seed=0)
    assert not trained.training
    assert ((Ensemble([trained]).predict(images) > 0.5) == labels).all()


def test_same_seed_same_weights(eight) -> None:
    torch.manual_seed(1)
    first = train(QUICK, *eight, seed=3)
    state = torch.random.get_rng_state()
    torch.manual_seed(2)  # the global generator must not matter
    again, other = (train(QUICK, *eight, seed=seed) for seed in (3, 4))
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert not torch.equal(head(first), head(other))
    torch.manual_seed(1)
    assert torch.equal(state, torch.random.get_rng_state()), "the global generator was used"


def test_starting_weights(eight) -> None:
    first = train(QUICK, *eight, seed=0).state_dict()
    for still in (dataclasses.replace(QUICK, lr=0.0), dataclasses.replace(QUICK, n_epochs=0)):
        kept = train(still, *eight, seed=1, initial=first)
        assert torch.equal(head(kept), first["head.weight"])


def test_the_rate_rises_and_falls_to_nothing() -> None:
    rates = [recipe_module._rate(progress) for progress in np.linspace(0.01, 0.99, 50)]
    assert np.argmax(rates) == 5  # of 50: the warm-up's share is a tenth
    assert max(rates) <= 1
    assert rates[-1] < 0.001


def test_a_teachers_answers_take_the_place_of_labels(eight) -> None:
    images, labels = eight
    longer = dataclasses.replace(PLAIN, n_epochs=60)
    teacher = Ensemble([train(longer, images, labels, seed=0)])
    student, wrong = (
        train(longer, images, truth, seed=1, teacher=teacher, softness=2.0)
        for truth in (labels, 1 - labels)
    )
    assert torch.equal(head(student), head(wrong))
    answers, taught = (model.predict(images) > 0.5 for model in (Ensemble([wrong]), teacher))
    assert (answers == taught).all()


def test_a_wrong_picture_is_refused() -> None:
    with pytest.raises(SglibError, match="images must be uint8"):
        train(QUICK, np.zeros((2, 30, 32), np.float32), np.zeros(2), seed=0)


def test_each_network_has_a_seed_of_its_own(tiny_faces) -> None:
    both = fit_model(Recipe(ONCE, n_networks=2, mirror=True, shift=1), tiny_faces, seed=4)
    alone = fit_model(Recipe(ONCE), tiny_faces, seed=5)
    first, second = both.networks
    assert not torch.equal(head(first), head(second))
    assert torch.equal(head(second), head(alone.networks[0]))
    assert (both.mirror, both.shift, alone.mirror, alone.shift) == (True, 1, False, 0)


def test_blending_goes_part_of_the_way_from_the_pretrained_weights(tiny_faces) -> None:
    whole = Recipe(ONCE, pretraining=ONCE, n_people=1)
    start = pretrain(whole, seed=0)["head.weight"]
    full, half = (
        head(fit_model(dataclasses.replace(whole, blend=blend), tiny_faces, seed=0).networks[0])
        for blend in (1.0, 0.5)
    )
    assert not torch.equal(start, full)
    torch.testing.assert_close(half, (start + full) / 2)


def test_pretraining_is_done_once_and_kept(tmp_path, monkeypatch) -> None:
    recipe = Recipe(ONCE, pretraining=ONCE, n_people=1)
    pretrain_all(dataclasses.replace(recipe, teacher=recipe), seed=0)
    monkeypatch.setattr(recipe_module, "train", None)
    first, again = (pretrain(recipe, seed=0) for _ in range(2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert pretrain(Recipe(ONCE), seed=0) is None
    assert len(list((tmp_path / "data/cache/pretrained").iterdir())) == 1


@pytest.mark.parametrize("changed", ["settings", "people", "seed", "device", "network"])
def test_what_changes_pretrained_weights_makes_another(changed, monkeypatch) -> None:
    recipe = Recipe(ONCE, pretraining=ONCE, n_people=1)
    pretrain(recipe, seed=0)
    monkeypatch.setattr(recipe_module, "train", lambda *_, **__: 1 / 0)
    options = {"seed": int(changed == "seed"), "device": "cuda" if changed == "device" else "cpu"}
    if changed == "settings":
        recipe = dataclasses.replace(recipe, pretraining=dataclasses.replace(ONCE, lr=1e-4))
    if changed == "people":
        recipe = dataclasses.replace(recipe, n_people=2)
    if changed == "network":  # edited under its old name
        monkeypatch.setattr("sglib.models.networks.FaceNet.TOP", 16)
    with pytest.raises(ZeroDivisionError):
        pretrain(recipe, **options)


def test_a_student_asks_its_teacher_and_no_label(tiny_faces) -> None:
    teacher = Recipe(dataclasses.replace(PLAIN, n_epochs=4))
    student = Recipe(ONCE, teacher=teacher, n_companions=1, repeats=2)
    swapped = dataclasses.replace(tiny_faces, labels=1 - tiny_faces.labels)
    one, other = (fit_model(student, faces, seed=0) for faces in (tiny_faces, swapped))
    assert not torch.equal(head(one.networks[0]), head(other.networks[0]))  # the teacher's


def test_one_run_predicts_photographs_and_copies_of_who_was_held_out(tiny_faces, monkeypatch):
    monkeypatch.setattr(recipe_module, "N_COPIES", 2)
    split = make_split(tiny_faces, "person", fold=1)
    done = fit_ours(Recipe(ONCE, n_networks=2), tiny_faces, split, seed=3)
    spoilt = tiny_faces.images.copy()
    spoilt[split.val] = 0
    known = dataclasses.replace(tiny_faces, images=spoilt).subset(split.train)
    expected = fit_model(Recipe(ONCE, n_networks=2), known, seed=6)
    np.testing.assert_array_equal(done.val_probs, expected.predict(tiny_faces.images[split.val]))
    assert done.copy_probs.shape == done.copy_labels.shape == (2 * len(split.val),)
    assert done.copy_labels.sum() == 2 * tiny_faces.labels[split.val].sum()
    assert done.seconds > 0
