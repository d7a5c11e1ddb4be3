"""One run, start to end: split, schedule, and the engine that suits the experiment."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np

from sglib import SglibError
from sglib.data.faces import FaceSet
from sglib.data.splits import Split
from sglib.training.schedule import make_schedule
from sglib.training.settings import HISTORY, METHODS_OF_TABLE_1, Experiment, Fit, FitData

log = logging.getLogger("sglib")

ENGINES = ("auto", "reference", "compiled", "compiled-shuffled")
LEARNS_AT = 0.7  # training accuracy; a run that learns anything ends above 0.85
_PAUSE = 0.15  # seconds between two looks at a run
MAX_TRIES = 10  # seeds until a run learns


def outcome(train_acc: np.ndarray) -> str:
    """Return what became of a run, by its training accuracy at rest, (n_epochs,) in [0, 1].

    "never": it reached 0.7 in no epoch; "collapsed": it did, but the median over the last ten
    epochs is below 0.7; else "learned". What did not learn, failed.
    """
    if np.max(train_acc) < LEARNS_AT:
        return "never"
    return "collapsed" if np.median(train_acc[-10:]) < LEARNS_AT else "learned"


def choose_engine(experiment: Experiment, *, engine: str = "auto", device: str = "cpu") -> str:
    """Return the name of the engine that will run: one of "compiled…" or "reference-<device>".

    `auto` takes the compiled engine where it applies, the reference elsewhere. "compiled-shuffled"
    is the same run with other rounding, for A/A tests: see `fit_compiled`.

    Raises:
        SglibError: unknown engine, or "compiled" for what it does not do (the message says why).
    """
    if engine not in ENGINES:
        raise SglibError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    if engine == "reference":
        return f"reference-{device}"
    reason = _why_not_compiled(experiment, device)
    if reason is None:
        return "compiled" if engine == "auto" else engine
    if engine != "auto":
        name = experiment.name or "this experiment"
        raise SglibError(f"{name}: the compiled engine does not apply: {reason}")
    return f"reference-{device}"


def _why_not_compiled(experiment: Experiment, device: str) -> str | None:
    if device != "cpu":
        return f"it runs on the CPU, not on {device}"
    if experiment.augment in METHODS_OF_TABLE_1:
        return f"it mirrors images and knows no {experiment.augment}"
    from sglib.training.compiled import supports  # Numba starts slowly: only where it is needed

    return supports(experiment)


def fit_data(faces: FaceSet, split: Split) -> FitData:
    """Return the parts of a labelled set that a split names."""
    return FitData(*(part[rows] for rows in split for part in (faces.images, faces.labels)))


def fit(
    experiment: Experiment,
    faces: FaceSet,
    split: Split,
    *,
    seed: int | tuple[int, ...],
    engine: str = "auto",
    device: str = "cpu",
    history: np.ndarray | None = None,
) -> Fit:
    """Train one network on the training part of a split and validate it on the other part.

    Args:
        experiment: the settings.
        faces: the labelled set that `split` was made from.
        split: from `splits.make_split`.
        seed: of every draw of this run, see `schedule.make_schedule`.
        engine, device: see `choose_engine`.
        history: float64 (n_epochs, len(HISTORY)), filled epoch by epoch: another thread may watch.

    Raises:
        SglibError: see `choose_engine`; or the set has no labels.
    """
    if faces.labels is None:
        raise SglibError(f"{faces.name}: the labels are held back, cannot train on it")
    data = fit_data(faces, split)
    schedule = make_schedule(experiment, len(split.train), seed)
    chosen = choose_engine(experiment, engine=engine, device=device)
    if chosen.startswith("compiled"):
        from sglib.training.compiled import fit_compiled

        shuffled = chosen == "compiled-shuffled"
        return fit_compiled(experiment, data, schedule, shuffled=shuffled, history=history)
    from sglib.training.reference import fit_reference

    return fit_reference(experiment, data, schedule, device=device, history=history)


def growing(
    experiment: Experiment, faces: FaceSet, split: Split, *, seed: int = 0
) -> Iterator[tuple[np.ndarray, Fit | None]]:
    """Train in a thread; yield the history so far again and again, at last with the finished run.

    Args:
        experiment, faces, split, seed: as for `fit`.
    """
    history = np.full((experiment.n_epochs, len(HISTORY)), np.nan)
    with ThreadPoolExecutor(1) as pool:  # the compiled engine releases the interpreter lock
        run = pool.submit(fit, experiment, faces, split, seed=seed, history=history)
        while wait([run], _PAUSE).not_done:
            yield history.copy(), None
        yield history, run.result()


def fit_until_learned(
    experiment: Experiment, faces: FaceSet, split: Split, *, seed: int, device: str = "cpu"
) -> tuple[int, Fit]:
    """Train as `fit` does, with the next seed where the run fails, `MAX_TRIES` at most.

    Returns:
        the seed taken and its run: the first that learned (`outcome`). If there is none (the smoke
        profile stops early), the last one, with a warning.
    """
    for tried in range(seed, seed + MAX_TRIES):
        done = fit(experiment, faces, split, seed=tried, device=device)
        if outcome(done.history["train_acc"]) == "learned":
            return tried, done
    log.warning(
        "%s: none of the seeds %d to %d learned anything on %s in %d epochs; the last one is used",
        *(experiment.name, seed, tried, faces.name, experiment.n_epochs),
    )
    return tried, done
