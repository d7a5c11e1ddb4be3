"""effects: differences that were put in come out, with the interval worked out by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from run_fakes import make_frame, make_grid
from scipy import stats as sps

from sglib.analysis.effects import effects, readable, sentence

BASE = [0.90, 0.92, 0.94, 0.96]
DIFFERENCES = [0.02, 0.04, 0.0, 0.06]  # mean 0.03, sample variance 0.002 / 3


def frame_of(**rows):
    return make_frame(
        *(
            run
            for name, differences in rows.items()
            for run in make_grid(
                name, [base + d for base, d in zip(BASE, differences, strict=True)]
            )
        )
    )


@pytest.fixture
def table():
    frame = frame_of(
        baseline_1=[0] * 4, flip_1=DIFFERENCES, dropout50_1=[-0.21, -0.20, -0.19, -0.20]
    )
    return effects(frame, [("flip_1", "baseline_1"), ("dropout50_1", "baseline_1")])


def test_known_differences(table):
    assert table["mean"].tolist() == pytest.approx([0.03, -0.2])
    assert table["n"].tolist() == [4, 4]
    np.testing.assert_allclose(table.loc[0, "values"], DIFFERENCES, atol=1e-12)
    assert table["label"].tolist() == ["flip_1 − baseline_1", "dropout50_1 − baseline_1"]
    assert table["technique"].tolist() == ["flip", "dropout50"]
    assert table["row"].tolist() == ["flip_1", "dropout50_1"]
    assert table["reference"].tolist() == ["baseline_1"] * 2


def test_interval_and_p_are_nadeau_and_bengios(table):
    # error² = (1/n + n_val/n_train)·sd² = (1/4 + 75/300)·0.002/3
    error = math.sqrt(0.5 * 0.002 / 3)
    half = sps.t.ppf(0.975, 3) * error
    assert table.loc[0, ["low", "high"]].tolist() == pytest.approx([0.03 - half, 0.03 + half])
    assert table.loc[0, "p"] == pytest.approx(2 * sps.t.sf(0.03 / error, 3))


def test_p_is_corrected_for_all_comparisons_asked_for(table):
    p = table["p"]
    assert p[1] < p[0]
    assert table["p_holm"].tolist() == pytest.approx([p[0], 2 * p[1]])
    frame = frame_of(baseline_1=[0] * 4, flip_1=DIFFERENCES)
    alone = effects(frame, [("flip_1", "baseline_1")])
    assert alone.loc[0, "p_holm"] == alone.loc[0, "p"] == pytest.approx(p[0])


def test_the_other_direction_changes_the_sign():
    frame = frame_of(baseline_1=[0] * 4, flip_1=DIFFERENCES)
    there, back = (
        effects(frame, [pair]) for pair in (("flip_1", "baseline_1"), ("baseline_1", "flip_1"))
    )
    assert back.loc[0, "mean"] == pytest.approx(-there.loc[0, "mean"])
    assert back.loc[0, "low"] == pytest.approx(-there.loc[0, "high"])
    assert back.loc[0, "p"] == pytest.approx(there.loc[0, "p"])


def test_another_measure():
    frame = frame_of(baseline_1=[0] * 4, flip_1=DIFFERENCES)
    found = effects(frame, [("flip_1", "baseline_1")], measure="train_loss")
    assert found.loc[0, ["mean", "low", "high", "p"]].tolist() == [0, 0, 0, 1]


def test_only_pairs_count():
    frame = pd.concat([frame_of(baseline_1=[0] * 4), frame_of(flip_1=DIFFERENCES).iloc[:3]])
    found = effects(frame, [("flip_1", "baseline_1")])
    assert found.loc[0, "n"] == 3
    assert found.loc[0, "mean"] == pytest.approx(0.02)


def test_a_row_that_was_not_run_is_named():
    with pytest.raises(ValueError, match="no runs of flip_1"):
        effects(frame_of(baseline_1=[0] * 4), [("flip_1", "baseline_1")])


def test_readable_is_in_percentage_points(table):
    found = readable(table)
    half = 100 * sps.t.ppf(0.975, 3) * math.sqrt(0.5 * 0.002 / 3)
    assert found.index.tolist() == table["label"].tolist()
    assert found.columns.tolist() == [
        *("difference (points)", "95 % interval", "p (Holm)", "n pairs"),
    ]
    assert found.iloc[0].tolist() == [
        "+3.00",
        f"[{3 - half:+.2f}, {3 + half:+.2f}]",
        f"{table.loc[0, 'p_holm']:.3f}",
        4,
    ]
    assert found.iloc[1, 0] == "-20.00"


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.001, 0.059, "is better"),
        (-0.059, -0.001, "is worse"),
        (-0.001, 0.061, "makes no difference that these runs could show"),
        (0.0, 0.06, "makes no difference that these runs could show"),
        (-0.06, 0.0, "makes no difference that these runs could show"),
    ],
)
def test_better_needs_an_interval_that_excludes_zero(low, high, words):
    effect = pd.Series(
        {
            "row": "flip_1",
            "reference": "baseline_1",
            "mean": (low + high) / 2,
            "low": low,
            "high": high,
            "n": 4,
        }
    )
    said = sentence(effect)
    assert said.startswith(f"`flip_1` against `baseline_1` {words}: ")
    assert said.endswith(
        f"{50 * (low + high):+.2f} points [{100 * low:+.2f}, {100 * high:+.2f}] (n = 4 pairs)"
    )


def test_the_sentence_of_a_computed_effect(table):
    assert " is worse: -20.00 points [" in sentence(table.iloc[1])
    assert " makes no difference that these runs could show: +3.00 " in sentence(table.iloc[0])
