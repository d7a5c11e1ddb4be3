"""phrases: sentences say what their rows hold, with interval and n, also where there is none."""

import math

import pandas as pd
import pytest

from sglib.analysis import phrases
from sglib.analysis.captions import captions, joint, likeliest, printed_table
from sglib.analysis.effects import PEOPLE, PHOTOGRAPHS


def row(word: str, effect: float, low: float, high: float, **more: object) -> dict:
    found = {"comparison": "A against B, ConvNN_1", "word": word, "effect": effect}
    found |= {"low": low, "high": high, "question": PHOTOGRAPHS, "delta": 1 / 75, "n": 10}
    return found | more


def test_a_size_is_in_points_with_sign_and_interval():
    told = phrases.size(pd.Series(row("open", -0.0041, -0.012, 0.0004)))
    assert told == "−0.4 points [−1.2, +0.0]"


def test_one_value_has_no_interval():
    told = phrases.size(pd.Series(row("open", 0.02, math.nan, math.nan)))
    assert told == "+2.0 points, one value, no interval"


def test_effects_tell_question_delta_n_word_and_size():
    second, people = {"comparison": "A against B, 50 epochs, ConvNN_2"}, {"question": PEOPLE}
    people |= {"delta": 0.02, "n": 12}
    table = pd.DataFrame(
        [
            row("equivalent", 0.001, -0.004, 0.006),
            row("equivalent", -0.0001, -0.004, 0.006, **second),
            row("better", 0.03, 0.021, 0.039, **people),
            row("open", 0.0, -0.03, 0.03, **people | second | {"n": 11}),
        ]
    )
    assert phrases.effects(table) == (
        "On these photographs (δ = 1.3 points, 90 % intervals, n = 10 repetitions): A against B "
        "**equivalent**: +0.1 points [−0.4, +0.6] (ConvNN_1) and +0.0 points [−0.4, +0.6] "
        "(ConvNN_2). For other people (δ = 2.0 points, 90 % intervals, n = 11 to 12 people): "
        "A against B **better** for ConvNN_1: +3.0 points [+2.1, +3.9] and **open** for "
        "ConvNN_2: +0.0 points [−3.0, +3.0]."
    )
    assert phrases.ns(table) == "10 repetitions and 11 to 12 people"


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("better", "more than δ"),
        ("equivalent", "less than δ"),
        ("worse", "validation is the higher"),
        ("open", "stays open"),
    ],
)
def test_a_gap_has_words_of_its_own(word, told):
    assert told in phrases.gap(pd.Series(row(word, 0.04, 0.03, 0.05)))


def test_failures_tell_counts_beside_rates():
    table = pd.DataFrame(
        {"model": ["M"], "failed": [7], "n": [50], "rate": [0.14], "low": [0.058], "high": [0.267]}
    )
    assert phrases.failures(table, "model") == "M 14.0% [5.8%, 26.7%] (7 of 50)"


def test_verdicts_list_the_conclusions_of_each_word():
    cells = pd.DataFrame(
        {PHOTOGRAPHS: ["confirmed", "refuted", "confirmed"], PEOPLE: ["open"] * 3},
        index=pd.Index([1, 2, 3], name="number"),
    )
    assert phrases.verdicts(cells) == (
        "Of the paper's 3 conclusions, by number. On these photographs: **confirmed** 1 and 3, "
        "**refuted** 2. For other people: **open** 1, 2 and 3."
    )


def test_short_has_signs_for_words_and_no_lambda():
    long = "gap of dropout 50 % and L2 1e-4 against baseline, 60 epochs, ConvNN_1"
    assert phrases.short(long) == "gap: dropout 50 % + L2 − baseline, 60 epochs, ConvNN_1"
    own = "training − validation: baseline, ConvNN_2"
    assert phrases.short(own) == own


def fold_means(n_seeds: int) -> pd.DataFrame:
    """Return means as of `captions.fold_means`: the best accuracy is what was printed."""
    rows = [
        {
            "experiment": printed.experiment,
            "scaling": "unit",
            "population": "learned",
            "seed": seed,
            "reading": reading,
            "measure": printed.measure,
            "value": printed.printed + off + 0.004 * (seed - (n_seeds - 1) / 2),
        }
        for printed in printed_table().itertuples()
        for reading, off in (("last epoch", -0.02), ("best accuracy", 0.0))
        for seed in range(n_seeds)
    ]
    return pd.DataFrame(rows)


def told(n_seeds: int, data: str = "course-train", rows: slice = slice(None)) -> str:
    means = fold_means(n_seeds)[rows]
    table = captions(means)
    return phrases.captions(table, joint(means), likeliest(table), data)


def test_captions_name_the_likeliest_reading():
    text = told(5)
    assert "n = 5 repetitions: " in text
    assert "0.956 (last epoch, z = +" in text
    assert "the likeliest reading is **best accuracy of the runs that learned" in text
    assert text.endswith("standard deviations off in validation accuracy: none.")


@pytest.mark.parametrize(
    "text",
    [told(1), told(4), told(1, rows=slice(0)), told(5, data="synthetic-train")],
    ids=["one repetition", "four", "none that learned", "synthetic faces"],
)
def test_captions_leave_the_reading_open_where_runs_cannot_tell(text):
    assert text.endswith("stays open.")
    assert "likeliest reading is" not in text


@pytest.mark.parametrize(
    ("data", "rows", "text"),
    [
        ("course-train", slice(None), "points in our runs: best epoch 0.9"),
        ("synthetic-train", slice(None), "points in these synthetic runs: best epoch 0.9"),
        ("course-train", slice(0), "No run learned"),
    ],
)
def test_captions_in_short_say_what_choosing_the_epoch_is_worth(data, rows, text):
    assert text in phrases.captions_in_short(joint(fold_means(5)[rows]), data)


def test_numbers_are_named_by_their_columns_and_may_lack_an_interval():
    frame = pd.DataFrame(
        {"a": ["x", "y"], "b": ["p", "q"], "effect": [0.1, 0.2], "low": [0, math.nan], "high": 1.0}
    )
    assert phrases.numbers(frame, ["a", "b"]) == {"x, p": (0.1, 0, 1), "y, q": (0.2,)}
    assert list(phrases.numbers(frame, "a")) == ["x", "y"]


def test_a_range_of_equal_values_is_one_number():
    assert phrases.range_of([0.951, 0.953], 2) == "0.95"
    assert phrases.range_of(pd.Series([4.1, 3.96])) == "4.0 to 4.1"


def test_gains_are_graded_by_people_and_seeds():
    names = ["+ sure", "+ seeds only", "worse"]
    losses = {"less_loss": [0.4, 0.01, -0.3], "people_low": [0.1, -0.1, -0.9]}
    table = pd.DataFrame({"comparison": names, "seeds_low": [0.2, 0.005, -0.5], **losses})
    text = phrases.gains(table)
    assert "surely less, for other people too: sure (−0.400);" in text
    assert "not surely for other people: seeds only (−0.010);" in text
    assert text.endswith("not surely less: worse (+0.300).")
    assert "not surely for other people" not in phrases.gains(table[:1])
