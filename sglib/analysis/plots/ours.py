"""Figures of our own models: what each part brings, reliability, where they look, distortions."""

from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sglib.analysis.plots.compare import forest
from sglib.analysis.plots.style import ONE, PALETTE, QUIET, WIDTH, legend_above, new

# The paper's final model keeps its colour of the other pages.
_MODELS = {"paper": PALETTE["final"], "base": PALETTE["ours"], "best": ONE, "small": QUIET}
_OTHERS = [colour for colour in PALETTE.values() if colour not in _MODELS.values()]


def _look(names: Iterable[str]) -> dict[str, object]:
    """Return seaborn's palette and markers of models, the same in every figure."""
    names, others = list(dict.fromkeys(names)), iter(_OTHERS)
    palette = {name: _MODELS.get(name) or next(others) for name in names}
    return {"palette": palette, "markers": list("Dos^v<>P")[: len(names)]}


def staircase(steps: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw accuracy on people not seen as one part after the other is added.

    Args:
        steps: in the order they are added: part, accuracy, low, high.
    """
    ax = ax or new(0.4 * len(steps) + 1.2)
    gains = 100 * steps["accuracy"].diff()
    ends = (steps[["low", "high"]].to_numpy().T - steps["accuracy"].to_numpy()) * [[-1], [1]]
    ends = np.maximum(ends, 0)  # where nobody errs, the interval lies below the estimate
    places = np.arange(len(steps))
    ax.step(steps["accuracy"], places, where="pre", color=QUIET)
    ax.errorbar(steps["accuracy"], places, xerr=ends, color="black", marker="o", linestyle="none")
    told = ["", *(f"  {gain:+.1f}" for gain in gains[1:])]
    ax.set_yticks(places, [f"{part}{gain}" for part, gain in zip(steps["part"], told, strict=True)])
    ax.invert_yaxis()
    ax.set(xlabel="accuracy on people not seen", ylabel="")
    top = steps["part"].iloc[int(gains[1:].argmax()) + 1]
    ax.figure.suptitle(f"The largest step: {top}", x=0.01, ha="left", fontsize=11)
    return ax


def per_person(table: pd.DataFrame, *, by: str = "person", ax: Axes | None = None) -> Axes:
    """Draw the accuracy on each person by each model, the person with most errors on top.

    Args:
        table: person, name (of the model), accuracy.
        by: the column in place of person, such as "pose".
    """
    order = table.groupby(by)["accuracy"].mean().sort_values().index
    look = {"hue": "name", "order": order, "dodge": 0.4, "errorbar": None, "linestyle": "none"}
    ax = ax or new(0.28 * len(order) + 1.2)
    sns.pointplot(table, x="accuracy", y=by, ax=ax, **look, **_look(table["name"]))
    ax.set(xlabel=f"accuracy by {by}", ylabel="")
    legend_above(ax, n_columns=4, title=f"Most errors: {order[0]}")
    return ax


def changes(differences: pd.DataFrame) -> Axes:
    """Draw what each change to a model costs or brings on distorted copies.

    Args:
        differences: from `models.gains`, of one reference.
    """
    differences = differences.sort_values("effect", ascending=False)
    ax = forest(differences)
    ax.set_xlabel(f"accuracy minus that of {differences['reference'].iloc[0]} (points)")
    top = differences.iloc[0]
    ax.set_title(f"Best: {top['comparison']} ({100 * top['effect']:+.1f})")
    return ax


def reliability(bins: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw observed frequency over predicted probability.

    Args:
        bins: from `calibration.reliability_of`: name, mean_prob, frequency.
    """
    look = {"hue": "name", "style": "name", "dashes": False, **_look(bins["name"])}
    ax = ax or new(4.6)
    sns.lineplot(bins, x="mean_prob", y="frequency", errorbar=None, ax=ax, **look)
    ax.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":", label="perfect")
    away = (bins["mean_prob"] - bins["frequency"]).abs().max()
    ax.set(xlabel="predicted probability of sunglasses", ylabel="share that wears them")
    legend_above(ax, n_columns=4, title=f"Furthest from the diagonal: {100 * away:.1f} points")
    return ax


def robustness(frame: pd.DataFrame) -> Figure:
    """Draw accuracy over strength, one panel per distortion, all with one scale of accuracy.

    Args:
        frame: from `maps.robustness`: method, unit, strength, model, accuracy.
    """
    methods = list(dict.fromkeys(zip(frame["method"], frame["unit"], strict=True)))
    size, look = (WIDTH, 1.9 * -(-len(methods) // 2) + 0.5), _look(frame["model"])
    fig, axes = plt.subplots(-(-len(methods) // 2), 2, figsize=size, sharey=True, squeeze=False)
    for (method, unit), ax in zip(methods, axes.flat, strict=False):
        part = frame[frame["method"] == method]
        sns.lineplot(part, x="strength", y="accuracy", hue="model", style="model", dashes=False,
                     errorbar=None, ax=ax, legend=ax is axes[0, 0], **look)  # fmt: skip
        ax.set(title=method.replace("_", " "), xlabel=f"up to ({unit})")
    for ax in axes.flat[len(methods) :]:
        ax.set_visible(False)
    legend_above(axes[0, 0], n_columns=4)
    return fig


def maps(means: pd.DataFrame, *, unit: str) -> Figure:
    """Draw mean maps alone, no photograph: a row per model and class, a column per pose.

    The panels of one model share a colour scale; models do not, as their probabilities do not.

    Args:
        means: from `maps.mean_maps_by_pose`: model, pose, label, map (30, 32).
        unit: what is drawn, such as "fall of the probability".
    """
    poses = list(dict.fromkeys(means["pose"]))
    rows = list(dict.fromkeys(zip(means["model"], means["label"], strict=True)))
    most = means["map"].map(lambda one: np.abs(one).max()).groupby(means["model"]).max()
    size = (WIDTH, WIDTH / len(poses) * len(rows) + 0.6)
    fig, axes = plt.subplots(len(rows), len(poses), figsize=size, squeeze=False)
    for one in means.itertuples():
        limit, place = (
            most[one.model] or 1.0,
            (rows.index((one.model, one.label)), poses.index(one.pose)),
        )
        axes[place].imshow(one.map, cmap="RdBu_r", vmin=-limit, vmax=limit)
    for (model, label), line in zip(rows, axes, strict=True):
        line[0].set_ylabel(f"{model}\n{label}")
    for pose, ax in zip(poses, axes[0], strict=True):
        ax.set_title(pose, loc="center")
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
    scales = ", ".join(f"{model} ±{limit:.2g}" for model, limit in most.items())
    fig.supxlabel(f"{unit}, blue to red:\n{scales}", fontsize=10.5)
    return fig


def explained(images: np.ndarray, maps: np.ndarray, titles: Sequence[str]) -> Figure:
    """Draw pictures, and below each what its occlusion map says; one colour scale for all.

    Args:
        images: uint8 (N, 30, 32).
        maps: float64 (N, 30, 32), from `maps.occlusion_maps`.
        titles: over each picture.
    """
    limit = np.abs(maps).max() or 1.0
    size = (WIDTH, 2 * WIDTH / len(images) + 0.6)
    fig, axes = plt.subplots(2, len(images), figsize=size, squeeze=False)
    for image, one, title, (above, below) in zip(images, maps, titles, axes.T, strict=True):
        for ax in (above, below):
            ax.imshow(image, cmap="gray", vmin=0, vmax=255)
            ax.set(xticks=[], yticks=[])
        below.imshow(one, cmap="RdBu_r", vmin=-limit, vmax=limit, alpha=0.6)
        above.set_title(title, loc="center", fontsize=9)
    fig.supxlabel(f"blue to red: ±{limit:.2g} of the probability", fontsize=10.5)
    return fig
