"""decay: Adam's weight_decay is λ of formula (1); AdamW's is something else."""

import dataclasses

import pytest
from sglib.training.decay import compare_decays

from sglib.studies.tables import BASELINE_2

ADAM, ADAMW = "Adam(weight_decay=λ)", "AdamW(weight_decay=λ)"


@pytest.fixture(scope="module")
def table(tiny_faces):
    return compare_decays(tiny_faces, n_steps=12)


def test_adam_is_the_explicit_penalty(table):
    assert table.index.tolist() == [ADAM, ADAMW]
    assert table.loc[ADAM, "same"]
    assert table.loc[ADAM, "largest_difference"] < 1e-8


def test_adamw_is_not(table):
    assert not table.loc[ADAMW, "same"]
    assert table.loc[ADAMW, "largest_difference"] > 1e-3


def test_without_decay_there_is_nothing_to_tell_apart(tiny_faces):
    table = compare_decays(tiny_faces, l2=0.0, n_steps=3)
    assert table["largest_difference"].tolist() == [0, 0]
    assert table["same"].all()


def test_the_difference_grows_with_the_steps(tiny_faces, table):
    short = compare_decays(tiny_faces, n_steps=2)
    assert short.loc[ADAMW, "largest_difference"] < table.loc[ADAMW, "largest_difference"]


def test_the_experiment_sets_network_and_learning_rate(tiny_faces):
    rows = [BASELINE_2, dataclasses.replace(BASELINE_2, lr=0.02)]
    gaps = [
        compare_decays(tiny_faces, n_steps=3, experiment=row).loc[ADAMW, "largest_difference"]
        for row in rows
    ]
    assert gaps[1] > 2 * gaps[0]
