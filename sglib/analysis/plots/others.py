"""Figures of people nobody trained on: every estimate beside what they say."""

import pandas as pd
from matplotlib.axes import Axes

from sglib.analysis.plots.style import ONE, PALETTE, QUIET, TWO, legend_above, new

LABELS = {"printed": "printed", "random": "random folds", "unseen": "people held out"}
# estimate → colour and marker, so that neither carries the meaning alone
LOOKS = {"printed": (TWO, "D"), "random": (PALETTE["dropout50"], "x"), "unseen": (ONE, "s")}


def estimates(table: pd.DataFrame, people: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw printed, random-fold and held-out accuracy and, where known, that of other people.

    Args:
        table: from `analysis.others.table`: a line for each row.
        people: name, person, accuracy of the other people; may be empty.
    """
    ax = ax or new(0.42 * len(table) + 1.3)
    for place, row in enumerate(table.itertuples()):
        ax.text(0, place - 0.2, row.experiment, va="bottom", transform=ax.get_yaxis_transform())
        ax.plot([row.new_low, row.new_high], [place] * 2, color=ONE, alpha=0.3, linewidth=6)
        of = people.loc[people["name"] == row.name, "accuracy"]
        ax.plot(of, [place] * len(of), "|", color=QUIET, markersize=9)
        # not an error bar: where nobody errs, the interval lies below the estimate
        ax.plot([row.low, row.high], [place] * 2, color="black")
        ax.plot(row.others, place, "o", color="black")
        for name, (colour, marker) in LOOKS.items():
            ax.plot(getattr(row, name), place, marker, color=colour, markersize=6)
    ax.plot([], [], color=ONE, alpha=0.3, linewidth=6, label="expected")
    for name, (colour, marker) in LOOKS.items():
        ax.plot([], [], marker, color=colour, label=LABELS[name])
    ax.plot([], [], "o-", color="black", label="other people")
    ax.plot([], [], "|", color=QUIET, label="one of them")
    ax.set(yticks=[], xlabel="accuracy", ylim=(len(table) - 0.5, -0.9))
    ax.grid(visible=False, axis="y")
    ax.spines["left"].set_visible(False)
    legend_above(ax, n_columns=2, title=_told(table))
    return ax


def tell(table: pd.DataFrame) -> str:
    """Say what `estimates` shows, for readers who cannot see it."""
    columns = {**LABELS, "others": "other people"}
    rows = [
        f"{row['experiment']} "
        + ", ".join(f"{told} {row[c]:.3f}" for c, told in columns.items() if pd.notna(row[c]))
        for _, row in table.iterrows()
    ]
    return f"Accuracy by experiment: {'; '.join(rows)}."


def _told(table: pd.DataFrame) -> str:
    means = table.loc[table["printed"].notna(), [*LABELS, "others"]].astype(float).mean()
    *told, found = means.map("{:.2f}".format)
    return f"Told: {', '.join(told)}" + ("" if found == "nan" else f"; found: {found}")
