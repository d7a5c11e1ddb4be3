"""plots: what is drawn where, and that equal runs draw equal files."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure
from run_fakes import make_frame, make_run

from sglib.analysis.captions import captions, compare_with_printed
from sglib.analysis.effects import effects
from sglib.analysis.plots import curves as plots
from sglib.analysis.runs import history_frame
from sglib.metrics import Confusion
from sglib.studies.paper import LOSS_FLOOR
from sglib.studies.tables import TECHNIQUES

MATRIX = Confusion(tp=3, fn=1, fp=200, tn=1000)
PAIRS = [("flip_1", "baseline_1"), ("dropout50_1", "baseline_1")]


pytestmark = pytest.mark.usefixtures("plot_style")


@pytest.fixture
def history(small_runs):
    return history_frame(small_runs)


@pytest.fixture
def baseline(history):
    return history[history["name"] == "baseline_1"]


@pytest.fixture
def comparison(small_runs):
    return compare_with_printed(small_runs)


@pytest.fixture
def sweep():
    return pd.DataFrame(
        {
            "l2": [0.0, 0.0, 1e-4, 1e-4, 1e-2, 1e-2] * 2,
            "val_acc": [0.90, 0.92, 0.94, 0.96, 0.5, 0.7, *[0.8] * 6],
            "model": ["ConvNN_1"] * 6 + ["ConvNN_2"] * 6,
        }
    )


def labels_of(ax: Axes) -> list[str]:
    return ax.get_legend_handles_labels()[1]


def line_of(ax: Axes, label: str):
    [line] = [line for line in ax.lines if line.get_label() == label]
    return line


def test_the_style_is_set():
    assert plt.rcParams["figure.dpi"] == plt.rcParams["savefig.dpi"] == 100
    assert not plt.rcParams["axes.spines.top"]


def test_every_technique_has_a_colour_of_its_own():
    assert set(plots.PALETTE) == {*TECHNIQUES, "ours"}
    assert len(set(plots.PALETTE.values())) == len(plots.PALETTE)


# curves


def test_curves_draw_every_run_and_the_mean(baseline):
    ax = plots.plot_curves(baseline)
    # per part 2 folds × 2 seeds and the mean; the loss floor
    assert len(ax.lines) == 2 * (4 + 1) + 1
    assert labels_of(ax) == ["training, mean", "validation, mean", "ln(1 + 1/e)"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "cross entropy (nats)")
    assert ax.get_xlim() == (0, 3 * 1.02)
    for part, name in (("train", "training"), ("val", "validation")):
        mean = line_of(ax, f"{name}, mean")
        expected = baseline.groupby("epoch")[f"{part}_loss"].mean()
        assert mean.get_xdata().tolist() == [1, 2, 3]
        assert mean.get_ydata() == pytest.approx(expected.to_numpy())
    assert set(line_of(ax, "ln(1 + 1/e)").get_ydata()) == {LOSS_FLOOR}


def test_thin_lines_are_the_runs(baseline):
    ax = plots.plot_curves(baseline, measure="acc")
    drawn = [line.get_ydata().tolist() for line in ax.lines[:4]]
    runs = baseline.groupby(["seed", "fold"])["train_acc"].apply(list).tolist()
    assert sorted(drawn) == sorted(runs)


def test_accuracy_has_no_floor_and_captions_are_marked_at_the_right_edge(baseline):
    ax = plots.plot_curves(baseline, measure="acc", printed={"train": 0.9, "val": 0.8})
    assert len(ax.lines) == 2 * (4 + 1 + 1)
    assert ax.get_ylabel() == "accuracy"
    for name, value in (("training", 0.9), ("validation", 0.8)):
        mark = line_of(ax, f"{name}, printed")
        assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (3 * 1.02, value)
        assert mark.get_color() == line_of(ax, f"{name}, mean").get_color()
    assert "ln(1 + 1/e)" not in labels_of(ax)


def test_curve_grid_has_a_line_of_panels_per_row(history):
    rows = ["flip_1", "baseline_1", "dropout50_1"]
    fig = plots.curve_grid(history, rows, printed=captions(rows), titles={"flip_1": "flipped"})
    axes = np.reshape(fig.axes, (3, 2))
    assert [ax.get_title(loc="left") for ax in axes[:, 0]] == [
        "flipped: cross entropy (nats), 4 runs",
        "baseline_1: cross entropy (nats), 4 runs",
        "dropout50_1: cross entropy (nats), 4 runs",
    ]
    assert axes[0, 1].get_title(loc="left") == "flipped: accuracy, 4 runs"
    assert len({ax.get_ylim() for ax in axes[:, 0]}) == 1  # compared panels share their limits
    assert len({ax.get_ylim() for ax in axes[:, 1]}) == 1
    assert line_of(axes[1, 1], "validation, printed").get_ydata()[0] == 0.976
    assert line_of(axes[0, 0], "validation, printed").get_ydata()[0] == 0.344
    assert [ax.get_legend() is not None for ax in fig.axes] == [True] + [False] * 5
    assert [ax.get_xlabel() for ax in axes[:, 0]] == ["", "", "epoch"]


def test_curve_grid_without_captions(history):
    fig = plots.curve_grid(history, ["baseline_2"])
    assert len(fig.axes) == 2
    assert "training, printed" not in labels_of(fig.axes[0])


# printed, differences


def test_printed_marks_stand_beside_the_range_of_their_row(comparison):
    ax = plots.plot_printed(comparison, "val_acc")
    part = comparison[comparison["measure"] == "val_acc"]
    assert [text.get_text() for text in ax.get_yticklabels()] == [
        *("baseline_1 (fig. 2)", "baseline_2 (fig. 3)", "flip_1 (fig. 4)"),
        "dropout50_1 (fig. 8)",
    ]
    ranges, means, marks = ax.collections
    places = [3.0, 2.0, 1.0, 0.0]
    assert means.get_offsets().tolist() == [
        [pytest.approx(x), y] for x, y in zip(part["mean"], places, strict=True)
    ]
    assert marks.get_offsets().tolist() == [
        [x, y] for x, y in zip([0.976, 0.973, 0.968, 0.984], places, strict=True)
    ]
    ends = [[segment[0][0], segment[1][0]] for segment in ranges.get_segments()]
    assert ends == part[["low", "high"]].to_numpy().tolist()
    assert labels_of(ax) == ["our mean", "printed"]
    assert ax.get_xlabel() == "val acc"
    assert [to_hex(c).upper() for c in means.get_facecolors()] == [
        plots.PALETTE[name] for name in ("baseline", "baseline", "flip", "dropout50")
    ]


def test_printed_panels_share_their_rows(comparison):
    fig = plots.printed_panels(comparison)
    accuracy, loss = fig.axes
    assert (accuracy.get_xlabel(), loss.get_xlabel()) == ("val acc", "val loss")
    assert accuracy.get_ylim() == loss.get_ylim()
    assert [line.get_xdata()[0] for line in loss.lines] == [LOSS_FLOOR]
    assert loss.get_legend() is not None


def test_differences_are_drawn_in_points_from_top_to_bottom():
    table = pd.DataFrame(
        {
            "label": ["flip − base", "l2 − base"],
            "technique": ["flip", "l2"],
            "mean": [0.01, -0.02],
            "low": [-0.02, -0.05],
            "high": [0.03, 0.01],
            "values": [[0.0, 0.02], [-0.02, -0.02]],
        }
    )
    ax = plots.plot_differences(table)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["flip − base", "l2 − base"]
    assert ax.get_yticks().tolist() == [1, 0]
    assert ax.get_xlabel() == "difference in validation accuracy (percentage points)"
    points = [c for c in ax.collections if len(c.get_offsets()) == 2]
    assert points[0].get_offsets()[:, 0].tolist() == [0, 2]
    assert np.abs(points[0].get_offsets()[:, 1] - 1).max() <= 0.25
    assert len(set(points[1].get_offsets()[:, 1])) == 2  # equal values beside each other
    assert [c.lines[0].get_xydata().tolist() for c in ax.containers] == [
        [[pytest.approx(1), 1]],
        [[pytest.approx(-2), 0]],
    ]
    bars = [c.lines[2][0].get_segments()[0][:, 0].tolist() for c in ax.containers]
    assert bars == [pytest.approx([-2, 3]), pytest.approx([-5, 1])]
    assert points[0].get_facecolors()[0].tolist() == list(to_rgba(plots.PALETTE["flip"], 0.35))
    assert any(line.get_xdata() == [0, 0] for line in ax.lines if len(line.get_xdata()) == 2)


def test_differences_of_finished_runs(small_runs):
    ax = plots.plot_differences(effects(small_runs, PAIRS))
    assert [text.get_text() for text in ax.get_yticklabels()] == [f"{a} − {b}" for a, b in PAIRS]


# confusion matrices


def test_confusion_puts_counts_in_their_places():
    ax = plots.plot_confusion(MATRIX, title="final_1")
    texts = {tuple(map(int, text.get_position())): text.get_text() for text in ax.texts}
    assert texts == {  # (predicted, true)
        (0, 0): "1,000\n83.3%",
        (1, 0): "200\n16.7%",
        (0, 1): "1\n25.0%",
        (1, 1): "3\n75.0%",
    }
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "true")
    assert ax.get_title(loc="left") == "final_1"
    for axis_labels in (ax.get_xticklabels(), ax.get_yticklabels()):
        assert [text.get_text() for text in axis_labels] == ["open", "sunglasses"]
    [image] = ax.images
    assert image.get_clim() == (0, 1)


def test_an_empty_class_has_fractions_of_zero():
    ax = plots.plot_confusion(Confusion(tp=0, fn=0, fp=1, tn=1))
    assert sorted(text.get_text() for text in ax.texts) == ["0\n0.0%"] * 2 + ["1\n50.0%"] * 2


@pytest.mark.parametrize(("count", "shape"), [(1, (1, 1)), (4, (1, 4)), (5, (2, 4))])
def test_confusion_grid_is_four_to_a_line(count, shape):
    fig = plots.confusion_grid({f"row {i}": MATRIX for i in range(count)})
    assert fig.axes[0].get_subplotspec().get_gridspec().get_geometry() == shape
    drawn = [ax for ax in fig.axes if ax.axison]
    assert [ax.get_title(loc="left") for ax in drawn] == [f"row {i}" for i in range(count)]


# photographs, counts, sweeps


def places_of(sheet: np.ndarray, image: np.ndarray) -> list[tuple[int, int]]:
    """Return (row, column) wherever the image stands in the sheet, pixel for pixel."""
    windows = np.lib.stride_tricks.sliding_window_view(sheet, image.shape)
    return [tuple(place) for place in np.argwhere((windows == image).all(axis=(2, 3))).tolist()]


@pytest.mark.parametrize("titles", [None, list("abcdefg")])
def test_gallery_shows_the_photographs_as_they_are_in_reading_order(tiny_faces, titles):
    fig = plots.plot_gallery(tiny_faces.images[:7], titles=titles, n_columns=4)
    [ax] = fig.axes
    [shown] = ax.images
    assert shown.get_clim() == (0, 255)
    assert shown.get_interpolation() == "nearest"
    assert shown.get_cmap().name == "gray"
    assert not ax.axison
    found = [places_of(np.asarray(shown.get_array()), image) for image in tiny_faces.images[:7]]
    assert [len(places) for places in found] == [1] * 7
    places = [place for [place] in found]
    assert places == sorted(places)
    rows, columns = zip(*places, strict=True)
    assert [rows.count(row) for row in sorted(set(rows))] == [4, 3]
    assert columns[:3] == columns[4:]


def test_gallery_titles_stand_over_their_pictures(tiny_faces):
    fig = plots.plot_gallery(tiny_faces.images[:3], titles=["a", "b", "c"], n_columns=2)
    [ax] = fig.axes
    sheet = np.asarray(ax.images[0].get_array())
    assert [text.get_text() for text in ax.texts] == ["a", "b", "c"]
    for text, image in zip(ax.texts, tiny_faces.images, strict=False):
        [(top, left)] = places_of(sheet, image)
        x, y = text.get_position()
        assert x == left
        assert top - 9 < y < top


def test_counts_are_stacked_bars():
    table = pd.DataFrame({"a": [3, 5], "b": [4, 1], "c": [2, 2]}, index=["p1", "p2"])
    ax = plots.plot_counts(table)
    bars = [(bar.get_x(), bar.get_width()) for bar in ax.patches]
    assert bars == [(0, 3), (0, 5), (3, 4), (5, 1), (7, 2), (6, 2)]
    assert labels_of(ax) == ["a", "b", "c"]
    assert ax.get_xlabel() == "images"
    assert ax.yaxis_inverted()  # first row on top


def test_sweep_draws_points_and_means(sweep):
    ax = plots.plot_sweep(sweep, x="l2", y="val_acc", hue="model")
    assert labels_of(ax) == ["ConvNN_1, mean", "ConvNN_2, mean"]
    line = line_of(ax, "ConvNN_1, mean")
    assert line.get_xdata().tolist() == [0, 1e-4, 1e-2]
    assert line.get_ydata() == pytest.approx([0.91, 0.95, 0.6])
    assert [len(points.get_offsets()) for points in ax.collections] == [6, 6]
    assert ax.get_xscale() == "symlog"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("l2", "val acc")
    assert ax.get_legend() is not None


# all


AX_FUNCTIONS = {
    "curves": lambda given, ax: plots.plot_curves(given["baseline"], ax=ax),
    "printed": lambda given, ax: plots.plot_printed(given["comparison"], "val_loss", ax=ax),
    "differences": lambda given, ax: plots.plot_differences(given["effects"], ax=ax),
    "confusion": lambda given, ax: plots.plot_confusion(MATRIX, ax=ax),
    "counts": lambda given, ax: plots.plot_counts(pd.DataFrame({"a": [1]}, index=["x"]), ax=ax),
    "sweep": lambda given, ax: plots.plot_sweep(
        given["sweep"], x="l2", y="val_acc", hue="model", ax=ax
    ),
}
FIGURE_FUNCTIONS = {
    "curve_grid": lambda given: plots.curve_grid(given["history"], ["baseline_1", "flip_1"]),
    "printed_panels": lambda given: plots.printed_panels(given["comparison"]),
    "confusion_grid": lambda given: plots.confusion_grid({"a": MATRIX, "b": MATRIX}),
    "gallery": lambda given: plots.plot_gallery(given["faces"].images[:5], n_columns=3),
}


@pytest.fixture
def given(history, baseline, comparison, small_runs, sweep, tiny_faces):
    return {
        "history": history,
        "baseline": baseline,
        "comparison": comparison,
        "effects": effects(small_runs, PAIRS),
        "sweep": sweep,
        "faces": tiny_faces,
    }


@pytest.mark.parametrize("draw", AX_FUNCTIONS.values(), ids=AX_FUNCTIONS)
def test_axes_given_are_used_and_returned_else_the_current(draw, given):
    _, (first, second) = plt.subplots(1, 2)
    assert draw(given, first) is first
    assert first.has_data()
    assert not second.has_data()
    plt.sca(second)
    assert draw(given, None) is second


def png(fig: Figure) -> bytes:
    with io.BytesIO() as file:
        fig.savefig(file, format="png")
        return file.getvalue()


@pytest.mark.parametrize("draw", AX_FUNCTIONS.values(), ids=AX_FUNCTIONS)
def test_axes_drawn_twice_are_equal_files(draw, given):
    first, second = (png(draw(given, plt.figure().add_subplot()).figure) for _ in range(2))
    assert first == second
    assert first != png(plt.figure())


@pytest.mark.parametrize("draw", FIGURE_FUNCTIONS.values(), ids=FIGURE_FUNCTIONS)
def test_figures_drawn_twice_are_equal_files(draw, given):
    fig = draw(given)
    assert isinstance(fig, Figure)
    assert png(fig) == png(draw(given))


def test_other_runs_draw_another_file():
    runs = [history_frame(make_frame(make_run("baseline_1", val_acc=v))) for v in (0.8, 0.9)]
    files = {
        png(plots.plot_curves(run, measure="acc", ax=plt.figure().add_subplot()).figure)
        for run in runs
    }
    assert len(files) == 2
