"""Figures of the study: a tidy frame in, `Axes` (or a `Figure` of several) out.

Computes no number that is not a position on the page. One palette maps technique → colour in all
notebooks; panels that are compared share their limits.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sglib.metrics import Confusion
from sglib.studies.paper import LOSS_FLOOR
from sglib.studies.tables import technique

PALETTE = {
    # colour-blind safe (Okabe and Ito, 2008)
    "baseline": "#0072B2",
    "flip": "#E69F00",
    "l2": "#009E73",
    "dropout25": "#56B4E9",
    "dropout50": "#CC79A7",
    "final": "#D55E00",
    "ours": "#000000",
}
TRAIN, VAL = "#0072B2", "#D55E00"
STYLE = {
    "figure.dpi": 100,
    "savefig.dpi": 100,
    "figure.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.titlesize": "medium",
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "font.size": 9,
}
_MEASURE = {"loss": "cross entropy (nats)", "acc": "accuracy"}


def use_style() -> None:
    """Set the figure style of the series; fixed sizes and dpi make equal runs draw equal files."""
    plt.rcParams.update(STYLE)


def plot_curves(
    history: pd.DataFrame,
    *,
    measure: str = "loss",
    printed: Mapping[str, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw one experiment's training and validation curve: every run thin, the mean thick.

    Args:
        history: one experiment's rows of `study.history_frame`.
        measure: "loss" or "acc".
        printed: caption values to mark at the right edge, keys "train" and "val".
        ax: where to draw; default the current axes.
    """
    ax = ax or plt.gca()
    n_epochs = int(history["epoch"].max())
    for part, color, label in (("train", TRAIN, "training"), ("val", VAL, "validation")):
        column = f"{part}_{measure}"
        runs = history.pivot_table(index="epoch", columns=["seed", "fold"], values=column)
        ax.plot(runs.index, runs.to_numpy(), color=color, alpha=0.15, linewidth=0.6)
        ax.plot(runs.index, runs.mean(axis=1), color=color, linewidth=1.8, label=f"{label}, mean")
        if printed:
            ax.plot(
                n_epochs * 1.02,
                printed[part],
                marker="<",
                color=color,
                clip_on=False,
                linestyle="none",
                label=f"{label}, printed",
            )
    if measure == "loss":
        ax.axhline(LOSS_FLOOR, color="black", linewidth=0.8, linestyle=":", label="ln(1 + 1/e)")
    ax.set(xlabel="epoch", ylabel=_MEASURE[measure], xlim=(0, n_epochs * 1.02))
    return ax


def curve_grid(
    history: pd.DataFrame,
    rows: Sequence[str],
    *,
    printed: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None,
    titles: Mapping[str, str] | None = None,
) -> Figure:
    """Draw loss (left) and accuracy (right) of several experiments, one per row of panels.

    Args:
        history: from `study.history_frame`.
        rows: experiment names, top to bottom.
        printed: name → measure → part → caption value, see `plot_curves`.
        titles: name → what stands above the row; default the name.
    """
    fig, axes = plt.subplots(
        len(rows),
        2,
        figsize=(9, 2.4 * len(rows) + 0.5),
        sharex=True,
        sharey="col",
        squeeze=False,
        layout="constrained",
    )
    for name, pair in zip(rows, axes, strict=True):
        one = history[history["name"] == name]
        n_runs = one.groupby(["seed", "fold"]).ngroups
        for measure, ax in zip(("loss", "acc"), pair, strict=True):
            caption = (printed or {}).get(name, {}).get(measure)
            plot_curves(one, measure=measure, printed=caption, ax=ax)
            ax.set_title(f"{(titles or {}).get(name, name)}: {_MEASURE[measure]}, {n_runs} runs")
            if name != rows[-1]:
                ax.set_xlabel("")
    axes[0, 0].legend(fontsize="small", ncols=2)
    return fig


def plot_printed(comparison: pd.DataFrame, measure: str, *, ax: Axes | None = None) -> Axes:
    """Draw the printed number against the range of the runs, one line per experiment.

    Args:
        comparison: from `reproduction.compare_with_printed`.
        measure: one of `results.MEASURES`.
    """
    ax = ax or plt.gca()
    part = comparison[comparison["measure"] == measure].reset_index(drop=True)
    places = np.arange(len(part))[::-1]
    colors = [PALETTE[technique(name)] for name in part["name"]]
    ax.hlines(places, part["low"], part["high"], color=colors, linewidth=5, alpha=0.35)
    ax.scatter(part["mean"], places, color=colors, s=28, zorder=3, label="our mean")
    ax.scatter(part["printed"], places, marker="x", color="black", s=36, zorder=4, label="printed")
    ax.set_yticks(places, [f"{name} (fig. {fig})" for name, fig in part[["name", "figure"]].values])
    ax.set_xlabel(measure.replace("_", " "))
    ax.grid(axis="y", visible=False)
    return ax


def printed_panels(comparison: pd.DataFrame) -> Figure:
    """Draw `plot_printed` of validation accuracy and validation loss beside each other."""
    fig, axes = plt.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
    for ax, measure in zip(axes, ("val_acc", "val_loss"), strict=True):
        plot_printed(comparison, measure, ax=ax)
    axes[0].set_title("printed captions against the range of our runs")
    axes[1].axvline(LOSS_FLOOR, color="black", linewidth=0.8, linestyle=":")
    axes[1].legend(loc="lower right")
    return fig


def plot_differences(differences: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw paired differences in validation accuracy: runs as points, mean and 95 % interval.

    Args:
        differences: columns label, technique, low, high, mean, and values (list of runs).
    """
    ax = ax or plt.gca()
    for place, row in zip(range(len(differences))[::-1], differences.itertuples(), strict=True):
        color = PALETTE[row.technique]
        values = np.sort(np.asarray(row.values)) * 100
        spread = (
            (np.arange(len(values)) * 0.618) % 1 - 0.5
        ) * 0.5  # equal values beside each other
        ax.scatter(values, place + spread, s=9, color=color, alpha=0.35, linewidth=0)
        ax.errorbar(
            row.mean * 100,
            place,
            xerr=[[(row.mean - row.low) * 100], [(row.high - row.mean) * 100]],
            color=color,
            marker="o",
            capsize=3,
            linewidth=1.8,
        )
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_yticks(range(len(differences))[::-1], differences["label"])
    ax.set_xlabel("difference in validation accuracy (percentage points)")
    ax.grid(axis="y", visible=False)
    return ax


def plot_confusion(matrix: Confusion, *, title: str = "", ax: Axes | None = None) -> Axes:
    """Draw a confusion matrix with counts and row fractions."""
    ax = ax or plt.gca()
    counts = np.array([[matrix.tn, matrix.fp], [matrix.fn, matrix.tp]])
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
    for (i, j), fraction in np.ndenumerate(fractions):
        color = "white" if fraction > 0.5 else "black"
        text = f"{counts[i, j]:,}\n{fraction:.1%}"
        ax.text(j, i, text, ha="center", va="center", color=color, fontsize="small")
    names = ["open", "sunglasses"]
    ax.set_xticks([0, 1], names)
    ax.set_yticks([0, 1], names, rotation=90, va="center")
    ax.set(xlabel="predicted", ylabel="true", title=title)
    ax.grid(visible=False)
    return ax


def confusion_grid(matrices: Mapping[str, Confusion]) -> Figure:
    """Draw several confusion matrices side by side, four to a line."""
    n_columns = min(4, len(matrices))
    n_lines = -(-len(matrices) // n_columns)
    size = (2.4 * n_columns, 2.6 * n_lines)
    fig, axes = plt.subplots(n_lines, n_columns, figsize=size, squeeze=False, layout="constrained")
    for ax in axes.flat[len(matrices) :]:
        ax.set_axis_off()
    for ax, (name, matrix) in zip(axes.flat, matrices.items(), strict=False):
        plot_confusion(matrix, title=name, ax=ax)
    return fig


def plot_gallery(
    images: np.ndarray,
    *,
    titles: Sequence[str] | None = None,
    n_columns: int = 16,
    scale: float = 0.55,
) -> Figure:
    """Draw photographs in a grid, black 0 to white 255, nothing interpolated.

    Args:
        images: uint8 (N, 30, 32).
        titles: a short text over each picture, or None.
        n_columns: pictures to a line.
        scale: width of a picture in inches.
    """
    n_lines = -(-len(images) // n_columns)
    height, width = images.shape[1:]
    gap, head = 1, 1 if titles is None else 9  # pixels between columns, above each line
    # One picture of all pictures: an Axes for each would take a hundred times as long to draw.
    sheet = np.full((n_lines * (height + head), n_columns * (width + gap)), 255, dtype=np.uint8)
    fig = plt.figure(figsize=(n_columns * scale, n_lines * scale * (height + head) / width))
    ax = fig.add_axes((0, 0, 1, 1))
    for place, image in enumerate(images):
        line, column = divmod(place, n_columns)
        top, left = line * (height + head) + head, column * (width + gap)
        sheet[top : top + height, left : left + width] = image
        if titles is not None:
            ax.text(left, top - 2, titles[place], fontsize=scale * 10, va="baseline")
    ax.imshow(sheet, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="auto")
    ax.set_axis_off()
    return fig


def plot_counts(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw a table of counts as stacked horizontal bars: one bar per row, one colour per column."""
    ax = ax or plt.gca()
    left = np.zeros(len(table))
    for column, color in zip(table, ("#999999", *PALETTE.values()), strict=False):
        ax.barh(table.index, table[column], left=left, label=str(column), color=color)
        left += table[column].to_numpy()
    ax.invert_yaxis()
    ax.set_xlabel("images")
    ax.legend(ncols=len(table.columns), fontsize="small", loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def plot_sweep(table: pd.DataFrame, *, x: str, y: str, hue: str, ax: Axes | None = None) -> Axes:
    """Draw every run as a point and the mean as a line over a swept setting (symlog axis).

    Args:
        table: one row per run with the columns `x`, `y` and `hue`.
    """
    ax = ax or plt.gca()
    smallest = table.loc[table[x] > 0, x].min()
    for (name, part), color in zip(table.groupby(hue), (TRAIN, VAL), strict=False):
        means = part.groupby(x)[y].mean()
        ax.plot(means.index, means, marker="o", color=color, label=f"{name}, mean")
        ax.scatter(part[x], part[y], s=10, alpha=0.3, color=color, linewidth=0)
    ax.set_xscale("symlog", linthresh=smallest)
    ax.set(xlabel=x, ylabel=y.replace("_", " "))
    ax.legend()
    return ax
