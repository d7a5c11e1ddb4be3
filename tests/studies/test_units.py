"""units: a key is the hash of what determines the result, and of nothing else."""

import dataclasses

import numpy as np
import pytest
import torch
from sglib.studies.units import Unit, plan, run_unit, shard

from sglib import SglibError
from sglib.studies import units
from sglib.studies.tables import BASELINE, study

UNIT = Unit(BASELINE, "kfold", 0, 0, "compiled", "synthetic-train", "d1")


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(UNIT, experiment=dataclasses.replace(BASELINE, lr=0.001)),
        dataclasses.replace(UNIT, scheme="person"),
        dataclasses.replace(UNIT, fold=1),
        dataclasses.replace(UNIT, seed=1),
        dataclasses.replace(UNIT, engine="reference-cpu"),
        dataclasses.replace(UNIT, digest="d2"),
    ],
    ids=["settings", "scheme", "fold", "seed", "engine", "data"],
)
def test_what_changes_the_result_changes_the_key(other):
    assert other.key != UNIT.key


def test_a_raised_method_number_changes_every_key(monkeypatch):
    before = dataclasses.replace(UNIT).key
    monkeypatch.setattr(units, "METHOD", units.METHOD + 1)
    assert dataclasses.replace(UNIT).key != before


def test_names_do_not_change_the_key():
    renamed = dataclasses.replace(BASELINE, name="other", section="9", augment_fraction=0.1)
    assert dataclasses.replace(UNIT, experiment=renamed, data="x").key == UNIT.key


def test_plan_lists_every_row_fold_and_seed_once(tiny_faces):
    planned = plan(study("baseline"), tiny_faces, n_seeds=2, engine="reference")
    assert len(planned) == 2 * 5 * 2
    assert len({unit.key for unit in planned}) == 20
    assert {unit.engine for unit in planned} == {"reference-cpu"}
    limited = plan(study("baseline"), tiny_faces, max_folds=2, engine="reference")
    assert {unit.fold for unit in limited} == {0, 1}


def test_shards_are_disjoint_and_cover_all(tiny_faces):
    planned = plan(study("paper"), tiny_faces, engine="reference")
    parts = [shard(planned, i, 7) for i in range(1, 8)]
    assert sorted(unit.key for part in parts for unit in part) == sorted(u.key for u in planned)
    with pytest.raises(SglibError, match="got 8/7"):
        shard(planned, 8, 7)


def small_unit(faces, **changes):
    row = dataclasses.replace(BASELINE, n_epochs=2, **changes)
    return Unit(row, "kfold", 1, 3, "reference-cpu", faces.name, faces.digest)


def test_a_run_does_not_depend_on_the_number_of_threads(tiny_faces):
    unit = small_unit(tiny_faces)
    before = torch.get_num_threads()
    rows = []
    for n_threads in (1, 2):
        torch.set_num_threads(n_threads)
        rows.append(run_unit(unit, tiny_faces))
        assert torch.get_num_threads() == n_threads
    torch.set_num_threads(before)
    assert rows[0]["val_loss"] == rows[1]["val_loss"]
    assert rows[0]["val_probs"] == rows[1]["val_probs"]


def test_a_row_says_everything(tiny_faces):
    found = run_unit(small_unit(tiny_faces), tiny_faces)
    assert found["digest"] == tiny_faces.digest
    assert len(found["val_ids"]) == len(found["val_probs"]) == found["n_val"]
    assert found["n_train"] + found["n_val"] == len(tiny_faces)
    assert len(found["val_acc"]) == 2
    preds = np.array(found["val_probs"]) > 0.5
    place = {name: i for i, name in enumerate(tiny_faces.ids.tolist())}
    labels = tiny_faces.labels[[place[name] for name in found["val_ids"]]]
    assert (preds == labels).mean() == pytest.approx(found["val_acc"][-1])


def test_other_data_than_planned_is_refused(tiny_faces):
    unit = dataclasses.replace(small_unit(tiny_faces), digest="0" * 64)
    with pytest.raises(SglibError, match="other data"):
        run_unit(unit, tiny_faces)
