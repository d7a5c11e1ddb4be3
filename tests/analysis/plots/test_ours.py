"""plots_better: what is drawn where."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from sglib.analysis.calibration import reliability_table
from sglib.analysis.plots import curves as plots
from sglib.analysis.plots.ours import (
    model_look,
    plot_ablation,
    plot_maps,
    plot_per_person,
    plot_reliability,
    plot_robustness,
)

pytestmark = pytest.mark.usefixtures("plot_style")


def test_looks_differ_and_stay():
    named = [model_look(name) for name in ("paper", "small", "base", "best", "baseline_1")]
    others = [model_look(f"variant {i}", i) for i in range(5)]
    assert len(set(named + others)) == 10
    assert model_look("base", 7) == model_look("base")
    assert model_look("final_1")[0] == plots.PALETTE["final"] == model_look("paper")[0]


def test_ablation():
    table = pd.DataFrame(
        {
            "difference": [0.0, -0.02, 0.01],
            "diff_low": [0.0, -0.03, -0.01],
            "diff_high": [0.0, -0.01, 0.03],
            "n_people": 12,
        },
        index=["base", "no twin", "more"],
    )
    ax = plot_ablation(table, reference="base")
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["no twin", "more"]
    lines, points = ax.collections
    assert points.get_offsets().tolist() == pytest.approx(np.array([[-2, 0], [1, 1]]))
    ends = np.array(lines.get_segments())[:, :, 0]
    assert ends == pytest.approx(np.array([[-3, -1], [-1, 3]]))
    assert "minus base" in ax.get_xlabel()
    assert "12 people" in ax.get_xlabel()


def test_reliability():
    labels = np.array([0, 0, 1, 1, 1, 0])
    tables = {
        "paper": reliability_table(labels, np.array([0.3, 0.3, 0.7, 0.7, 0.7, 0.7])),
        "base": reliability_table(labels, np.array([0.1, 0.1, 0.9, 0.9, 0.9, 0.1])),
    }
    ax = plot_reliability(tables)
    assert ax.get_legend_handles_labels()[1] == ["perfect", "paper, n = 6", "base, n = 6"]
    assert ax.lines[1].get_xydata() == pytest.approx(np.array([[0.3, 0], [0.7, 0.75]]))
    sizes = ax.collections[0].get_sizes()
    assert sizes[1] == pytest.approx(2 * sizes[0])
    assert to_hex(ax.lines[1].get_color()) == plots.PALETTE["final"].lower()


@pytest.fixture
def maps():
    rng = np.random.default_rng(0)
    cells = [
        {"model": model, "pose": pose, "label": label, "n": 3, "map": size * rng.random((30, 32))}
        for model, size in (("paper", 0.2), ("base", 1.0))
        for pose in ("left", "up")
        for label in ("open", "sunglasses")
    ]
    return pd.DataFrame(cells)


def test_maps(maps):
    fig = plot_maps(maps, unit="slope")
    panels = [ax for ax in fig.axes if ax.get_label() != "<colorbar>"]
    bars = [ax for ax in fig.axes if ax.get_label() == "<colorbar>"]
    assert (len(panels), len(bars)) == (8, 2)
    assert [bar.get_ylabel() for bar in bars] == ["slope", "slope"]
    # The first row is the paper's open eyes: left, up.
    drawn = [np.asarray(ax.images[0].get_array()) for ax in panels]
    wanted = maps[(maps["model"] == "paper") & (maps["label"] == "open")]["map"].to_list()
    assert np.array_equal(drawn[0], wanted[0])
    assert np.array_equal(drawn[1], wanted[1])
    limits = [ax.images[0].get_clim() for ax in panels]
    assert len(set(limits[:4])) == len(set(limits[4:])) == 1
    assert limits[0] != limits[4]
    assert limits[0][0] == 0
    assert panels[0].get_ylabel() == "paper\nopen"


def test_signed_maps_have_white_at_zero(maps):
    maps["map"] = maps["map"].map(lambda values: values - 0.05)
    fig = plot_maps(maps)
    low, high = fig.axes[0].images[0].get_clim()
    assert low == -high


def test_a_pose_without_images_leaves_an_empty_panel(maps):
    fig = plot_maps(maps.iloc[:-1])
    assert sum(bool(ax.images) for ax in fig.axes if ax.get_label() != "<colorbar>") == 7


def test_robustness():
    frame = pd.DataFrame(
        [
            {
                "model": model,
                "method": method,
                "unit": "pixels",
                "strength": strength,
                "accuracy": 0.9 - 0.1 * strength,
                "low": 0.5,
                "high": 1.0,
                "n_people": 12,
            }
            for method in ("noise", "blur", "black_point")
            for strength in (1.0, 0.0)
            for model in ("paper", "base")
        ]
    )
    fig = plot_robustness(frame, n_columns=2)
    seen = [ax for ax in fig.axes if ax.get_visible()]
    assert [ax.get_title(loc="left") for ax in seen] == ["noise", "blur", "black point"]
    assert seen[0].lines[0].get_xydata() == pytest.approx(np.array([[0, 0.9], [1, 0.8]]))
    assert len({ax.get_ylim() for ax in seen}) == 1
    assert seen[0].get_xlabel() == "up to (pixels)"
    [legend] = fig.legends
    assert [text.get_text() for text in legend.get_texts()] == ["paper", "base"]
    assert "12 people" in legend.get_title().get_text()


def test_per_person():
    table = pd.DataFrame(
        {
            "name": ["paper", "paper", "base", "base"],
            "person": ["an", "bo", "an", "bo"],
            "accuracy": [0.5, 0.9, 0.9, 1.0],
        }
    )
    ax = plot_per_person(table)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["bo", "an"]  # worst on top
    _, paper, base = ax.collections
    assert paper.get_offsets()[:, 0].tolist() == [0.9, 0.5]
    assert base.get_offsets()[:, 0].tolist() == [1.0, 0.9]
    assert ax.get_legend_handles_labels()[1] == ["paper", "base"]
    with pytest.raises(ValueError, match="duplicate"):
        plot_per_person(pd.concat([table, table]))
