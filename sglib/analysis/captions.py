"""What are the numbers under the paper's figures? Possible denominators, and readings of a run.

A caption is held against the distribution of means over five folds, one per repetition.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy import stats as sps

from sglib.analysis.runs import MEASURES, POPULATIONS, READINGS, population
from sglib.studies.paper import PRINTED

_ROUNDING = 0.001 / np.sqrt(12)  # sd of what three printed digits leave open
_MEASURE_OF = {f"{m}_{r}": (m, r) for m in MEASURES for r in READINGS}


def grim(values: Iterable[float], *, n_most: int = 500, digits: int = 3) -> list[int]:
    """Return the numbers of images N for which every printed accuracy can be some k / N.

    Args:
        values: printed accuracies, fractions.
        n_most: the largest N tried.
        digits: printed digits after the point.

    Source: Brown & Heathers 2017 (Social Psychological and Personality Science 8), the GRIM test.
    """
    values = np.array(sorted(set(values)))
    half = 0.5 * 10.0**-digits + 1e-9  # a tie may have been rounded either way
    return [
        n for n in range(1, n_most + 1) if (np.abs(np.round(values * n) / n - values) <= half).all()
    ]


def printed_table() -> pd.DataFrame:
    """Return the 48 printed numbers: experiment (code name), measure, printed."""
    wide = PRINTED.set_index("experiment")[list(MEASURES)]
    return wide.melt(ignore_index=False, var_name="measure", value_name="printed").reset_index()


def fold_means(runs: pd.DataFrame) -> pd.DataFrame:
    """Return each repetition's mean over its five folds, in every reading.

    Args:
        runs: from `runs.flatten`; only scheme kfold and experiments of the paper are used.

    Returns:
        experiment (code name without the scaling's suffix), scaling, population, seed, reading,
        measure, value. "learned" is the mean of the folds that learned.
    """
    runs = runs.assign(experiment=runs["name"].str.removesuffix("_symmetric"))
    runs = runs[(runs["scheme"] == "kfold") & runs["experiment"].isin(PRINTED["experiment"])]
    parts = []
    for which in POPULATIONS:
        used = population(runs, which)
        if which == "learned":
            used = used.assign(**{f"{m}_curve": used[f"{m}_curve_learned"] for m in MEASURES})
        keys = ["experiment", "scaling", "seed"]
        means = used.groupby(keys, sort=False)
        long = means[list(_MEASURE_OF)].mean().melt(ignore_index=False).reset_index()
        parts.append(long.assign(population=which))
    out = pd.concat(parts, ignore_index=True)
    pairs = out.pop("variable").map(_MEASURE_OF)
    out["measure"] = pairs.str[0]
    out["reading"] = pairs.str[1].map(READINGS)
    return out


def captions(means: pd.DataFrame) -> pd.DataFrame:
    """Hold every printed number against the 5-fold means of every reading.

    Args:
        means: from `fold_means`.

    Returns:
        reading, scaling, population, experiment, measure, printed, mean, sd (of the repetitions),
        percentile (share of the repetitions below the printed number, ties half, both at three
        digits), z = (printed − mean) / sd.
    """
    keys = ["reading", "scaling", "population", "experiment", "measure"]
    return _against(means, printed_table(), keys)


def joint(means: pd.DataFrame) -> pd.DataFrame:
    """Say the same of the mean over all experiments, one number per repetition and measure.

    The experiments of a repetition share their splits, so their means are no independent evidence.

    Returns:
        reading, scaling, population, measure, printed, mean, sd, percentile, z, n (repetitions),
        experiments (how many; the printed mean is that of the same ones).
    """
    known = set(means["experiment"])
    target = printed_table()
    target = target[target["experiment"].isin(known)]
    keys = ["reading", "scaling", "population", "measure"]
    complete = means.groupby([*keys, "seed"])["value"].agg(["mean", "size"])
    complete = complete[complete["size"] == len(known)]["mean"].rename("value").reset_index()
    table = _against(complete, target.groupby("measure", as_index=False)["printed"].mean(), keys)
    n = complete.groupby(keys, sort=False).size().rename("n").reset_index()
    return table.merge(n, on=keys).assign(experiments=len(known))


def likeliest(table: pd.DataFrame) -> pd.DataFrame:
    """Order the readings by how likely they make the printed numbers.

    The likelihood is that of normal 5-fold means, widened by the rounding to three digits. It
    treats the numbers as independent, which they are not: read its order, not its size.

    Args:
        table: from `captions`.

    Returns:
        per measure, and "all", the readings from the likeliest on: measure, reading, scaling,
        population, log10_likelihood (difference to the likeliest), inside (printed numbers with a
        percentile from 2.5 to 97.5), of.
    """
    wide = np.hypot(table["sd"], _ROUNDING)
    table = table.assign(
        log10=sps.norm.logpdf(table["printed"], table["mean"], wide) / np.log(10),
        inside=table["percentile"].between(2.5, 97.5),
    )
    parts = []
    for measure in (*MEASURES, "all"):
        part = table if measure == "all" else table[table["measure"] == measure]
        found = part.groupby(["reading", "scaling", "population"], sort=False).agg(
            log10_likelihood=("log10", "sum"), inside=("inside", "sum"), of=("inside", "size")
        )
        found = found.sort_values("log10_likelihood", ascending=False).reset_index()
        found["log10_likelihood"] -= found["log10_likelihood"].max()
        parts.append(found.assign(measure=measure))
    out = pd.concat(parts, ignore_index=True)
    return out[["measure", *out.columns.drop("measure")]]


def _against(means: pd.DataFrame, target: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    on = ["experiment", "measure"] if "experiment" in keys else ["measure"]
    joined = means.merge(target, on=on)
    shown = joined["value"].round(3) if "experiment" in keys else joined["value"]
    joined["below"] = 100 * ((shown < joined["printed"]) + 0.5 * (shown == joined["printed"]))
    table = joined.groupby(keys, sort=False).agg(
        printed=("printed", "first"),
        mean=("value", "mean"),
        sd=("value", "std"),
        percentile=("below", "mean"),
    )
    table["z"] = (table["printed"] - table["mean"]) / table["sd"].where(table["sd"] > 0)
    return table.reset_index()
