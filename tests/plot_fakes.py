"""Small frames for every figure, and the figures drawn from them."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sglib.analysis.plots import compare, curves, ours

ROWS = ["baseline_1", "flip_2"]
PEOPLE = [f"s{i:02d}" for i in range(1, 5)]
VERDICTS = pd.DataFrame(
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
    columns=["comparison", "row", "effect", "low", "high", "word"],
).assign(delta=0.0133)
BOTH = pd.concat(
    VERDICTS.assign(question=question, delta=delta)
    for question, delta in (("these photographs", 0.0133), ("other people", 0.02))
)
DRAWS = pd.DataFrame(
    [
        (row.comparison, row.effect + step)
        for row in VERDICTS.itertuples()
        for step in (-0.02, 0.02)
    ],
    columns=["comparison", "difference"],
)
DESIGNS = pd.DataFrame(
    [
        (p, d, 0.9 - 0.1 * i * (d == "people not seen"))
        for i, p in enumerate(PEOPLE)
        for d in compare.DESIGNS
    ],
    columns=["person", "design", "accuracy"],
)
HEAT = pd.DataFrame(
    [(e, p, 0.9 - 0.1 * i + 0.01 * j) for j, e in enumerate(["plain", "L2, ConvNN_2"]) for i, p in enumerate(PEOPLE)],
    columns=["experiment", "person", "accuracy"],
)  # fmt: skip
SPLIT = pd.DataFrame({"part": ["person", "technique", "rest"], "share": [0.9, 0.02, 0.08]})
SWEEP = pd.DataFrame(
    [(l2, m, 0.9 + d, d > 0) for l2 in (0.0, 5e-6, 0.01) for m in ("ConvNN_1", "ConvNN_2") for d in (0, 0.02)],
    columns=["l2", "model", "val_acc_mean", "failed"],
)  # fmt: skip
FAILURES = pd.DataFrame(
    [(l2, m, r, max(r - 0.1, 0), min(r + 0.1, 1)) for l2, r in ((0.0, 0.1), (5e-6, 0.2), (0.01, 1.0)) for m in ("ConvNN_1", "ConvNN_2")],
    columns=["l2", "model", "rate", "low", "high"],
)  # fmt: skip
MEANS = pd.DataFrame(
    [(row, reading, value + step) for row in ROWS for reading, value in (("last epoch", 0.95), ("best accuracy", 0.97)) for step in (-0.01, 0.01)],
    columns=["experiment", "reading", "value"],
)  # fmt: skip
PRINTED = pd.DataFrame({"experiment": ROWS, "printed": [0.976, 0.962]})
POINTS = pd.DataFrame(
    {"part": ["training", "validation"], "error": [0.0, 0.1], "loss": [0.3133, 0.4153]}
)
EPOCHS = pd.DataFrame(
    [(noise, epoch, 0.5 + 0.1 * epoch - 0.2 * noise + step) for noise in (0, 0.5) for epoch in (1, 2, 3) for step in (0, 0.02)],
    columns=["noise", "epoch", "train_acc"],
)  # fmt: skip
STEPS = pd.DataFrame(
    {"part": ["paper's network", "+ ours", "+ augmented"], "accuracy": [0.81, 0.92, 0.98]}
).assign(low=lambda t: t["accuracy"] - 0.02, high=lambda t: t["accuracy"] + 0.01)
MODELS = pd.DataFrame(
    [(p, name, a - 0.01 * i) for i, p in enumerate(PEOPLE) for name, a in (("paper", 0.85), ("base", 0.99), ("new", 0.9))],
    columns=["person", "name", "accuracy"],
)  # fmt: skip
BINS = pd.DataFrame({"mean_prob": [0.1, 0.9], "frequency": [0.15, 0.9], "n": [10, 10]})
BEARING = pd.DataFrame(
    [(m, u, s, name, a - 0.1 * s) for m, u in (("rotation", "degrees"), ("noise_injection", "sd"), ("flip", "share")) for s in (0, 1) for name, a in (("paper", 0.9), ("base", 1.0))],
    columns=["method", "unit", "strength", "model", "accuracy"],
)  # fmt: skip
MAPS = pd.DataFrame(
    [(m, p, c, np.full((30, 32), v)) for m, v in (("paper", 0.1), ("base", -2.0)) for p in ("left", "up") for c in ("open", "sunglasses")],
    columns=["model", "pose", "label", "map"],
)  # fmt: skip


def bands() -> pd.DataFrame:
    """Return `runs.curves` of two experiments: 4 runs of which one failed, and none that learned."""
    rows = []
    for name, population, n, top in (
        ("baseline_1", "learned", 3, 0.9),
        ("baseline_1", "failed", 1, 0.5),
        ("flip_2", "failed", 2, 0.5),
    ):
        for measure, drop in (
            ("train_acc", 0),
            ("val_acc", 0.1),
            ("train_loss", 0),
            ("val_loss", 0.1),
        ):
            for epoch in (1, 2, 3):
                middle = 0.5 + (top - 0.5) * epoch / 3 - drop
                middle = 0.3 + drop * epoch if measure.endswith("loss") else middle
                rows.append(
                    (
                        name,
                        "kfold",
                        population,
                        measure,
                        epoch,
                        middle - 0.02,
                        middle,
                        middle + 0.01,
                        n,
                    )
                )
    columns = ["name", "scheme", "population", "measure", "epoch", "low", "median", "high", "n"]
    return pd.DataFrame(rows, columns=columns)


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
    "ours.per_person": lambda: ours.per_person(MODELS),
    "ours.reliability": lambda: ours.reliability({"paper": BINS, "base": BINS}),
    "ours.robustness": lambda: ours.robustness(BEARING),
    "ours.maps": lambda: ours.maps(MAPS, unit="fall of the probability"),
}


def draw(name: str) -> Figure:
    """Draw one of `FIGURES`."""
    drawn = FIGURES[name]()
    return drawn if isinstance(drawn, Figure) else drawn.figure
