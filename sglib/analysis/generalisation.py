"""What the random split hides: unseen people, the loss floor, luck of the split, controls."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd

from sglib.analysis.people import person_interval
from sglib.analysis.runs import predictions, run_values
from sglib.data.faces import FaceSet
from sglib.metrics import confusion
from sglib.studies import run as study
from sglib.studies.paper import LOSS_FLOOR, PRINTED
from sglib.studies.profiles import Config

TRAINING_PEOPLE = {
    # profile → numbers of training people of the learning curves: the set at hand (12 people), and
    # the synthetic one, which has as many as wanted
    "smoke": ((2, 6), (2, 6)),
    "paper": ((2, 4, 6, 8, 11), (2, 4, 11, 25, 50)),
    "full": ((2, 3, 4, 6, 8, 11), (2, 4, 11, 25, 50, 100, 200)),
}


def compare_schemes(random_split: pd.DataFrame, unseen_people: pd.DataFrame) -> pd.DataFrame:
    """Put the accuracy on random folds beside that on people held out whole.

    Args:
        random_split, unseen_people: runs of the same rows, scheme `kfold` and `person`.

    Returns:
        one row per experiment: random (mean over runs), unseen (mean over people, each averaged
        over seeds first), low and high (95 % over people), worst (the lowest person), drop,
        n_people, n_seeds. Validation accuracy, mean of the last ten epochs.
    """
    folds = run_values(random_split).groupby("name", sort=False)["val_acc_mean"].mean()
    rows = {}
    for name, part in run_values(unseen_people).groupby("name", sort=False):
        people = part.groupby("fold")["val_acc_mean"].mean()
        interval = person_interval(people.to_numpy(), kind="rate")
        rows[name] = {
            "random": folds[name],
            "unseen": interval.mean,
            "low": interval.low,
            "high": interval.high,
            "worst": people.min(),
            "drop": folds[name] - interval.mean,
            "n_people": len(people),
            "n_seeds": part["seed"].nunique(),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def printed_points() -> pd.DataFrame:
    """Return the 24 printed (error rate, loss) points: training and validation of 12 captions."""
    return pd.DataFrame(
        {
            "part": [part for _ in range(len(PRINTED)) for part in ("train", "val")],
            "error": 1 - PRINTED[["train_acc", "val_acc"]].to_numpy().ravel(),
            "loss": PRINTED[["train_loss", "val_loss"]].to_numpy().ravel(),
        }
    )


def our_points(frame: pd.DataFrame) -> pd.DataFrame:
    """Return (error rate, loss) after the last epoch of every run, training and validation."""
    values = run_values(frame)
    parts = [
        pd.DataFrame(
            {"part": part, "error": 1 - values[f"{part}_acc"], "loss": values[f"{part}_loss"]}
        )
        for part in ("train", "val")
    ]
    return pd.concat(parts, ignore_index=True)


def floor_line(points: pd.DataFrame) -> dict[str, float]:
    """Hold points against loss = ln(1 + 1/e) + error rate, the line of saturated outputs.

    Returns:
        r2: 1 − residual / total sum of squares of that line (nothing is fitted);
        mean_deviation: mean |loss − line| in nats; lowest: the smallest loss; n: points.
    """
    residual = points["loss"] - (LOSS_FLOOR + points["error"])
    spread = points["loss"] - points["loss"].mean()
    return {
        "r2": float(1 - (residual**2).sum() / (spread**2).sum()),
        "mean_deviation": float(residual.abs().mean()),
        "lowest": float(points["loss"].min()),
        "n": len(points),
    }


def permute_labels(faces: FaceSet, *, seed: int = 0) -> FaceSet:
    """Return the set with its labels shuffled within each person: there is nothing to learn.

    Within the person, so that neither person nor balance tells the label.
    """
    rng = np.random.default_rng(seed)
    labels = faces.labels.copy()
    for person in sorted(set(faces.subjects)):
        rows = np.flatnonzero(faces.subjects == person)
        labels[rows] = rng.permutation(labels[rows])
    return dataclasses.replace(faces, name=f"{faces.name}-permuted{seed}", labels=labels)


def balanced_accuracies(frame: pd.DataFrame, faces: FaceSet) -> pd.DataFrame:
    """Return each experiment's balanced accuracy over all held-out predictions, and their number.

    Returns:
        index name; balanced_accuracy, n.
    """
    rows = {}
    for name, part in predictions(frame, faces).groupby("name", sort=False):
        matrix = confusion(part["labels"].to_numpy(), part["preds"].to_numpy())
        rows[name] = {"balanced_accuracy": matrix.balanced_accuracy, "n": len(part)}
    return pd.DataFrame.from_dict(rows, orient="index")


def learning_curve(
    faces: FaceSet, config: Config, n_people: Sequence[int], *, name: str = "baseline"
) -> pd.DataFrame:
    """Train on few people, validate on all the others.

    Args:
        faces: a labelled set with known people.
        config: profile, seeds, jobs, device.
        n_people: numbers of training people.
        name: of the study whose rows are trained.

    Returns:
        one row per run: name, model, n_people, fold (which draw of people), seed, val_acc_mean.
    """
    parts = []
    for count in n_people:
        runs = study.run(name, faces, config, scheme=f"people{count}")
        values = run_values(runs)[["name", "model", "fold", "seed", "val_acc_mean"]]
        parts.append(values.assign(n_people=count))
    return pd.concat(parts, ignore_index=True)


def split_luck(frame: pd.DataFrame) -> pd.DataFrame:
    """Return how far single splits scatter: quantiles of one split's accuracy, per experiment.

    Args:
        frame: runs of scheme `holdout`, one split and seed each.

    Returns:
        index name; mean, std, low (2.5 %), high (97.5 %), printed, n. Last epoch.
    """
    printed = PRINTED["val_acc"]
    values = run_values(frame).groupby("name", sort=False)["val_acc"]
    return pd.DataFrame(
        {
            "mean": values.mean(),
            "std": values.std(ddof=1),
            "low": values.quantile(0.025),
            "high": values.quantile(0.975),
            "printed": pd.Series(printed).reindex(values.mean().index),
            "n": values.size(),
        }
    )
