"""Rows of the run store made by hand, with known answers."""

import numpy as np
import pandas as pd

from sglib.training.reference import HISTORY


def make_run(name: str, *, n_epochs: int = 12, **fields: object) -> dict[str, object]:
    """Return one row; a history is a number (all epochs alike) or one number per epoch."""
    row = {
        "name": name,
        "model": "ConvNN_2" if name.endswith("_2") else "ConvNN_1",
        "scheme": "kfold",
        "fold": 0,
        "seed": 0,
        "n_train": 300,
        "n_val": 75,
        "engine": "compiled",
        "seconds": 2.0,
        "n_epochs": n_epochs,
        "batch_size": 1,
        "augment": "none",
        "augment_fraction": 0.25,
        "val_ids": np.array([], dtype=object),
        "val_probs": np.array([]),
        **dict.fromkeys(HISTORY, 0.5),
        **fields,
    }
    return row | {
        measure: np.broadcast_to(np.asarray(row[measure], dtype=float), n_epochs).copy()
        for measure in HISTORY
    }


def make_frame(*rows: dict[str, object]) -> pd.DataFrame:
    return pd.DataFrame(list(rows))


def make_grid(name: str, values: list[float], **fields: object) -> list[dict[str, object]]:
    """Return runs of one row over 2 folds and as many seeds as there are pairs of values.

    `values` are validation accuracies in the order (seed 0, fold 0), (seed 0, fold 1), …
    """
    return [
        make_run(name, seed=i // 2, fold=i % 2, val_acc=value, **fields)
        for i, value in enumerate(values)
    ]
