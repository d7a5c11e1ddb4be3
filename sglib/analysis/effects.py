"""What a technique changes: paired differences of two rows, with interval and test, in words.

The interval speaks of random folds of the same people (Nadeau and Bengio's corrected t); what it
says about people never seen is another question, see notebook 06.
"""

import math
from collections.abc import Iterable

import pandas as pd

from sglib.analysis.runs import paired_differences
from sglib.analysis.stats import Comparison, Interval, corrected_t, holm
from sglib.studies.tables import technique


def effects(
    frame: pd.DataFrame,
    comparisons: Iterable[tuple[str, str]],
    *,
    measure: str = "val_acc_mean",
) -> pd.DataFrame:
    """Compare pairs of rows over the same folds, seeds, initialisations and orders.

    Args:
        frame: the runs of a study, at least two per row.
        comparisons: (row, reference) pairs, all that will be looked at: p is corrected for them.
        measure: a column of `results.run_values`; default the validation accuracy, mean of the
            last ten epochs.

    Returns:
        one row per comparison: row, reference, label, technique, mean, low, high (95 %), n, p,
        p_holm, values (list of the runs' differences), in the order given. Fractions, not percent.
    """
    rows = []
    for row, reference in comparisons:
        runs = paired_differences(frame, row, reference, measure=measure)
        found = compare_folds(runs)
        rows.append(
            {
                "row": row,
                "reference": reference,
                "label": f"{row} − {reference}",
                "technique": technique(row),
                "mean": found.interval.mean,
                "low": found.interval.low,
                "high": found.interval.high,
                "n": found.interval.n,
                "p": found.p,
                "values": runs["difference"].tolist(),
            }
        )
    adjusted = holm({row["label"]: row["p"] for row in rows})
    for row in rows:
        row["p_holm"] = adjusted[row["label"]]
    return pd.DataFrame(rows)


def compare_folds(runs: pd.DataFrame) -> Comparison:
    """Test paired differences over folds; of fewer than two nothing can be said (NaN, p = 1).

    Args:
        runs: difference, n_train and n_val, one row per fold and seed.
    """
    if len(runs) < 2:
        return Comparison(Interval(math.nan, math.nan, math.nan, len(runs), "too few runs"), 1.0)
    return corrected_t(
        runs["difference"], n_train=runs["n_train"].mean(), n_val=runs["n_val"].mean()
    )


def points(fraction: float) -> str:
    """Return a difference of fractions as percentage points with a sign; a dash where unknown."""
    return "–" if math.isnan(fraction) else f"{100 * fraction:+.2f}"


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """Format `effects` for reading, in percentage points."""
    return pd.DataFrame(
        {
            "difference (points)": table["mean"].map(points).to_list(),
            "95 % interval": [
                f"[{points(low)}, {points(high)}]"
                for low, high in zip(table["low"], table["high"], strict=True)
            ],
            "p (Holm)": [f"{p:.3f}" for p in table["p_holm"]],
            "n pairs": table["n"].to_numpy(),
        },
        index=pd.Index(table["label"], name="comparison"),
    )


def sentence(effect: pd.Series) -> str:
    """Say one row of `effects` in words; "better" needs an interval that excludes 0."""
    if effect["low"] > 0:
        word = "is better"
    elif effect["high"] < 0:
        word = "is worse"
    else:
        word = "makes no difference that these runs could show"
    return (
        f"`{effect['row']}` against `{effect['reference']}` {word}: {points(effect['mean'])} "
        f"points [{points(effect['low'])}, {points(effect['high'])}] "
        f"(n = {effect['n']} pairs)"
    )
