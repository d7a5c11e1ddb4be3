"""paper: the printed numbers are copied right, and the losses lie on the line they hide."""

import math

import numpy as np
import pytest

from sglib.studies import paper
from sglib.studies.paper import LOSS_FLOOR, PRINTED
from sglib.studies.tables import PAPER

# figure: train loss, val loss, train accuracy, val accuracy, as the captions have them
CAPTIONS = """
2   0.313 0.338 1.000 0.976
3   0.320 0.342 0.993 0.973
4   0.315 0.344 0.998 0.968
5   0.323 0.366 0.991 0.941
6   0.313 0.329 1.000 0.987
7a  0.313 0.321 1.000 0.995
7b  0.324 0.341 0.987 0.971
8   0.315 0.333 0.999 0.984
9   0.314 0.334 0.999 0.971
10  0.322 0.329 0.992 0.984
11  0.322 0.339 0.993 0.976
12  0.317 0.330 0.996 0.984
"""


def test_the_captions_are_copied_right():
    lines = [line.split() for line in CAPTIONS.strip().splitlines()]
    assert PRINTED["figure"].tolist() == [line[0] for line in lines]
    measures = ["train_loss", "val_loss", "train_acc", "val_acc"]
    assert PRINTED[measures].to_numpy().tolist() == [list(map(float, line[1:])) for line in lines]


def test_every_caption_belongs_to_the_experiment_in_the_same_place():
    found = PRINTED[["experiment", "section", "model"]].to_numpy().tolist()
    assert found == [[row.name, row.section, row.model] for row in PAPER]
    assert PRINTED.index.tolist() == PRINTED["experiment"].tolist()


def test_the_loss_floor():
    assert pytest.approx(0.31326, abs=5e-6) == LOSS_FLOOR
    assert pytest.approx(-math.log(math.e / (1 + math.e))) == LOSS_FLOOR
    saturated_mistake = -math.log(1 / (1 + math.e))
    assert saturated_mistake == pytest.approx(LOSS_FLOOR + 1)


def test_the_printed_losses_are_the_floor_plus_the_printed_errors():
    losses = PRINTED[["train_loss", "val_loss"]].to_numpy().ravel()
    errors = 1 - PRINTED[["train_acc", "val_acc"]].to_numpy().ravel()
    assert len(losses) == 24
    deviations = losses - (LOSS_FLOOR + errors)
    assert np.abs(deviations).mean() == pytest.approx(0.0016, abs=5e-5)
    # R² of the best line through the points; about the line with nothing fitted it is 0.96
    assert np.corrcoef(losses, errors)[0, 1] ** 2 == pytest.approx(0.97, abs=0.005)
    about_the_line = 1 - (deviations**2).sum() / ((losses - losses.mean()) ** 2).sum()
    assert about_the_line == pytest.approx(0.96, abs=0.005)


def test_no_printed_loss_lies_below_the_floor():
    assert PRINTED[["train_loss", "val_loss"]].min().min() == round(LOSS_FLOOR, 3)


def test_five_conclusions():
    assert len(paper.CONCLUSIONS) == 5
