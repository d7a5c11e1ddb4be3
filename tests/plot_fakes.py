"""Small frames for every figure, and the figures drawn from them."""

from collections.abc import Iterable
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sglib.analysis.plots import compare, curves, ours


def frame(columns: str, rows: Iterable[tuple]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=columns.split())


ROWS, MODELS = ["baseline_1", "flip_2"], ["ConvNN_1", "ConvNN_2"]
PEOPLE = list(enumerate(("s01", "s02", "s03", "s04")))
VERDICTS = frame(
    "comparison row effect low high word",
    [
        ("A/A: the same runs again", "baseline_1", 0.001, -0.004, 0.006, ""),
        ("mirrored copies − plain, ConvNN_1", "flip_1", 0.03, 0.02, 0.04, "better"),
        ("dropout 50 % − dropout 25 %, ConvNN_2", "dropout50_2", 0.0, -0.01, 0.01, "equivalent"),
        (
            "dropout 50 % and L2 − plain, 60 epochs, ConvNN_2",
            "final_2",
            -0.03,
            -0.05,
            -0.01,
            "open",
        ),
    ],
).assign(delta=0.0133, technique=["A/A", "flip", "dropout50", "final"])
BOTH = pd.concat(
    VERDICTS.assign(question=question, delta=delta)
    for question, delta in (("these photographs", 0.0133), ("other people", 0.02))
)
DRAWS = frame(
    "comparison difference",
    ((row.comparison, row.effect + d) for row in VERDICTS.itertuples() for d in (-0.02, 0.02)),
)
DESIGNS = frame(
    "person design accuracy",
    ((p, d, 0.9 - 0.1 * i * j) for (i, p), (j, d) in product(PEOPLE, enumerate(compare.DESIGNS))),
)
EXPERIMENTS = list(enumerate(("plain", "L2, ConvNN_2")))
HEAT = frame(
    "experiment person accuracy",
    ((e, p, 0.9 - 0.1 * i + 0.01 * j) for (j, e), (i, p) in product(EXPERIMENTS, PEOPLE)),
)
SPLIT = frame("part share", [("person", 0.9), ("technique", 0.02), ("rest", 0.08)])
LAMBDAS = ((0.0, 0.1), (5e-6, 0.2), (0.01, 1.0))
SWEEP = frame(
    "l2 model val_acc_mean",
    ((l2, m, 0.9 + rate / 10 + d) for (l2, rate), m, d in product(LAMBDAS, MODELS, (0, 0.02))),
)
FAILURES = frame(
    "l2 model rate low high",
    ((l2, m, r, r - 0.1, min(r + 0.05, 1)) for (l2, r), m in product(LAMBDAS, MODELS)),
)
READ = (("last epoch", 0.95), ("best accuracy", 0.97))
MEANS = frame(
    "experiment reading value",
    ((row, reading, value + d) for row, (reading, value), d in product(ROWS, READ, (-0.01, 0.01))),
)
PRINTED = frame("experiment printed", zip(ROWS, (0.976, 0.962), strict=True))
POINTS = frame("part error loss", [("train", 0.0, 0.3133), ("val", 0.1, 0.4153)])
EPOCHS = frame(
    "noise epoch train_acc",
    ((n, e, 0.5 + 0.1 * e - 0.2 * n + d) for n, e, d in product((0, 0.5), (1, 2, 3), (0, 0.02))),
)
STEPS = frame(
    "part accuracy low high",
    [("paper", 0.81, 0.8, 0.85), ("+ ours", 0.92, 0.9, 0.93), ("+ flips", 0.98, 0.97, 0.99)],
)
NAMES = (("paper", 0.85), ("base", 0.99), ("new", 0.9))
BY_PERSON = frame(
    "person name accuracy", ((p, n, a - 0.01 * i) for (i, p), (n, a) in product(PEOPLE, NAMES))
)
BINS = frame(
    "name mean_prob frequency", [("base", 0.1, 0.15), ("base", 0.9, 0.9), ("paper", 0.5, 0.5)]
)
CHANGES = frame(
    "comparison effect low high",
    [("one view", -0.02, -0.03, 0.01), ("three networks", 0.01, 0, 0.02)],
).assign(reference="all")
METHODS = (("rotation", "degrees"), ("noise_injection", "sd"), ("flip", "share"))
BEARING = frame(
    "method unit strength model accuracy",
    ((m, u, s, n, a - 0.1 * s) for (m, u), s, (n, a) in product(METHODS, (0, 1), NAMES)),
)
MAPS = frame(
    "model pose label map",
    (
        (m, p, c, np.full((30, 32), v))
        for (m, v), p, c in product(
            (("paper", 0.1), ("base", -2.0)), ("left", "up"), ("open", "sunglasses")
        )
    ),
)


def bands() -> pd.DataFrame:
    """Return `runs.curves` of two rows: of the first 3 runs learned and 1 failed, else all."""
    rows = []
    kinds = [("baseline_1", "learned", 3), ("baseline_1", "failed", 1), ("flip_2", "failed", 2)]
    for (name, kind, n), part, epoch in product(kinds, ("train", "val"), (1, 2, 3)):
        accuracy = 0.5 if kind == "failed" else 0.6 + 0.1 * epoch - 0.1 * (part == "val")
        for measure, value in ((f"{part}_acc", accuracy), (f"{part}_loss", 0.3 + 0.1 * epoch)):
            rows.append((name, kind, measure, epoch, value - 0.02, value, value + 0.01, n))
    return frame("name population measure epoch low median high n", rows)


FIGURES = {
    "curves.panels": lambda: curves.panels(bands(), ROWS),
    "curves.panels of the loss": lambda: curves.panels(bands(), ROWS, measure="loss"),
    "curves.over": lambda: curves.over(EPOCHS, "epoch", "train_acc", hue="noise"),
    "curves.settings": lambda: curves.settings(SWEEP, "l2", "val_acc_mean", hue="model"),
    "curves.sweep": lambda: curves.sweep(SWEEP[SWEEP["l2"] < 0.01], FAILURES),
    "curves.captions": lambda: curves.captions(MEANS, PRINTED),
    "curves.floor": lambda: curves.floor(POINTS, POINTS),
    "curves.mechanism": curves.mechanism,
    "compare.differences": lambda: compare.differences(DRAWS, VERDICTS),
    "compare.forest": lambda: compare.forest(VERDICTS.drop(columns=["word", "delta"])),
    "compare.forests": lambda: compare.forests(BOTH),
    "compare.people": lambda: compare.people(DESIGNS, {"nearest photograph": (0.9, 0.6)}),
    "compare.heat": lambda: compare.heat(HEAT),
    "compare.variance": lambda: compare.variance(SPLIT),
    "ours.staircase": lambda: ours.staircase(STEPS),
    "ours.per_person": lambda: ours.per_person(BY_PERSON),
    "ours.reliability": lambda: ours.reliability(BINS),
    "ours.changes": lambda: ours.changes(CHANGES),
    "ours.robustness": lambda: ours.robustness(BEARING),
    "ours.maps": lambda: ours.maps(MAPS, unit="fall of the probability"),
}


def draw(name: str) -> Figure:
    """Draw one of `FIGURES`."""
    drawn = FIGURES[name]()
    return drawn if isinstance(drawn, Figure) else drawn.figure
