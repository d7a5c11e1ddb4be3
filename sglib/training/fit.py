"""One run, start to end: split, schedule, and the engine that suits the experiment."""

import numpy as np

from sglib import SglibError
from sglib.data.faces import FaceSet
from sglib.data.splits import Split
from sglib.training.reference import Fit, FitData, fit_reference
from sglib.training.schedule import make_schedule
from sglib.training.settings import Experiment

ENGINES = ("auto", "reference", "compiled")


def choose_engine(experiment: Experiment, *, engine: str = "auto", device: str = "cpu") -> str:
    """Return the name of the engine that will run: "compiled" or "reference-<device>".

    `auto` takes the compiled engine where it applies, the reference elsewhere.

    Raises:
        SglibError: unknown engine, or "compiled" for what it does not do (the message says why).
    """
    if engine not in ENGINES:
        raise SglibError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    if engine == "reference":
        return f"reference-{device}"
    reason = _why_not_compiled(experiment, device)
    if reason is None:
        return "compiled"
    if engine == "compiled":
        raise SglibError(f"{experiment.name}: the compiled engine does not apply: {reason}")
    return f"reference-{device}"


def _why_not_compiled(experiment: Experiment, device: str) -> str | None:
    if device != "cpu":
        return f"it runs on the CPU, not on {device}"
    from sglib.training.compiled import supports  # Numba starts slowly: only where it is asked for

    return supports(experiment)


def fit(
    experiment: Experiment,
    faces: FaceSet,
    split: Split,
    *,
    seed: int | tuple[int, ...],
    engine: str = "auto",
    device: str = "cpu",
) -> Fit:
    """Train one network on the training part of a split and validate it on the other part.

    Args:
        experiment: the settings.
        faces: the labelled set that `split` was made from.
        split: from `splits.make_split`.
        seed: of every draw of this run, see `schedule.make_schedule`.
        engine: "auto", "reference" or "compiled".
        device: a PyTorch device for the reference engine.

    Raises:
        SglibError: see `choose_engine`; or the set has no labels.
    """
    if faces.labels is None:
        raise SglibError(f"{faces.name}: the labels are held back, cannot train on it")
    data = FitData(
        train_images=np.ascontiguousarray(faces.images[split.train]),
        train_labels=faces.labels[split.train],
        val_images=np.ascontiguousarray(faces.images[split.val]),
        val_labels=faces.labels[split.val],
    )
    schedule = make_schedule(experiment, len(split.train), seed)
    chosen = choose_engine(experiment, engine=engine, device=device)
    if chosen == "compiled":
        from sglib.training.compiled import fit_compiled

        return fit_compiled(experiment, data, schedule)
    return fit_reference(experiment, data, schedule, device=device)
