"""reproduction: a caption is held against the runs, and what lies outside is marked."""

import numpy as np
import pytest
from run_fakes import make_frame, make_grid, make_run

from sglib.analysis.captions import (
    captions,
    compare_with_printed,
    printed_table,
    scaling_table,
    side_by_side,
)
from sglib.analysis.runs import MEASURES
from sglib.studies.tables import BY_NAME


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


def test_stored_runs_are_those_of_the_paper_by_name(small_runs):
    assert set(small_runs["name"]) <= set(BY_NAME)
    assert len(compare_with_printed(small_runs)) == 16
