"""What a technique changes: differences of two experiments, with interval and word.

Runs are paired by fold and seed: same split, initialisation and, unless images are added, order.
"""

import itertools
import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from sglib.analysis.runs import POPULATIONS, population
from sglib.analysis.stats import (
    fisher_p,
    holm,
    judge,
    settle,
    t_interval,
    units_to_decide,
)
from sglib.studies.tables import technique, words

PHOTOGRAPHS, PEOPLE = QUESTIONS = ("these photographs", "other people")
SCHEMES = {PHOTOGRAPHS: "kfold", PEOPLE: "person"}
# The smallest difference that matters, fixed before the runs it is used on: one validation image
# of the paper's split, int(0.2 · 378) = 75; two of a hundred photographs of a new person.
DELTA = {PHOTOGRAPHS: 1 / 75, PEOPLE: 0.02}
DELTA_FAILURES = 0.05  # one run of twenty more fails to train
_COLUMNS = ["comparison", "row", "reference", "measure", "technique", "question", "population"]
_COLUMNS += ["effect", "low", "high", "delta", "n", "p_holm", "word", "seeds", "people"]


class Pair(NamedTuple):
    """A comparison of `row` with `reference`; positive = the row is better.

    measure: "accuracy", of validation; "gap", training − validation accuracy; "failures", the
    share of runs that fail to train. Without a reference it is the row's own gap.
    """

    row: str
    reference: str = ""
    measure: str = "accuracy"

    @property
    def label(self) -> str:
        """The comparison in words."""
        if not self.reference:
            return f"training − validation: {words(self.row)}"
        row, reference = words(self.row), words(self.reference)
        row = row.removesuffix(f", {reference.rpartition(', ')[2]}")  # the network, once
        what = "" if self.measure == "accuracy" else f"{self.measure} of "
        return f"{what}{row} against {reference}"


def differences(runs: pd.DataFrame, pair: Pair, question: str, which: str) -> pd.DataFrame:
    """Return the paired differences of single runs: seed, fold, difference (a fraction).

    Args:
        runs: from `runs.flatten`.
        pair: what is compared.
        question: of `QUESTIONS`; chooses the scheme.
        which: "all runs", or "learned": pairs of which both learned.
    """
    return _difference(_by_name(runs, question, which), pair)


def _by_name(runs: pd.DataFrame, question: str, which: str) -> pd.DataFrame:
    """Return all measures as columns (measure, experiment), index seed and fold; more is better."""
    used = population(runs[runs["scheme"] == SCHEMES[question]], which)
    used = used.assign(
        accuracy=used["val_acc_mean"],
        gap=used["val_acc_mean"] - used["train_acc_mean"],
        failures=-(used["outcome"] != "learned").astype(float),
    )
    values = ["accuracy", "gap", "failures"]
    return used.pivot(index=["seed", "fold"], columns="name", values=values)


def _difference(table: pd.DataFrame, pair: Pair) -> pd.DataFrame:
    if pair.reference:
        found = table[pair.measure, pair.row] - table[pair.measure, pair.reference]
    else:
        found = -table["gap", pair.row]
    return found.dropna().rename("difference").reset_index()


def units(found: pd.DataFrame, question: str) -> pd.Series:
    """Return the independent values: means over a repetition's folds, or over a person's seeds."""
    return found.groupby("seed" if question == PHOTOGRAPHS else "fold")["difference"].mean()


def compare(
    runs: pd.DataFrame,
    pairs: Iterable[Pair | tuple[str, ...]],
    *,
    questions: Iterable[str] = QUESTIONS,
    populations: Iterable[str] = POPULATIONS,
    with_p: bool = False,
) -> pd.DataFrame:
    """Judge pairs of experiments on each question and population.

    Each question and population is a family: p is adjusted for the number of pairs (Holm).

    Args:
        runs: from `runs.flatten`; a question whose scheme it lacks is left out.
        pairs: all that will be looked at; "failures" are compared on all runs only.
        with_p: keep the unadjusted p value of each statement of `stats.judge`, "p: <statement>".

    Returns:
        one row per question, population and pair: comparison (in words), row, reference, measure,
        technique, question, population, effect, low, high (90 %; fractions), delta, n
        (repetitions or people), p_holm (of the word that is nearest), word, seeds and people (that
        would decide it with a power of 80 %; NaN where it is decided, infinite where no number
        would).
    """
    every, rows = [Pair(*pair) for pair in pairs], []
    for question, which in itertools.product(questions, populations):
        pairs = [pair for pair in every if which == "all runs" or pair.measure != "failures"]
        if not pairs or not (runs["scheme"] == SCHEMES[question]).any():
            continue
        table, family = _by_name(runs, question, which), []
        for pair in pairs:
            delta = DELTA_FAILURES if pair.measure == "failures" else DELTA[question]
            found = _difference(table, pair)
            judged = judge(units(found, question), delta, exact=question == PEOPLE)
            family.append((pair, delta, found, judged))
        adjusted = holm([judged.p[judged.word] for *_, judged in family])
        for (pair, delta, found, judged), p in zip(family, adjusted, strict=True):
            interval = judged.interval
            word = settle(judged.word, p, interval, delta)
            row = {"comparison": pair.label, **pair._asdict(), "technique": technique(pair.row)}
            row |= {"question": question, "population": which, "effect": interval.mean}
            row |= {"low": interval.low, "high": interval.high, "delta": delta, "n": interval.n}
            row |= {"p_holm": p, "word": word, "seeds": math.nan, "people": math.nan}
            if word == "open" and interval.n > 1:
                row |= _to_decide(found, question, delta)
            rows.append(row | {f"p: {name}": value for name, value in judged.p.items()})
    table = pd.DataFrame(rows)
    return table if with_p else table[_COLUMNS]


def _to_decide(found: pd.DataFrame, question: str, delta: float) -> dict[str, float]:
    """Return how many seeds, and how many people at the present seeds, would decide."""
    values = units(found, question)
    effect, sd = float(values.mean()), float(values.std(ddof=1))
    enough = units_to_decide(effect, delta, sd)
    if question == PHOTOGRAPHS:
        return {"seeds": enough}
    seeds = found.groupby("fold")["difference"]
    if seeds.size().min() < 2:  # one seed does not tell how seeds differ
        return {"people": enough}
    sd_seed = float(np.sqrt(seeds.var(ddof=1).mean()))
    sd_people = math.sqrt(max(0.0, sd**2 - sd_seed**2 / seeds.size().mean()))
    root = math.sqrt(len(values))
    seeds = units_to_decide(effect, delta, sd_seed / root, other=sd_people / root)
    return {"seeds": seeds, "people": enough}


def compare_failures(
    runs: pd.DataFrame, pairs: Iterable[tuple[str, str]], *, questions: Iterable[str] = QUESTIONS
) -> pd.DataFrame:
    """Compare how often two experiments fail to train, by Fisher's exact test.

    Returns:
        one row per question and pair: comparison, row, reference, question, failed, n,
        failed_reference, n_reference, p_holm (over the pairs of a question).
    """
    states = (runs["outcome"] != "learned").groupby([runs["scheme"], runs["name"]])
    states, pairs, rows = states.agg(["sum", "size"]), list(pairs), []
    for question in questions:
        if (scheme := SCHEMES[question]) not in set(runs["scheme"]):
            continue
        counts = [[int(k) for name in pair for k in states.loc[scheme, name]] for pair in pairs]
        adjusted = holm([fisher_p(*count) for count in counts])
        for pair, count, p in zip(pairs, counts, adjusted, strict=True):
            rows.append([Pair(*pair).label, *pair, question, *count, p])
    names = ["comparison", "row", "reference", "question", "failed", "n"]
    return pd.DataFrame(rows, columns=[*names, "failed_reference", "n_reference", "p_holm"])


def again(runs: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Return the differences of the same runs made twice under other rounding (A/A).

    Args:
        runs, other: from `runs.flatten`; same experiments, splits and seeds, another engine.

    Returns:
        one row per run that both have: name, scheme, fold, seed, population ("learned" where both
        learned, else "failed once" or "failed twice"), difference (validation accuracy, mean of
        the last ten epochs).
    """
    keys = ["name", "scheme", "fold", "seed", "digest"]
    kept = [*keys, "val_acc_mean", "outcome"]
    both = runs[kept].merge(other[kept], on=keys, suffixes=("", "_again"))
    n_failed = (both["outcome"] != "learned") * 1 + (both["outcome_again"] != "learned")
    return both[keys[:-1]].assign(
        population=n_failed.map({0: "learned", 1: "failed once", 2: "failed twice"}),
        difference=both["val_acc_mean"] - both["val_acc_mean_again"],
    )


def aa_rows(found: pd.DataFrame) -> pd.DataFrame:
    """Return A/A comparisons as rows of `compare` without a word: what no difference looks like.

    Args:
        found: from `again`; the runs that learned both times are used.
    """
    rows = []
    for question, scheme in SCHEMES.items():
        used = found[(found["population"] == "learned") & (found["scheme"] == scheme)]
        for name, part in used.groupby("name", sort=False):
            interval = t_interval(units(part, question))
            row = {"comparison": f"A/A, {words(name)}", "row": name}
            row |= {"technique": "A/A", "question": question, "population": "learned"}
            row |= {"effect": interval.mean, "low": interval.low, "high": interval.high}
            rows.append(row | {"delta": DELTA[question], "n": interval.n, "word": ""})
    return pd.DataFrame(rows)


def spread(found: pd.DataFrame) -> dict[str, float]:
    """Return how far single paired differences scatter: n, sd, q05, median, q95 (fractions)."""
    values = found["difference"]
    low, median, high = values.quantile([0.05, 0.5, 0.95])
    sd = values.std(ddof=1)
    return {"n": len(values), "sd": sd, "q05": low, "median": median, "q95": high}
