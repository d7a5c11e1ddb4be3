"""Do the probabilities of our models mean what they say on people not seen?

Works on the distorted copies of the held-out people, which are like the pictures a user has.
"""

import numpy as np
import pandas as pd
from scipy.special import logit

from sglib.analysis.calibration import (
    cross_fit_temperature,
    expected_calibration_error,
    fit_temperature,
    reliability_table,
    threshold_table,
)

_LEAST = 1e-7  # a probability closer to 0 or 1 is stored as this: float32 cannot tell them apart


def copies(frame: pd.DataFrame, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, logits and people of all held-out copies of one model's runs.

    Args:
        frame: from `better.run_models`.
        name: of the row.

    Returns:
        int64 (N,), float64 (N,), str (N,).
    """
    runs = frame[frame["name"] == name]
    labels = np.concatenate([np.asarray(row, np.int64) for row in runs["copy_labels"]])
    probs = np.concatenate([np.asarray(row, np.float64) for row in runs["copy_probs"]])
    counts = [len(row) for row in runs["copy_labels"]]
    people = np.repeat(runs["subject"].to_numpy(str), counts)
    return labels, logit(np.clip(probs, _LEAST, 1 - _LEAST)), people


def calibration_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return each model's calibration on people held out, before and after scaling.

    Returns:
        index name: temperature (fitted on all), ece_before and ece_after, loss_before and
        loss_after (nats), fpr at a threshold that keeps 99 % of the true positives; *_after and
        the threshold judge each person by what was fitted on the others. n: copies.
    """
    rows = {}
    for name in dict.fromkeys(frame["name"]):
        labels, logits, people = copies(frame, name)
        fitted = cross_fit_temperature(labels, logits, people)
        before = 1 / (1 + np.exp(-logits))
        limits = threshold_table(labels, fitted.probs, people, tprs=(0.99,)).iloc[0]
        rows[name] = {
            "temperature": fit_temperature(labels, logits),
            "ece_before": expected_calibration_error(labels, before, binning="mass"),
            "ece_after": expected_calibration_error(labels, fitted.probs, binning="mass"),
            "loss_before": fitted.loss_before,
            "loss_after": fitted.loss_after,
            "threshold_at_tpr_0.99": limits["threshold"],
            "fpr_at_tpr_0.99": limits["fpr"],
            "n": len(labels),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def reliability(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return each model's reliability table on people held out, after scaling by the others."""
    tables = {}
    for name in dict.fromkeys(frame["name"]):
        labels, logits, people = copies(frame, name)
        tables[name] = reliability_table(
            labels, cross_fit_temperature(labels, logits, people).probs
        )
    return tables
