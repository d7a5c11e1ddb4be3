"""plots: what holds for every figure: legible when small, told apart by all, reproducible."""

import io
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axis import Tick
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from plot_fakes import FIGURES, draw

from sglib.analysis.plots import style
from sglib.studies.tables import TECHNIQUES

pytestmark = pytest.mark.usefixtures("plot_style")
EACH = pytest.mark.parametrize("name", FIGURES)
# What protanopes, deuteranopes and tritanopes see: Machado, Oliveira & Fernandes 2009, severity 1.
VISIONS = {
    "any": np.eye(3),
    "no red": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.01182, 0.04294, 0.968881],
    ],
    "no blue": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.3039],
    ],
}


def linear(colour: str) -> np.ndarray:
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(light: np.ndarray) -> np.ndarray:
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x = np.array(to_xyz) @ light.clip(0, 1) / [0.9505, 1, 1.089]
    f = np.where(x > 0.008856, np.cbrt(x), 7.787 * x + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def texts(fig) -> list[Text]:
    """Return all text but tick labels, of which matplotlib keeps some that it does not draw."""
    ticks = {text for tick in fig.findobj(Tick) for text in (tick.label1, tick.label2)}
    found = [text for text in fig.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [text for text in found if text not in ticks]


def inside(text: Text, fig) -> bool:
    low, high = text.get_window_extent().min, text.get_window_extent().max
    return bool((low > -2).all() and (high < fig.bbox.max + 2).all())


def test_every_technique_has_a_colour():
    assert set(style.PALETTE) == {*TECHNIQUES, "ours"}


@pytest.mark.parametrize("colour", [*style.PALETTE.values(), style.ONE, style.TWO, style.QUIET])
def test_marks_have_contrast_on_white(colour):
    assert 1.05 / (linear(colour) @ [0.2126, 0.7152, 0.0722] + 0.05) >= 3


@pytest.mark.parametrize("vision", VISIONS)
def test_techniques_are_told_apart_with_any_colour_vision(vision):
    seen = [lab(np.array(VISIONS[vision]) @ linear(colour)) for colour in style.PALETTE.values()]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 13


@EACH
def test_figures_are_legible_at_360_pixels(name):
    fig = draw(name)
    fig.canvas.draw()
    shown = 360 / (fig.get_figwidth() * 96)  # CSS pixels have 96 to the inch, points 72
    every = [text for text in fig.findobj(Text) if text.get_text().strip()]
    assert min(text.get_fontsize() for text in every) * shown >= 9
    cut = [text.get_text() for text in texts(fig) if not inside(text, fig)]
    assert not cut


@EACH
def test_figures_say_their_message_and_their_axes(name):
    fig = draw(name)
    above = [fig.get_suptitle(), *(legend.get_title().get_text() for legend in fig.legends)]
    titles = [ax.get_title("left") or ax.get_title("center") for ax in fig.axes]
    alone = name in ("curves.over", "curves.settings", "compare.forest")  # the notebook names these
    assert alone or any([*above, *titles])
    labels = [ax.get_xlabel() for ax in fig.axes] + [fig.get_supxlabel()]
    assert any(labels) or name in ("compare.people", "compare.heat")


def test_equal_frames_draw_equal_files():
    files = []
    for _ in range(2):
        file = io.BytesIO()
        draw("compare.differences").savefig(file, format="png")
        files.append(file.getvalue())
        plt.close("all")
    assert files[0] == files[1]


def test_describe_tells_medians_bands_ends_and_intervals():
    runs = pd.DataFrame({"model": list("aab"), "epoch": [1, 2, 1], "acc": [0.5, 0.9, 0.25]})
    told = style.describe(runs, "acc", "accuracy", by=["model"], over="epoch")
    assert told == "Accuracy (median): a 0.500 at epoch 1, 0.900 at epoch 2; b 0.250 at epoch 1."
    rates = pd.DataFrame({"name": ["x"], "rate": [0.1], "low": [0.05], "high": [0.2]})
    told = style.describe(rates, "rate", "share that failed", by=["name"])
    assert told == "Share that failed (with its interval): x 0.100 [0.050, 0.200]."


def test_a_gallery_shows_each_photograph_in_its_place_pixel_by_pixel(tiny_faces):
    fig = style.gallery(tiny_faces.images[:3], titles=["a", "", "c"], n_columns=2)
    sheet = fig.axes[0].images[0].get_array()
    head = sheet.shape[0] // 2 - 30
    for image, (top, left) in zip(
        tiny_faces.images[:3], ((0, 0), (0, 33), (30 + head, 0)), strict=True
    ):
        assert np.array_equal(sheet[top + head : top + head + 30, left : left + 32], image)
    assert [text.get_text() for text in fig.axes[0].texts] == ["a", "", "c"]
