"""plots_generalisation: what is drawn where, and that every axis says what it shows."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from run_fakes import make_frame, make_run

from sglib.analysis.generalisation import our_points, printed_points
from sglib.analysis.plots import curves as plots
from sglib.analysis.plots.generalisation import (
    learning_panels,
    plot_floor,
    plot_heads,
    plot_learning_curve,
    plot_luck,
    plot_schemes,
)
from sglib.analysis.runs import history_frame
from sglib.analysis.stats import ONE_IMAGE
from sglib.studies.paper import LOSS_FLOOR

pytestmark = pytest.mark.usefixtures("plot_style")


def test_schemes():
    table = pd.DataFrame(
        {"random": [0.97, 0.98], "unseen": [0.8, 0.9], "low": [0.7, 0.8], "high": [0.9, 0.95]},
        index=["baseline_1", "flip_2"],
    )
    _, ax = plt.subplots()
    assert plot_schemes(table, ax=ax) is ax
    drops, intervals, unseen, random = ax.collections
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["baseline_1", "flip_2"]
    assert ax.get_yticks().tolist() == [1, 0]  # the first row on top
    assert unseen.get_offsets().tolist() == pytest.approx(np.array([[0.8, 1], [0.9, 0]]))
    assert random.get_offsets().tolist() == pytest.approx(np.array([[0.97, 1], [0.98, 0]]))
    ends = np.array(intervals.get_segments())[:, :, 0]
    assert ends == pytest.approx(np.array([[0.7, 0.9], [0.8, 0.95]]))
    assert np.array(drops.get_segments())[:, :, 0] == pytest.approx(
        np.array([[0.8, 0.97], [0.9, 0.98]])
    )
    assert [to_hex(color).upper() for color in unseen.get_facecolors()] == [
        plots.PALETTE["baseline"],
        plots.PALETTE["flip"],
    ]
    assert ax.get_xlabel() == "validation accuracy"
    assert ax.get_legend_handles_labels()[1] == ["people not seen", "random folds"]


def test_floor():
    ours = our_points(make_frame(make_run("flip_1", val_acc=0.5, val_loss=0.8)))
    fig = plot_floor(printed_points(), ours)
    assert isinstance(fig, Figure)
    left, right = fig.axes
    assert len(left.collections[0].get_offsets()) == 12
    assert right.collections[1].get_offsets().tolist() == [[0.5, 0.8]]
    for ax in fig.axes:
        x, y = ax.lines[0].get_data()
        assert y - x == pytest.approx(LOSS_FLOOR)
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("error rate", "cross entropy (nats)")
    assert left.get_xlim() == right.get_xlim()
    assert left.get_title(loc="left") == "printed captions"


def test_heads():
    frame = make_frame(
        *(
            make_run(name, seed=seed, train_loss=loss + 0.2 * seed, val_loss=loss)
            for name, loss in (("final_1", 0.4), ("final_1_logit", 0.1))
            for seed in (0, 1)
        )
    )
    fig = plot_heads(history_frame(frame), "final_1")
    assert isinstance(fig, Figure)
    for ax, loss in zip(fig.axes, (0.4, 0.1), strict=True):
        (train,) = [line for line in ax.lines if line.get_label() == "training"]
        assert train.get_xdata().tolist() == list(range(1, 13))
        assert train.get_ydata() == pytest.approx(loss + 0.1)  # the mean of both seeds
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "cross entropy (nats)")
    assert fig.axes[0].lines[-1].get_ydata() == pytest.approx([LOSS_FLOOR, LOSS_FLOOR])
    titles = [ax.get_title(loc="left") for ax in fig.axes]
    assert titles == ["sigmoid outputs, as printed", "logits"]


def test_luck():
    n_right = {"baseline_1": [70, 70, 75], "baseline_2": [72]}
    frame = make_frame(
        *(
            make_run(name, seed=seed, val_acc=right / 75)
            for name, counts in n_right.items()
            for seed, right in enumerate(counts)
        )
    )
    _, ax = plt.subplots()
    assert plot_luck(frame, {"printed": 0.976}, ax=ax) is ax
    assert isinstance(ax, Axes)
    bars = {round(bar.get_center()[0] * 75): bar.get_height() for bar in ax.patches[:77]}
    assert {right: height for right, height in bars.items() if height} == {70: 2, 75: 1}
    assert ax.patches[0].get_width() == pytest.approx(ONE_IMAGE)
    assert ax.lines[0].get_xdata() == [0.976, 0.976]
    assert [text.get_text() for text in ax.texts] == ["printed"]
    assert ax.get_legend_handles_labels()[1] == ["ConvNN_1, 3 splits", "ConvNN_2, 1 splits"]
    assert "validation accuracy of one split" in ax.get_xlabel()
    assert ax.get_ylabel() == "splits"
    low, high = ax.get_xlim()
    assert low < 70 / 75
    assert high > 1


@pytest.fixture
def curve():
    return pd.DataFrame(
        [
            {"model": model, "n_people": n_people, "val_acc_mean": value}
            for model, values in (("ConvNN_1", (0.6, 0.8)), ("ConvNN_2", (0.5, 0.7)))
            for n_people in (2, 11)
            for value in (values[n_people == 11] - 0.1, values[n_people == 11] + 0.1)
        ]
    )


def test_learning_curve(curve):
    _, ax = plt.subplots()
    assert plot_learning_curve(curve, ax=ax) is ax
    first, second = ax.lines
    assert first.get_xydata() == pytest.approx(np.array([[2, 0.6], [11, 0.8]]))
    assert second.get_xydata() == pytest.approx(np.array([[2, 0.5], [11, 0.7]]))
    assert [len(dots.get_offsets()) for dots in ax.collections] == [4, 4]  # every run
    assert ax.get_xscale() == "log"
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["2", "11"]
    assert ax.get_xlabel() == "people to train on"
    assert ax.get_ylabel() == "accuracy on people not seen"


def test_learning_panels_share_the_accuracy(curve):
    lower = curve.assign(val_acc_mean=curve["val_acc_mean"] - 0.3)
    fig = learning_panels({"course": curve, "synthetic": lower})
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["course", "synthetic"]
    assert fig.axes[0].get_ylim() == fig.axes[1].get_ylim()
    assert len(learning_panels({"one": curve}).axes) == 1


def test_without_axes_the_current_ones_are_drawn_on(curve):
    assert plot_learning_curve(curve) is plt.gca()
