"""better: models on people held out; keys, pretraining in the cache, tables by hand."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from sglib.analysis import calibration_of_ours as better_calibration
from sglib.analysis import tables_of_ours as better_tables
from sglib.analysis.tables_of_ours import model_table, per_person
from sglib.studies import ablations
from sglib.studies import ours as better
from sglib.studies.ours import plan_models, run_models
from sglib.studies.profiles import Config
from sglib.studies.store import RunStore
from sglib.studies.tables import technique
from sglib.training import pretrained
from sglib.training.recipe import Recipe
from sglib.training.shipped import N_TWIN, SHIPPED, Model

TINY = Model(photos=Recipe(network="small", n_epochs=1, batch_size=16))


@pytest.fixture
def frame() -> pd.DataFrame:
    """Two models, two people, two seeds; the photographs are ids "0" to "3"."""
    rows = []
    for name, lift in (("base", 0.0), ("small", -0.1)):
        for fold, person in enumerate("ab"):
            for seed in (0, 1):
                ids = [str(2 * fold), str(2 * fold + 1)]
                right = [0.9, 0.1]  # labels are 1, 0
                wrong = [0.9, 0.8]
                probs = wrong if (name, person, seed) == ("small", "b", 1) else right
                rows.append(
                    {
                        "name": name,
                        "subject": person,
                        "fold": fold,
                        "seed": seed,
                        "scheme": "person",
                        "val_ids": ids,
                        "val_probs": probs,
                        "copy_acc": 0.95 + lift,
                        "copy_probs": [0.9, 0.8, 0.2, 0.4],
                        "copy_labels": [1, 1, 0, 0],
                        "seconds": 1.0,
                    }
                )
    return pd.DataFrame(rows)


@pytest.fixture
def four(tiny_faces):
    return dataclasses.replace(
        tiny_faces.subset(np.arange(4)),
        ids=np.array(list("0123")),
        labels=np.array([1, 0, 1, 0]),
        subjects=np.array(list("aabb")),
    )


def test_seeds_are_averaged_within_a_person(frame, four):
    table = per_person(frame, four)
    assert table[("base", "clean")].tolist() == [1, 1]
    assert table[("small", "clean")].tolist() == [1, 0.75]
    assert table[("small", "copies")].tolist() == pytest.approx([0.85, 0.85])


def test_table_compares_with_the_reference_by_person(frame, four):
    table = model_table(frame, four, reference="base")
    assert table.loc["small", "clean"] == pytest.approx(0.875)
    assert table.loc["small", "worst"] == 0.75
    assert table.loc["small", "difference"] == pytest.approx(-0.1)
    assert table.loc["base", "difference"] == 0
    assert table.loc["small", ["n_people", "n_seeds"]].tolist() == [2, 2]
    assert table.loc["small", "low"] < 0.875 < table.loc["small", "high"]


def test_expectation_is_readable(frame, four):
    shown = better_tables.expectation(model_table(frame, four))
    assert shown["model"].tolist() == ["base", "small"]
    assert shown.loc[1, "photographs"].startswith("0.8750 [")
    assert shown.loc[1, "distorted copies"].startswith("0.8500 [")


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(TINY, n_networks=2),
        dataclasses.replace(TINY, photos=dataclasses.replace(TINY.photos, lr=1e-3)),
    ],
    ids=["networks", "rate"],
)
def test_another_model_has_other_keys(tiny_faces, other):
    one, two = (plan_models({"m": m}, tiny_faces, n_seeds=1)[0].key for m in (TINY, other))
    assert one != two
    assert plan_models({"m": TINY}, tiny_faces, n_seeds=1, n_twin=3)[0].key != one
    assert plan_models({"renamed": TINY}, tiny_faces, n_seeds=1)[0].key == one


def test_every_person_is_held_out_once_per_seed(tiny_faces):
    units = plan_models({"a": TINY, "b": TINY}, tiny_faces, n_seeds=2)
    n_people = len(set(tiny_faces.subjects.tolist()))
    assert len(units) == 2 * 2 * n_people
    assert {unit.fold for unit in units} == set(range(n_people))
    assert len(plan_models({"a": TINY}, tiny_faces, n_seeds=1, max_people=1)) == 1


def test_runs_are_stored_and_not_repeated(tiny_faces, tmp_path, monkeypatch):
    monkeypatch.setattr(better, "N_COPIES", 2)
    config, store = Config("smoke", jobs=1), RunStore(tmp_path)
    first = run_models({"tiny": TINY}, tiny_faces, config, store=store)
    assert first["subject"].tolist() == sorted(set(tiny_faces.subjects.tolist()))[:2]
    assert [len(row) for row in first["copy_probs"]] == [2 * len(row) for row in first["val_ids"]]
    monkeypatch.setattr(better, "_fit_model", None)
    again = run_models({"tiny": TINY}, tiny_faces, config, store=store)
    pd.testing.assert_frame_equal(first, again)


def test_pretraining_is_done_once_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("SGLIB_ROOT", str(tmp_path))
    twin = dataclasses.replace(TINY.photos, n_epochs=1)
    first = pretrained.starting_point(twin, 0, n_twin=1)
    monkeypatch.setattr(pretrained, "pretrain", None)
    again = pretrained.starting_point(twin, 0, n_twin=1)
    assert first.keys() == again.keys()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert pretrained.starting_point(None, 0) is None
    assert len(list((tmp_path / "data/cache/pretrained").iterdir())) == 1


def test_short_profiles_are_short_and_full_is_whole():
    for profile, limits in better.SHORT.items():
        short = better.shorten(SHIPPED["best"], Config(profile))
        assert short.photos.n_epochs <= limits.photo_epochs
        assert short.twin.n_epochs == limits.twin_epochs
        assert short.n_networks <= limits.n_networks
        assert short.teacher == ""
        assert better.n_twin(Config(profile)) == limits.n_twin
    assert better.n_twin(Config("full")) == N_TWIN
    assert better.shorten(SHIPPED["best"], Config("full")) is SHIPPED["best"]
    assert better.repeat(Config("full", seeds=7)).seeds == 7
    assert better.repeat(Config("full")).seeds == 1


def test_sizes_keep_to_the_papers_networks():
    table = better_tables.sizes()
    assert table.loc["small", "parameters"] <= 9538
    assert table.loc["base", "parameters"] <= 32730


def test_calibration_of_held_out_copies(frame):
    labels, logits, people = better_calibration.copies(frame, "base")
    assert labels.tolist() == [1, 1, 0, 0] * 4
    assert 1 / (1 + np.exp(-logits[:4])) == pytest.approx([0.9, 0.8, 0.2, 0.4])
    assert people.tolist() == ["a"] * 8 + ["b"] * 8
    table = better_calibration.calibration_table(frame)
    assert table.index.tolist() == ["base", "small"]
    assert table["n"].tolist() == [16, 16]
    assert table.loc["base", "temperature"] < 1  # every answer is right: it may be surer
    assert set(better_calibration.reliability(frame)) == {"base", "small"}


def test_ablations_change_one_thing_at_a_time():
    rows = ablations.TABLE_1
    n_methods = (len(rows) - 2) // 2
    for name, model in rows.items():
        parts = {part[0] for part in model.photos.policy.parts}
        expected = {"none": 0, "all": n_methods, "only": 1, "without": n_methods - 1}
        assert len(parts) == expected[name.split()[0]]
        assert (name.split()[-1] in parts) == name.startswith("only") or name in ("none", "all")
    assert next(iter(ablations.ABLATION)) == "one network"
    assert list(ablations.rows_for(rows, "smoke")) == list(rows)[:3]
    assert ablations.rows_for(rows, "full") is rows
    assert technique("twin only") == "ours"
