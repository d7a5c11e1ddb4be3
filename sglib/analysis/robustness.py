"""How accuracy on people not seen falls as their photographs are distorted more and more."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Generator, Tensor

from sglib import SglibError
from sglib.analysis.people import per_person_means, person_interval
from sglib.data.augment import METHODS, blur, lower_black_point
from sglib.data.faces import FaceSet
from sglib.data.synthetic import distort
from sglib.studies.heldout import HeldOut
from sglib.training.recipe import to_input

COURSE = "course_set"  # all distortions of the course set's test images together

# Where each distortion is measured; the first strength, 0, changes nothing. Left out of `METHODS`:
# the flips, which have no strength, and moves along both axes, which two rows show singly.
STRENGTHS: dict[str, tuple[float, ...]] = {
    "rotation": (0, 10, 20, 30, 45),
    "scaling": (0, 0.1, 0.25, 0.5, 0.75),
    "translation_horizontal": (0, 2, 4, 6, 8),
    "translation_vertical": (0, 2, 4, 6, 8),
    "cropping": (0, 0.1, 0.2, 0.3, 0.4),
    "noise": (0, 0.05, 0.1, 0.2, 0.3),
    "colour_space": (0, 0.3, 1, 2, 4),
    "contrast": (0, 0.25, 0.5, 0.75, 1),
    "sharpness": (0, 0.25, 0.5, 0.75, 1),
    "blur": (0, 0.25, 0.5, 0.75, 1),
    "black_point": (0, 0.1, 0.2, 0.35, 0.5),
    COURSE: (0, 0.5, 1, 2, 3),
}
UNITS: dict[str, str] = {
    **{name: METHODS[name].unit for name in STRENGTHS if name in METHODS},
    "blur": "share of a 3×3 blur",
    "black_point": "gray range",
    COURSE: "times the test images'",
}
_FUNCTIONS: dict[str, Callable[[Tensor, float, Generator], Tensor]] = {
    **{name: METHODS[name] for name in STRENGTHS if name in METHODS},
    "blur": blur,
    "black_point": lower_black_point,
}


def robustness(
    heldout: Sequence[HeldOut],
    faces: FaceSet,
    *,
    strengths: Mapping[str, Sequence[float]] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure accuracy on people held out over the strength of each distortion.

    A strength is the largest change: each image draws its own up to it, as the augmentations do
    (`augment.METHODS`). The draws are the same at every strength and for every model.

    Args:
        heldout: from `heldout.heldout_models` of this set.
        faces: the set, with labels and people.
        strengths: name in `STRENGTHS` → the strengths to measure at; None = all of them.
        seed: of the distortions.

    Returns:
        one row per model, method and strength: model, method, unit (of the strength), strength,
        accuracy (mean over people), low, high (95 %, Wilson over people; NaN for one person),
        n_people.

    Raises:
        SglibError: an unknown method, or a strength out of its range.
    """
    strengths = STRENGTHS if strengths is None else strengths
    if faces.labels is None or faces.subjects is None:
        raise SglibError(f"{faces.name}: labels and people are needed for accuracy by person")
    covered = np.sort(np.concatenate([part.rows for part in heldout]))
    rows = []
    for method, values in strengths.items():
        for strength in values:
            images = distort_images(faces, method, strength, seed=seed)
            for model in heldout[0].predict:
                correct = np.zeros(len(faces))
                for part in heldout:
                    preds = part.predict[model](images[part.rows]) > 0.5
                    correct[part.rows] = preds == (faces.labels[part.rows] == 1)
                people = per_person_means(correct[covered], faces.subjects[covered])
                row = {"model": model, "method": method, "unit": UNITS[method]}
                rows.append(row | {"strength": float(strength), **_summary(people)})
    return pd.DataFrame(rows)


def distort_images(faces: FaceSet, method: str, strength: float, *, seed: int = 0) -> np.ndarray:
    """Return one distorted copy of each image, uint8 (N, 30, 32), in the set's order.

    Args:
        faces: the set.
        method: a name in `STRENGTHS`.
        strength: the largest change, in `UNITS[method]`; 0 changes nothing.
        seed: of the draws, the same for every strength.

    Raises:
        SglibError: an unknown method, or a strength out of its range.
    """
    if method == COURSE:
        return _as_course(faces, strength, seed)
    if method not in _FUNCTIONS:
        raise SglibError(f"no distortion {method!r}; there are: {', '.join(STRENGTHS)}")
    if method not in METHODS and not 0 <= strength <= 1:  # the others check it themselves
        raise SglibError(f"{method}: strength must be in [0, 1] {UNITS[method]}, got {strength}")
    draws = torch.Generator().manual_seed(seed)
    changed = _FUNCTIONS[method](to_input(faces.images), float(strength), draws)
    return changed[:, 0].mul(255).round().clamp(0, 255).to(torch.uint8).numpy()


def _as_course(faces: FaceSet, strength: float, seed: int) -> np.ndarray:
    """Return one copy of each image distorted like the course set's test images."""
    # `distort` shuffles its copies; the place of the original travels as the person's name.
    places = np.arange(len(faces)).astype(str)
    known = dataclasses.replace(
        faces,
        subjects=places,
        labels=np.zeros(len(faces), np.int64),
        pose=places,
        expression=places,
    )
    copies = distort(known, seed=seed, n_copies=1, strength=float(strength))
    images = np.empty_like(faces.images)
    images[copies.subjects.astype(np.int64)] = copies.images
    return images


def _summary(people: pd.Series) -> dict[str, float]:
    if len(people) < 2:
        spread = {"low": np.nan, "high": np.nan}
    else:
        interval = person_interval(people.to_numpy(), kind="rate")
        spread = {"low": interval.low, "high": interval.high}
    return {"accuracy": float(people.mean()), **spread, "n_people": len(people)}


def strengths_for(profile: str) -> Mapping[str, Sequence[float]]:
    """Return the distortions and strengths that a profile measures; in `smoke` a few."""
    if profile != "smoke":
        return STRENGTHS
    return {name: values[:2] for name, values in list(STRENGTHS.items())[:2]}
