"""runs: readings of a history by hand, failures, curves; and runs that were really made."""

import numpy as np
import pandas as pd
import pytest
from flat_runs import make_frame, make_run, make_study

from sglib.analysis import runs
from sglib.studies.paper import LOSS_FLOOR
from sglib.studies.tables import study

UP_AND_DOWN = [0.5, 0.8, 0.96, 0.92, 0.96, *[0.9] * 7]  # 12 epochs; best at the third


def test_every_reading_of_one_history() -> None:
    loss = [0.7, 0.5, 0.4, 0.35, 0.4, *[0.45] * 7]
    train = np.linspace(0.6, 0.82, 12)
    row = make_run("baseline_1", val_acc=UP_AND_DOWN, val_loss=loss, train_acc=train, n_val=50)
    flat = runs.flatten(make_frame(row)).iloc[0]
    assert flat["val_acc_last"] == pytest.approx(0.9)
    assert flat["val_acc_mean"] == pytest.approx(np.mean(UP_AND_DOWN[-10:]))
    assert flat["val_acc_best"] == flat["val_acc_own"] == pytest.approx(0.96)
    assert flat["train_acc_best"] == pytest.approx(train[2])  # the first epoch of the best
    assert flat["val_acc_least"] == pytest.approx(0.92)  # at the smallest loss
    assert flat["train_acc_least"] == pytest.approx(train[3])
    assert flat["val_loss_own"] == pytest.approx(0.35)
    assert flat["n_correct"] == 45


def test_the_fold_mean_curve_has_one_epoch_for_a_repetition() -> None:
    early, late = [0.5, 0.99, *[0.7] * 10], [0.5, 0.5, *[0.8] * 10]
    failed = {"train_acc": 0.5, "val_acc": [1.0, *[0.5] * 11]}  # best at the first epoch
    rows = [make_run("flip_1", fold=i, val_acc=of) for i, of in enumerate((early, early, late))]
    flat = runs.flatten(make_frame(*rows, make_run("flip_1", fold=3, **failed)))
    assert flat["val_acc_curve_learned"].tolist()[:3] == pytest.approx([0.99, 0.99, 0.5])
    assert np.isnan(flat["val_acc_curve_learned"][3])
    assert flat["val_acc_curve"].tolist() == pytest.approx([0.99, 0.99, 0.5, 0.5])
    alone = runs.flatten(make_frame(make_run("flip_1", scheme="person", val_acc=late)))
    assert np.isnan(alone["val_acc_curve"]).all()
    assert np.isnan(alone["val_acc_best"]).all()  # the captions are of folds


def test_a_run_of_two_studies_is_one_row_and_rows_are_sorted() -> None:
    rows = [make_run("l2_1", seed=1), make_run("baseline_1"), make_run("l2_1", seed=1)]
    flat = runs.flatten(make_frame(*rows))
    assert flat["name"].tolist() == ["baseline_1", "l2_1"]


def test_people_are_named_where_they_are_held_out() -> None:
    rows = [make_run("flip_1", scheme="person", fold=1), make_run("flip_1", fold=1)]
    assert set(runs.flatten(make_frame(*rows), ["ann", "bob"])["person"]) == {"bob", ""}
    assert set(runs.flatten(make_frame(*rows))["person"]) == {"1", ""}


@pytest.mark.parametrize(
    ("loss", "expected"),
    [(np.log(2), "dead"), (LOSS_FLOOR + 0.5, "saturated"), (0.6, "other"), (0.3147, "other")],
)
def test_mechanisms(loss: float, expected: str) -> None:
    assert runs.mechanism(loss) == expected


def test_failures_are_counted_by_any_column() -> None:
    dead = {"train_acc": 0.5, "train_loss": np.log(2)}
    fell = {"train_acc": [*[0.9] * 5, *[0.5] * 7], "train_loss": LOSS_FLOOR + 0.5}
    rows = [make_run("flip_1", seed=i) for i in range(6)]
    rows += [make_run("flip_1", seed=6, **dead), make_run("flip_2", **fell)]
    table = runs.failures(runs.flatten(make_frame(*rows)), ["model"]).set_index("model")
    one, two = table.loc["ConvNN_1"], table.loc["ConvNN_2"]
    assert (one["failed"], one["n"], one["never"], one["dead"]) == (1, 7, 1, 1)
    assert (two["collapsed"], two["saturated"], two["rate"]) == (1, 1, 1)
    assert one["low"] < 1 / 7 < one["high"]


def test_accuracies_show_what_failed() -> None:
    rows = [make_run("flip_1", seed=i, val_acc=0.9 + 0.02 * i) for i in range(2)]
    rows.append(make_run("flip_1", seed=2, train_acc=0.5, val_acc=0.5))
    row = runs.accuracies(runs.flatten(make_frame(*rows))).iloc[0]
    assert row["val"] == pytest.approx(0.91)
    assert row["val_all"] == pytest.approx((0.9 + 0.92 + 0.5) / 3)
    assert row["sd"] == pytest.approx(0.02 / np.sqrt(2))
    assert (row["failed"], row["n"]) == (1, 3)


def test_curves_keep_the_failed_apart() -> None:
    rows = [make_run("flip_1", seed=i, val_acc=0.8 + i / 100) for i in range(11)]
    rows.append(make_run("flip_1", seed=11, train_acc=0.5, val_acc=0.5))
    table = runs.curves(make_frame(*rows))
    val = table[(table["measure"] == "val_acc") & (table["epoch"] == 12)].set_index("population")
    assert val.loc["learned", ["low", "median", "high"]].tolist() == pytest.approx(
        [0.81, 0.85, 0.89]
    )
    assert (val.loc["learned", "n"], val.loc["failed", "n"]) == (11, 1)
    assert val.loc["failed", "median"] == 0.5


def test_population() -> None:
    flat = runs.flatten(make_study({"flip_1": 0.9}, failed=0.3))
    assert len(runs.population(flat, "all runs")) == 50
    assert set(runs.population(flat, "learned")["outcome"]) == {"learned"}


def test_study_table_shows_what_a_study_varies() -> None:
    table = runs.study_table(study("l2"))
    assert table.loc["l2_2", "l2"] == "5e-06"
    assert list(table.columns[:3]) == ["section", "model", "n_epochs"]


def test_runs_that_were_made(small_runs: pd.DataFrame) -> None:
    flat = runs.flatten(small_runs)
    assert len(flat) == len(small_runs)
    row, made = flat.iloc[0], small_runs.set_index(runs.KEY).sort_index().iloc[0]
    assert row["val_acc_last"] == pytest.approx(made["val_acc"][-1], abs=1e-6)
    assert row["n_correct"] == round(made["val_acc"][-1] * made["n_val"])


def test_a_summary_counts_the_failed_and_leaves_them_out_of_learned():
    histories = {"never": [0.5, 0.6], "learned": [0.6, 0.9]}
    frame = pd.DataFrame(
        {
            "name": ["a", "a", "b"],
            "train_acc": [histories["learned"], histories["never"], histories["learned"]],
            "val_acc": [[0.5, 0.8], [0.5, 0.4], [0.5, 0.7]],
            "train_loss": [[1.0, 0.5]] * 3,
            "val_loss": [[1.0, 0.5]] * 3,
            "seconds": [1.0, 3.0, 5.0],
        }
    )
    table = runs.summary(frame)
    assert table[["n_runs", "n_failed"]].to_numpy().tolist() == [[2, 1], [1, 0]]
    assert table["val_acc_all_mean"].tolist() == pytest.approx([0.6, 0.7])
    assert table["val_acc_learned_mean"].tolist() == pytest.approx([0.8, 0.7])
    assert table["seconds"].tolist() == [2.0, 5.0]
    nothing = runs.summary(pd.DataFrame(columns=frame.columns))  # an empty shard
    assert (len(nothing), nothing.columns.tolist()) == (0, table.columns.tolist())
