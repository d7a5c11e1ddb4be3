"""Which estimate told the truth: printed, random folds or people held out, against other people.

An answer here is the share of an experiment's runs that are right about one picture, so that seeds
are averaged within a person and a person is one observation. Of runs that learned.
"""

import numpy as np
import pandas as pd

from sglib.analysis.people import RANDOM, UNSEEN, rate_of
from sglib.analysis.stats import Interval, people_rate, spearman, t_interval
from sglib.data.faces import CLASSES, FaceSet
from sglib.files import reports_dir
from sglib.metrics import to_preds
from sglib.studies.others import AS_TAKEN, COPIES
from sglib.studies.paper import PRINTED
from sglib.studies.tables import words

NAME = "eight_more_people"  # of the published table and figure
# columns of that table for a reader
SHORT = ["experiment", "printed", "random", "unseen", "others", "low", "high", "copies"]
ESTIMATES = {"printed": "printed", "random": RANDOM, "unseen": UNSEEN}
_EXPECTED = {"clean": "unseen", "new_low": "new_low", "new_high": "new_high"}


def answers(frame: pd.DataFrame, exam: FaceSet) -> pd.DataFrame:
    """Return one row per experiment or model and picture.

    Args:
        frame: from `studies.others.run_others` or `ask_shipped`.
        exam: `studies.others.exam` of the people they were asked about.

    Returns:
        name, right (share of the runs that learned), runs, failed (that did not learn), and
        person, pose, expression, class and distortion of the picture.
    """
    place = pd.DataFrame(
        {
            "person": exam.subjects,
            "pose": exam.pose,
            "expression": exam.expression,
            "class": np.array(CLASSES)[exam.labels],
            "distortion": [name.partition(":")[0] for name in exam.ids],
        }
    )
    parts = []
    for name, runs in frame.groupby("name", sort=False):
        learned = runs.loc[runs["outcome"] == "learned", "val_probs"]
        probs = np.array(learned.to_list()).reshape(-1, len(exam))
        right = (to_preds(probs) == exam.labels).mean(0) if len(probs) else np.nan
        counts = {"runs": len(runs), "failed": len(runs) - len(probs)}
        parts.append(place.assign(name=name, right=right, **counts))
    return pd.concat(parts, ignore_index=True) if parts else place.assign(name="", right=np.nan)


def by(long: pd.DataFrame, field: str, *, as_one: bool = True) -> pd.DataFrame:
    """Return accuracy by person, pose, expression, class or distortion.

    Args:
        long: from `answers`.
        field: a column. All but "distortion" are of photographs as taken.
        as_one: the paper's experiments are one, "paper", the mean over them.

    Returns:
        name, `field`, accuracy (mean over people), low, high (95 %, beta-binomial over people),
        people, photographs.
    """
    shown = long if field == "distortion" else long[long["distortion"] == AS_TAKEN]
    if as_one:
        shown = shown.assign(name=shown["name"].where(~shown["name"].isin(PRINTED.index), "paper"))
    rows = []
    for (name, value), part in shown.groupby(["name", field], sort=False):
        if len(means := _person_means(part)):  # else no run learned
            rate, n = rate_of(means)[0], int(means["photographs"].sum())
            rows.append((name, value, rate.mean, rate.low, rate.high, rate.n, n))
    columns = ["name", field, "accuracy", "low", "high", "people", "photographs"]
    return pd.DataFrame(rows, columns=columns)


def tables(long: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return `by` person, pose and distortion; nothing where nobody was asked."""
    return {field: by(long, field) for field in ("person", "pose", "distortion") if len(long)}


def published(asked: FaceSet) -> dict[str, pd.DataFrame]:
    """Return the published table under its name, for a page that cannot ask the originals."""
    path = reports_dir() / "tables" / f"{NAME}.csv"
    return {NAME: pd.read_csv(path)} if asked.name != "others" and path.exists() else {}


def _person_means(part: pd.DataFrame) -> pd.DataFrame:
    """Return accuracy and photographs by person; copies of a photograph are one observation."""
    keys = ["person", "pose", "expression", "class"]
    means = part.dropna(subset="right").groupby(keys)["right"].mean().groupby("person")
    return means.agg(accuracy="mean", photographs="size")


def table(long: pd.DataFrame, people: pd.DataFrame) -> pd.DataFrame:
    """Return every estimate of every experiment and shipped model beside what other people say.

    Args:
        long: from `answers`, of experiments and models; empty where there is nobody to ask.
        people: from `people.by_person`, of the paper's study on both designs.

    Returns:
        name, experiment (in words), printed, random and unseen (accuracy on random folds and on
        people held out), new_low and new_high (95 % prediction for so many new people, from the
        people held out; of a shipped model as published before), others, low, high (95 %,
        beta-binomial over people), worst (person), copies, copies_low, copies_high (like the test
        images), people, runs, failed. NaN where nobody was asked or nothing is known.
    """
    n_people = long["person"].nunique() or 8
    rows = {name: _estimates(name, people, n_people) for name in PRINTED.index}
    rows |= {name: _expected(name) for name in long["name"].unique() if name not in rows}
    for name, part in long.groupby("name", sort=False):
        means = _person_means(part[part["distortion"] == AS_TAKEN])
        if means.empty:  # no run learned
            continue
        rate = rate_of(means)[0]
        copies = rate_of(_person_means(part[part["distortion"] == COPIES]))[0]
        row = {"others": rate.mean, "low": rate.low, "high": rate.high}
        row |= {"worst": means["accuracy"].min(), "copies": copies.mean}
        row |= {"copies_low": copies.low, "copies_high": copies.high, "people": rate.n}
        rows[name] |= row | part.iloc[0][["runs", "failed"]].to_dict()
    columns = ["experiment", *ESTIMATES, "new_low", "new_high", "others", "low", "high", "worst"]
    columns += ["copies", "copies_low", "copies_high", "people", "runs", "failed"]
    found = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=columns)
    return found.reset_index(names="name")


def _estimates(name: str, people: pd.DataFrame, n_new: int) -> dict[str, object]:
    of = people[(people["name"] == name) & (people["population"] == "learned")]
    seen, held = (of[of["design"] == design] for design in (RANDOM, UNSEEN))
    row = {"experiment": words(name), "printed": PRINTED.loc[name, "val_acc"]}
    row["random"] = seen["accuracy"].mean()
    if held.empty:
        return row
    n = held["photographs"].to_numpy(float)
    new = people_rate(held["accuracy"] * n, n, n_new=n_new)[1]
    return row | {"unseen": new.mean, "new_low": new.low, "new_high": new.high}


def _expected(model: str) -> dict[str, object]:
    """Return what notebook 08 published of a model before anybody else was asked."""
    row: dict[str, object] = {"experiment": f"our {model}"}
    path = reports_dir() / "tables" / "models.csv"
    known = pd.read_csv(path).set_index("model") if path.exists() else pd.DataFrame()
    if model in known.index:
        row |= known.loc[model].rename(_EXPECTED)[list(_EXPECTED.values())].to_dict()
    return row


def truth(table: pd.DataFrame, long: pd.DataFrame) -> pd.DataFrame:
    """Return how far each estimate of the twelve experiments is from what other people say.

    Args:
        table, long: from `table` and `answers`.

    Returns:
        estimate, mean (over the experiments), others, error (mean − others), low, high (95 %, t
        over the other people alone), inside (experiments whose interval over the other people
        holds their estimate), rank, rank_low, rank_high (Spearman's rank correlation over the
        experiments with its 95 % interval), experiments, people.
    """
    twelve = table[table["name"].isin(PRINTED.index)]
    paper = _person_means(long[long["name"].isin(PRINTED.index) & (long["distortion"] == AS_TAKEN)])
    people = t_interval(paper["accuracy"], level=0.95)
    rows = []
    for column, name in ESTIMATES.items():
        both = twelve[[column, "others", "low", "high"]].dropna().astype(float)
        mean = twelve[column].mean()
        row = {"estimate": name, "mean": mean, "others": people.mean, "error": mean - people.mean}
        row |= {"low": mean - people.high, "high": mean - people.low}
        row["inside"] = int(both[column].between(both["low"], both["high"]).sum())
        rank = Interval(*[np.nan] * 3, len(both))
        if len(both) > 3 and both[[column, "others"]].nunique().min() > 1:
            rank = spearman(both[column], both["others"])
        row |= {"rank": rank.mean, "rank_low": rank.low, "rank_high": rank.high}
        rows.append(row | {"experiments": rank.n, "people": people.n})
    found = pd.DataFrame(rows)
    return found if people.n else found.assign(others=np.nan, error=np.nan, low=np.nan, high=np.nan)


def learning(flat: pd.DataFrame, n_people: int) -> pd.DataFrame:
    """Return accuracy on people held out by the number of people trained on, of runs that learned.

    Args:
        flat: from `runs.flatten` of `studies.others.learning_curve`.
        n_people: in the set; scheme person trains on all but one of them.

    Returns:
        one row per experiment, number and draw of people: experiment (in words), n_people,
        accuracy (mean over seeds).
    """
    good = flat[flat["outcome"] == "learned"]
    known = (
        good["scheme"].str.replace("people", "").replace("person", f"{n_people - 1}").astype(int)
    )
    draws = good.assign(n_people=known, experiment=good["name"].map(words))
    means = draws.groupby(["experiment", "n_people", "fold"], sort=False)["val_acc_mean"].mean()
    return means.rename("accuracy").reset_index()
