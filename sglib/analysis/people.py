"""Accuracy by person: the one way it is computed here, and what rests on it.

An answer is one run's answer to one held-out photograph after the last epoch. They are averaged
over a person's photographs within a run, then over runs, so that a person is one observation.
Takes the runs of the paper's rows and those of our models (`studies.ours`) alike.
"""

import numpy as np
import pandas as pd

from sglib import SglibError
from sglib.analysis.runs import KEY, POPULATIONS, population
from sglib.analysis.stats import Interval, people_rate, t_interval
from sglib.data.faces import CLASSES, FaceSet
from sglib.metrics import confusion, to_preds
from sglib.studies.tables import words
from sglib.training.fit import outcome

RANDOM, UNSEEN = "random folds", "people not seen"
DESIGNS = {"kfold": RANDOM, "person": UNSEEN}
BY = {"person": "subjects", "pose": "pose", "expression": "expression", "class": "labels"}


def answers(frame: pd.DataFrame, faces: FaceSet) -> pd.DataFrame:
    """Unfold runs into one row per run and held-out photograph.

    Args:
        frame: runs with name, scheme, fold, seed, val_ids and val_probs.
        faces: the labelled set that they ran on.

    Returns:
        name, scheme, fold, seed, id, prob (of sunglasses), correct, label, and person, pose,
        expression and class (the label's word) where the set knows them.

    Raises:
        SglibError: the runs are of another set.
    """
    columns = ["name", "scheme", "fold", "seed", "val_ids", "val_probs"]
    long = frame[columns].explode(["val_ids", "val_probs"], ignore_index=True)
    long = long.rename(columns={"val_ids": "id", "val_probs": "prob"}).astype({"prob": float})
    place = pd.Index(faces.ids).get_indexer(long["id"])
    if (place < 0).any():
        missing = long["id"][place < 0].iloc[0]
        raise SglibError(f"{faces.name} has no image {missing!r}; are the runs of this set?")
    long["label"] = faces.labels[place]
    long["correct"] = to_preds(long["prob"].to_numpy()) == long["label"]
    long["class"] = np.array(CLASSES)[long["label"]]
    known = {name: getattr(faces, field) for name, field in BY.items() if name != "class"}
    return long.assign(**{name: of[place] for name, of in known.items() if of is not None})


def person_means(long: pd.DataFrame) -> pd.DataFrame:
    """Return each person's accuracy, within a run and then over runs, of answers of one model.

    Args:
        long: from `answers`.

    Returns:
        index person: accuracy, photographs (different ones), seeds.
    """
    people = long.groupby("person")
    runs = long.groupby(["person", "seed"])["correct"].mean()
    return pd.DataFrame(
        {
            "accuracy": runs.groupby("person").mean(),
            "photographs": people["id"].nunique(),
            "seeds": people["seed"].nunique(),
        }
    )


def rate_of(means: pd.DataFrame) -> tuple[Interval, Interval]:
    """Return `stats.people_rate` of a table from `person_means`."""
    n = means["photographs"].to_numpy(float)
    return people_rate(means["accuracy"] * n, n)


def by_person(frame: pd.DataFrame, faces: FaceSet) -> pd.DataFrame:
    """Return the accuracy on each person, on random folds and with the person held out.

    Args:
        frame: from `studies.run.run`, schemes kfold and person.
        faces: the set.

    Returns:
        name, experiment (in words), design ("random folds", "people not seen"), population,
        person, accuracy, photographs (of the person), seeds.
    """
    frame = frame.drop_duplicates(KEY)
    frame = frame.assign(outcome=[outcome(np.asarray(row)) for row in frame["train_acc"]])
    parts = []
    for (name, scheme), runs in frame.groupby(["name", "scheme"], sort=False):
        for which in POPULATIONS:
            means = person_means(answers(population(runs, which), faces)).reset_index()
            keys = {"name": name, "experiment": words(name), "design": DESIGNS[scheme]}
            parts.append(means.assign(**keys, population=which))
    first = ["name", "experiment", "design", "population"]
    table = pd.concat(parts, ignore_index=True)
    return table[[*first, *table.columns.drop(first)]]


def drop_table(table: pd.DataFrame, which: str = "learned") -> pd.DataFrame:
    """Return what the random split hides: accuracy on both designs and the drop between them.

    Args:
        table: from `by_person`.
        which: population.

    Returns:
        one row per experiment that has both designs: name, experiment, random, unseen, low, high
        (95 %, beta-binomial over people), drop, drop_low, drop_high (95 %, t over the people's
        differences), worst (the lowest person), n (people), seeds (fewest of any person).
    """
    rows = []
    for name, part in table[table["population"] == which].groupby("name", sort=False):
        wide = part.pivot(index="person", columns="design", values="accuracy").dropna()
        if wide.shape[1] < 2:
            continue
        unseen = part[part["design"] == UNSEEN].set_index("person").loc[wide.index]
        rate, fall = rate_of(unseen)[0], t_interval(wide[RANDOM] - wide[UNSEEN], level=0.95)
        row = {"name": name, "experiment": words(name), "random": wide[RANDOM].mean()}
        row |= {"unseen": rate.mean, "low": rate.low, "high": rate.high}
        row |= {"drop": fall.mean, "drop_low": fall.low, "drop_high": fall.high}
        worst, seeds = unseen["accuracy"].min(), unseen["seeds"].min()
        rows.append(row | {"worst": worst, "n": rate.n, "seeds": seeds})
    return pd.DataFrame(rows)


def variance_split(runs: pd.DataFrame) -> pd.DataFrame:
    """Split the variance of accuracy on people not seen into person, technique, rest and seed.

    Two-way analysis of people × experiments with the seeds within a cell; components by the
    method of moments, those below 0 set to 0. "rest" is person × technique.

    Args:
        runs: from `runs.flatten`; of scheme person those that learned are used.

    Returns:
        part, sd and share (of one run's variance), share_of_means (of the sum of squares of the
        table of seed means; NaN for the seed).

    Source: Searle, Casella & McCulloch 1992 (Variance Components), §4.
    """
    used = population(runs[runs["scheme"] == "person"], "learned")
    cells = used.groupby(["fold", "name"])["val_acc_mean"]
    means, sizes = cells.mean().unstack().dropna(axis=1), cells.size()
    (n_people, n_names), grand = means.shape, means.to_numpy().mean()
    of_people, of_names = means.mean(axis=1), means.mean()
    left = means.sub(of_people, axis=0) - of_names + grand
    squares = pd.Series(
        {
            "person": n_names * ((of_people - grand) ** 2).sum(),
            "technique": n_people * ((of_names - grand) ** 2).sum(),
            "rest": (left**2).to_numpy().sum(),
        }
    )
    noise = squares["rest"] / ((n_people - 1) * (n_names - 1))
    seed = (cells.var(ddof=1) * (sizes - 1)).sum() / (sizes - 1).sum()
    variance = pd.Series(
        {
            "person": (squares["person"] / (n_people - 1) - noise) / n_names,
            "technique": (squares["technique"] / (n_names - 1) - noise) / n_people,
            "rest": noise - seed * (1 / sizes).mean(),
            "seed": seed,
        }
    ).clip(lower=0)
    shares = {"share": variance / variance.sum(), "share_of_means": squares / squares.sum()}
    table = pd.DataFrame({"sd": np.sqrt(variance), **shares}).loc[variance.index]
    return table.reset_index(names="part")


def early_stopping(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what choosing the epoch on held-out people is worth for the next person.

    For each person the epoch is the one with the highest validation accuracy of the runs that
    hold out the others, averaged over people and seeds. Of runs that learned.

    Args:
        frame: from `studies.run.run`, scheme person.

    Returns:
        one row per name and person (fold): name, fold, epoch (chosen, from 1), last, stopped (the
        accuracies after the last and the chosen epoch), oracle (after the person's own best epoch,
        which nobody can know).
    """
    good = [outcome(np.asarray(row)) == "learned" for row in frame["train_acc"]]
    rows = []
    for name, runs in frame[good].groupby("name", sort=False):
        curves = runs.groupby("fold")["val_acc"].agg(lambda part: np.mean(np.stack(part), axis=0))
        table = np.stack(curves.to_list())  # (people, epochs)
        for place, (fold, own) in enumerate(zip(curves.index, table, strict=True)):
            epoch = int(np.delete(table, place, axis=0).mean(0).round(9).argmax())
            row = {"name": name, "fold": fold, "epoch": epoch + 1, "last": own[-1]}
            rows.append(row | {"stopped": own[epoch], "oracle": own.max()})
    return pd.DataFrame(rows)


def error_table(frame: pd.DataFrame, faces: FaceSet, by: str) -> pd.DataFrame:
    """Return accuracy on held-out photographs by person, pose, expression or class.

    Returns:
        one row per name and value of `by`: name, `by`, accuracy (mean over people), low, high
        (95 %, beta-binomial over people), people, photographs, wrong (answers, all runs).

    Raises:
        SglibError: the set does not know `by`.
    """
    if by not in BY or getattr(faces, BY[by]) is None:
        raise SglibError(f"{faces.name}: no accuracy by {by!r}; there are: {', '.join(BY)}")
    rows = []
    for (name, value), part in answers(frame, faces).groupby(["name", by]):
        rate = rate_of(means := person_means(part))[0]
        row = {"name": name, by: value, "accuracy": rate.mean, "low": rate.low, "high": rate.high}
        row |= {"people": rate.n, "photographs": means["photographs"].sum()}
        rows.append(row | {"wrong": int((~part["correct"]).sum())})
    return pd.DataFrame(rows)


def rates(frame: pd.DataFrame, faces: FaceSet) -> pd.DataFrame:
    """Return counts and rates (formulas 4 to 9) by name and scheme, over all runs' answers."""
    rows = []
    for (name, scheme), part in answers(frame, faces).groupby(["name", "scheme"], sort=False):
        found = confusion(part["label"].to_numpy(), to_preds(part["prob"].to_numpy())).as_dict()
        rows.append({"name": name, "design": DESIGNS[scheme]} | found)
    return pd.DataFrame(rows)
