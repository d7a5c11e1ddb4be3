"""ours: rows as data, and runs on people held out that are stored once."""

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest

from sglib.data.splits import make_split
from sglib.models.networks import build, count_parameters
from sglib.studies import ours
from sglib.studies.ours import SHIPPED, STAIRCASE, TABLE_1, run_models, shorten
from sglib.studies.profiles import Config
from sglib.studies.store import RunStore
from sglib.studies.tables import BY_NAME
from sglib.training.recipe import Recipe, fit_model

TINY = Recipe("face9k", n_epochs=1, batch_size=16)


def test_what_ships_keeps_to_the_papers_sizes():
    sizes = {name: count_parameters(build(recipe.network)) for name, recipe in SHIPPED.items()}
    assert list(sizes) == ["small", "base", "best"]
    assert sizes["small"] <= 9538
    assert sizes["base"] <= 32730


def test_table_1_has_none_all_and_each_alone():
    for name, recipe in TABLE_1.items():
        parts = {part[0] for part in recipe.policy.parts}
        expected = {"none": 0, "all": len(TABLE_1) - 2, "only": 1}
        assert len(parts) == expected[name.split()[0]]
        assert (name.split()[-1] in parts) == name.startswith("only")


def changed(one: Recipe, other: Recipe) -> set[str]:
    fields = (field.name for field in dataclasses.fields(Recipe))
    return {name for name in fields if getattr(one, name) != getattr(other, name)}


def test_each_step_of_the_staircase_adds_one_part():
    paper, *steps = STAIRCASE.values()
    assert paper == BY_NAME["final_1"]
    found = [changed(*pair) for pair in itertools.pairwise(steps)]
    parts = ["policy", "network", "n_people", "blend", "mirror", "n_networks"]
    assert [part - {"lr"} for part in found] == [{part} for part in parts]
    assert {SHIPPED["base"], SHIPPED["best"]} < set(steps)


@pytest.mark.parametrize("profile", ["smoke", "paper"])
def test_short_profiles_are_short_and_full_is_whole(profile):
    for recipe in (*SHIPPED.values(), *TABLE_1.values()):
        short = shorten(recipe, profile)
        assert (short.n_epochs <= 15, short.n_people <= 150, short.n_networks <= 2) == (True,) * 3
        assert short.start_epochs <= 2
        assert shorten(recipe, "full") == recipe


def keys(monkeypatch, faces, recipe=TINY, *, config=None, name="tiny"):
    """Return the keys of the runs that would be made."""
    with monkeypatch.context() as patch:
        patch.setattr(ours, "run_study", lambda runs, *_, **__: [run.key for run in runs])
        return run_models({name: recipe}, faces, config or Config("full", seeds=1))


def test_what_changes_the_result_changes_the_key(tiny_faces, monkeypatch):
    other = dataclasses.replace(TINY, lr=1e-3)
    found = [
        keys(monkeypatch, tiny_faces, recipe)
        for recipe in (
            TINY,
            dataclasses.replace(TINY, n_networks=2),
            dataclasses.replace(TINY, mirror=True),
            other,
            dataclasses.replace(TINY, n_people=5),
            dataclasses.replace(TINY, blend=0.5),
        )
    ]
    images = dataclasses.replace(tiny_faces, images=255 - tiny_faces.images)
    found.append(keys(monkeypatch, images))
    every = [key for row in found for key in row]
    assert len(set(every)) == len(every) == 7 * 4  # each group held out has one too
    assert keys(monkeypatch, tiny_faces, name="other") == found[0]


def test_another_device_has_other_keys(tiny_faces, monkeypatch):
    monkeypatch.setattr("sglib.studies.profiles.check_device", lambda _device: None)
    gpu = keys(monkeypatch, tiny_faces, config=Config("full", seeds=1, device="cuda"))
    assert not set(gpu) & set(keys(monkeypatch, tiny_faces))


def test_runs_are_stored_and_not_repeated(tiny_faces, tmp_path, monkeypatch):
    monkeypatch.setattr(ours, "N_COPIES", 2)
    config, store = Config("smoke", jobs=1), RunStore(tmp_path)
    first = run_models({"tiny": TINY}, tiny_faces, config, store=store)
    assert [set(people) for people in first["copy_people"]] == [{"p0"}, {"p1"}]
    assert first["model"].tolist() == ["face9k"] * 2
    assert first["engine"].tolist() == ["reference-cpu"] * 2
    for row in first.itertuples():
        assert len(row.copy_probs) == 2 * len(row.val_ids)
        assert len(row.copy_people) == len(row.copy_labels) == len(row.copy_probs)
    monkeypatch.setattr(ours, "fit_model", None)
    again = run_models({"tiny": TINY}, tiny_faces, config, store=store)
    pd.testing.assert_frame_equal(first, again)


def test_a_run_predicts_photographs_and_copies_of_who_was_held_out(tiny_faces, tmp_path):
    models = {"ours": TINY, "the paper's": dataclasses.replace(BY_NAME["final_1"], n_epochs=2)}
    frame = run_models(models, tiny_faces, Config("smoke", jobs=1), store=RunStore(tmp_path))
    assert frame["failed"].tolist() == [False, True] * 2  # two epochs teach nothing
    split = make_split(tiny_faces, "groups", fold=1)
    spoilt = tiny_faces.images.copy()
    spoilt[split.val] = 0
    known = dataclasses.replace(tiny_faces, images=spoilt).subset(split.train)
    expected = fit_model(TINY, known, seed=0).predict(tiny_faces.images[split.val])
    assert frame.loc[2, "val_probs"] == pytest.approx(expected)
    assert sum(frame.loc[2, "copy_labels"]) == 10 * tiny_faces.labels[split.val].sum()
    softmax_of_sigmoids = np.array(frame.loc[3, "copy_probs"])
    assert ((softmax_of_sigmoids > 0.26) & (softmax_of_sigmoids < 0.74)).all()
