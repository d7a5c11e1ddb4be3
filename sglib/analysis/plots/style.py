"""The look of all figures: one palette, narrow panels, words for what is drawn; photographs."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Technique → colour: told apart by any colour vision, contrast on white 3 or more (see the tests).
PALETTE = {
    "baseline": "#0072B2",
    "flip": "#D55E00",
    "l2": "#00563F",
    "dropout25": "#9A8A40",
    "dropout50": "#D6408F",
    "final": "#660011",
    "ours": "#000000",
}
ONE, TWO, THREE, QUIET = "#0072B2", "#D55E00", "#000000", "#767676"
WIDTH = 4.2  # inches: on a screen of 360 pixels no text is smaller than 9 pt
BAND = ("pi", 80)  # seaborn's name of the 10 to 90 % band
_TEXT = ("axes.labelsize", "xtick.labelsize", "ytick.labelsize", "legend.fontsize", "font.size")
_STYLE = {
    **dict.fromkeys(_TEXT, 10.5),
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "grid.color": "#e4e4e4",
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "savefig.dpi": 100,
    "legend.frameon": False,
}


def use_style() -> None:
    """Set the style of the series; fixed sizes and dpi make equal runs draw equal files."""
    sns.set_theme(style="whitegrid", rc=_STYLE)


def stacked(n: int, height: float, **shared: object) -> tuple[Figure, Sequence[Axes]]:
    """Return a narrow figure of `n` panels under each other, `height` inches each."""
    fig, axes = plt.subplots(n, 1, figsize=(WIDTH, n * height), squeeze=False, **shared)
    return fig, axes[:, 0]


def new(height: float) -> Axes:
    """Return the axes of a new narrow figure, `height` inches high."""
    return stacked(1, height)[1][0]


def colours(names: Sequence[str]) -> list:
    """Return a colour for each name: three that differ in all but name, or a scale for more."""
    n = len(dict.fromkeys(names))
    return [ONE, TWO, THREE][:n] if n <= 3 else sns.color_palette("viridis", n + 1)[:n]


def legend_above(ax: Axes, *, n_columns: int = 2, title: str = "") -> None:
    """Put title and legend above the axes, from the figure's left, where they hide no data."""
    handles, labels = ax.get_legend_handles_labels()
    if ax.get_legend():
        ax.get_legend().remove()
    look = {"ncols": n_columns, "title": title, "title_fontsize": 11, "alignment": "left"}
    tight = {"handlelength": 1.2, "columnspacing": 1, "handletextpad": 0.5}
    ax.figure.legend(handles, labels, loc="outside upper left", **look, **tight)


def describe(
    frame: pd.DataFrame, value: str, called: str, *, by: Sequence[str] = (), over: str = ""
) -> str:
    """Say what a figure of a tidy frame shows, for readers who cannot see it.

    Args:
        frame: what is drawn.
        value: its column that is told: of several rows the median and the 10 to 90 % band, of one
            row its interval, if the frame has `low` and `high`.
        called: what the column is, in words, with its unit.
        by: columns that tell groups apart.
        over: the column of the horizontal axis: medians are told at both ends of it.

    >>> describe(pd.DataFrame({"acc": [0.25, 0.5, 0.75]}), "acc", "accuracy")
    'Accuracy (median and 10 to 90 % band): 0.500 [0.300, 0.700].'
    """
    told, kinds = [], set()
    for names, part in frame.groupby(list(by), sort=False) if by else [((), frame)]:
        if over:
            medians = part.groupby(over)[value].median()
            ends = [f"{medians[x]:.3f} at {over} {x:g}" for x in medians.index[[0, -1]]]
            text, kind = ", ".join(dict.fromkeys(ends)), " (median)"
        elif len(part) > 1:
            low, middle, high = part[value].quantile([0.1, 0.5, 0.9])
            text, kind = f"{middle:.3f} [{low:.3f}, {high:.3f}]", " (median and 10 to 90 % band)"
        else:
            row, kind = part.iloc[0], " (with its interval)" if "low" in part else ""
            text = f"{row[value]:.3f}" + (f" [{row['low']:.3f}, {row['high']:.3f}]" if kind else "")
        kinds.add(kind)
        told.append(f"{', '.join(map(str, names))} {text}".strip())
    kind = kinds.pop() if len(kinds) == 1 else ""
    return f"{called[0].upper()}{called[1:]}{kind}: {'; '.join(told)}."


def gallery(images: np.ndarray, *, titles: Sequence[str] = (), n_columns: int = 16) -> Figure:
    """Draw photographs in a grid, black 0 to white 255, nothing interpolated.

    Args:
        images: uint8 (N, 30, 32).
        titles: a short text over each picture, or none.
        n_columns: pictures to a line.
    """
    n_lines = -(-len(images) // n_columns)
    height, width = images.shape[1:]
    head = 10 * n_columns // 7 if titles else 1  # pixels above each line
    # One picture of all pictures: an Axes for each would take a hundred times as long to draw.
    sheet = np.full((n_lines * (height + head), n_columns * (width + 1)), 255, dtype=np.uint8)
    ax = new(WIDTH * sheet.shape[0] / sheet.shape[1])
    for place, image in enumerate(images):
        line, column = divmod(place, n_columns)
        top, left = line * (height + head) + head, column * (width + 1)
        sheet[top : top + height, left : left + width] = image
        if titles:
            ax.text(left, top - 2, titles[place], va="baseline").set_in_layout(False)
    ax.imshow(sheet, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    ax.set_axis_off()
    return ax.figure
