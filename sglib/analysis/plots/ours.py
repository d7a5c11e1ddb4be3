"""Figures of notebook 07: ablation, reliability, where models look, robustness, persons."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sglib.analysis.plots.curves import PALETTE
from sglib.studies.tables import BY_NAME, technique

# The paper's final model keeps its colour of the other notebooks; ours are black and grays.
_OURS = {"base": ("#000000", "o"), "best": ("#555555", "s"), "small": ("#999999", "^")}
_OTHERS = ("#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")  # Okabe and Ito, 2008
_PANEL = 1.75  # inches: side of one map


def model_look(name: str, place: int = 0) -> tuple[str, str]:
    """Return colour and marker of a model, the same in every figure.

    Args:
        name: "paper", a row of the paper, a shipped model or anything else.
        place: of the model among those drawn; tells apart the ones that have no colour of their
            own.
    """
    if name in _OURS:
        return _OURS[name]
    if name == "paper" or name in BY_NAME:
        return PALETTE["final" if name == "paper" else technique(name)], "D"
    return _OTHERS[place % len(_OTHERS)], "v"


def plot_ablation(table: pd.DataFrame, *, reference: str, ax: Axes | None = None) -> Axes:
    """Draw what each change to a model costs or brings, largest gain on top.

    Args:
        table: from `better_tables.model_table` with this reference: index name; difference,
            diff_low, diff_high in [−1, 1], n_people.
        reference: the row that all others are compared with; not drawn.
        ax: where to draw; default the current axes.
    """
    ax = ax or plt.gca()
    rows = table.drop(index=reference).sort_values("difference")
    middle = 100 * rows["difference"].to_numpy()
    ends = 100 * rows[["diff_low", "diff_high"]].to_numpy()
    places = np.arange(len(rows))
    ax.axvline(0, color="black", linewidth=0.9)
    ax.hlines(places, ends[:, 0], ends[:, 1], color="#888888", linewidth=1.6)
    ax.scatter(middle, places, color="black", s=24, zorder=3)
    ax.set_yticks(places, rows.index)
    people = sorted({int(n) for n in rows["n_people"]})
    counts = str(people[0]) if people[0] == people[-1] else f"{people[0]} to {people[-1]}"
    ax.set_xlabel(
        f"accuracy on distorted copies of people not seen, minus {reference} (points)\n"
        f"mean and 95 % t interval over {counts} people"
    )
    ax.grid(axis="y", visible=False)
    return ax


def plot_reliability(tables: Mapping[str, pd.DataFrame], *, ax: Axes | None = None) -> Axes:
    """Draw observed frequency over predicted probability; areas of the points show images.

    Args:
        tables: name of a model → `calibration.reliability_table`.
        ax: where to draw; default the current axes.
    """
    ax = ax or plt.gca()
    ax.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":", label="perfect")
    for place, (name, table) in enumerate(tables.items()):
        color, marker = model_look(name, place)
        n = int(table["n"].sum())
        x, y = table["mean_prob"], table["frequency"]
        ax.plot(
            x, y, color=color, linewidth=1.2, marker=marker, markersize=3, label=f"{name}, n = {n}"
        )
        ax.scatter(x, y, s=400 * table["n"] / n, color=color, alpha=0.3, linewidth=0)
    ax.set(
        xlabel="predicted probability of sunglasses",
        ylabel="share that wears sunglasses",
        xlim=(-0.04, 1.04),
        ylim=(-0.04, 1.04),
        aspect="equal",
    )
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def plot_maps(maps: pd.DataFrame, *, unit: str = "") -> Figure:
    """Draw mean maps alone, no photograph: a row per model and class, a column per pose.

    The panels of one model share a colour scale; models do not, as their probabilities do not.

    Args:
        maps: from `attention.mean_maps_by_pose`: model, pose, label, n, map (30, 32).
        unit: what the colour bar says, such as "fall of the probability".
    """
    poses = list(dict.fromkeys(maps["pose"]))
    rows = list(dict.fromkeys(zip(maps["model"], maps["label"], strict=True)))
    size = (_PANEL * len(poses) + 1.2, _PANEL * len(rows))
    fig, axes = plt.subplots(
        len(rows), len(poses), figsize=size, squeeze=False, layout="constrained"
    )
    limits = {name: _limits(part["map"]) for name, part in maps.groupby("model")}
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.grid(visible=False)
        for side in ax.spines.values():
            side.set_visible(False)
    drawn = {}
    for cell in maps.itertuples():
        ax = axes[rows.index((cell.model, cell.label)), poses.index(cell.pose)]
        low, high = limits[cell.model]
        colours = "RdBu_r" if low < 0 else "magma"
        drawn[cell.model] = ax.imshow(cell.map, cmap=colours, vmin=low, vmax=high)
        ax.set_title(f"{cell.pose}, n = {cell.n}", fontsize="small", loc="center")
    for row, (model, label) in enumerate(rows):
        axes[row, 0].set_ylabel(f"{model}\n{label}")
    for model, image in drawn.items():
        its = [row for row, (name, _) in enumerate(rows) if name == model]
        fig.colorbar(image, ax=axes[its].ravel().tolist(), label=unit, shrink=0.8)
    return fig


def plot_robustness(frame: pd.DataFrame, *, n_columns: int = 4) -> Figure:
    """Draw accuracy over strength, one panel per distortion, all with one scale of accuracy.

    Args:
        frame: from `robustness.robustness`.
        n_columns: panels beside each other.
    """
    methods = list(dict.fromkeys(frame["method"]))
    n_columns = min(n_columns, len(methods))
    n_rows = -(-len(methods) // n_columns)
    size = (2.4 * n_columns + 0.3, 2.1 * n_rows + 0.4)
    fig, axes = plt.subplots(
        n_rows, n_columns, figsize=size, sharey=True, squeeze=False, layout="constrained"
    )
    for ax, method in zip(axes.flat, methods, strict=False):
        part = frame[frame["method"] == method]
        for place, name in enumerate(dict.fromkeys(frame["model"])):
            one = part[part["model"] == name].sort_values("strength")
            color, marker = model_look(name, place)
            x = one["strength"]
            ax.fill_between(x, one["low"], one["high"], color=color, alpha=0.15, linewidth=0)
            ax.plot(x, one["accuracy"], color=color, marker=marker, markersize=3, label=name)
        ax.axhline(0.5, color="black", linewidth=0.7, linestyle=":")
        ax.set(title=method.replace("_", " "), xlabel=f"up to ({part['unit'].iloc[0]})")
    for ax in axes.flat[len(methods) :]:
        ax.set_visible(False)
    for ax in axes[:, 0]:
        ax.set_ylabel("accuracy")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    n_people = sorted(set(frame["n_people"]))
    title = f"band: 95 % over {' or '.join(map(str, n_people))} people not seen"
    fig.legend(handles, labels, loc="outside upper center", ncols=len(labels), title=title)
    return fig


def plot_per_person(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the accuracy of each person by each model, the person with most errors on top.

    Args:
        table: from `errors_by.error_table` by "person": name, person, accuracy; one scheme.
        ax: where to draw; default the current axes.

    Raises:
        ValueError: a name has a person twice.
    """
    ax = ax or plt.gca()
    wide = table.pivot(index="person", columns="name", values="accuracy")
    wide = wide.loc[wide.mean(axis=1).sort_values(ascending=False, kind="stable").index]
    names = list(dict.fromkeys(table["name"]))
    places = np.arange(len(wide))
    ax.hlines(places, wide.min(axis=1), wide.max(axis=1), color="#cccccc", linewidth=1, zorder=1)
    for number, name in enumerate(names):
        color, marker = model_look(name, number)
        # Equal accuracies are common: a step up or down keeps every point visible.
        step = 0.14 * (number - (len(names) - 1) / 2)
        ax.scatter(wide[name], places - step, color=color, marker=marker, s=26, label=name)
    ax.set_yticks(places, wide.index)
    ax.set(xlabel="accuracy on the person's photographs", ylabel="person")
    ax.grid(axis="y", visible=False)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(names))
    return ax


def _limits(maps: pd.Series) -> tuple[float, float]:
    """Return the colour limits of one model's maps: from 0, or symmetric where they are signed."""
    values = np.stack(list(maps))  # (cells, 30, 32)
    most = float(np.abs(values).max()) or 1.0
    return (-most, most) if values.min() < 0 else (0.0, most)
