"""Experiments are data: one frozen row per experiment, one table of rows per study.

Nothing here imports torch or touches a file. `BASELINE` is the one source of defaults; every other
row is `dataclasses.replace` of it and changes only what its study varies.
"""

import dataclasses
from collections.abc import Iterable

from sglib import SglibError
from sglib.training.settings import Experiment


@dataclasses.dataclass(frozen=True)
class Study:
    """A comparison: row 1 is the reference, every other row answers a written question."""

    name: str
    question: str
    scientific: tuple[str, ...]  # the fields that rows may differ in
    rows: tuple[Experiment, ...]
    comparisons: tuple[tuple[str, str], ...] = ()  # (row, reference), declared before any run
    scheme: str = "kfold"  # how rows are validated, see splits.SCHEMES


def _rename(rows: Iterable[Experiment], suffix: str, **changes: object) -> tuple[Experiment, ...]:
    return tuple(
        dataclasses.replace(row, name=f"{row.name}{suffix}", **changes)  # type: ignore[arg-type]
        for row in rows
    )


BASELINE = Experiment()
BASELINE_2 = dataclasses.replace(BASELINE, name="baseline_2", model="ConvNN_2")
_FLIP = {"section": "4.2", "augment": "flip_add"}
_L2 = {"section": "4.3", "n_epochs": 50}
_DROP = {"section": "4.4"}
_FINAL = {"section": "4.5", "n_epochs": 60, "p_drop": 0.5}

PAPER = (
    BASELINE,
    BASELINE_2,
    dataclasses.replace(BASELINE, name="flip_1", **_FLIP),
    dataclasses.replace(BASELINE_2, name="flip_2", **_FLIP),
    dataclasses.replace(BASELINE, name="l2_1", l2=1e-4, **_L2),
    dataclasses.replace(BASELINE_2, name="l2_2", l2=5e-6, **_L2),
    dataclasses.replace(BASELINE, name="dropout25_1", p_drop=0.25, **_DROP),
    dataclasses.replace(BASELINE, name="dropout50_1", p_drop=0.5, **_DROP),
    dataclasses.replace(BASELINE_2, name="dropout25_2", p_drop=0.25, n_epochs=50, **_DROP),
    dataclasses.replace(BASELINE_2, name="dropout50_2", p_drop=0.5, n_epochs=50, **_DROP),
    dataclasses.replace(BASELINE, name="final_1", l2=1e-4, **_FINAL),
    dataclasses.replace(BASELINE_2, name="final_2", l2=5e-6, **_FINAL),
)
"""The paper's twelve experiments, in the order of its figures."""

BY_NAME = {row.name: row for row in PAPER}
# §4.3, §4.5 and part of §4.4 train longer than the baseline: the same rows without the technique
# tell what the additional epochs alone do.
BASELINE_50 = dataclasses.replace(BASELINE, name="baseline50_1", section="", n_epochs=50)
BASELINE_50_2 = dataclasses.replace(BASELINE_2, name="baseline50_2", section="", n_epochs=50)
BASELINE_60 = dataclasses.replace(BASELINE, name="baseline60_1", section="", n_epochs=60)
BASELINE_60_2 = dataclasses.replace(BASELINE_2, name="baseline60_2", section="", n_epochs=60)

L2_SWEEP = (0.0, 1e-6, 5e-6, 1e-5, 1e-4, 1e-3, 1e-2)


def _pick(*names: str) -> tuple[Experiment, ...]:
    return tuple(BY_NAME[name] for name in names)


_BOTH_ENDS = _pick("baseline_1", "baseline_2", "final_1", "final_2")
_TECHNIQUE = ("model", "n_epochs", "l2", "p_drop", "augment")
STUDIES = {
    study.name: study
    for study in (
        Study("paper", "What do the paper's twelve experiments give?", _TECHNIQUE, PAPER),
        Study(
            "baseline",
            "How well do the two networks do as they are?",
            ("model",),
            _pick("baseline_1", "baseline_2"),
        ),
        Study(
            "augmentation",
            "Do mirrored copies of a quarter of the images help?",
            ("model", "augment"),
            (
                *_pick("baseline_1", "flip_1", "baseline_2", "flip_2"),
                *_rename(_pick("flip_1", "flip_2"), "_each", section="", augment="flip_each"),
            ),
            (
                ("flip_1", "baseline_1"),
                ("flip_2", "baseline_2"),
                ("flip_1_each", "baseline_1"),
                ("flip_2_each", "baseline_2"),
            ),
        ),
        Study(
            "l2",
            "Does the paper's L2 penalty help?",
            ("model", "l2"),
            (BASELINE_50, BY_NAME["l2_1"], BASELINE_50_2, BY_NAME["l2_2"]),
            (("l2_1", "baseline50_1"), ("l2_2", "baseline50_2")),
        ),
        Study(
            "l2_sweep",
            "Which λ, if any, is best?",
            ("model", "l2"),
            tuple(
                dataclasses.replace(base, name=f"l2_{value:g}_{base.model[-1]}", l2=value)
                for base in (BASELINE_50, BASELINE_50_2)
                for value in L2_SWEEP
            ),
        ),
        Study(
            "dropout",
            "Does dropout help, and is 50 % better than 25 %?",
            ("model", "p_drop", "n_epochs"),
            (
                *_pick("baseline_1", "dropout25_1", "dropout50_1"),
                BASELINE_50_2,
                *_pick("dropout25_2", "dropout50_2"),
            ),
            (
                ("dropout25_1", "baseline_1"),
                ("dropout50_1", "baseline_1"),
                ("dropout50_1", "dropout25_1"),
                ("dropout25_2", "baseline50_2"),
                ("dropout50_2", "baseline50_2"),
                ("dropout50_2", "dropout25_2"),
            ),
        ),
        Study(
            "final",
            "Is dropout 50 % with L2 the configuration to deploy?",
            ("model", "p_drop", "l2", "n_epochs"),
            (
                BASELINE_60,
                *_pick("l2_1", "dropout50_1", "final_1"),
                BASELINE_60_2,
                *_pick("l2_2", "dropout50_2", "final_2"),
            ),
            (
                *(("final_1", other) for other in ("baseline60_1", "l2_1", "dropout50_1")),
                *(("final_2", other) for other in ("baseline60_2", "l2_2", "dropout50_2")),
            ),
        ),
        Study(
            "scaling",
            "Which pixel scaling comes closer to the printed numbers?",
            (*_TECHNIQUE, "scaling"),
            (*PAPER, *_rename(PAPER, "_symmetric", section="", scaling="symmetric")),
        ),
        Study(
            "verdicts",
            "Which of the paper's conclusions hold?",
            _TECHNIQUE,
            (*PAPER, BASELINE_50, BASELINE_50_2, BASELINE_60, BASELINE_60_2),
        ),
        Study(
            "logit",
            "What do the loss curves show without the sigmoid?",
            ("model", "p_drop", "l2", "n_epochs", "head"),
            (*_BOTH_ENDS, *_rename(_BOTH_ENDS, "_logit", section="", head="logit")),
        ),
    )
}


def study(name: str) -> Study:
    """Return a study by name.

    Raises:
        SglibError: no study has this name; the message lists those there are.
    """
    if name not in STUDIES:
        raise SglibError(f"no study {name!r}; there are: {', '.join(STUDIES)}")
    return STUDIES[name]


TECHNIQUES = ("baseline", "flip", "l2", "dropout25", "dropout50", "final")


def technique(name: str) -> str:
    """Return which of `TECHNIQUES` an experiment's name begins with, or "ours"."""
    return next((known for known in TECHNIQUES if name.startswith(known)), "ours")


def words(name: str) -> str:
    """Return an experiment's name in words: "dropout 50 %, ConvNN_2"."""
    parts = name.split("_")
    network = next((f"ConvNN_{part}" for part in parts[1:] if part in ("1", "2")), "")
    known = {
        "baseline": "plain",
        "baseline50": "plain, 50 epochs",
        "baseline60": "plain, 60 epochs",
        "flip": "mirrored copies",
        "l2": "L2",
        "dropout25": "dropout 25 %",
        "dropout50": "dropout 50 %",
        "final": "dropout 50 % and L2",
    }
    return f"{known.get(parts[0], parts[0])}, {network}" if network else name
