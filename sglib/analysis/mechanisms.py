"""What a softmax over two sigmoids does: a floor, errors that are not unlearned, two deaths.

Closed forms, and the points that lie on them. Nothing is fitted.
"""

import numpy as np
import pandas as pd
from scipy.special import expit

from sglib.analysis.runs import population
from sglib.studies.paper import LOSS_FLOOR, PRINTED


def loss_over_logit(*, limit: float = 12.0, n: int = 241) -> pd.DataFrame:
    """Return loss and gradient of one image over the logit of its true class, for both heads.

    The two outputs have logits z and −z. Loss: ln(1 + e^−m) with m = σ(z) − σ(−z) = tanh(z / 2)
    behind sigmoids, m = 2z without. The gradient −∂loss/∂z vanishes behind sigmoids at both ends:
    for the surely right as for the surely wrong, which is why such an error stays.

    Returns:
        head ("sigmoid", "logit"), logit, loss (nats), gradient.
    """
    z = np.linspace(-limit, limit, n)
    slopes = {"sigmoid": 0.5 / np.cosh(z / 2) ** 2, "logit": np.full(n, 2.0)}  # ∂m/∂z
    parts = []
    for head, margin in (("sigmoid", np.tanh(z / 2)), ("logit", 2 * z)):
        gradient = expit(-margin) * slopes[head]
        parts.append(
            pd.DataFrame(
                {"head": head, "logit": z, "loss": np.logaddexp(0, -margin), "gradient": gradient}
            )
        )
    return pd.concat(parts, ignore_index=True)


def printed_points() -> pd.DataFrame:
    """Return the 24 printed points of training and validation: part, error (rate), loss."""
    return _points(PRINTED, "")


def our_points(runs: pd.DataFrame) -> pd.DataFrame:
    """Return part, error (rate) and loss after the last epoch of the sigmoid runs that learned."""
    used = population(runs[runs["head"] == "sigmoid"], "learned")
    return _points(used, "_last")


def _points(table: pd.DataFrame, reading: str) -> pd.DataFrame:
    parts = []
    for part in ("train", "val"):
        acc, loss = (table[f"{part}_{kind}{reading}"] for kind in ("acc", "loss"))
        parts.append(pd.DataFrame({"part": part, "error": 1 - acc, "loss": loss}))
    return pd.concat(parts, ignore_index=True)


def floor_line(points: pd.DataFrame) -> dict[str, float]:
    """Hold points against loss = ln(1 + 1/e) + error rate, the line of saturated outputs.

    Returns:
        r2 of that line (1 − residual / total sum of squares) and correlation2 (the squared
        correlation, which forgives a shift); mean_deviation |loss − line| in nats; n.
    """
    residual = points["loss"] - (LOSS_FLOOR + points["error"])
    spread = points["loss"] - points["loss"].mean()
    return {
        "r2": float(1 - (residual**2).sum() / (spread**2).sum()),
        "correlation2": float(points["loss"].corr(points["error"]) ** 2),
        "mean_deviation": float(residual.abs().mean()),
        "n": len(points),
    }
