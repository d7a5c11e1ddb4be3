"""heldout: who is held out, what is trained, and that the answers are the networks' own."""

import dataclasses

import numpy as np
import pytest
import torch

from sglib import SglibError
from sglib.analysis.runs import STUCK_BELOW
from sglib.data.augment import POLICIES
from sglib.data.splits import Split
from sglib.studies import final, heldout
from sglib.studies.heldout import (
    Average,
    heldout_models,
    heldout_probs,
    paper_experiment,
    people_groups,
)
from sglib.studies.profiles import Config
from sglib.training.fit import fit
from sglib.training.recipe import Recipe, predict_probs, to_input
from sglib.training.shipped import Model

TINY = Model(
    photos=Recipe(network="small", policy=POLICIES["none"], n_epochs=15, batch_size=8),
    n_networks=2,
)
SMOKE = Config(data="synthetic")


@pytest.fixture(scope="module")
def models(tiny_faces):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(heldout.SHIPPED, "base", TINY)
        yield heldout_models(tiny_faces, SMOKE)


def test_each_person_is_held_out_once(models, tiny_faces):
    assert sorted(np.concatenate([part.rows for part in models])) == list(range(len(tiny_faces)))
    for part in models:
        assert set(tiny_faces.subjects[part.rows]) == set(part.people)
        assert not set(tiny_faces.subjects[part.train]) & set(part.people)
        assert len(part.rows) + len(part.train) == len(tiny_faces)
        assert list(part.predict) == list(part.networks) == ["paper", "base"]


def test_groups(tiny_faces):
    assert people_groups(tiny_faces, 2) == [("p0", "p2"), ("p1", "p3")]
    assert people_groups(tiny_faces, 3) == [("p0", "p3"), ("p1",), ("p2",)]
    assert people_groups(tiny_faces, 99) == [("p0",), ("p1",), ("p2",), ("p3",)]


def test_the_smoke_profile_has_two_groups(models):
    assert [part.people for part in models] == [("p0", "p2"), ("p1", "p3")]


def test_only_the_other_people_enter(models, tiny_faces, monkeypatch):
    """Training with the held-out photographs destroyed gives the same networks."""
    monkeypatch.setitem(heldout.SHIPPED, "base", TINY)
    images = tiny_faces.images.copy()
    images[models[0].rows] = 0
    spoilt = heldout_models(dataclasses.replace(tiny_faces, images=images), SMOKE)
    for name in ("paper", "base"):
        same, other = (
            np.array_equal(
                spoilt[group].predict[name](tiny_faces.images),
                models[group].predict[name](tiny_faces.images),
            )
            for group in (0, 1)
        )
        assert same, name
        assert not other, name


def test_the_paper_answers_as_its_fit_says(models, tiny_faces):
    part = models[1]
    row = paper_experiment(SMOKE)
    assert (row.name, row.n_epochs, row.p_drop) == ("final_1", 12, 0.5)
    runs = [
        fit(row, tiny_faces, Split("", 0, part.train, part.rows), seed=seed) for seed in range(10)
    ]
    learned = [run for run in runs if run.history["train_acc"][-1] >= STUCK_BELOW]
    first = (learned or runs[-1:])[0]
    found = part.predict["paper"](tiny_faces.images[part.rows])
    assert found == pytest.approx(first.val_probs, abs=1e-5)
    outputs = part.networks["paper"](to_input(tiny_faces.images[part.rows]))
    sigmoids = outputs.detach().double().sigmoid().numpy()
    assert found == pytest.approx(1 / (1 + np.exp(sigmoids[:, 0] - sigmoids[:, 1])), abs=1e-5)


def test_a_stuck_run_of_the_paper_is_started_again(tiny_faces, monkeypatch):
    seeds = []

    def fake_fit(*args, seed, **options):
        seeds.append(seed)
        done = fit(*args, seed=seed, **options)
        done.history["train_acc"][-1] = 0.5 if len(seeds) < 3 else 0.9
        return done

    monkeypatch.setattr(final, "fit", fake_fit)
    heldout_models(tiny_faces, SMOKE, seed=7, rows=["paper"])
    assert seeds == [7, 8, 9, 7]


def test_ours_has_all_its_members(models, tiny_faces):
    part = models[0]
    network = part.networks["base"]
    assert len(network.members) == 2
    assert not network.training
    one, two = network.members
    assert not torch.equal(one.head.weight, two.head.weight)
    images = tiny_faces.images[part.rows]
    assert part.predict["base"](images) == pytest.approx(predict_probs([one, two], images))
    x = to_input(images)
    assert torch.allclose(network(x), (one(x) + two(x)) / 2, atol=1e-6)
    single = part.predict["base"](images, mirror=False, shift=0)
    with torch.no_grad():
        margin = network(x).double().diff(dim=1)[:, 0]
    assert single == pytest.approx(margin.sigmoid().numpy(), abs=1e-6)
    assert not np.allclose(single, part.predict["base"](images))


def test_the_models_learn_what_they_are_for(models, tiny_faces):
    """The band of the tiny faces is easy, also on people not seen."""
    for name, probs in heldout_probs(models, tiny_faces).items():
        assert ((probs > 0.5) == (tiny_faces.labels == 1)).mean() > 0.8, name


def test_average():
    first, second = (torch.nn.Linear(1, 2) for _ in range(2))
    x = torch.ones(3, 1)
    assert torch.allclose(Average([first, second])(x), (first(x) + second(x)) / 2)


def test_probs_in_the_sets_order(models, tiny_faces):
    probs = heldout_probs(models, tiny_faces)
    assert list(probs) == ["paper", "base"]
    for part in models:
        row = part.rows[3]
        alone = part.predict["base"](tiny_faces.images[[row]])
        assert probs["base"][row] == pytest.approx(alone[0], abs=1e-6)
    assert not np.isnan(probs["paper"]).any()


def test_wrong_input(tiny_faces):
    with pytest.raises(SglibError, match="rows must be some of paper, small, base, best, got huge"):
        heldout_models(tiny_faces, SMOKE, rows=["paper", "huge"])
    with pytest.raises(SglibError, match="got none"):
        heldout_models(tiny_faces, SMOKE, rows=[])
    with pytest.raises(SglibError, match="2 or more groups of people, got 1 of 4"):
        heldout_models(tiny_faces, SMOKE, n_groups=1)
    with pytest.raises(SglibError, match="people are not known"):
        heldout_models(dataclasses.replace(tiny_faces, subjects=None), SMOKE)
