"""From stored runs to one flat row per run, the source of every table and figure of `reports/`.

`flatten` keeps no image, no probability and no history; what figures need of the histories is in
`curves`. Everything else in `analysis` that rests on the paper's runs takes the flat frame.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sglib.analysis.stats import rate_interval
from sglib.studies.paper import LOSS_FLOOR
from sglib.studies.tables import STUDIES, Study, words
from sglib.training.fit import outcome

MEASURES = ("train_loss", "val_loss", "train_acc", "val_acc")
LAST = 10  # epochs that "mean of the last ten" averages
READINGS = {
    # suffix of a column → how a run's history is read as one number
    "last": "last epoch",
    "mean": "mean of the last ten",
    "best": "best accuracy",  # all measures at the first epoch of the best validation accuracy
    "least": "smallest loss",  # all measures at the first epoch of the smallest validation loss
    "own": "best of each measure",  # each at an epoch of its own
    "curve": "best of the fold-mean curve",  # one epoch for all folds of a repetition
}
POPULATIONS = ("all runs", "learned")
KEY = ["name", "scheme", "fold", "seed", "engine", "digest"]
_SETTINGS = ["model", "head", "scaling", "n_epochs", "batch_size", "lr", "l2", "p_drop", "augment"]
_FACTS = ["n_train", "n_val", "data", "commit"]


def flatten(frame: pd.DataFrame, people: Sequence[str] = ()) -> pd.DataFrame:
    """Return one flat row per run.

    Args:
        frame: from `studies.run.run`, of one or several studies; a run that two studies share
            under one name is kept once.
        people: of the set, sorted; names the person that scheme `person` holds out in each fold.

    Returns:
        sorted by `KEY`, names in the order of the studies: `KEY`, settings, `person`, `outcome`
        ("learned", "never", "collapsed"), `mechanism` (see there; "" where it learned),
        `n_correct` after the last epoch, `<measure>_<reading>` of `MEASURES` and `READINGS`, those
        after the first two only of scheme kfold, and `<measure>_curve_learned`, the last reading
        of the folds that learned; n_train, n_val, data, commit, processor, seconds.
    """
    names = [*(row.name for study in STUDIES.values() for row in study.rows), *frame["name"]]
    place = {name: place for place, name in enumerate(dict.fromkeys(names))}
    frame = frame.drop_duplicates(KEY).sort_values(
        KEY,
        ignore_index=True,
        key=lambda column: column.map(place) if column.name == "name" else column,
    )
    flat = frame[[*KEY, *_SETTINGS, *_FACTS]].copy()
    flat["processor"] = frame["processor"] if "processor" in frame else frame["machine"]
    flat["seconds"] = frame["seconds"].round(2)
    known = dict(enumerate(people))
    held_out = [known.get(fold, str(fold)) for fold in frame["fold"]]
    flat["person"] = np.where(frame["scheme"] == "person", held_out, "")
    histories = {m: [np.asarray(row, np.float64) for row in frame[m]] for m in MEASURES}
    flat["outcome"] = [outcome(row) for row in histories["train_acc"]]
    ends = [float(np.median(row[-LAST:])) for row in histories["train_loss"]]
    flat["mechanism"] = pd.Series(ends).map(mechanism).where(flat["outcome"] != "learned", "")
    epochs = {
        "last": [-1] * len(flat),
        "best": [int(row.argmax()) for row in histories["val_acc"]],
        "least": [int(row.argmin()) for row in histories["val_loss"]],
        "curve": _common_epochs(flat, histories["val_acc"], flat["outcome"] != ""),
        "curve_learned": _common_epochs(flat, histories["val_acc"], flat["outcome"] == "learned"),
    }
    for measure, rows in histories.items():
        at = {
            reading: [
                row[place] if place >= -1 else np.nan for row, place in zip(rows, of, strict=True)
            ]
            for reading, of in epochs.items()
        }
        at["mean"] = [row[-LAST:].mean() for row in rows]
        at["own"] = [row.max() if measure.endswith("acc") else row.min() for row in rows]
        for reading in (*READINGS, "curve_learned"):
            kept = (frame["scheme"] == "kfold") | (reading in ("last", "mean"))
            flat[f"{measure}_{reading}"] = np.where(kept, at[reading], np.nan).round(6)
    flat["n_correct"] = (flat["val_acc_last"] * flat["n_val"]).round().fillna(0).astype(int)
    return flat


def mechanism(loss: float) -> str:
    """Return how a run that did not learn died, by its training loss: "dead", "saturated", "other".

    dead: fc1 is silent and both outputs are equal, loss ln 2. saturated: one class for every
    image with outputs at 0 and 1, so half of the images cost the floor and half the floor + 1.
    """
    if abs(loss - np.log(2)) < 0.02:
        return "dead"
    return "saturated" if abs(loss - (LOSS_FLOOR + 0.5)) < 0.02 else "other"


def _common_epochs(flat: pd.DataFrame, curves: list[np.ndarray], used: pd.Series) -> list[int]:
    """Return the epoch at which the mean curve of a repetition's used folds is highest, else -2."""
    epochs = np.full(len(flat), -2)
    used &= flat["scheme"] == "kfold"
    for rows in (
        flat.index[used].groupby(flat.loc[used, "name"] + flat["seed"][used].astype(str)).values()
    ):
        epochs[rows] = np.mean([curves[row] for row in rows], axis=0).round(9).argmax()
    return epochs.tolist()


def population(runs: pd.DataFrame, which: str) -> pd.DataFrame:
    """Return "all runs" or only those that "learned"."""
    return runs if which == "all runs" else runs[runs["outcome"] == "learned"]


def curves(frame: pd.DataFrame) -> pd.DataFrame:
    """Return median and 10–90 % band of each measure over the epochs, failed runs apart.

    Args:
        frame: from `studies.run.run`.

    Returns:
        name, scheme, population ("learned" or "failed"), measure (of `MEASURES`), epoch (from 1),
        low, median, high, n (runs).
    """
    frame = frame.drop_duplicates(KEY)
    learned = frame["train_acc"].map(lambda row: outcome(np.asarray(row))) == "learned"
    parts = []
    keys = ["name", "scheme", learned.map({True: "learned", False: "failed"}).rename("population")]
    for values, rows in frame.groupby(keys, sort=False):
        for measure in MEASURES:
            table = np.stack(rows[measure].to_list())  # (runs, epochs)
            band = np.quantile(table, [0.1, 0.5, 0.9], axis=0).T
            part = pd.DataFrame(band, columns=["low", "median", "high"])
            part.insert(0, "epoch", np.arange(1, len(part) + 1))
            names = dict(zip(("name", "scheme", "population"), values, strict=True))
            parts.append(part.assign(**names, measure=measure, n=len(table)))
    table = pd.concat(parts, ignore_index=True)
    first = ["name", "scheme", "population", "measure"]
    return table[[*first, *table.columns.drop(first)]]


def failures(runs: pd.DataFrame, by: Sequence[str] = ("name",)) -> pd.DataFrame:
    """Count the runs that did not learn, by any columns of the flat runs.

    Returns:
        the columns of `by`; never, collapsed, dead, saturated, failed, n (counts); rate, low, high
        (95 %, exact).
    """
    kinds = ("never", "collapsed", "dead", "saturated")
    flags = pd.DataFrame(
        {kind: (runs[["outcome", "mechanism"]] == kind).any(axis=1) for kind in kinds}
    )
    flags = flags.assign(failed=runs["outcome"] != "learned", n=True)
    table = flags.groupby([runs[name] for name in by], sort=False).sum().reset_index()
    rates = [
        rate_interval(int(k), int(n)) for k, n in zip(table["failed"], table["n"], strict=True)
    ]
    return table.assign(
        rate=[r.mean for r in rates], low=[r.low for r in rates], high=[r.high for r in rates]
    )


def accuracies(runs: pd.DataFrame) -> pd.DataFrame:
    """Return each experiment's accuracies with its failures beside them.

    Returns:
        one row per name and scheme: name, scheme, experiment (in words), train and val (mean of
        the last ten epochs of the runs that learned), sd (of single runs that learned), val_all
        (of all runs), failed, n.
    """
    every, good = (
        population(runs, which).groupby(["name", "scheme"], sort=False) for which in POPULATIONS
    )
    table = good.agg(train=("train_acc_mean", "mean"), val=("val_acc_mean", "mean"))
    table = table.assign(sd=good["val_acc_mean"].std(ddof=1), good=good.size())
    table = every.agg(val_all=("val_acc_mean", "mean"), n=("seed", "size")).join(table)
    table["failed"] = table["n"] - table.pop("good").fillna(0).astype(int)
    table = table.reset_index()
    table.insert(2, "experiment", table["name"].map(words))
    return table[["name", "scheme", "experiment", "train", "val", "sd", "val_all", "failed", "n"]]


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Return per row of a frame from `studies.run.run` what its runs came to.

    Returns:
        index name; n_runs, n_failed (`fit.outcome`); of each of `MEASURES` after the last epoch
        `_all_mean`, `_all_sd` over all runs and `_learned_mean`, `_learned_sd` over those that
        learned; seconds of a run.
    """
    names, last = frame["name"], frame[list(MEASURES)].map(lambda row: row[-1]).astype(float)
    failed = frame["train_acc"].map(outcome).ne("learned")
    table = failed.groupby(names, sort=False).agg(n_runs="size", n_failed="sum")
    for which, rows in (("all", last), ("learned", last[~failed])):
        found = rows.groupby(names).agg(["mean", "std"]).rename(columns={"std": "sd"})
        found.columns = [f"{measure}_{which}_{how}" for measure, how in found]
        table = table.join(found)
    return table.assign(seconds=frame["seconds"].astype(float).groupby(names).mean())


def fit_against_rest(frame: pd.DataFrame) -> pd.DataFrame:
    """Return training loss and accuracy on the way and at rest: last ten epochs, mean of all runs.

    `fit` is measured with dropout on while the weights move, `train` after the epoch without.
    """
    columns = ["fit_loss", "train_loss", "fit_acc", "train_acc"]
    means = frame[columns].map(lambda row: np.mean(row[-LAST:]))
    return means.groupby(frame["name"], sort=False).mean().reset_index()


def study_table(study: Study) -> pd.DataFrame:
    """Return a study's rows with the settings that they may differ in, and the paper's section."""
    fields = dict.fromkeys(("section", "model", "n_epochs", *study.scientific))
    values = [[getattr(row, field) for field in fields] for row in study.rows]
    names = pd.Index([row.name for row in study.rows], name="experiment")
    # a float as text without trailing zeros: 5e-06, not 0.000005
    return pd.DataFrame(values, names, columns=list(fields)).map(
        lambda value: f"{value:g}" if isinstance(value, float) else value
    )
