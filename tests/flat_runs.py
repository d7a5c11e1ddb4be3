"""Rows of the run store made by hand, with known answers."""

import numpy as np
import pandas as pd

from sglib.analysis.runs import MEASURES
from sglib.data.faces import FaceSet
from sglib.data.splits import make_split

SETTINGS = {
    "model": "ConvNN_1", "head": "sigmoid", "scaling": "unit", "n_epochs": 12, "batch_size": 1,
    "lr": 0.002, "l2": 0.0, "p_drop": 0.0, "augment": "none", "data": "made", "digest": "d",
    "engine": "compiled", "n_train": 300, "n_val": 75, "seconds": 2.0, "processor": "a processor",
    "commit": "c",
}  # fmt: skip


def make_run(name: str, *, scheme: str = "kfold", **fields: object) -> dict[str, object]:
    """Return one row; a history is a number (all epochs alike) or one number per epoch."""
    model = "ConvNN_2" if "_2" in name else "ConvNN_1"
    row = SETTINGS | {"name": name, "scheme": scheme, "fold": 0, "seed": 0, "model": model}
    row |= dict.fromkeys(MEASURES, 0.9) | fields
    shape = int(row["n_epochs"])
    histories = {m: np.broadcast_to(np.asarray(row[m], float), shape).copy() for m in MEASURES}
    return row | histories


def make_frame(*rows: dict[str, object]) -> pd.DataFrame:
    return pd.DataFrame(list(rows))


def make_study(
    accuracy: dict[str, float],
    *,
    scheme: str = "kfold",
    n_seeds: int = 10,
    n_folds: int = 5,
    sd: float = 0.01,
    failed: float = 0.0,
    train: float = 0.99,
) -> pd.DataFrame:
    """Return runs with these mean validation accuracies; folds differ, seeds scatter by `sd`."""
    rng = np.random.default_rng(0)
    fold_effect = rng.normal(0, 0.02, n_folds)
    rows = []
    for name, mean in accuracy.items():
        for seed in range(n_seeds):
            for fold in range(n_folds):
                if rng.random() < failed:
                    values = {"train_acc": 0.5, "val_acc": 0.5, "train_loss": np.log(2)}
                else:
                    val = mean + fold_effect[fold] + rng.normal(0, sd)
                    values = {"train_acc": train, "val_acc": val, "train_loss": 0.32}
                rows.append(make_run(name, scheme=scheme, fold=fold, seed=seed, **values))
    return make_frame(*rows)


def answered(
    faces: FaceSet, name: str, wrong: dict[str, float], *, scheme: str = "person", seed: int = 0
) -> list[dict[str, object]]:
    """Return a run per fold in which this share of each person's photographs is wrong."""
    rows = []
    for fold in range(4 if scheme == "person" else 5):
        val = make_split(faces, scheme, fold=fold, split_seed=seed).val
        probs = np.where(faces.labels[val] == 1, 0.9, 0.1)
        for person, share in wrong.items():
            its = np.flatnonzero(faces.subjects[val] == person)
            probs[its[: round(share * len(its))]] = 0.5 - (
                probs[its[: round(share * len(its))]] - 0.5
            )
        facts = {"val_ids": faces.ids[val], "val_probs": probs, "subject": faces.subjects[val][0]}
        rows.append(make_run(name, scheme=scheme, fold=fold, seed=seed, **facts))
    return rows
