"""ours: rows as data, and runs on people held out that are stored once."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from sglib.models.networks import build, count_parameters
from sglib.studies import ours
from sglib.studies.ours import ABLATION, SHIPPED, TABLE_1, rows_for, run_models, shorten
from sglib.studies.profiles import Config
from sglib.studies.store import RunStore
from sglib.training.recipe import Recipe, Training

TINY = Recipe(Training("face9k", n_epochs=1, batch_size=16))


def test_what_ships_keeps_to_the_papers_sizes():
    sizes = {
        name: count_parameters(build(recipe.photographs.network))
        for name, recipe in SHIPPED.items()
    }
    assert list(sizes) == ["small", "base", "best"]
    assert sizes["small"] <= 9538
    assert sizes["base"] <= 32730
    for recipe in SHIPPED.values():
        assert recipe.pretraining.network == recipe.photographs.network
    assert SHIPPED["small"].teacher is SHIPPED["base"].teacher is SHIPPED["best"]


def test_table_1_has_none_all_each_alone_and_all_but_one():
    n_methods = (len(TABLE_1) - 2) // 2
    for name, recipe in TABLE_1.items():
        parts = {part[0] for part in recipe.photographs.policy.parts}
        expected = {"none": 0, "all": n_methods, "only": 1, "without": n_methods - 1}
        assert len(parts) == expected[name.split()[0]]
        assert (name.split()[-1] in parts) == name.startswith("only") or name in ("none", "all")


def test_each_row_of_the_ablation_is_another_recipe():
    assert next(iter(ABLATION)) == "one network"
    assert len({repr(recipe) for recipe in ABLATION.values()}) == len(ABLATION)
    assert list(rows_for(ABLATION, "smoke")) == list(ABLATION)[:3]
    assert rows_for(ABLATION, "full") == ABLATION


@pytest.mark.parametrize("profile", ["smoke", "paper"])
def test_short_profiles_are_short_and_full_is_whole(profile):
    for recipe in SHIPPED.values():
        short = shorten(recipe, profile)
        assert short.photographs.n_epochs <= 15
        assert short.pretraining.n_epochs <= 2
        assert short.n_people <= 150
        assert short.n_networks <= 2
        assert short.teacher is None
        assert shorten(recipe, "full") is recipe
    assert shorten(TINY, profile).pretraining is None


def keys(monkeypatch, faces, recipe=TINY, *, config=None, name="tiny"):
    """Return the keys of the runs that would be made."""
    with monkeypatch.context() as patch:
        patch.setattr(ours, "run_study", lambda runs, *_, **__: [run.key for run in runs])
        return run_models({name: recipe}, faces, config or Config("full", seeds=1))


def test_what_changes_the_result_changes_the_key(tiny_faces, monkeypatch):
    other = dataclasses.replace(TINY.photographs, lr=1e-3)
    teacher = dataclasses.replace(TINY, teacher=TINY)
    better = dataclasses.replace(TINY, teacher=dataclasses.replace(TINY, photographs=other))
    found = [
        keys(monkeypatch, tiny_faces, recipe)
        for recipe in (
            *(
                TINY,
                dataclasses.replace(TINY, n_networks=2),
                dataclasses.replace(TINY, mirror=True),
            ),
            *(dataclasses.replace(TINY, photographs=other), teacher, better),
        )
    ]
    images = dataclasses.replace(tiny_faces, images=255 - tiny_faces.images)
    found.append(keys(monkeypatch, images))
    every = [key for row in found for key in row]
    assert len(set(every)) == len(every) == 7 * 4  # each person held out has one too
    assert keys(monkeypatch, tiny_faces, name="other") == found[0]


def test_another_device_has_other_keys(tiny_faces, monkeypatch):
    monkeypatch.setattr("sglib.studies.profiles.check_device", lambda _device: None)
    gpu = keys(monkeypatch, tiny_faces, config=Config("full", seeds=1, device="cuda"))
    assert not set(gpu) & set(keys(monkeypatch, tiny_faces))


def test_runs_are_stored_and_not_repeated(tiny_faces, tmp_path, monkeypatch):
    monkeypatch.setattr("sglib.training.recipe.N_COPIES", 2)
    config, store = Config("smoke", jobs=1), RunStore(tmp_path)
    first = run_models({"tiny": TINY}, tiny_faces, config, store=store)
    assert first["subject"].tolist() == sorted(set(tiny_faces.subjects.tolist()))[:2]
    assert first["model"].tolist() == ["face9k"] * 2
    assert first["engine"].tolist() == ["reference-cpu"] * 2
    for row in first.itertuples():
        assert len(row.copy_probs) == 2 * len(row.val_ids)
        right = (np.array(row.copy_probs) > 0.5) == (np.array(row.copy_labels) == 1)
        assert row.copy_acc == pytest.approx(right.mean())
    monkeypatch.setattr(ours, "fit_ours", None)
    again = run_models({"tiny": TINY}, tiny_faces, config, store=store)
    pd.testing.assert_frame_equal(first, again)
