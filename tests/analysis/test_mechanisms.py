"""mechanisms: closed forms against PyTorch, points on the line."""

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from flat_runs import make_frame, make_run

from sglib.analysis import mechanisms
from sglib.analysis.runs import flatten
from sglib.studies.paper import LOSS_FLOOR


@pytest.mark.parametrize("head", ["sigmoid", "logit"])
def test_loss_and_gradient_are_torchs(head: str) -> None:
    table = mechanisms.loss_over_logit()
    table = table[table["head"] == head]
    z = torch.tensor(table["logit"].to_numpy(), requires_grad=True)
    outputs = torch.stack([-z, z], dim=1)
    outputs = outputs.sigmoid() if head == "sigmoid" else outputs
    loss = F.cross_entropy(outputs, torch.ones(len(z), dtype=torch.long), reduction="none")
    loss.sum().backward()
    assert table["loss"].to_numpy() == pytest.approx(loss.detach().numpy())
    assert table["gradient"].to_numpy() == pytest.approx(-z.grad.numpy())


def test_behind_sigmoids_the_surely_wrong_get_no_gradient() -> None:
    table = mechanisms.loss_over_logit().set_index(["head", "logit"])
    assert table.loc[("sigmoid", -12.0), "gradient"] < 1e-4
    assert table.loc[("sigmoid", -12.0), "loss"] == pytest.approx(LOSS_FLOOR + 1, abs=1e-4)
    assert table.loc[("logit", -12.0), "gradient"] == pytest.approx(2)


def test_the_printed_losses_lie_on_the_line() -> None:
    line = mechanisms.floor_line(mechanisms.printed_points())
    assert line["n"] == 24
    assert line["r2"] == pytest.approx(0.960, abs=5e-4)
    assert line["correlation2"] == pytest.approx(0.970, abs=5e-4)
    assert line["mean_deviation"] == pytest.approx(0.0016, abs=5e-5)


def test_our_points_are_of_sigmoid_runs_that_learned() -> None:
    rows = [
        make_run("flip_1", val_acc=0.9, val_loss=LOSS_FLOOR + 0.1, train_acc=1, train_loss=0.3133),
        make_run("flip_1", seed=1, train_acc=0.5),
        make_run("flip_1_logit", head="logit"),
    ]
    points = mechanisms.our_points(flatten(make_frame(*rows)))
    expected = pd.DataFrame(
        {"part": ["train", "val"], "error": [0.0, 0.1], "loss": [0.3133, LOSS_FLOOR + 0.1]}
    )
    pd.testing.assert_frame_equal(points, expected, atol=1e-6)
    assert np.isclose(mechanisms.floor_line(points)["mean_deviation"], 0, atol=1e-4)
