"""How far predicted probabilities can be believed: reliability, temperature, thresholds.

Arrays in, tables and small frozen dataclasses out. `probs` are probabilities of sunglasses,
`logits` their log-odds ln(p / (1 − p)), which for a network of two outputs is their difference.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import optimize, special

Binning = Literal["width", "mass"]
TEMPERATURES = (0.02, 50.0)  # search range of `fit_temperature`


def reliability_table(
    labels: ArrayLike, probs: ArrayLike, *, n_bins: int = 10, binning: Binning = "width"
) -> pd.DataFrame:
    """Compare predicted probability with observed frequency, bin by bin.

    Bins are closed on the right, the first one on both sides; empty ones are left out.

    Args:
        labels: int (N,), 1 = sunglasses.
        probs: float (N,) in [0, 1].
        binning: "width", bins of equal width; "mass", edges at the quantiles of `probs`. Equal
            probabilities stay together, so saturated ones leave fewer bins.

    Returns:
        Columns low, high (edges), n, mean_prob, frequency (of label 1); the last two in [0, 1].

    Source: Niculescu-Mizil & Caruana 2005 (ICML).
    """
    labels, probs = _checked(labels, probs)
    edges = np.linspace(0, 1, n_bins + 1)
    if binning == "mass":
        edges = np.unique(np.quantile(probs, edges))
    elif binning != "width":
        raise ValueError(f"binning must be 'width' or 'mass', got {binning!r}")
    which = np.searchsorted(edges[1:-1], probs)  # (N,) the bin of each row
    n = np.bincount(which, minlength=max(len(edges) - 1, 1))
    used = np.flatnonzero(n)
    return pd.DataFrame(
        {
            "low": edges[used],
            "high": edges[np.minimum(used + 1, len(edges) - 1)],
            "n": n[used],
            "mean_prob": np.bincount(which, probs)[used] / n[used],
            "frequency": np.bincount(which, labels)[used] / n[used],
        }
    )


def expected_calibration_error(
    labels: ArrayLike, probs: ArrayLike, *, n_bins: int = 10, binning: Binning = "width"
) -> float:
    """Return ECE = Σ over bins n_b / N · |frequency_b − mean_prob_b|, in [0, 1].

    Of the probability of sunglasses, not of the winning class. Biased upwards: a perfectly
    calibrated model scores above 0 on finitely many images.

    Source: Naeini, Cooper & Hauskrecht 2015 (AAAI); equal mass: Nguyen & O'Connor 2015 (EMNLP).
    """
    table = reliability_table(labels, probs, n_bins=n_bins, binning=binning)
    gaps = (table["frequency"] - table["mean_prob"]).abs()
    return float((gaps * table["n"]).sum() / table["n"].sum())


def brier_score(labels: ArrayLike, probs: ArrayLike) -> float:
    """Return the mean of (prob − label)², in [0, 1]. Source: Brier 1950 (Mon. Weather Rev. 78)."""
    labels, probs = _checked(labels, probs)
    return float(np.mean((probs - labels) ** 2))


def logit_loss(labels: ArrayLike, logits: ArrayLike, *, temperature: float = 1.0) -> float:
    """Return the mean cross entropy of logits / temperature in nats, without overflow."""
    labels, logits = _checked(labels, logits, "logits")
    return float(np.logaddexp(0, (1 - 2 * labels) * logits / temperature).mean())


def fit_temperature(labels: ArrayLike, logits: ArrayLike) -> float:
    """Return the T that minimises the cross entropy of logits / T; T > 1 softens.

    Where every sign is right, sharper is always better; where the mean margin (2·label − 1)·logit
    is not positive, flatter is. The answer is then an end of `TEMPERATURES`, not an optimum.

    Args:
        labels: int (N,), 1 = sunglasses.
        logits: float (N,), log-odds of sunglasses, of rows the model was not trained on.

    Source: Guo, Pleiss, Sun & Weinberger 2017 (ICML), §4.2.
    """
    labels, logits = _checked(labels, logits, "logits")
    margins = (2 * labels - 1) * logits
    if (margins > 0).all():
        return TEMPERATURES[0]
    if margins.mean() <= 0:  # the loss falls with T all the way: its slope in 1/T at 0 is −mean/2
        return TEMPERATURES[1]
    found = optimize.minimize_scalar(
        lambda log_t: logit_loss(labels, logits, temperature=math.exp(log_t)),
        bounds=tuple(np.log(TEMPERATURES)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return math.exp(found.x)


@dataclasses.dataclass(frozen=True, eq=False)
class TemperatureFit:
    """A temperature and what it is worth on people it was not fitted on."""

    temperature: float  # of all rows: the one to ship
    by_person: pd.Series  # the temperature fitted without each person, index subject
    probs: np.ndarray  # (N,) each row calibrated by the temperature fitted without its person
    loss_before: float  # cross entropy in nats at T = 1
    loss_after: float  # the same of `probs`


def cross_fit_temperature(
    labels: ArrayLike, logits: ArrayLike, subjects: ArrayLike
) -> TemperatureFit:
    """Fit a temperature on all people but one and apply it to that one, for each in turn.

    Args:
        labels: int (N,), 1 = sunglasses.
        logits: float (N,), out-of-sample log-odds of sunglasses.
        subjects: str (N,), two or more people.
    """
    labels, logits = _checked(labels, logits, "logits")
    people = _parts(subjects, len(labels))
    temperatures = pd.Series(
        {name: fit_temperature(labels[~held], logits[~held]) for name, held in people.items()},
        name="temperature",
    ).rename_axis("subject")
    scaled = np.empty_like(logits)
    for name, held in people.items():
        scaled[held] = logits[held] / temperatures[name]
    return TemperatureFit(
        temperature=fit_temperature(labels, logits),
        by_person=temperatures,
        probs=special.expit(scaled),
        loss_before=logit_loss(labels, logits),
        loss_after=logit_loss(labels, scaled),
    )


def choose_threshold(labels: ArrayLike, probs: ArrayLike, *, tpr: float) -> float:
    """Return the highest threshold at which prob > threshold finds at least `tpr` of label 1.

    It lies midway between the last positive it must find and the next lower row.

    Args:
        tpr: the wanted true positive rate, in (0, 1].
    """
    labels, probs = _checked(labels, probs)
    if not 0 < tpr <= 1:
        raise ValueError(f"tpr must lie in (0, 1], got {tpr}")
    positive = np.sort(probs[labels == 1])[::-1]
    if not len(positive):
        raise ValueError("no row has label 1")
    # Without the small term 0.07 · 100 = 7.000000000000001 would ask for 8.
    last = positive[math.ceil(tpr * len(positive) - 1e-9) - 1]
    lower = probs[probs < last]
    if not len(lower):
        return float(np.nextafter(last, -np.inf))
    middle = (last + lower.max()) / 2
    return float(middle if middle < last else lower.max())


def threshold_table(
    labels: ArrayLike,
    probs: ArrayLike,
    subjects: ArrayLike,
    *,
    tprs: Sequence[float] = (0.9, 0.95, 0.99, 1.0),
) -> pd.DataFrame:
    """Tell the false positive rate that a wanted true positive rate costs.

    Args:
        labels: int (N,), 1 = sunglasses.
        probs: float (N,), out-of-sample probabilities of sunglasses.
        subjects: str (N,), two or more people.
        tprs: wanted true positive rates.

    Returns:
        A row per wanted rate: `target_tpr`; `threshold`, chosen on all rows, the one to ship;
        `oracle_tpr`, `oracle_fpr`, measured on the rows it was chosen on; `tpr`, `fpr`, where
        each person is judged by the threshold chosen on all the others.
    """
    labels, probs = _checked(labels, probs)
    if len(np.unique(labels)) < 2:
        raise ValueError(f"both labels are needed, got only {labels[0]}")
    people = _parts(subjects, len(labels))
    rows = []
    for target in tprs:
        threshold = choose_threshold(labels, probs, tpr=target)
        preds = np.zeros(len(labels), bool)
        for held in people.values():
            preds[held] = probs[held] > choose_threshold(labels[~held], probs[~held], tpr=target)
        oracle = probs > threshold
        rows.append(
            {
                "target_tpr": target,
                "threshold": threshold,
                "oracle_tpr": oracle[labels == 1].mean(),
                "oracle_fpr": oracle[labels == 0].mean(),
                "tpr": preds[labels == 1].mean(),
                "fpr": preds[labels == 0].mean(),
            }
        )
    return pd.DataFrame(rows)


def _parts(subjects: ArrayLike, n: int) -> dict[str, np.ndarray]:
    """Return the mask (N,) of each person's rows."""
    subjects = np.asarray(subjects)
    if subjects.shape != (n,) or len(np.unique(subjects)) < 2:
        raise ValueError(f"subjects must be ({n},) and name 2 or more people")
    return {str(name): subjects == name for name in np.unique(subjects)}


def _checked(
    labels: ArrayLike, scores: ArrayLike, name: str = "probs"
) -> tuple[np.ndarray, np.ndarray]:
    labels, scores = np.asarray(labels), np.asarray(scores, np.float64)
    if labels.shape != scores.shape or labels.ndim != 1 or not len(labels):
        raise ValueError(f"labels and {name} must be (N,), got {labels.shape} and {scores.shape}")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(f"labels must be 0 or 1, got {np.unique(labels)[:5]}")
    if name == "logits":
        good, wanted = np.isfinite(scores), "finite"
    else:
        good, wanted = (scores >= 0) & (scores <= 1), "in [0, 1]"
    if not good.all():
        raise ValueError(f"{name} must be {wanted}, got {scores[~good][:5]}")
    return labels.astype(np.int64), scores
