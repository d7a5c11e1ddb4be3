"""The paper's captions beside our runs: inside or outside, and which reading comes closer."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from sglib.analysis.runs import MEASURES, run_values
from sglib.studies.paper import PRINTED
from sglib.studies.tables import PAPER


def compare_with_printed(frame: pd.DataFrame, *, suffix: str = "") -> pd.DataFrame:
    """Put the paper's captions beside the runs.

    A caption is one number of which the paper does not say how it came about, so it is held
    against the single runs: `inside` says whether it lies between their smallest and largest value
    in either reading (last epoch, mean of the last ten), after rounding to the printed digits.

    Args:
        frame: runs of experiments of the paper.
        suffix: what a variant appends to the names, such as `_symmetric`.

    Returns:
        one row per experiment and measure: name, figure, model, measure, printed, mean (of the
        means of the last ten epochs), std, last (mean of the last epochs), low, high, inside, n.
    """
    values = run_values(frame)
    rows = []
    for experiment in PAPER:
        runs = values[values["name"] == experiment.name + suffix]
        if runs.empty:
            continue
        caption = PRINTED.loc[experiment.name]
        for measure in MEASURES:
            both = runs[[measure, f"{measure}_mean"]].round(3)
            low, high = both.min().min(), both.max().max()
            value = getattr(caption, measure)
            rows.append(
                {
                    "name": experiment.name,
                    "figure": caption.figure,
                    "model": experiment.model,
                    "measure": measure,
                    "printed": value,
                    "mean": runs[f"{measure}_mean"].mean(),
                    "std": runs[f"{measure}_mean"].std(ddof=1),
                    "last": runs[measure].mean(),
                    "low": low,
                    "high": high,
                    "inside": bool(low <= value <= high),
                    "n": len(runs),
                }
            )
    return pd.DataFrame(rows)


def side_by_side(comparison: pd.DataFrame) -> pd.DataFrame:
    """Format `compare_with_printed` for reading: one row per experiment, printed → reproduced.

    A caption outside the runs' range is marked with an exclamation mark.
    """
    cells = comparison.assign(
        cell=[
            f"{row.printed:.3f} → {row.mean:.3f}"
            f"{'' if np.isnan(row.std) else f' ± {row.std:.3f}'}{'' if row.inside else ' !'}"
            for row in comparison.itertuples()
        ]
    )
    table = cells.pivot(index="name", columns="measure", values="cell")
    table = table.loc[list(dict.fromkeys(comparison["name"])), list(MEASURES)]
    first = comparison.drop_duplicates("name").set_index("name")
    table.insert(0, "figure", first["figure"])
    table["runs"] = first["n"]
    return table.rename_axis(columns=None)


def scaling_table(unit: pd.DataFrame, symmetric: pd.DataFrame) -> pd.DataFrame:
    """Tell which pixel scaling comes closer to the printed numbers.

    Args:
        unit, symmetric: `compare_with_printed` of the same experiments in the two scalings.

    Returns:
        one row per measure and one for all: mean absolute distance of our mean from the printed
        number in each scaling, how many of the printed numbers lie inside the runs' range, and
        the closer scaling.
    """
    rows = {}
    for measure in (*MEASURES, "all"):
        row: dict[str, object] = {}
        for name, table in (("[0, 1]", unit), ("[−1, 1]", symmetric)):
            part = table if measure == "all" else table[table["measure"] == measure]
            row[f"distance {name}"] = (part["mean"] - part["printed"]).abs().mean()
            row[f"inside {name}"] = f"{part['inside'].sum()} of {len(part)}"
        closer = row["distance [0, 1]"] <= row["distance [−1, 1]"]
        rows[measure] = row | {"closer": "[0, 1]" if closer else "[−1, 1]"}
    return pd.DataFrame.from_dict(rows, orient="index")


def printed_table(names: Iterable[str]) -> pd.DataFrame:
    """Return the paper's captions of some experiments, as printed."""
    return PRINTED.loc[list(names)].drop(columns="experiment")


def captions(names: Iterable[str]) -> dict[str, dict[str, dict[str, float]]]:
    """Return name → measure → part → printed value, as `plots.curve_grid` takes it.

    Names that the paper does not print are left out.
    """
    known = {row.experiment: row for row in PRINTED.itertuples()}
    return {
        name: {
            "loss": {"train": known[name].train_loss, "val": known[name].val_loss},
            "acc": {"train": known[name].train_acc, "val": known[name].val_acc},
        }
        for name in names
        if name in known
    }
