"""captions: the arithmetic of the printed numbers, and readings of runs with known answers."""

import numpy as np
import pandas as pd
import pytest
from flat_runs import make_frame, make_run

from sglib.analysis import captions
from sglib.analysis.runs import flatten
from sglib.studies.paper import PRINTED


def test_the_printed_accuracies_are_of_375_images() -> None:
    possible = captions.grim(PRINTED["val_acc"])
    assert possible == [373, 374, 375, 376]
    assert 5 * 75 in possible


def test_grim_by_hand() -> None:
    assert captions.grim([0.5], n_most=6) == [2, 4, 6]
    assert 8 in captions.grim([0.125], n_most=10)  # exact
    assert captions.grim([0.9875], n_most=100, digits=4) == [80]


def made(values: list[float], **fields: object) -> pd.DataFrame:
    """Return repetitions of two folds of baseline_1 with these best accuracies."""
    rows = [
        make_run("baseline_1", seed=i, fold=fold, val_acc=[0.5, value, *[0.9] * 10], **fields)
        for i, value in enumerate(values)
        for fold in (0, 1)
    ]
    return flatten(make_frame(*rows))


def pick(table: pd.DataFrame, reading: str, which: str = "learned") -> pd.Series:
    rows = table[(table["reading"] == reading) & (table["population"] == which)]
    return rows[rows["measure"] == "val_acc"].iloc[0]


def test_a_caption_is_held_against_the_fold_means() -> None:
    table = captions.captions(captions.fold_means(made([0.96, 0.976, 0.98, 0.99])))
    row = pick(table, "best accuracy")
    assert list(table.columns) == [
        "reading", "scaling", "population", "experiment", "measure",
        "printed", "mean", "sd", "percentile", "z",
    ]  # fmt: skip
    values = np.array([0.96, 0.976, 0.98, 0.99])
    assert row["mean"] == pytest.approx(values.mean())
    assert row["sd"] == pytest.approx(values.std(ddof=1))
    assert row["percentile"] == pytest.approx(100 * 1.5 / 4)  # one below, one tie at three digits
    assert row["z"] == pytest.approx((0.976 - values.mean()) / values.std(ddof=1))
    last = pick(table, "last epoch")
    assert (last["percentile"], np.isnan(last["z"])) == (100, True)  # all alike: no z


def test_failed_folds_count_in_all_runs_only() -> None:
    runs = flatten(
        make_frame(
            make_run("baseline_1", val_acc=0.9),
            make_run("baseline_1", fold=1, val_acc=0.5, train_acc=0.5),
        )
    )
    means = captions.fold_means(runs)
    assert pick(means, "last epoch")["value"] == pytest.approx(0.9)
    assert pick(means, "last epoch", "all runs")["value"] == pytest.approx(0.7)


def test_scalings_are_kept_apart_and_other_runs_left_out() -> None:
    rows = [
        make_run("baseline_1"),
        make_run("baseline_1_symmetric", scaling="symmetric"),
        make_run("baseline_1", scheme="person"),
        make_run("baseline60_1"),
    ]
    means = captions.fold_means(flatten(make_frame(*rows)))
    assert set(means["experiment"]) == {"baseline_1"}
    assert set(means["scaling"]) == {"unit", "symmetric"}
    assert len(means) == 2 * 2 * 6 * 4


def test_joint_is_the_mean_over_the_experiments_of_a_repetition() -> None:
    rows = [
        make_run(name, seed=seed, val_acc=0.9 + 0.01 * seed)
        for name in PRINTED["experiment"]
        for seed in range(3)
    ]
    joint = captions.joint(captions.fold_means(flatten(make_frame(*rows))))
    row = pick(joint, "last epoch")
    assert row["printed"] == pytest.approx(PRINTED["val_acc"].mean())
    assert (row["mean"], row["sd"]) == pytest.approx((0.91, 0.01))
    assert (row["n"], row["experiments"], row["percentile"]) == (3, 12, 100)


def test_the_likeliest_reading_is_the_one_the_numbers_were_made_with() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for name, value in PRINTED["val_acc"].items():
        for seed in range(8):
            best = value + rng.normal(0, 0.004)
            rows.append(make_run(name, seed=seed, val_acc=[0.5, best, *[best - 0.02] * 10]))
    table = captions.likeliest(captions.captions(captions.fold_means(flatten(make_frame(*rows)))))
    first = table[table["measure"] == "val_acc"].iloc[0]
    assert first["reading"] in ("best accuracy", "best of each measure")
    assert (first["log10_likelihood"], first["of"]) == (0, 12)
    assert first["inside"] >= 10
    assert table["log10_likelihood"].max() == 0
