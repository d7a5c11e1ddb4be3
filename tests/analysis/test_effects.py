"""effects: differences by hand, words on made-up studies, the second run of the same study."""

import math

import numpy as np
import pandas as pd
import pytest
from flat_runs import make_frame, make_run, make_study
from scipy import stats as sps

from sglib.analysis import effects
from sglib.analysis.effects import PEOPLE, PHOTOGRAPHS, Pair
from sglib.analysis.runs import flatten


def two_designs(accuracy: dict[str, float], **fields: object) -> pd.DataFrame:
    frames = [
        make_study(accuracy, **fields),
        make_study(accuracy, scheme="person", n_folds=12, **fields),
    ]
    return flatten(pd.concat(frames))


def test_differences_are_paired_and_signed() -> None:
    rows = [
        make_run("flip_1", val_acc=0.9, train_acc=0.99),
        make_run("baseline_1", val_acc=0.85, train_acc=0.95),
        make_run("baseline_1", seed=1, val_acc=0.1),  # no partner
    ]
    runs = flatten(make_frame(*rows))

    def one(*pair: str) -> float:
        return effects.differences(runs, Pair(*pair), PHOTOGRAPHS, "all runs")["difference"].item()

    assert one("flip_1", "baseline_1") == pytest.approx(0.05)
    assert one("flip_1") == pytest.approx(0.09)
    assert one("flip_1", "baseline_1", "gap") == pytest.approx(0.01)  # 0.10 becomes 0.09


def test_learned_needs_both_runs_of_a_pair() -> None:
    rows = [make_run(name, seed=i) for name in ("flip_1", "baseline_1") for i in range(3)]
    rows.append(make_run("flip_1", seed=3, train_acc=0.5))
    rows.append(make_run("baseline_1", seed=3))
    runs = flatten(make_frame(*rows))
    counts = [
        len(effects.differences(runs, Pair("flip_1", "baseline_1"), PHOTOGRAPHS, which))
        for which in ("all runs", "learned")
    ]
    assert counts == [4, 3]


def test_a_repetition_and_a_person_are_one_observation() -> None:
    found = pd.DataFrame(
        {"seed": [0, 0, 1, 1], "fold": [0, 1, 0, 1], "difference": [0.0, 0.2, 0.4, 0.8]}
    )
    assert effects.units(found, PHOTOGRAPHS).tolist() == pytest.approx([0.1, 0.6])
    assert effects.units(found, PEOPLE).tolist() == pytest.approx([0.2, 0.5])


def test_words_on_a_made_up_study() -> None:
    runs = two_designs({"baseline_1": 0.85, "flip_1": 0.852, "l2_1": 0.95, "final_1": 0.75})
    pairs = [(row, "baseline_1") for row in ("flip_1", "l2_1", "final_1")]
    table = effects.compare(runs, pairs)
    assert len(table) == 2 * 2 * 3
    for _, part in table.groupby(["question", "population"]):
        assert part["word"].tolist() == ["equivalent", "better", "worse"]
    assert table["seeds"].isna().all()
    assert set(table[table["question"] == PEOPLE]["n"]) == {12}
    assert set(table[table["question"] == PHOTOGRAPHS]["n"]) == {10}
    row = table[table["question"] == PHOTOGRAPHS].iloc[0]
    assert row["low"] < row["effect"] < row["high"]
    assert row["delta"] == pytest.approx(1 / 75)
    assert table["technique"].iloc[0] == "flip"


def test_what_is_open_tells_how_many_would_decide() -> None:
    runs = two_designs({"baseline_1": 0.85, "flip_1": 0.855}, n_seeds=4, sd=0.15)
    table = effects.compare(runs, [("flip_1", "baseline_1")]).set_index("question")
    assert (table["word"] == "open").all()
    photographs, people = table.loc[PHOTOGRAPHS].iloc[0], table.loc[PEOPLE].iloc[0]
    assert photographs["seeds"] > 4
    assert math.isnan(photographs["people"])
    assert people["people"] > 12
    assert people["seeds"] > 4


def test_one_design_alone_and_one_seed_alone() -> None:
    runs = flatten(make_study({"baseline_1": 0.9, "flip_1": 0.95}, n_seeds=1))
    table = effects.compare(runs, [("flip_1", "baseline_1")])
    assert set(table["question"]) == {PHOTOGRAPHS}
    assert set(table["word"]) == {"open"}  # one repetition says nothing
    assert table["low"].isna().all()
    runs = two_designs({"baseline_1": 0.9, "flip_1": 0.905}, n_seeds=1, sd=0.05)
    table = effects.compare(runs, [("flip_1", "baseline_1")], questions=[PEOPLE])
    assert (table["people"] > 12).all()
    assert table["seeds"].isna().all()  # one seed does not tell how seeds differ


def test_failures_are_compared_by_fisher() -> None:
    runs = flatten(
        pd.concat(
            [make_study({"baseline_1": 0.9}, failed=0.4), make_study({"final_1": 0.9}, failed=0.02)]
        )
    )
    table = effects.compare_failures(runs, [("final_1", "baseline_1")])
    row = table.iloc[0]
    counts = [
        [row["failed"], 50 - row["failed"]],
        [row["failed_reference"], 50 - row["failed_reference"]],
    ]
    assert row["p_holm"] == pytest.approx(sps.fisher_exact(counts).pvalue)
    assert (row["n"], row["n_reference"], len(table)) == (50, 50, 1)


def test_the_same_runs_again() -> None:
    first = make_study({"baseline_1": 0.9, "baseline_2": 0.9}, n_seeds=40)
    noise = np.random.default_rng(1).normal(0, 0.02, len(first))
    second = first.assign(
        engine="another",
        val_acc=[row + add for row, add in zip(first["val_acc"], noise, strict=True)],
    )
    second.at[0, "train_acc"] = np.full(12, 0.5)
    found = effects.again(flatten(first), flatten(second))
    assert len(found) == len(first)
    assert (found["population"] == "failed once").sum() == 1
    spread = effects.spread(found[found["population"] == "learned"])
    assert spread["sd"] == pytest.approx(0.02, rel=0.15)
    assert spread["q05"] < -0.02 < 0.02 < spread["q95"]
    rows = effects.aa_rows(found)
    assert rows["row"].tolist() == ["baseline_1", "baseline_2"]
    assert (rows["low"] < 0.004).all()
    assert (rows["high"] > -0.004).all()
    assert set(rows["word"]) == {""}
