"""Experiments are data: one frozen row per experiment, one table of rows per study.

Nothing here imports torch or touches a file. `Experiment` holds the defaults; every row of the
paper is `replace` of `BASELINE` and changes only what its study varies.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sglib import SglibError
from sglib.training.settings import Experiment


@dataclass(frozen=True)
class Study:
    """A comparison: row 1 is the reference, every other row answers a written question."""

    name: str
    question: str
    scientific: tuple[str, ...]  # the fields that rows may differ in
    rows: tuple[Experiment, ...]
    comparisons: tuple[tuple[str, str], ...] = ()  # (row, reference), declared before any run


BASELINE = Experiment(name="baseline_1", section="4.1")
BASELINE_2 = replace(BASELINE, name="baseline_2", model="ConvNN_2")
PAPER = (
    BASELINE,
    BASELINE_2,
    replace(BASELINE, name="flip_1", section="4.2", augment="flip_add"),
    replace(BASELINE_2, name="flip_2", section="4.2", augment="flip_add"),
    replace(BASELINE, name="l2_1", section="4.3", n_epochs=50, l2=1e-4),
    replace(BASELINE_2, name="l2_2", section="4.3", n_epochs=50, l2=5e-6),
    replace(BASELINE, name="dropout25_1", section="4.4", p_drop=0.25),
    replace(BASELINE, name="dropout50_1", section="4.4", p_drop=0.5),
    replace(BASELINE_2, name="dropout25_2", section="4.4", n_epochs=50, p_drop=0.25),
    replace(BASELINE_2, name="dropout50_2", section="4.4", n_epochs=50, p_drop=0.5),
    replace(BASELINE, name="final_1", section="4.5", n_epochs=60, p_drop=0.5, l2=1e-4),
    replace(BASELINE_2, name="final_2", section="4.5", n_epochs=60, p_drop=0.5, l2=5e-6),
)
"""The paper's twelve experiments, in the order of its figures."""

BY_NAME = {row.name: row for row in PAPER}
# §4.3, §4.5 and part of §4.4 train longer than the baseline: the same rows without the technique
# tell what the additional epochs alone do.
_LONGER = tuple(
    replace(row, name=f"baseline{n}_{row.model[-1]}", section="", n_epochs=n)
    for n in (50, 60)
    for row in (BASELINE, BASELINE_2)
)
L2_SWEEP = (0.0, 1e-6, 5e-6, 1e-5, 1e-4, 1e-3, 1e-2)


def _pick(names: str) -> tuple[Experiment, ...]:
    known = {row.name: row for row in (*PAPER, *_LONGER)}
    return tuple(known[name] for name in names.split())


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Return (row, reference) of each comparison."""
    return tuple((row, reference) for row, reference in map(str.split, text.split(",")))


def _variant(rows: Iterable[Experiment], suffix: str, **changes: str) -> tuple[Experiment, ...]:
    return tuple(replace(row, name=row.name + suffix, section="", **changes) for row in rows)


_BOTH_ENDS = _pick("baseline_1 baseline_2 final_1 final_2")
_TECHNIQUE = ("model", "n_epochs", "l2", "p_drop", "augment")
_STUDIES = (
    Study("paper", "What do the paper's twelve experiments give?", _TECHNIQUE, PAPER),
    Study("baseline", "How well do the two networks do as they are?", ("model",), PAPER[:2]),
    Study(
        "augmentation",
        "Do mirrored copies of a quarter of the images help?",
        ("model", "augment"),
        _pick("baseline_1 flip_1 baseline_2 flip_2")
        + _variant(_pick("flip_1 flip_2"), "_each", augment="flip_each"),
        tuple((f"flip_{n}{how}", f"baseline_{n}") for how in ("", "_each") for n in (1, 2)),
    ),
    Study(
        "l2",
        "Does the paper's L2 penalty help?",
        ("model", "l2"),
        _pick("baseline50_1 l2_1 baseline50_2 l2_2"),
        _pairs("l2_1 baseline50_1, l2_2 baseline50_2"),
    ),
    Study(
        "l2_sweep",
        "Which λ, if any, is best?",
        ("model", "l2"),
        tuple(
            replace(base, name=f"l2_{value:g}_{base.model[-1]}", l2=value)
            for base in _pick("baseline50_1 baseline50_2")
            for value in L2_SWEEP
        ),
    ),
    Study(
        "dropout",
        "Does dropout help, and is 50 % better than 25 %?",
        ("model", "p_drop", "n_epochs"),
        _pick("baseline_1 dropout25_1 dropout50_1 baseline50_2 dropout25_2 dropout50_2"),
        _pairs(
            "dropout25_1 baseline_1, dropout50_1 baseline_1, dropout50_1 dropout25_1, "
            "dropout25_2 baseline50_2, dropout50_2 baseline50_2, dropout50_2 dropout25_2"
        ),
    ),
    Study(
        "final",
        "Is dropout 50 % with L2 the configuration to deploy?",
        ("model", "p_drop", "l2", "n_epochs"),
        _pick("baseline60_1 l2_1 dropout50_1 final_1 baseline60_2 l2_2 dropout50_2 final_2"),
        _pairs(
            "final_1 baseline60_1, final_1 l2_1, final_1 dropout50_1, "
            "final_2 baseline60_2, final_2 l2_2, final_2 dropout50_2"
        ),
    ),
    Study(
        "scaling",
        "Which pixel scaling comes closer to the printed numbers?",
        (*_TECHNIQUE, "scaling"),
        PAPER + _variant(PAPER, "_symmetric", scaling="symmetric"),
    ),
    Study("verdicts", "Which of the paper's conclusions hold?", _TECHNIQUE, PAPER + _LONGER),
    Study(
        "logit",
        "What do the loss curves show without the sigmoid?",
        ("model", "p_drop", "l2", "n_epochs", "head"),
        _BOTH_ENDS + _variant(_BOTH_ENDS, "_logit", head="logit"),
    ),
)
STUDIES = {study.name: study for study in _STUDIES}
_ROWS = {row.name: row for study in _STUDIES for row in study.rows}


def study(what: str | Study | Experiment | Sequence[Experiment]) -> Study:
    """Return the study of this name, or one of rows of your own; `SglibError` if it cannot be."""
    if isinstance(what, Study):
        return what
    if isinstance(what, str):
        if what in STUDIES:
            return STUDIES[what]
        close = difflib.get_close_matches(what, STUDIES, 1)
        hint = f"; did you mean {close[0]}?" if close else "."
        raise SglibError(f"no study {what!r}{hint} There are: {', '.join(STUDIES)}")
    rows = (what,) if isinstance(what, Experiment) else tuple(what)
    rows = tuple(map(_named, rows))
    names = [row.name for row in rows]
    if twice := {name for name in names if names.count(name) > 1}:
        raise SglibError(f"two rows are called {twice.pop()!r}: give each a name of its own")
    changed = tuple(dict.fromkeys(field for row in rows for field in _changed(row)))
    return Study(names[0] if len(names) == 1 else "own rows", "What happens if?", changed, rows)


def _changed(row: Experiment) -> dict[str, object]:
    """Return the settings in which a row differs from the paper's baseline."""
    return {k: v for k, v in row.settings().items() if v != getattr(BASELINE, k)}


def _named(row: Experiment) -> Experiment:
    """Name a row by its settings if it has no name, or one that they no longer earn."""
    known = _ROWS.get(row.name, row)
    if row.name and known.settings() == row.settings():
        return row
    pairs = _changed(row).items()
    parts = [f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in pairs]
    return replace(row, name=" ".join(parts) or BASELINE.name, section="")


TECHNIQUES = ("baseline", "flip", "l2", "dropout25", "dropout50", "final")


def technique(name: str) -> str:
    """Return which of `TECHNIQUES` an experiment's name begins with, or "ours"."""
    return next((known for known in TECHNIQUES if name.startswith(known)), "ours")


_AUGMENTED = {"flip_add": "mirrored copies", "flip_each": "mirrored at random"}


def words(name: str) -> str:
    """Return an experiment in words: "dropout 50 %, ConvNN_2". Own names stay as they are."""
    if name not in _ROWS:
        return name
    row = _ROWS[name]
    parts = [f"dropout {100 * row.p_drop:g} %"] if row.p_drop else []
    parts += [f"L2 {row.l2:.0e}".replace("e-0", "e-")] if row.l2 else []
    parts += [_AUGMENTED[row.augment]] if row.augment in _AUGMENTED else []
    plain = "baseline" if row.n_epochs == BASELINE.n_epochs else f"baseline, {row.n_epochs} epochs"
    head = ["logit head"] if row.head == "logit" else []
    pixels = ["pixels [−1, 1]"] if row.scaling == "symmetric" else []
    return ", ".join([" and ".join(parts) or plain, row.model, *head, *pixels])
