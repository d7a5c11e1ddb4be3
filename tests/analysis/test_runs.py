"""results: frames made by hand, whose answers are known."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from run_fakes import make_frame, make_grid, make_run

from sglib.analysis.runs import (
    LAST,
    MEASURES,
    confusions,
    fit_against_rest,
    history_frame,
    paired_differences,
    predictions,
    rates_table,
    readings,
    run_values,
    seconds_table,
    study_table,
    summary,
)
from sglib.data.faces import FaceSet
from sglib.metrics import Confusion
from sglib.studies.tables import BASELINE, STUDIES
from sglib.training.reference import HISTORY
from sglib.training.schedule import make_schedule

RISING = np.arange(12) / 100  # the last ten epochs are 0.02 … 0.11, mean 0.065


# run_values, summary, readings


def test_a_run_is_read_at_its_last_epoch_and_as_mean_of_the_last_ten():
    values = run_values(make_frame(make_run("baseline_1", val_acc=RISING, train_loss=0.4)))
    assert values.loc[0, "val_acc"] == pytest.approx(0.11)
    assert values.loc[0, "val_acc_mean"] == pytest.approx(0.065)
    assert values.loc[0, "train_loss"] == values.loc[0, "train_loss_mean"] == 0.4
    assert LAST == 10


def test_how_many_epochs_are_averaged_can_be_chosen_and_short_runs_use_what_they_have():
    frame = make_frame(make_run("baseline_1", val_acc=RISING))
    assert run_values(frame, last=2).loc[0, "val_acc_mean"] == pytest.approx(0.105)
    short = make_frame(make_run("baseline_1", n_epochs=3, val_acc=[0.1, 0.2, 0.6]))
    assert run_values(short).loc[0, "val_acc_mean"] == pytest.approx(0.3)


def test_run_values_keep_what_identifies_a_run():
    values = run_values(make_frame(make_run("final_2", fold=3, seed=7, n_val=76)))
    assert values.loc[0, ["name", "model", "fold", "seed", "n_val"]].tolist() == [
        *("final_2", "ConvNN_2", 3, 7, 76),
    ]


def test_summary_over_runs_in_the_order_of_the_study():
    frame = make_frame(
        *make_grid("flip_1", [0.90, 0.94]), *make_grid("baseline_1", [0.8, 0.8, 0.9, 0.9])
    )
    table = summary(frame)
    assert table.index.tolist() == ["flip_1", "baseline_1"]
    assert table.loc["flip_1", "val_acc"].tolist() == pytest.approx(
        [0.92, 0.04 / np.sqrt(2), 0.90, 0.94]  # the sample standard deviation, ddof = 1
    )
    assert table[("runs", "n")].tolist() == [2, 4]
    assert table.loc["baseline_1", ("seconds", "mean")] == 2.0
    assert table.loc["baseline_1", ("val_acc_mean", "max")] == pytest.approx(0.9)


def test_readings_side_by_side():
    frame = make_frame(
        make_run("l2_1", val_acc=RISING), make_run("l2_1", seed=1, val_acc=RISING + 0.2)
    )
    table = readings(frame)
    assert table.loc["l2_1", "val_acc"].to_dict() == {
        "last epoch": pytest.approx(0.21),
        "mean of last 10": pytest.approx(0.165),
    }
    assert table.columns.get_level_values(0).unique().tolist() == list(MEASURES)


def test_fit_against_rest_means_the_last_ten_epochs_of_each_row():
    frame = make_frame(
        make_run("dropout50_1", fit_acc=RISING, train_acc=1.0),
        make_run("dropout50_2", n_epochs=20, fit_acc=np.arange(20) / 100, train_acc=0.9),
    )
    table = fit_against_rest(frame)
    assert table.loc["dropout50_1", "fit_acc"] == pytest.approx(0.065)
    assert table.loc["dropout50_2", "fit_acc"] == pytest.approx(0.145)
    assert table["train_acc"].tolist() == pytest.approx([1.0, 0.9])


# tables of settings


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_study_table_shows_every_scientific_field(study):
    table = study_table(study)
    assert table.index.tolist() == [row.name for row in study.rows]
    assert set(study.scientific) <= set(table.columns)
    assert table.columns.is_unique
    assert table["n_epochs"].tolist() == [row.n_epochs for row in study.rows]


# predictions


@pytest.fixture
def four() -> FaceSet:
    return FaceSet(
        name="four",
        images=np.zeros((4, 30, 32), np.uint8),
        ids=np.array(["10", "7", "x", "007"]),
        labels=np.array([1, 0, 1, 0]),
        subjects=np.array(["a", "b", "a", "b"]),
    )


def test_predictions_are_joined_by_id(four):
    frame = make_frame(
        make_run("l2_1", seed=1, val_ids=["007", "10"], val_probs=[0.2, 0.4]),
        make_run("l2_1", seed=2, val_ids=["x"], val_probs=[0.7]),
        make_run("l2_2", fold=4, val_ids=["7"], val_probs=[0.5]),
    )
    found = predictions(frame, four)
    assert found["name"].tolist() == ["l2_1", "l2_1", "l2_1", "l2_2"]
    assert found["seed"].tolist() == [1, 1, 2, 0]
    assert found["fold"].tolist() == [0, 0, 0, 4]
    assert found["id"].tolist() == ["007", "10", "x", "7"]
    assert found["probs"].tolist() == [0.2, 0.4, 0.7, 0.5]
    assert found["probs"].dtype == np.float64
    assert found["preds"].tolist() == [0, 0, 1, 0]
    assert found["labels"].tolist() == [0, 1, 1, 0]
    assert found["subjects"].tolist() == ["b", "a", "a", "b"]
    assert "pose" not in found


def test_an_id_of_another_set_is_refused(four):
    frame = make_frame(make_run("l2_1", val_ids=["8"], val_probs=[0.2]))
    with pytest.raises(KeyError, match="8"):
        predictions(frame, four)


def test_confusions_and_rates_sum_over_the_runs(four):
    frame = make_frame(
        make_run("flip_1", val_ids=["10", "7"], val_probs=[0.6, 0.6]),
        make_run("flip_1", fold=1, val_ids=["x", "007"], val_probs=[0.4, 0.3]),
        make_run("baseline_1", val_ids=["10", "x"], val_probs=[0.6, 0.7]),
    )
    found = confusions(frame, four)
    assert list(found) == ["flip_1", "baseline_1"]
    assert found["flip_1"] == Confusion(tp=1, fn=1, fp=1, tn=1)
    assert found["baseline_1"] == Confusion(tp=2, fn=0, fp=0, tn=0)
    table = rates_table(frame, four)
    assert table.loc["flip_1", ["tp", "accuracy", "f1"]].tolist() == [1, 0.5, 0.5]


def test_real_runs_predict_what_their_histories_say(small_runs, tiny_faces):
    found = predictions(small_runs, tiny_faces)
    assert len(found) == small_runs["n_val"].sum()
    right = (found["preds"] == found["labels"]).groupby(
        [found["name"], found["seed"], found["fold"]]
    )
    values = run_values(small_runs).set_index(["name", "seed", "fold"])["val_acc"]
    pd.testing.assert_series_equal(
        right.mean(), values.sort_index(), check_names=False, check_exact=False
    )
    assert {"subjects", "pose", "expression"} <= set(found.columns)


# time, pairs, histories


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"batch_size": 8},
        {"augment": "flip_add"},
        {"augment": "flip_add", "batch_size": 8},
        {"augment": "flip_add", "augment_fraction": 0.5},
        {"augment": "flip_each"},
    ],
    ids=str,
)
def test_seconds_table_counts_the_steps_of_the_schedule(changes):
    row = dataclasses.replace(BASELINE, n_epochs=4, **changes)
    order = make_schedule(row, 303, 0).order
    steps = sum(
        1 for epoch in order for _ in range(0, len(epoch), row.batch_size)
    )  # as the trainer's loop takes them
    frame = make_frame(make_run("flip_1", n_epochs=4, n_train=303, **changes))
    assert seconds_table(frame).loc["flip_1", "steps"] == steps


def test_seconds_table_by_hand():
    frame = make_frame(
        make_run("flip_1", n_epochs=2, augment="flip_add", seconds=0.5),
        make_run("flip_1", n_epochs=2, augment="flip_add", seconds=1.0),
        make_run("baseline_1", n_epochs=3, engine="reference-cpu", seconds=9.0),
    )
    table = seconds_table(frame)
    assert table.columns.tolist() == [
        *("engine", "runs", "steps", "seconds", "microseconds_per_step"),
    ]
    assert table.loc["flip_1"].tolist() == ["compiled", 2, 750, 0.75, pytest.approx(1000)]
    assert table.loc["baseline_1"].tolist() == [
        *("reference-cpu", 1, 900, 9.0),
        pytest.approx(10_000),
    ]


def test_paired_differences_match_folds_and_seeds():
    frame = make_frame(
        *make_grid("flip_1", [0.9, 0.8, 0.7, 0.6])[::-1],
        *make_grid("baseline_1", [0.5, 0.6, 0.7, 0.8]),
    )
    found = paired_differences(frame, "flip_1", "baseline_1")
    assert list(zip(found["seed"], found["fold"], strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert found["difference"].tolist() == pytest.approx([0.4, 0.2, 0.0, -0.2])
    assert found["n_val"].tolist() == [75] * 4
    back = paired_differences(frame, "baseline_1", "flip_1", measure="val_acc")
    assert back["difference"].tolist() == pytest.approx([-0.4, -0.2, 0.0, 0.2])


def test_paired_differences_use_the_measure_asked_for():
    frame = make_frame(
        make_run("l2_1", val_acc=RISING, train_loss=0.4), make_run("baseline50_1", val_acc=0.0)
    )
    for measure, expected in (("val_acc_mean", 0.065), ("val_acc", 0.11), ("train_loss", -0.1)):
        found = paired_differences(frame, "l2_1", "baseline50_1", measure=measure)
        assert found["difference"].tolist() == pytest.approx([expected]), measure


def test_only_folds_and_seeds_that_both_have_are_paired():
    frame = make_frame(
        *make_grid("flip_1", [0.9, 0.8, 0.7]),
        make_run("baseline_1", seed=1, val_acc=0.5),
        make_run("baseline_1", seed=0, fold=1, val_acc=0.6),
        make_run("baseline_1", seed=2, val_acc=0.7),
    )
    found = paired_differences(frame, "flip_1", "baseline_1")
    assert list(zip(found["seed"], found["fold"], strict=True)) == [(0, 1), (1, 0)]
    assert found["difference"].tolist() == pytest.approx([0.2, 0.2])


@pytest.mark.parametrize("pair", [("flip_1", "baseline_1"), ("baseline_1", "flip_1")])
def test_a_row_that_was_not_run_is_named(pair):
    frame = make_frame(make_run("baseline_1"))
    with pytest.raises(ValueError, match="no runs of flip_1 to compare"):
        paired_differences(frame, *pair)


def test_history_frame_has_a_row_per_run_and_epoch():
    frame = make_frame(
        make_run("l2_1", n_epochs=2, val_acc=[0.1, 0.2], fit_loss=[0.6, 0.5]),
        make_run("l2_2", n_epochs=3, seed=4, fold=1, val_acc=[0.3, 0.4, 0.5]),
    )
    long = history_frame(frame)
    assert long["epoch"].tolist() == [1, 2, 1, 2, 3]
    assert long["name"].tolist() == ["l2_1"] * 2 + ["l2_2"] * 3
    assert long["model"].tolist() == ["ConvNN_1"] * 2 + ["ConvNN_2"] * 3
    assert long["seed"].tolist() == [0, 0, 4, 4, 4]
    assert long["val_acc"].tolist() == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert long["fit_loss"].tolist()[:2] == [0.6, 0.5]
    assert (long.dtypes[list(HISTORY)] == np.float64).all()


def test_history_frame_of_stored_runs(small_runs):
    long = history_frame(small_runs)
    assert len(long) == 16 * 3
    last = long[long["epoch"] == 3].reset_index(drop=True)
    assert last["val_loss"].tolist() == run_values(small_runs)["val_loss"].tolist()
