"""What a technique changes, and what a person does: differences, verdicts, people, variance."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sglib.analysis import effects
from sglib.analysis.effects import PHOTOGRAPHS, SCHEMES, Pair
from sglib.analysis.phrases import short
from sglib.analysis.plots.style import ONE, PALETTE, QUIET, TWO, WIDTH, legend_above, new
from sglib.studies.tables import technique

WORDS = {  # of a verdict: colour and marker, so that neither carries the meaning alone
    "better": (ONE, ">"),
    "equivalent": (PALETTE["l2"], "s"),
    "worse": (TWO, "<"),
    "open": (QUIET, "o"),
}
_FAR = 6  # times δ; an effect beyond is written at the edge
DESIGNS = ("random folds", "people not seen")


def draws(runs: pd.DataFrame, again: pd.DataFrame, pairs: Sequence[Pair]) -> pd.DataFrame:
    """Return what `differences` draws: single runs on these photographs that learned.

    Args:
        runs: from `runs.flatten`.
        again: from `effects.again`, the A/A differences.
        pairs: the comparisons.
    """
    used = again[(again["population"] == "learned") & (again["scheme"] == SCHEMES[PHOTOGRAPHS])]
    first = effects.aa_rows(used).head(1)
    parts = [
        used[used["name"] == row.row].assign(comparison=row.comparison)
        for row in first.itertuples()
    ]
    for pair in pairs:
        found = effects.differences(runs, pair, PHOTOGRAPHS, "learned")
        parts.append(found.assign(comparison=pair.label))
    return pd.concat(parts)[["comparison", "difference"]]


def differences(draws: pd.DataFrame, table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw differences in accuracy beside those of the same runs under other rounding (A/A).

    Args:
        draws: one row per run: comparison, difference.
        table: as in `forest`, with `row` and `technique` ("A/A" of the first row).
    """
    rows = list(table["comparison"])
    ax = ax or new(0.62 * len(rows) + 1)
    shown = draws.assign(points=100 * draws["difference"])
    look = {"order": rows, "color": QUIET, "marker": "|", "size": 9, "linewidth": 1.2}
    look |= {"alpha": 0.5, "jitter": False}
    sns.stripplot(shown, x="points", y="comparison", ax=ax, **look)
    forest(table, [(PALETTE[technique(name)], "o") for name in table["row"]], ax=ax)
    sd, is_aa = shown.groupby("comparison")["points"].std(), table["technique"] == "A/A"
    alone, others = (sd.reindex(table.loc[which, "comparison"]) for which in (is_aa, ~is_aa))
    told = f"rounding alone {alone.iloc[0]:.1f}, " if len(alone) else ""
    ax.set_title(f"sd of a run: {told}techniques {others.min():.1f} to {others.max():.1f}")
    return ax


def forest(
    table: pd.DataFrame,
    looks: Sequence[tuple[str, str]] | None = None,
    *,
    named: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw effects in points with their intervals, by default coloured by their word.

    Args:
        table: one row per comparison, top to bottom: comparison, effect, low, high, and where they
            exist word and delta, of which ±δ is shaded.
        looks: colour and marker of each row, instead of those of its word.
        named: write each comparison above its line; a narrow figure has no room beside it.
    """
    ax = ax or new(0.45 * len(table) + 0.9)
    words = table.get("word", [""] * len(table))
    looks = looks or [WORDS.get(word, ("black", "D")) for word in words]
    delta = 100 * table["delta"].max() if "delta" in table else 0
    spot = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    for place, (row, (colour, marker)) in enumerate(zip(table.itertuples(), looks, strict=True)):
        effect, look = 100 * row.effect, {"color": colour, "marker": marker, "linewidth": 2}
        if named:
            text = ax.annotate(short(row.comparison), (0, place - 0.2), (2, 0), va="bottom", **spot)
            text.set_in_layout(False)
        if delta and abs(effect) > _FAR * delta:  # to scale it would hide what the others are
            far = {"ha": "right", "va": "center", "color": colour}
            ax.annotate(f"{effect:+.1f} →", (1, place), (0, 0), **spot, **far)
            continue
        ends = [[effect - 100 * row.low], [100 * row.high - effect]]
        ax.errorbar(effect, place, xerr=ends, **look)
    ax.axvspan(-delta, delta, color=QUIET, alpha=0.15, linewidth=0, zorder=0)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.grid(visible=False, axis="y")
    ax.spines["left"].set_visible(False)
    ax.locator_params(axis="x", nbins=5)
    ax.set(yticks=[], ylabel="", ylim=(len(table) - 0.5, -0.8))
    ax.set_xlabel(f"points (shaded: ±{delta:.1f})" if delta else "points")
    return ax


def forests(table: pd.DataFrame) -> Figure:
    """Draw `forest` of the two questions beside each other, a comparison per line.

    Args:
        table: comparison, question, effect, low, high, delta, word; the A/A row first.
    """
    rows = list(dict.fromkeys(table["comparison"]))
    questions = list(dict.fromkeys(table["question"]))
    size = (WIDTH, 0.45 * len(rows) + 1.2)
    fig, axes = plt.subplots(1, len(questions), figsize=size, squeeze=False)
    for question, ax in zip(questions, axes[0], strict=True):
        part = table[table["question"] == question].set_index("comparison").reindex(rows)
        forest(part.reset_index(), named=ax is axes[0, 0], ax=ax)
        ax.set_title(question)
    axes[0, 0].set_zorder(1)  # its names reach over the second panel
    axes[0, 0].patch.set_visible(False)
    used = [word for word in WORDS if word in set(table["word"])]
    marks = [plt.Line2D([], [], color=WORDS[w][0], marker=WORDS[w][1], lw=0, label=w) for w in used]
    if used:
        tight = {"ncols": 4, "handletextpad": 0, "columnspacing": 1}
        fig.legend(handles=marks, loc="outside upper left", **tight)
    return fig


def people(
    accuracies: pd.DataFrame,
    references: Mapping[str, tuple[float, float]],
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw each person's accuracy on random folds and when the person was not seen, joined.

    Args:
        accuracies: person, design (of `DESIGNS`), accuracy.
        references: name → accuracy in the two designs, such as copying the nearest photograph.
    """
    ax = ax or new(4)
    wide = accuracies.groupby(["person", "design"])["accuracy"].mean()
    wide = wide.unstack()[list(DESIGNS)].dropna()
    ax.plot(DESIGNS, wide.T, color=QUIET, linewidth=0.8)
    ax.plot(DESIGNS, wide.mean(), "o-", color="black", linewidth=2.5, label="mean of the people")
    for name, pair in references.items():
        ax.plot(DESIGNS, pair, color=TWO, linestyle="--", marker="s", label=name)
    ends = wide["people not seen"].sort_values()
    for person in (ends.index[0], ends.index[-1]):
        ax.annotate(person, (1, ends[person]), (6, 0), textcoords="offset points", va="center")
    lost = 100 * (wide["people not seen"] - wide["random folds"]).mean()
    ax.set(ylabel="accuracy", xlim=(-0.15, 1.25))
    legend_above(ax, n_columns=1, title=f"People not seen: {lost:+.1f} points")
    return ax


def heat(accuracies: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the accuracy of every experiment on every person held out, people sorted by their mean.

    Args:
        accuracies: experiment (in words), person, accuracy.
    """
    keys = {"index": "person", "columns": "experiment", "values": "accuracy", "sort": False}
    wide = accuracies.pivot_table(**keys)
    wide = wide.loc[wide.mean(axis=1).sort_values().index]
    ax = ax or new(0.22 * len(wide) + 2.9)
    every = {"xticklabels": True, "yticklabels": True, "cbar_kws": {"label": "accuracy"}}
    sns.heatmap(wide, cmap="viridis", vmax=1, ax=ax, **every)
    spread = [100 * np.ptp(wide.mean(axis=axis)) for axis in (1, 0)]
    ax.set_title(f"People differ by {spread[0]:.0f} points, experiments by {spread[1]:.0f}")
    ax.set(xlabel="", ylabel="")
    ax.tick_params(axis="y", rotation=0)
    return ax


def variance(split: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the parts of the variance as one bar.

    Args:
        split: part, share (they sum to 1).
    """
    ax = ax or new(1.6)
    ends = split["share"].cumsum()
    for row, end, colour in zip(split.itertuples(), ends, PALETTE.values(), strict=False):
        label = f"{row.part} {row.share:.1%}"
        ax.barh(0, row.share, left=end - row.share, color=colour, label=label)
    top = split.loc[split["share"].idxmax()]
    ax.set(yticks=[], xlabel="share of the variance", xlim=(0, 1))
    told = f"{top['part'].capitalize()}: {top['share']:.0%} of the variance"
    legend_above(ax, n_columns=3, title=told)
    return ax
