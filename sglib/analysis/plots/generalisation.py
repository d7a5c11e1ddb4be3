"""Figures of notebook 06: random split against unseen people, the loss floor, luck, controls."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sglib.analysis.plots.curves import PALETTE, TRAIN, VAL
from sglib.analysis.runs import run_values
from sglib.analysis.stats import ONE_IMAGE
from sglib.studies.paper import LOSS_FLOOR
from sglib.studies.tables import technique


def plot_schemes(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw accuracy on random folds and on unseen people, one line per experiment.

    Args:
        table: from `generalisation.compare_schemes`.
    """
    ax = ax or plt.gca()
    places = np.arange(len(table))[::-1]
    colors = [PALETTE[technique(name)] for name in table.index]
    ax.hlines(places, table["unseen"], table["random"], color="#bbbbbb", linewidth=1)
    ax.hlines(places, table["low"], table["high"], color=colors, linewidth=4, alpha=0.35)
    ax.scatter(table["unseen"], places, color=colors, s=30, label="people not seen", zorder=3)
    ax.scatter(
        table["random"],
        places,
        facecolors="white",
        edgecolors=colors,
        s=30,
        label="random folds",
        zorder=3,
    )
    ax.set_yticks(places, table.index)
    ax.set_xlabel("validation accuracy")
    ax.grid(axis="y", visible=False)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return ax


def plot_floor(printed: pd.DataFrame, ours: pd.DataFrame) -> Figure:
    """Draw loss against error rate with the line of saturated outputs: printed (left), ours.

    Args:
        printed, ours: points with error and loss, from `generalisation`.
    """
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained", sharex=True, sharey=True)
    for ax, points, title in zip(
        axes, (printed, ours), ("printed captions", "our runs, last epoch"), strict=True
    ):
        for part, color, label in (("train", TRAIN, "training"), ("val", VAL, "validation")):
            one = points[points["part"] == part]
            ax.scatter(one["error"], one["loss"], s=14, alpha=0.6, color=color, label=label)
        ends = np.array([0, max(printed["error"].max(), ours["error"].quantile(0.99))])
        ax.plot(ends, LOSS_FLOOR + ends, color="black", linewidth=0.9, label="ln(1 + 1/e) + error")
        ax.set(title=title, xlabel="error rate", ylabel="cross entropy (nats)")
    axes[0].legend()
    return fig


def plot_heads(history: pd.DataFrame, name: str) -> Figure:
    """Draw the loss curves of one experiment with the sigmoid head and with logits.

    Args:
        history: `results.history_frame` of the rows `name` and `name`_logit.
    """
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for ax, row, title in zip(
        axes, (name, f"{name}_logit"), ("sigmoid outputs, as printed", "logits"), strict=True
    ):
        one = history[history["name"] == row]
        for part, color, label in (("train", TRAIN, "training"), ("val", VAL, "validation")):
            runs = one.pivot_table(index="epoch", columns=["seed", "fold"], values=f"{part}_loss")
            ax.plot(runs.index, runs.to_numpy(), color=color, alpha=0.12, linewidth=0.6)
            ax.plot(runs.index, runs.mean(axis=1), color=color, linewidth=1.8, label=label)
        ax.set(title=title, xlabel="epoch", ylabel="cross entropy (nats)")
    axes[0].axhline(LOSS_FLOOR, color="black", linestyle=":", linewidth=0.9)
    axes[1].legend()
    return fig


def plot_luck(frame: pd.DataFrame, printed: dict[str, float], *, ax: Axes | None = None) -> Axes:
    """Draw the distribution of one random split's validation accuracy, in steps of one image.

    Args:
        frame: runs of scheme `holdout`.
        printed: label → printed accuracy to mark.
    """
    ax = ax or plt.gca()
    values = run_values(frame)
    edges = np.arange(0, 1 + 2 * ONE_IMAGE, ONE_IMAGE) - ONE_IMAGE / 2
    for model, color in zip(dict.fromkeys(values["model"]), (TRAIN, VAL), strict=False):
        part = values.loc[values["model"] == model, "val_acc"]
        ax.hist(part, bins=edges, color=color, alpha=0.45, label=f"{model}, {len(part)} splits")
    for label, value in printed.items():
        ax.axvline(value, color="black", linewidth=0.8, linestyle=":")
        top = ax.get_ylim()[1]
        ax.text(value, top, label, rotation=90, va="top", ha="right", fontsize="x-small")
    ax.set(
        xlabel="validation accuracy of one split (a bar is one image, 1.33 points)",
        ylabel="splits",
        xlim=(values["val_acc"].min() - 2 * ONE_IMAGE, 1 + ONE_IMAGE),
    )
    ax.legend(loc="upper left")
    return ax


def plot_learning_curve(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw accuracy on people not seen over the number of training people (log axis).

    Args:
        table: from `generalisation.learning_curve`.
    """
    ax = ax or plt.gca()
    for model, color in zip(dict.fromkeys(table["model"]), (TRAIN, VAL), strict=False):
        part = table[table["model"] == model]
        means = part.groupby("n_people")["val_acc_mean"].mean()
        ax.plot(means.index, means, marker="o", color=color, label=f"{model}, mean")
        ax.scatter(part["n_people"], part["val_acc_mean"], s=9, alpha=0.3, color=color, linewidth=0)
    ax.set_xscale("log")
    ticks = sorted(set(table["n_people"]))
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.minorticks_off()
    ax.set(xlabel="people to train on", ylabel="accuracy on people not seen")
    ax.legend(loc="lower right")
    return ax


def learning_panels(tables: dict[str, pd.DataFrame]) -> Figure:
    """Draw `plot_learning_curve` of several sets beside each other, with one scale of accuracy.

    Args:
        tables: title → learning curve.
    """
    size = (4.5 * len(tables), 3.4)
    fig, axes = plt.subplots(
        1, len(tables), figsize=size, sharey=True, squeeze=False, layout="constrained"
    )
    for ax, (title, table) in zip(axes.flat, tables.items(), strict=True):
        plot_learning_curve(table, ax=ax)
        ax.set_title(title)
    return fig
