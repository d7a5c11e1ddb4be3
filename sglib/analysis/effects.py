"""What a technique changes: differences of two experiments, with interval and word.

Runs are paired by fold and seed: same split, initialisation and, unless images are added, order.
"""

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
DELTA = {
    # the smallest difference that matters, fixed before the runs it is used on
    PHOTOGRAPHS: 1 / 75,  # one validation image of the paper's split: int(0.2 · 378) = 75
    PEOPLE: 0.02,  # about two of a hundred photographs of a new person
}


class Pair(NamedTuple):
    """A comparison: `row` against `reference`, in accuracy or in the gap.

    accuracy: validation accuracy of row − reference. gap: training − validation accuracy of the
    reference minus that of the row, so that positive means a smaller gap. With an empty reference
    the row's own gap, training − validation accuracy.
    """

    row: str
    reference: str = ""
    measure: str = "accuracy"

    @property
    def label(self) -> str:
        """The comparison in words."""
        if not self.reference:
            return f"training − validation: {words(self.row)}"
        sort = "gap of " if self.measure == "gap" else ""
        return f"{sort}{words(self.row)} against {words(self.reference)}"


def differences(runs: pd.DataFrame, pair: Pair, question: str, which: str) -> pd.DataFrame:
    """Return the paired differences of single runs: seed, fold, difference (a fraction).

    Args:
        runs: from `runs.flatten`.
        pair: what is compared.
        question: of `QUESTIONS`; chooses the scheme.
        which: "all runs", or "learned": pairs of which both learned.
    """
    return _difference(_by_name(runs, question, which), pair)


def _by_name(runs: pd.DataFrame, question: str, which: str) -> dict[str, pd.DataFrame]:
    """Return accuracy and gap as tables: index seed and fold, a column for each experiment."""
    used = population(runs[runs["scheme"] == SCHEMES[question]], which)
    used = used.assign(accuracy=used["val_acc_mean"])
    used["gap"] = used["train_acc_mean"] - used["val_acc_mean"]
    wide = used.pivot(index=["seed", "fold"], columns="name", values=["accuracy", "gap"])
    return {measure: wide[measure] for measure in ("accuracy", "gap")}


def _difference(tables: dict[str, pd.DataFrame], pair: Pair) -> pd.DataFrame:
    if pair.reference:
        table = tables[pair.measure]
        found = (table[pair.row] - table[pair.reference]) * (-1 if pair.measure == "gap" else 1)
    else:
        found = tables["gap"][pair.row]
    return found.dropna().rename("difference").reset_index()


def units(found: pd.DataFrame, question: str) -> pd.Series:
    """Return the independent values: means over a repetition's folds, or over a person's seeds."""
    return found.groupby("seed" if question == PHOTOGRAPHS else "fold")["difference"].mean()


def compare(
    runs: pd.DataFrame,
    pairs: Iterable[Pair | tuple[str, str]],
    *,
    questions: Iterable[str] = QUESTIONS,
    populations: Iterable[str] = POPULATIONS,
) -> pd.DataFrame:
    """Judge pairs of experiments on each question and population.

    Each question and population is a family: p is adjusted for the number of pairs (Holm).

    Args:
        runs: from `runs.flatten`; a question whose scheme it lacks is left out.
        pairs: all that will be looked at; (row, reference) is compared in accuracy.

    Returns:
        one row per question, population and pair: comparison (in words), row, reference, measure,
        technique, question, population, effect, low, high (90 %; fractions), delta, n
        (repetitions or people), p_holm (of the word that is nearest), word, seeds and people (that
        would decide it with a power of 80 %; NaN where it is decided, infinite where no number
        would).
    """
    table = judge_pairs(runs, pairs, questions=questions, populations=populations)
    return table.drop(columns=[name for name in table if name.startswith("p: ")])


def judge_pairs(
    runs: pd.DataFrame,
    pairs: Iterable[Pair | tuple[str, str]],
    *,
    questions: Iterable[str] = QUESTIONS,
    populations: Iterable[str] = POPULATIONS,
) -> pd.DataFrame:
    """Do as `compare`, and keep the unadjusted p value of each statement as "p: <statement>"."""
    pairs = [Pair(*pair) for pair in pairs]
    rows = []
    for question in questions:
        if not (runs["scheme"] == SCHEMES[question]).any():
            continue
        for which in populations:
            delta, tables = DELTA[question], _by_name(runs, question, which)
            found = [_difference(tables, pair) for pair in pairs]
            values = [units(one, question) for one in found]
            judged = [judge(one, delta, exact=question == PEOPLE) for one in values]
            p_holm = holm([one.p[one.word] for one in judged])
            for pair, one, p, runs_of, of in zip(pairs, judged, p_holm, found, values, strict=True):
                word = settle(one.word, p, one.interval, delta)
                seeds, people = math.nan, math.nan
                if word == "open" and one.interval.n > 1:
                    seeds, people = _to_decide(runs_of, of, question)
                rows.append(
                    {
                        "comparison": pair.label,
                        **pair._asdict(),
                        "technique": technique(pair.row),
                        "question": question,
                        "population": which,
                        "effect": one.interval.mean,
                        "low": one.interval.low,
                        "high": one.interval.high,
                        "delta": delta,
                        "n": one.interval.n,
                        "p_holm": p,
                        "word": word,
                        "seeds": seeds,
                        "people": people,
                        **{f"p: {statement}": value for statement, value in one.p.items()},
                    }
                )
    return pd.DataFrame(rows)


def _to_decide(found: pd.DataFrame, values: pd.Series, question: str) -> tuple[float, float]:
    """Return how many seeds, and how many people at the present seeds, would decide."""
    delta, effect, sd = DELTA[question], float(values.mean()), float(values.std(ddof=1))
    enough = units_to_decide(effect, delta, sd)
    if question == PHOTOGRAPHS:
        return enough, math.nan
    seeds = found.groupby("fold")["difference"]
    sd_seed = float(np.sqrt(seeds.var(ddof=1).mean()))
    sd_people = math.sqrt(max(0.0, sd**2 - sd_seed**2 / seeds.size().mean()))
    root = math.sqrt(len(values))
    return units_to_decide(effect, delta, sd_seed / root, other=sd_people / root), enough


def compare_failures(
    runs: pd.DataFrame, pairs: Iterable[tuple[str, str]], *, questions: Iterable[str] = QUESTIONS
) -> pd.DataFrame:
    """Compare how often two experiments fail to train, by Fisher's exact test.

    Returns:
        one row per question and pair: comparison, row, reference, question, failed, n,
        failed_reference, n_reference, p_holm (over the pairs of a question).
    """
    rows = []
    pairs = list(pairs)
    for question in questions:
        part = runs[runs["scheme"] == SCHEMES[question]]
        if part.empty:
            continue
        states = (part["outcome"] != "learned").groupby(part["name"]).agg(["sum", "size"])
        counts = [(*states.loc[row], *states.loc[reference]) for row, reference in pairs]
        adjusted = holm([fisher_p(*map(int, count)) for count in counts])
        for pair, count, p in zip(pairs, counts, adjusted, strict=True):
            row = {"comparison": Pair(*pair).label, "row": pair[0], "reference": pair[1]}
            names = ("failed", "n", "failed_reference", "n_reference")
            rows.append(row | {"question": question} | dict(zip(names, count, strict=True)))
            rows[-1]["p_holm"] = p
    return pd.DataFrame(rows)


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
            row = {"comparison": f"A/A, the same runs again: {words(name)}", "row": name}
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
