"""results: frames made by hand, whose answers are known."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from run_fakes import make_frame, make_grid, make_run

from sglib.experiments import BASELINE, BY_NAME, STUDIES
from sglib.faceset import FaceSet
from sglib.metrics import Confusion
from sglib.results import (
    LAST,
    MEASURES,
    captions,
    compare_with_printed,
    confusions,
    fit_against_rest,
    history_frame,
    paired_differences,
    predictions,
    printed_table,
    rates_table,
    readings,
    run_values,
    scaling_table,
    seconds_table,
    side_by_side,
    study_table,
    summary,
)
from sglib.schedule import make_schedule
from sglib.train import HISTORY

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


# printed beside reproduced


def baseline_frame(values, **fields):
    """Return runs of the baseline; the paper prints a validation accuracy of 0.976."""
    return make_frame(*make_grid("baseline_1", values, **fields))


def val_acc_row(frame):
    table = compare_with_printed(frame)
    return table[table["measure"] == "val_acc"].iloc[0]


@pytest.mark.parametrize(
    ("values", "inside"),
    [
        ([0.95, 0.98], True),
        ([0.95, 0.9756], True),  # 0.976 after rounding to the printed digits
        ([0.9764, 0.99], True),
        ([0.95, 0.9754], False),
        ([0.9766, 0.99], False),
        ([0.976, 0.976], True),
    ],
)
def test_a_caption_is_inside_or_outside_the_range_of_the_runs(values, inside):
    assert val_acc_row(baseline_frame(values))["inside"] == inside


def test_either_reading_may_hold_the_caption():
    rising = np.concatenate([np.full(11, 0.90), [0.99]])  # mean of the last ten 0.909
    row = val_acc_row(baseline_frame([rising, rising]))
    assert row["inside"]
    assert (row["low"], row["high"]) == (0.909, 0.99)
    assert row["mean"] == pytest.approx(0.909)
    assert row["last"] == pytest.approx(0.99)


def test_the_comparison_says_what_it_rests_on():
    row = val_acc_row(baseline_frame([0.90, 0.94, 0.92, 0.96]))
    assert row[["name", "figure", "model", "printed", "n"]].tolist() == [
        *("baseline_1", "2", "ConvNN_1", 0.976, 4),
    ]
    assert row["mean"] == pytest.approx(0.93)
    assert row["std"] == pytest.approx(np.std([0.90, 0.94, 0.92, 0.96], ddof=1))
    assert (row["low"], row["high"]) == (0.90, 0.96)


def test_a_comparison_has_the_papers_order_and_skips_what_was_not_run():
    frame = make_frame(make_run("final_2"), make_run("baseline_1"), make_run("recipe"))
    table = compare_with_printed(frame)
    assert table["name"].tolist() == ["baseline_1"] * 4 + ["final_2"] * 4
    assert table["measure"].tolist() == [*MEASURES] * 2
    assert table["printed"].tolist()[:4] == [0.313, 0.338, 1.000, 0.976]


def test_a_variant_is_held_against_the_same_caption():
    frame = make_frame(make_run("flip_2_logit", val_acc=0.941), make_run("flip_2", val_acc=0.5))
    table = compare_with_printed(frame, suffix="_logit")
    assert table["name"].unique().tolist() == ["flip_2"]
    assert table.set_index("measure").loc["val_acc", ["mean", "inside"]].tolist() == [
        *(pytest.approx(0.941), True),
    ]


def test_side_by_side_marks_what_lies_outside():
    frame = make_frame(
        *make_grid("final_1", [0.97, 0.98], train_acc=0.5), *make_grid("baseline_1", [0.9, 0.9])
    )
    table = side_by_side(compare_with_printed(frame))
    assert table.columns.tolist() == ["figure", *MEASURES, "runs"]
    assert table.index.tolist() == ["baseline_1", "final_1"]
    assert table.loc["baseline_1", "val_acc"] == "0.976 → 0.900 ± 0.000 !"
    assert table.loc["final_1", "val_acc"] == "0.976 → 0.975 ± 0.007"
    assert table.loc["final_1", "train_acc"] == "0.993 → 0.500 ± 0.000 !"
    assert table["figure"].tolist() == ["2", "11"]
    assert table["runs"].tolist() == [2, 2]


def test_scaling_table_names_the_closer_scaling():
    close = {"train_loss": 0.313, "val_loss": 0.338, "train_acc": 1.0}
    far = {"train_loss": 0.323, "val_loss": 0.358, "train_acc": 0.97}
    unit, symmetric = (
        compare_with_printed(baseline_frame([value], **fields))
        for value, fields in ((0.936, close), (0.986, far))
    )
    table = scaling_table(unit, symmetric)
    assert table.index.tolist() == [*MEASURES, "all"]
    assert table["distance [0, 1]"].tolist() == pytest.approx([0, 0, 0, 0.04, 0.01])
    assert table["distance [−1, 1]"].tolist() == pytest.approx([0.01, 0.02, 0.03, 0.01, 0.0175])
    assert table["closer"].tolist() == ["[0, 1]"] * 3 + ["[−1, 1]", "[0, 1]"]
    assert table.loc["all", "inside [0, 1]"] == "3 of 4"
    assert table.loc["val_acc", "inside [−1, 1]"] == "0 of 1"


# tables of settings and captions


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_study_table_shows_every_scientific_field(study):
    table = study_table(study)
    assert table.index.tolist() == [row.name for row in study.rows]
    assert set(study.scientific) <= set(table.columns)
    assert table.columns.is_unique
    assert table["n_epochs"].tolist() == [row.n_epochs for row in study.rows]


def test_printed_table_and_captions():
    table = printed_table(["final_2", "flip_1"])
    assert table.index.tolist() == ["final_2", "flip_1"]
    assert table.loc["flip_1", ["figure", "val_acc"]].tolist() == ["4", 0.968]
    assert captions(["flip_1", "baseline50_1"]) == {
        "flip_1": {
            "loss": {"train": 0.315, "val": 0.344},
            "acc": {"train": 0.998, "val": 0.968},
        }
    }


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


def test_stored_runs_are_those_of_the_paper_by_name(small_runs):
    assert set(small_runs["name"]) <= set(BY_NAME)
    assert len(compare_with_printed(small_runs)) == 16
