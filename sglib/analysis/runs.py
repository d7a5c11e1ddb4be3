"""From stored runs to tables: one number per run, summaries over runs, printed beside reproduced.

Takes the frame that `study.run_study` returns; no plots, no files.
"""

import numpy as np
import pandas as pd

from sglib.data.faces import FaceSet
from sglib.metrics import Confusion, confusion, to_preds
from sglib.studies.tables import Study
from sglib.training.reference import HISTORY

LAST = 10  # epochs; the printed captions are not the last epoch of the printed curves
MEASURES = ("train_loss", "val_loss", "train_acc", "val_acc")
STUCK_BELOW = 0.7  # training accuracy at the end; a run that learns anything ends above 0.85


def run_values(frame: pd.DataFrame, *, last: int = LAST) -> pd.DataFrame:
    """Reduce each run's history to one number per measure, in two readings.

    Args:
        frame: one row per run.
        last: how many final epochs `*_mean` averages; runs that are shorter use what they have.

    Returns:
        one row per run: name, model, scheme, fold, seed, n_train, n_val, seconds, and for each of
        `MEASURES` the column itself (last epoch) and `<measure>_mean` (mean of the last epochs).
    """
    keep = ["name", "model", "scheme", "fold", "seed", "n_train", "n_val", "engine", "seconds"]
    values = frame[keep].copy()
    for measure in MEASURES:
        histories = [np.asarray(history, dtype=float) for history in frame[measure]]
        values[measure] = [history[-1] for history in histories]
        values[f"{measure}_mean"] = [history[-last:].mean() for history in histories]
    return values


def learned(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the runs that learned at all: those not stuck near chance on their training images.

    Some initialisations never leave a training accuracy of one half (a dead network under a
    saturating head). Training data alone shows it, so anyone would start such a run again, and
    the paper's captions are surely of none; it says nothing about generalisation. `stuck_table`
    counts them.
    """
    return frame[_ends(frame) >= STUCK_BELOW].reset_index(drop=True)


def stuck_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return per row how many runs there are and how many of them are stuck, see `learned`."""
    stuck = (_ends(frame) < STUCK_BELOW).groupby(frame["name"], sort=False)
    return pd.DataFrame({"runs": stuck.size(), "stuck": stuck.sum()})


def _ends(frame: pd.DataFrame) -> pd.Series:
    return frame["train_acc"].map(lambda history: float(history[-1]))


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Return mean, sample standard deviation, minimum and maximum over the runs of a row.

    Returns:
        index name (in the order of the study), columns (measure, statistic) plus ("runs", "n") and
        ("seconds", "mean").
    """
    values = run_values(frame)
    order = list(dict.fromkeys(values["name"]))
    columns = [*MEASURES, *(f"{measure}_mean" for measure in MEASURES)]
    table = values.groupby("name")[columns].agg(["mean", "std", "min", "max"]).loc[order]
    grouped = values.groupby("name")
    table[("runs", "n")] = grouped.size()
    table[("seconds", "mean")] = grouped["seconds"].mean()
    return table


def readings(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the two readings of each measure side by side: means over the runs of each row."""
    columns = [column for measure in MEASURES for column in (measure, f"{measure}_mean")]
    table = run_values(frame).groupby("name", sort=False)[columns].mean()
    table.columns = pd.MultiIndex.from_product([MEASURES, ("last epoch", f"mean of last {LAST}")])
    return table.round(4)


def fit_against_rest(frame: pd.DataFrame) -> pd.DataFrame:
    """Return training loss and accuracy on the way and at rest: last ten epochs, mean of runs.

    `fit` is measured with dropout on while the weights move, `train` after the epoch without.
    """
    columns = ["fit_loss", "train_loss", "fit_acc", "train_acc"]
    history = history_frame(frame)
    n_epochs = history.groupby("name")["epoch"].transform("max")
    return history[history["epoch"] > n_epochs - LAST].groupby("name", sort=False)[columns].mean()


def study_table(study: Study) -> pd.DataFrame:
    """Return a study's rows with the settings that they may differ in, and the paper's section."""
    fields = dict.fromkeys(("section", "model", "n_epochs", *study.scientific))
    rows = [{field: _shortest(getattr(row, field)) for field in fields} for row in study.rows]
    return pd.DataFrame(rows, index=pd.Index([row.name for row in study.rows], name="experiment"))


def _shortest(value: object) -> object:
    """Return a float as text without trailing zeros: 5e-06, not 0.000005."""
    return f"{value:g}" if isinstance(value, float) else value


def predictions(frame: pd.DataFrame, faces: FaceSet) -> pd.DataFrame:
    """Unfold the out-of-sample predictions: one row per run and validation image.

    Returns:
        name, scheme, fold, seed, id, probs, preds, labels, and subjects, pose, expression where
        the set knows them.
    """
    columns = ["name", "scheme", "fold", "seed", "val_ids", "val_probs"]
    long = frame[columns].explode(["val_ids", "val_probs"], ignore_index=True)
    long = long.rename(columns={"val_ids": "id", "val_probs": "probs"})
    long["probs"] = long["probs"].astype(float)
    long["preds"] = to_preds(long["probs"].to_numpy())
    place = pd.Series(np.arange(len(faces)), index=faces.ids)[long["id"].to_numpy()].to_numpy()
    for field in ("labels", "subjects", "pose", "expression"):
        value = getattr(faces, field)
        if value is not None:
            long[field] = value[place]
    return long


def confusions(frame: pd.DataFrame, faces: FaceSet) -> dict[str, Confusion]:
    """Return the confusion matrix of each row, summed over its runs' validation images."""
    long = predictions(frame, faces)
    return {
        name: confusion(part["labels"].to_numpy(), part["preds"].to_numpy())
        for name, part in long.groupby("name", sort=False)
    }


def rates_table(frame: pd.DataFrame, faces: FaceSet) -> pd.DataFrame:
    """Return counts and rates (formulas 4 to 9) by row, summed over its runs."""
    rows = {name: matrix.as_dict() for name, matrix in confusions(frame, faces).items()}
    return pd.DataFrame.from_dict(rows, orient="index")


def seconds_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what a run of each row took: engine, mean seconds, steps and µs per step.

    Paper §3.1 names time as the measure of efficiency and prints none.
    """
    # a flip_add epoch shows the added copies too
    shown = frame["n_train"] + np.where(
        frame["augment"] == "flip_add",
        (frame["augment_fraction"] * frame["n_train"]).astype(int),
        0,
    )
    steps = np.ceil(shown / frame["batch_size"]) * frame["n_epochs"]
    table = frame.assign(steps=steps.astype(int)).groupby("name", sort=False)
    out = table.agg(
        ran_on=("engine", "first"),  # `engine=` is an argument of pandas' own
        runs=("seconds", "size"),
        steps=("steps", "first"),
        seconds=("seconds", "mean"),
    )
    out = out.rename(columns={"ran_on": "engine"})
    out["microseconds_per_step"] = out["seconds"] / out["steps"] * 1e6
    return out


def paired_differences(
    frame: pd.DataFrame, name: str, reference: str, *, measure: str = "val_acc_mean"
) -> pd.DataFrame:
    """Return the differences of two rows over the folds and seeds that both have.

    Returns:
        fold, seed, n_train, n_val, difference (row minus reference), in seed and fold order.

    Raises:
        ValueError: the frame lacks one of the rows.
    """
    values = run_values(frame).set_index(["seed", "fold"]).sort_index()
    one, two = (values[values["name"] == row] for row in (name, reference))
    if one.empty or two.empty:
        raise ValueError(f"no runs of {name if one.empty else reference} to compare")
    both = one.index.intersection(two.index)
    difference = one.loc[both, measure] - two.loc[both, measure]
    return one.loc[both, ["n_train", "n_val"]].assign(difference=difference).reset_index()


def history_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Unfold the histories: one row per run and epoch.

    Returns:
        columns name, scheme, fold, seed, epoch (from 1) and those of `train.HISTORY`.
    """
    columns = ["name", "model", "scheme", "fold", "seed", *HISTORY]
    n_epochs = frame["n_epochs"].to_numpy(dtype=np.int64)
    long = frame[columns].explode(list(HISTORY), ignore_index=True)
    long = long.astype(dict.fromkeys(HISTORY, float))
    long.insert(5, "epoch", np.concatenate([np.arange(1, n + 1) for n in n_epochs]))
    return long
