"""heldout: who is held out, what is trained, and that the answers are the networks' own."""

import dataclasses

import numpy as np
import pytest

from sglib import SglibError
from sglib.data.augment import POLICIES
from sglib.data.splits import make_split
from sglib.studies import heldout
from sglib.studies.heldout import heldout_models
from sglib.studies.profiles import Config
from sglib.training.fit import fit_until_learned
from sglib.training.recipe import Recipe

TINY = Recipe(
    "face9k", POLICIES["none"], n_epochs=15, batch_size=8, lr=3e-3, n_networks=2, mirror=True
)
SMOKE = Config("smoke", data="synthetic")


@pytest.fixture(scope="module")
def models(tiny_faces):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(heldout.SHIPPED, "base", TINY)
        patch.setattr(heldout, "shorten", lambda recipe, _profile: recipe)
        yield heldout_models(tiny_faces, SMOKE)


def test_nobody_is_held_out_twice(models, tiny_faces):
    groups = [set(tiny_faces.subjects[part.rows]) for part in models]
    assert groups == [{"p0"}, {"p1"}]  # the smoke profile has two groups
    assert [list(part.models) for part in models] == [["paper", "base"]] * 2


def test_only_the_other_people_enter(models, tiny_faces, monkeypatch):
    """Training with the held-out photographs destroyed gives the same networks."""
    monkeypatch.setitem(heldout.SHIPPED, "base", TINY)
    monkeypatch.setattr(heldout, "shorten", lambda recipe, _profile: recipe)
    images = tiny_faces.images.copy()
    images[models[0].rows] = 0
    spoilt = heldout_models(dataclasses.replace(tiny_faces, images=images), SMOKE)
    for name in ("paper", "base"):
        same, other = (
            np.array_equal(
                spoilt[group].models[name].predict(tiny_faces.images),
                models[group].models[name].predict(tiny_faces.images),
            )
            for group in (0, 1)
        )
        assert same, name
        assert not other, name


def test_the_paper_answers_as_its_fit_says(models, tiny_faces):
    part = models[1]
    row = heldout.BY_NAME["final_1"]
    row = dataclasses.replace(row, n_epochs=12)
    known = tiny_faces.subset(np.setdiff1d(np.arange(len(tiny_faces)), part.rows))
    _, done = fit_until_learned(row, known, make_split(known, "all"), seed=0)
    (network,) = part.models["paper"].networks
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), done.weights[name])
    probs = part.models["paper"].predict(tiny_faces.images)
    assert ((probs > 0.26) & (probs < 0.74)).all()  # the softmax over two sigmoids


def test_ours_has_all_its_networks_and_views(models, tiny_faces):
    base = models[0].models["base"]
    assert (len(base.networks), base.mirror) == (2, True)
    images = tiny_faces.images[models[0].rows]
    assert not np.allclose(base.predict(images), base.one_view().predict(images))


def test_the_models_learn_what_they_are_for(models, tiny_faces):
    """The band of the tiny faces is easy, also on people not seen."""
    for name in ("paper", "base"):
        right = [
            (part.models[name].predict(tiny_faces.images[part.rows]) > 0.5)
            == tiny_faces.labels[part.rows]
            for part in models
        ]
        assert np.concatenate(right).mean() > 0.8, name


def test_wrong_input(tiny_faces):
    with pytest.raises(SglibError, match="rows must be some of paper, small, base, best, got huge"):
        heldout_models(tiny_faces, SMOKE, rows=["paper", "huge"])
    with pytest.raises(SglibError, match="got none"):
        heldout_models(tiny_faces, SMOKE, rows=[])
    with pytest.raises(SglibError, match="who is on the images is not known"):
        heldout_models(dataclasses.replace(tiny_faces, subjects=None), SMOKE)
