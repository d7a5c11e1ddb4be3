"""Runs over epochs and settings, captions on our distributions, and why a loss stands still."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sglib.analysis.mechanisms import floor_line, loss_over_logit
from sglib.analysis.plots import style
from sglib.analysis.plots.style import BAND, ONE, QUIET, TWO, colours, legend_above, new
from sglib.studies.paper import LOSS_FLOOR
from sglib.studies.tables import words
from sglib.training.settings import HISTORY

_LABELS = {"acc": "accuracy", "loss": "cross entropy (nats)"}
_PARTS = {"training": ONE, "validation": TWO}


def panels(bands: pd.DataFrame, names: Sequence[str], *, measure: str = "acc") -> Figure:
    """Draw median and 10 to 90 % band over the epochs, a panel per experiment, failed runs apart.

    Args:
        bands: from `runs.curves`, of one scheme.
        names: code names of the experiments, top to bottom.
        measure: "acc" or "loss".
    """
    fig, axes = style.stacked(len(names), 2.3, sharex=True, sharey=True)
    shown = _parts(bands, measure)
    for name, ax in zip(names, axes, strict=True):
        one = shown[shown["name"] == name]
        good, failed = (one[one["population"] == which] for which in ("learned", "failed"))
        for part, rows in good.groupby("measure"):
            ax.fill_between(rows["epoch"], rows["low"], rows["high"], color=_PARTS[part], alpha=0.2)
            ax.plot(rows["epoch"], rows["median"], color=_PARTS[part], linewidth=2, label=part)
        dead = failed[failed["measure"] == "training"]
        ax.plot(dead["epoch"], dead["median"], "--", color=QUIET, label="failed, training")
        n_failed, n_good = (int(rows["n"].max()) if len(rows) else 0 for rows in (failed, good))
        told = f"{_finding(good, measure)}; {n_failed} of {n_failed + n_good} runs failed"
        ax.set(ylabel=_LABELS[measure], title=f"{words(name)}\n{told}")
        if measure == "loss":
            ax.axhline(LOSS_FLOOR, color="black", linewidth=0.8, linestyle=":", label="floor")
    axes[-1].set_xlabel("epoch")
    legend_above(axes[0], n_columns=3)
    return fig


def growing(runs: Mapping[str, np.ndarray], *, ax: Axes | None = None) -> Axes:
    """Draw the accuracy of single runs over the epochs so far, the last one before the others.

    Args:
        runs: name → float64 (n_epochs, len(HISTORY)), as `fit` fills it; NaN where not yet run.
    """
    ax = ax or new(3.2)
    for name, history in runs.items():
        last = name == list(runs)[-1]
        for measure, (part, colour) in zip(("train_acc", "val_acc"), _PARTS.items(), strict=True):
            line = history[:, HISTORY.index(measure)]
            look = {"color": colour, "linewidth": 2, "label": part} if last else {"color": QUIET}
            dashed = "--" if part == "training" else "-"
            ax.plot(np.arange(1, len(line) + 1), line, dashed, gid=f"{name}, {part}", **look)
    done = history[~np.isnan(history[:, HISTORY.index("train_acc")])]
    told = f"epoch {len(done)} of {len(history)}"
    if len(done):
        ends = (done[-1, HISTORY.index(name)] for name in ("train_acc", "val_acc"))
        told += ": training {:.3f}, validation {:.3f}".format(*ends)
    ax.set(
        xlabel="epoch",
        ylabel="accuracy",
        xlim=(1, max(2, *map(len, runs.values()))),
        ylim=(0.4, 1.02),
    )
    legend_above(ax, title=f"{name}\n{told}")
    return ax


def tell(bands: pd.DataFrame, names: Sequence[str], *, measure: str = "acc") -> str:
    """Say what `panels` draws."""
    shown = _parts(bands[bands["name"].isin(names)], measure)
    shown = shown.assign(experiment=shown["name"].map(words))
    by = ["experiment", "population", "measure"]
    return style.describe(shown, "median", _LABELS[measure], by=by, over="epoch")


def _parts(bands: pd.DataFrame, measure: str) -> pd.DataFrame:
    parts = {f"train_{measure}": "training", f"val_{measure}": "validation"}
    return bands[bands["measure"].isin(parts)].replace({"measure": parts})


def _finding(good: pd.DataFrame, measure: str) -> str:
    """Say what the medians show at the end, of the runs that learned."""
    if good.empty:
        return "none learned"
    train, val = (good.loc[good["measure"] == part, "median"] for part in _PARTS)
    if measure == "acc":
        return f"{100 * (train.iloc[-1] - val.iloc[-1]):.1f} points apart"
    return f"ends {val.iloc[-1] - val.min():.3f} above its best"


def over(table: pd.DataFrame, x: str, y: str, *, hue: str, ax: Axes | None = None) -> Axes:
    """Draw median and 10 to 90 % band over a number: epochs, people, share of wrong labels.

    Args:
        table: one row per run (and epoch).
        x, y, hue: its columns; `hue` tells the lines apart.
    """
    look = {"estimator": "median", "errorbar": BAND, "palette": colours(table[hue])}
    return sns.lineplot(table, x=x, y=y, hue=hue, ax=ax or new(2.8), **look)


def settings(
    table: pd.DataFrame,
    x: str,
    y: str,
    *,
    hue: str,
    order: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a value at a few settings, evenly spaced, so that λ = 0 has a place.

    Args:
        table: one row per run: median and 10 to 90 % band are drawn; or one row per setting with
            an interval in `low` and `high`.
        x, y, hue: its columns: the setting, the value, what tells the lines apart.
        order: all settings as written on the axis; default those of the table.
    """
    look = {"errorbar": BAND, "palette": colours(table[hue]), "dodge": 0.2, "linewidth": 1.4}
    if "low" in table:  # the median of low, value and high is the value
        table = table.melt([x, hue], ["low", y, "high"], value_name="drawn")
        table, look["errorbar"] = table.rename(columns={"drawn": y}), ("pi", 100)
    table = table.assign(**{x: table[x].map(_short)})
    look |= {
        "order": order or sorted(table[x].unique(), key=float),
        "estimator": "median",
        "markers": list("os^")[: table[hue].nunique()],
    }
    return sns.pointplot(table, x=x, y=y, hue=hue, ax=ax or new(2.8), **look)


def _short(value: float) -> str:
    return f"{value:g}" if value == 0 or value >= 0.01 else f"{value:.0e}".replace("e-0", "e-")


def sweep(values: pd.DataFrame, failures: pd.DataFrame) -> Figure:
    """Draw accuracy and share of failed runs over λ, one panel under the other.

    Args:
        values: one row per run that learned: l2, model, val_acc_mean.
        failures: one row per λ and network, of all runs: l2, model, rate, low, high.
    """
    fig, axes = style.stacked(2, 2.4)
    order = [_short(value) for value in sorted(failures["l2"].unique())]
    settings(values, "l2", "val_acc_mean", hue="model", order=order, ax=axes[0])
    settings(failures, "l2", "rate", hue="model", order=order, ax=axes[1])
    top = failures.loc[failures["rate"].idxmax()]
    axes[0].set(xlabel="", ylabel="validation accuracy", title="Accuracy of the runs that learned")
    axes[1].set(xlabel="λ", ylabel="share of runs", ylim=(-0.03, 1.03))
    axes[1].set_title(f"Failed to train: up to {top['rate']:.0%}, at λ = {top['l2']:g}")
    axes[1].legend().remove()
    legend_above(axes[0])
    return fig


def captions(means: pd.DataFrame, printed: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the printed captions on the distributions of our means over five folds.

    Args:
        means: one row per repetition, experiment and reading: experiment (code name), reading,
            value.
        printed: experiment, printed.
    """
    rows = list(dict.fromkeys(means["experiment"]))
    look = {"palette": colours(means["reading"]), "hue": "reading", "dodge": True, "order": rows}
    look |= {"marker": "|", "size": 9, "linewidth": 1.2, "alpha": 0.5, "jitter": False}
    ax = ax or new(6.6)
    sns.stripplot(means, x="value", y="experiment", ax=ax, **look)
    places = printed["experiment"].map(rows.index)
    ax.plot(printed["printed"], places, "D", color="black", label="printed", zorder=5)
    ax.set_yticks(range(len(rows)), [words(row).replace(", ", ",\n", 1) for row in rows])
    ax.set(xlabel="accuracy, mean of five folds", ylabel="")
    ax.set_xlim(means["value"].quantile(0.005) - 0.01, 1.005)
    ours = means.groupby(["experiment", "reading"])["value"].mean().unstack()
    away = ours.rsub(printed.set_index("experiment")["printed"], axis=0).mean()
    nearest = away.abs().idxmin()
    legend_above(
        ax, n_columns=3, title=f"Nearest: {nearest}; captions {100 * away[nearest]:+.1f} points off"
    )
    return ax


def floor(ours: pd.DataFrame, printed: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw loss against error rate, and the line on which saturated outputs lie.

    Args:
        ours, printed: from `mechanisms`: part, error, loss.
    """
    ours = ours.assign(part=ours["part"].replace({"train": "training", "val": "validation"}))
    points = {"x": "error", "y": "loss", "linewidth": 0, "ax": ax or new(3.6)}
    ax = sns.scatterplot(ours, hue="part", palette=_PARTS, s=14, alpha=0.5, **points)
    sns.scatterplot(printed, color="black", marker="D", s=20, label="printed", **points)
    ends = np.array([0, max(ours["error"].max(), printed["error"].max())])
    ax.plot(ends, LOSS_FLOOR + ends, color="black", linewidth=0.9, label="ln(1 + 1/e) + error")
    ax.set(xlabel="error rate", ylabel="cross entropy (nats)")
    away = floor_line(ours)["mean_deviation"]
    legend_above(ax, title=f"The loss is floor + error rate, to {away:.3f} nats")
    return ax


def mechanism() -> Figure:
    """Draw loss and gradient over the logit, for the printed sigmoid outputs and for logits."""
    table = loss_over_logit()
    fig, axes = style.stacked(2, 2.2, sharex=True)
    for ax, y in zip(axes, ("loss", "gradient"), strict=True):
        sns.lineplot(table, x="logit", y=y, hue="head", palette=[TWO, ONE], ax=ax)
        ax.get_legend().remove()
    axes[0].set(ylabel="loss (nats)", ylim=(0, 4))
    axes[0].set_title(f"A confident mistake costs {LOSS_FLOOR + 1:.2f} nats at most …")
    axes[1].set(ylabel="gradient", title="… and teaches nothing: its gradient is 0")
    axes[1].set_xlabel("logit of the true class (right of 0: correct)")
    legend_above(axes[0])
    return fig
