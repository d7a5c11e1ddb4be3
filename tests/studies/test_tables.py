"""experiments: the rows say what the paper's table says, and differ in nothing undeclared."""

import dataclasses
import subprocess
import sys

import pytest

from sglib import SglibError
from sglib.data.augment import METHODS
from sglib.studies.tables import (
    BASELINE,
    L2_SWEEP,
    PAPER,
    STUDIES,
    TECHNIQUES,
    Study,
    study,
    technique,
    words,
)
from sglib.training.settings import AUGMENTS, METHODS_OF_TABLE_1, Experiment

# paper §4: section, model, epochs, λ, p_drop, augmentation, in the order of the figures
PRINTED_SETTINGS = [
    ("4.1", "ConvNN_1", 40, 0, 0, "none"),
    ("4.1", "ConvNN_2", 40, 0, 0, "none"),
    ("4.2", "ConvNN_1", 40, 0, 0, "flip_add"),
    ("4.2", "ConvNN_2", 40, 0, 0, "flip_add"),
    ("4.3", "ConvNN_1", 50, 1e-4, 0, "none"),
    ("4.3", "ConvNN_2", 50, 5e-6, 0, "none"),
    ("4.4", "ConvNN_1", 40, 0, 0.25, "none"),
    ("4.4", "ConvNN_1", 40, 0, 0.5, "none"),
    ("4.4", "ConvNN_2", 50, 0, 0.25, "none"),
    ("4.4", "ConvNN_2", 50, 0, 0.5, "none"),
    ("4.5", "ConvNN_1", 60, 1e-4, 0.5, "none"),
    ("4.5", "ConvNN_2", 60, 5e-6, 0.5, "none"),
]
VARIED = ("section", "model", "n_epochs", "l2", "p_drop", "augment")
LABELS = {"name", "section"}

each_study = pytest.mark.parametrize("one", STUDIES.values(), ids=STUDIES)


def changed(row: Experiment, reference: Experiment) -> set[str]:
    one, two = dataclasses.asdict(row), dataclasses.asdict(reference)
    return {field for field in one if one[field] != two[field]} - LABELS


def test_the_papers_rows_are_its_table():
    found = [tuple(getattr(row, field) for field in VARIED) for row in PAPER]
    assert found == PRINTED_SETTINGS


def test_what_the_paper_never_varies_stands_in_every_row():
    for row in PAPER:
        assert (row.lr, row.batch_size) == (0.002, 1)
        assert (row.head, row.scaling, row.augment_fraction) == ("sigmoid", "unit", 0.25)


@each_study
def test_rows_differ_from_the_reference_only_in_scientific_fields(one):
    for row in one.rows[1:]:
        differences = changed(row, one.rows[0])
        assert differences, f"{row.name} repeats the reference"
        assert differences <= set(one.scientific), row.name


@each_study
def test_names_and_settings_of_a_study_are_unique(one):
    assert len({row.name for row in one.rows}) == len(one.rows)
    assert len({str(row.settings()) for row in one.rows}) == len(one.rows)


@each_study
def test_comparisons_name_existing_rows_of_one_model(one):
    rows = {row.name: row for row in one.rows}
    assert len(set(one.comparisons)) == len(one.comparisons)
    for name, reference in one.comparisons:
        assert changed(rows[name], rows[reference])
        assert rows[name].model == rows[reference].model


@each_study
def test_a_study_asks_a_question_and_is_found_by_name(one):
    assert study(one.name) is one
    assert one.question.endswith("?")


def test_an_l2_or_dropout_row_is_compared_at_equal_epochs_or_as_printed():
    # ConvNN_1's dropout rows are printed at the baseline's 40 epochs; all others need the
    # baseline that trains as long.
    for name in ("l2", "dropout"):
        rows = {row.name: row for row in study(name).rows}
        for one, other in study(name).comparisons:
            assert rows[one].n_epochs == rows[other].n_epochs, (one, other)


def test_the_sweep_varies_lambda_alone_and_holds_the_papers_values():
    assert {0.0, 1e-4, 5e-6} <= set(L2_SWEEP)
    for model in ("ConvNN_1", "ConvNN_2"):
        rows = [row for row in study("l2_sweep").rows if row.model == model]
        assert [row.l2 for row in rows] == list(L2_SWEEP)
        assert {row.n_epochs for row in rows} == {50}


@pytest.mark.parametrize(
    ("name", "suffix", "field", "value"),
    [("scaling", "_symmetric", "scaling", "symmetric"), ("logit", "_logit", "head", "logit")],
)
def test_a_variant_repeats_the_paper_with_one_change(name, suffix, field, value):
    rows = {row.name: row for row in study(name).rows}
    of_the_paper = [row for row in rows.values() if row in PAPER]
    assert len(rows) == 2 * len(of_the_paper) > 2
    for row in of_the_paper:
        twin = rows[row.name + suffix]
        assert changed(twin, row) == {field}
        assert getattr(twin, field) == value
        assert twin.section == ""


def test_settings_leave_out_labels_and_nothing_else():
    fields = {field.name for field in dataclasses.fields(Experiment)}
    flipped = dataclasses.replace(BASELINE, augment="flip_add")
    assert set(flipped.settings()) == fields - LABELS
    assert set(BASELINE.settings()) == fields - LABELS - {"augment_fraction"}
    assert flipped.settings()["augment"] == "flip_add"


def test_equal_procedures_have_equal_settings():
    renamed = dataclasses.replace(BASELINE, name="x", section="9", augment_fraction=0.7)
    assert renamed.settings() == BASELINE.settings()
    flips = [dataclasses.replace(BASELINE, augment="flip_each", augment_fraction=f) for f in (0, 1)]
    assert flips[0].settings() != flips[1].settings()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("head", "softmax"),
        ("augment", "flip"),
        ("augment", None),
        ("scaling", "standard"),
        ("n_epochs", 0),
        ("n_epochs", "40"),
        ("batch_size", 0),
        ("batch_size", True),
        ("lr", -0.1),
        ("lr", float("nan")),
        ("l2", -1e-4),
        ("l2", float("inf")),
        ("p_drop", 1.0),
        ("p_drop", -0.1),
        ("augment_fraction", 1.1),
        ("augment_fraction", None),
    ],
)
def test_a_bad_setting_is_refused_in_one_line(field, value):
    with pytest.raises(SglibError, match=f"^mine: {field} must be ") as caught:
        Experiment(name="mine", **{field: value})
    assert str(caught.value).endswith(f"got {value!r}")
    assert "\n" not in str(caught.value)


def test_replace_checks_too_and_unknown_settings_raise():
    with pytest.raises(SglibError, match="baseline_1: p_drop"):
        dataclasses.replace(BASELINE, p_drop=2)
    with pytest.raises(TypeError, match="dropout"):
        Experiment(dropout=0.5)


def test_errors_of_a_row_without_a_name_begin_with_the_setting():
    with pytest.raises(SglibError, match=r"^p_drop must be "):
        Experiment(p_drop=2)


def test_every_method_of_table_1_can_augment_pixels_from_0_to_1():
    assert tuple(METHODS) == METHODS_OF_TABLE_1
    for name in AUGMENTS:
        assert Experiment(augment=name).settings()["augment"] == name
    with pytest.raises(SglibError, match="scaling must be unit"):
        Experiment(augment="rotation", scaling="symmetric")


def test_a_row_of_your_own_is_named_by_its_settings_and_is_not_the_papers():
    rows = study([Experiment(), Experiment(p_drop=0.7, l2=3e-4), Experiment(name="mine")]).rows
    assert [row.name for row in rows] == ["baseline_1", "l2=0.0003 p_drop=0.7", "mine"]
    borrowed = study(dataclasses.replace(BASELINE, p_drop=0.75, augment="noise"))
    assert borrowed.rows[0].name == borrowed.name == "p_drop=0.75 augment=noise"
    assert borrowed.rows[0].section == ""
    assert borrowed.scientific == ("p_drop", "augment")
    assert study(PAPER[:2]).rows == PAPER[:2]


def test_two_rows_of_one_name_are_refused():
    with pytest.raises(SglibError, match="two rows are called 'x'"):
        study([Experiment(name="x"), Experiment(name="x", l2=1e-3)])


def test_a_study_of_your_own_is_taken_as_it_is():
    mine = Study("mine", "?", ("lr",), PAPER[:1])
    assert study(mine) is mine


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dropout50_2", "dropout 50 %, ConvNN_2"),
        ("baseline60_1", "baseline, 60 epochs, ConvNN_1"),
        ("final_2_logit", "dropout 50 % and L2 5e-6, ConvNN_2, logit head"),
        ("flip_1_symmetric", "mirrored copies, ConvNN_1, pixels [−1, 1]"),
        ("l2_1e-05_1", "L2 1e-5, ConvNN_1"),
        ("mine", "mine"),
    ],
)
def test_names_in_words(name, expected):
    assert words(name) == expected


def test_an_experiment_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        BASELINE.lr = 0.1


def test_an_unknown_study_lists_the_known():
    with pytest.raises(SglibError, match="no study 'papers'; did you mean paper") as e:
        study("papers")
    assert all(name in str(e.value) for name in STUDIES)


def test_techniques_are_told_from_the_names():
    assert {technique(row.name) for row in PAPER} == set(TECHNIQUES)
    assert technique("dropout25_2") == "dropout25"
    assert technique("flip_1_each") == "flip"
    assert technique("recipe") == "ours"


def test_experiments_need_no_torch():
    command = "import sys, sglib.studies.tables; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command]).returncode == 0
