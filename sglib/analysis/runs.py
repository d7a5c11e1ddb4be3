"""From stored runs to one flat row per run, the source of every table and figure of `reports/`.

`flatten` keeps no image, no probability and no history; what figures need of the histories is in
`curves`. Everything else in `analysis` that rests on the paper's runs takes the flat frame.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sglib.analysis.stats import rate_interval
from sglib.studies.paper import LOSS_FLOOR
from sglib.studies.tables import Study, words
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
_SETTINGS = ("name", "model", "head", "scaling", "n_epochs", "batch_size", "lr", "l2", "p_drop")
_SETTINGS += ("augment", "data", "digest", "scheme", "fold", "seed", "engine", "n_train", "n_val")
KEY = ["name", "scheme", "fold", "seed", "engine", "digest"]


def flatten(frame: pd.DataFrame, people: Sequence[str] = ()) -> pd.DataFrame:
    """Return one flat row per run.

    Args:
        frame: from `studies.run.run`, of one or several studies; a run that two studies share
            under one name is kept once.
        people: of the set, sorted; names the person that scheme `person` holds out in each fold.

    Returns:
        settings and split; `person`; `outcome` ("learned", "never", "collapsed") and `mechanism`
        ("dead", "saturated", or "" where it learned or died otherwise); `n_correct` after the
        last epoch; `<measure>_<reading>` of `MEASURES` and `READINGS`, and with five folds
        `<measure>_curve_learned`, the same reading of the folds that learned; seconds, processor,
        commit.
    """
    frame = frame.drop_duplicates(KEY).reset_index(drop=True)
    flat = frame[list(_SETTINGS)].copy()
    names = dict(enumerate(people))
    by_person = frame["scheme"] == "person"
    flat["person"] = [
        names.get(fold, str(fold)) if held else ""
        for fold, held in zip(frame["fold"], by_person, strict=True)
    ]
    histories = {
        measure: [np.asarray(history, np.float64) for history in frame[measure]]
        for measure in MEASURES
    }
    flat["outcome"] = [outcome(history) for history in histories["train_acc"]]
    flat["mechanism"] = [
        "" if found == "learned" else mechanism(float(np.median(loss[-LAST:])))
        for found, loss in zip(flat["outcome"], histories["train_loss"], strict=True)
    ]
    best = [int(np.argmax(history)) for history in histories["val_acc"]]
    least = [int(np.argmin(history)) for history in histories["val_loss"]]
    common = {"curve": _common_epochs(flat, histories["val_acc"], learned=False)}
    common["curve_learned"] = _common_epochs(flat, histories["val_acc"], learned=True)
    for measure, rows in histories.items():
        extreme = np.max if measure.endswith("acc") else np.min
        columns = {
            "last": [row[-1] for row in rows],
            "mean": [row[-LAST:].mean() for row in rows],
            "best": [row[at] for row, at in zip(rows, best, strict=True)],
            "least": [row[at] for row, at in zip(rows, least, strict=True)],
            "own": [extreme(row) for row in rows],
            **{
                name: [row[at] if at >= 0 else np.nan for row, at in zip(rows, epochs, strict=True)]
                for name, epochs in common.items()
            },
        }
        for reading, values in columns.items():
            flat[f"{measure}_{reading}"] = np.float32(np.round(values, 6))
    flat.insert(0, "n_correct", (flat["val_acc_last"] * flat["n_val"]).round().astype(int))
    flat["seconds"] = frame["seconds"]
    flat["processor"] = frame["processor"] if "processor" in frame else frame["machine"]
    flat["commit"] = frame["commit"]
    return flat


def mechanism(loss: float) -> str:
    """Return how a run that did not learn died, by its training loss: "dead", "saturated" or "".

    dead: fc1 is silent and both outputs are equal, loss ln 2. saturated: one class for every
    image with outputs at 0 and 1, so half of the images cost the floor and half the floor + 1.
    """
    if abs(loss - np.log(2)) < 0.02:
        return "dead"
    return "saturated" if abs(loss - (LOSS_FLOOR + 0.5)) < 0.02 else ""


def _common_epochs(flat: pd.DataFrame, histories: list[np.ndarray], *, learned: bool) -> list[int]:
    """Return for each run of k-fold the epoch at which its repetition's mean curve is highest.

    -1 for other schemes, and where `learned` asks for runs that learned and this one did not.
    """
    epochs = [-1] * len(flat)
    used = flat["scheme"] == "kfold"
    if learned:
        used &= flat["outcome"] == "learned"
    for rows in flat[used].groupby(["name", "seed", "engine"]).indices.values():
        places = flat.index[used][rows]
        at = int(np.argmax(np.mean([histories[place] for place in places], axis=0).round(9)))
        for place in places:
            epochs[place] = at
    return epochs


def population(runs: pd.DataFrame, which: str) -> pd.DataFrame:
    """Return "all runs" or only those that "learned"."""
    if which not in POPULATIONS:
        raise ValueError(f"population must be one of {', '.join(POPULATIONS)}, got {which!r}")
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
    state = [outcome(np.asarray(history, np.float64)) for history in frame["train_acc"]]
    state = np.where(np.array(state) == "learned", "learned", "failed")
    parts = []
    for (name, scheme, which), rows in frame.groupby(["name", "scheme", state], sort=False):
        for measure in MEASURES:
            table = np.stack(rows[measure].map(np.asarray).to_list())  # (runs, epochs)
            low, median, high = np.quantile(table, [0.1, 0.5, 0.9], axis=0)
            parts.append(
                pd.DataFrame(
                    {
                        "name": name,
                        "scheme": scheme,
                        "population": which,
                        "measure": measure,
                        "epoch": np.arange(1, table.shape[1] + 1),
                        "low": low,
                        "median": median,
                        "high": high,
                        "n": len(table),
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


def failures(runs: pd.DataFrame, by: Sequence[str] = ("name",)) -> pd.DataFrame:
    """Count the runs that did not learn.

    Args:
        runs: from `flatten`.
        by: columns to group by, such as name, model, head, scaling, p_drop, l2.

    Returns:
        the columns of `by`; failed, n, rate, low, high (95 %, exact), never, collapsed, dead,
        saturated (counts).
    """
    rows = []
    for values, part in runs.groupby(list(by), sort=False):
        interval = rate_interval(int((part["outcome"] != "learned").sum()), len(part))
        kinds = [*part["outcome"], *part["mechanism"]]
        rows.append(
            {
                **dict(zip(by, values, strict=True)),
                "failed": int((part["outcome"] != "learned").sum()),
                "n": len(part),
                "rate": interval.mean,
                "low": interval.low,
                "high": interval.high,
                **{kind: kinds.count(kind) for kind in ("never", "collapsed", "dead", "saturated")},
            }
        )
    return pd.DataFrame(rows)


def accuracies(runs: pd.DataFrame) -> pd.DataFrame:
    """Return each experiment's accuracies with its failures beside them.

    Returns:
        one row per name and scheme: experiment (in words), name, scheme, train and val (mean of
        the last ten epochs of the runs that learned), val_all (of all runs), sd (of single runs
        that learned), failed, n.
    """
    rows = []
    for (name, scheme), part in runs.groupby(["name", "scheme"], sort=False):
        good = population(part, "learned")
        rows.append(
            {
                "experiment": words(name),
                "name": name,
                "scheme": scheme,
                "train": good["train_acc_mean"].mean(),
                "val": good["val_acc_mean"].mean(),
                "val_all": part["val_acc_mean"].mean(),
                "sd": good["val_acc_mean"].std(ddof=1),
                "failed": len(part) - len(good),
                "n": len(part),
            }
        )
    return pd.DataFrame(rows)


def study_table(study: Study) -> pd.DataFrame:
    """Return a study's rows with the settings that they may differ in, and the paper's section."""
    fields = dict.fromkeys(("section", "model", "n_epochs", *study.scientific))
    rows = [{field: _shortest(getattr(row, field)) for field in fields} for row in study.rows]
    return pd.DataFrame(rows, index=pd.Index([row.name for row in study.rows], name="experiment"))


def _shortest(value: object) -> object:
    """Return a float as text without trailing zeros: 5e-06, not 0.000005."""
    return f"{value:g}" if isinstance(value, float) else value
