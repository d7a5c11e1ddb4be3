"""How far predicted probabilities can be believed: reliability, and what a temperature would mend.

`probs` are probabilities of sunglasses, `logits` their log-odds ln(p / (1 − p)). Our models are
judged on distorted copies of people held out, which are like the pictures a user has.
"""

import math

import numpy as np
import pandas as pd
from scipy import optimize, special

from sglib.analysis.models import LEAST

TEMPERATURES = (0.02, 50.0)  # search range of `fit_temperature`


def reliability(labels: np.ndarray, probs: np.ndarray, *, n_bins: int = 10) -> pd.DataFrame:
    """Compare predicted probability with observed frequency in bins of equally many photographs.

    Equal probabilities stay together, so saturated ones leave fewer bins.

    Args:
        labels: int (N,), 1 = sunglasses.
        probs: float (N,) in [0, 1].

    Returns:
        n, mean_prob, frequency (of label 1) by bin.

    Source: Niculescu-Mizil & Caruana 2005 (ICML).
    """
    edges = np.unique(np.quantile(probs, np.linspace(0, 1, n_bins + 1)))
    bins = pd.Series(np.searchsorted(edges[1:-1], probs), name="bin")
    table = pd.DataFrame({"label": labels, "prob": probs}).groupby(bins)
    return table.agg(
        n=("prob", "size"), mean_prob=("prob", "mean"), frequency=("label", "mean")
    ).reset_index(drop=True)


def calibration_error(labels: np.ndarray, probs: np.ndarray) -> float:
    """Return ECE = Σ over bins n_b / N · |frequency_b − mean_prob_b|, in [0, 1].

    Biased upwards: a perfectly calibrated model scores above 0 on finitely many photographs.

    Source: Nguyen & O'Connor 2015 (EMNLP), bins of equal mass.
    """
    table = reliability(labels, probs)
    gaps = (table["frequency"] - table["mean_prob"]).abs()
    return float((gaps * table["n"]).sum() / table["n"].sum())


def logit_loss(labels: np.ndarray, logits: np.ndarray, temperature: float = 1.0) -> float:
    """Return the mean cross entropy of logits / temperature in nats, without overflow."""
    return float(np.logaddexp(0, (1 - 2 * labels) * logits / temperature).mean())


def fit_temperature(labels: np.ndarray, logits: np.ndarray) -> float:
    """Return the T that minimises the cross entropy of logits / T; T > 1 softens.

    Where every sign is right, sharper is always better; where the mean margin is not positive,
    flatter is: the answer is then an end of `TEMPERATURES`, not an optimum.

    Args:
        labels: int (N,), 1 = sunglasses.
        logits: float (N,), of rows the model was not trained on.

    Source: Guo, Pleiss, Sun & Weinberger 2017 (ICML), §4.2.
    """
    margins = (2 * labels - 1) * logits
    if (margins > 0).all():
        return TEMPERATURES[0]
    if margins.mean() <= 0:  # the loss falls with T all the way: its slope in 1/T at 0 is −mean/2
        return TEMPERATURES[1]
    found = optimize.minimize_scalar(
        lambda log_t: logit_loss(labels, logits, math.exp(log_t)),
        bounds=tuple(np.log(TEMPERATURES)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return math.exp(found.x)


def scaled_by_others(labels: np.ndarray, logits: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Return logits (N,), each divided by the temperature fitted without its person."""
    scaled = np.empty_like(logits)
    for name in np.unique(people):
        held = people == name
        scaled[held] = logits[held] / fit_temperature(labels[~held], logits[~held])
    return scaled


def copies(frame: pd.DataFrame, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, logits and people, each (N,), of a model's copies (`studies.ours.run`)."""
    runs = frame[frame["name"] == name]
    labels, probs, people = (
        np.concatenate([np.asarray(row, kind) for row in runs[f"copy_{what}"]])
        for what, kind in (("labels", np.int64), ("probs", np.float64), ("people", str))
    )
    return labels, special.logit(np.clip(probs, LEAST, 1 - LEAST)), people


def calibration_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return each model's calibration on people held out, and what a temperature would change.

    Returns:
        index name: ece, loss (nats); temperature (that would fit all), ece_scaled and loss_scaled
        (each person by the others' temperature); wrong (copies), wrong_people (of so many people),
        n (copies).
    """
    rows = {}
    for name in dict.fromkeys(frame["name"]):
        labels, logits, people = copies(frame, name)
        scaled = scaled_by_others(labels, logits, people)
        wrong = (logits > 0) != (labels == 1)
        rows[name] = {
            "ece": calibration_error(labels, special.expit(logits)),
            "loss": logit_loss(labels, logits),
            "temperature": fit_temperature(labels, logits),
            "ece_scaled": calibration_error(labels, special.expit(scaled)),
            "loss_scaled": logit_loss(labels, scaled),
            "wrong": int(wrong.sum()),
            "wrong_people": len(np.unique(people[wrong])),
            "n": len(labels),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def reliability_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Return each model's reliability on distorted copies of people held out, column `name`."""
    tables = []
    for name in dict.fromkeys(frame["name"]):
        labels, logits, _ = copies(frame, name)
        tables.append(reliability(labels, special.expit(logits)).assign(name=name))
    return pd.concat(tables, ignore_index=True)
