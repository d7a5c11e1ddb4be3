"""Models as functions of the picture: where they look, and how much distortion they bear.

Source: occlusion, Zeiler & Fergus 2014 (ECCV), §4.2.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch

from sglib import SglibError
from sglib.analysis.stats import people_rate
from sglib.data.augment import METHODS
from sglib.data.faces import CLASSES, HEIGHT, WIDTH, FaceSet
from sglib.data.synthetic import distort
from sglib.models.ensemble import to_input
from sglib.studies.final import ensemble_of
from sglib.studies.heldout import HeldOut
from sglib.training.settings import Experiment, Fit

_BATCH = 4096  # covered pictures at once: 4 MB
COURSE = "course_set"  # all distortions of the course set's test images together
_TIMES = (0, 1, 2, 3)  # a method's usual strength, if its limit allows; 0 changes nothing
STRENGTHS = {
    name: tuple(min(times * method.usual, method.limit) for times in _TIMES)
    for name, method in METHODS.items()
    if method.unit != "probability" and name != "translation_both"
} | {COURSE: _TIMES}


def occlusion_maps(
    predict: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    labels: np.ndarray,
    *,
    size: int = 5,
    stride: int = 2,
) -> np.ndarray:
    """Return by how much covering each place lowers the probability of the true class.

    A square of the image's mean is moved over it; a pixel's value is the mean over the squares.

    Args:
        predict: from images uint8 (N, 30, 32) to the probability of sunglasses (N,).
        images: uint8 (N, 30, 32).
        labels: int (N,).
        size, stride: of the square and its steps, in pixels; stride at most `size`.

    Returns:
        float64 (N, 30, 32), probability before minus after; below 0 where something speaks
        against the class.
    """
    places = [
        (slice(top, top + size), slice(left, left + size))
        for top in sorted({*range(0, HEIGHT - size + 1, stride), HEIGHT - size})
        for left in sorted({*range(0, WIDTH - size + 1, stride), WIDTH - size})
    ]
    sign = np.where(labels == 1, 1, -1)[:, None]  # (N, 1): of the class, not of sunglasses
    before = predict(images)[:, None]  # (N, 1)
    means = np.rint(images.mean((1, 2))).astype(np.uint8)  # (N,)
    total, n_covers = np.zeros(images.shape), np.zeros((HEIGHT, WIDTH))
    for rows, columns in places:
        n_covers[rows, columns] += 1
    at_once = max(1, _BATCH // len(places))  # images
    for start in range(0, len(images), at_once):
        part = slice(start, start + at_once)
        covered = np.repeat(images[part, None], len(places), axis=1)  # (n, P, 30, 32)
        for number, (rows, columns) in enumerate(places):
            covered[:, number, rows, columns] = means[part, None, None]
        after = predict(covered.reshape(-1, HEIGHT, WIDTH)).reshape(-1, len(places))  # (n, P)
        drop = sign[part] * (before[part] - after)
        for number, (rows, columns) in enumerate(places):
            total[part, rows, columns] += drop[:, number, None, None]
    return total / n_covers


def surest(
    experiment: Experiment, done: Fit, faces: FaceSet, *, n: int = 2
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return the pictures that a network is least and most right about, for `ours.explained`.

    Args:
        experiment, done: a run and its settings.
        faces: labelled pictures, such as those that it was validated on.
        n: of either kind.

    Returns:
        images uint8 (2n, 30, 32), their occlusion maps, and for each its class and the
        probability of that class.
    """
    predict = ensemble_of(experiment, done).predict
    probs = np.abs(predict(faces.images) - (faces.labels == 0))  # of the true class
    picked = np.argsort(probs)
    picked = np.concatenate([picked[:n], picked[-n:]])
    images, labels = faces.images[picked], faces.labels[picked]
    titles = [f"{CLASSES[faces.labels[i]]}\n{probs[i]:.2f}" for i in picked]
    return images, occlusion_maps(predict, images, labels), titles


def mean_maps_by_pose(
    heldout: Sequence[HeldOut], faces: FaceSet, *, n_images: int | None = None
) -> pd.DataFrame:
    """Average the occlusion maps of people not trained on, for each model, pose and class.

    Models look once at each image: averaging shifted and mirrored views would blur the maps.

    Args:
        heldout: from `studies.heldout.heldout_models` of this set.
        faces: the set, with labels and poses.
        n_images: at most so many images per pose, class and group; None = all.

    Returns:
        model, pose, label ("open" or "sunglasses"), n (images) and map, float64 (30, 32): the mean
        over images of the fall of the true class's probability.
    """
    if faces.labels is None or faces.pose is None:
        raise SglibError(f"{faces.name}: labels and poses are needed for maps by pose")
    cells: dict[tuple[str, str, str], list[np.ndarray]] = {}
    for part in heldout:
        for model, ensemble in part.models.items():
            one_view = ensemble.one_view().predict
            for pose in sorted(set(faces.pose)):
                for label, word in enumerate(CLASSES):
                    which = (faces.pose[part.rows] == pose) & (faces.labels[part.rows] == label)
                    of = faces.subset(part.rows[which][:n_images])
                    if len(of):
                        maps = occlusion_maps(one_view, of.images, of.labels)
                        cells.setdefault((model, pose, word), []).append(maps)
    rows = [
        {"model": model, "pose": pose, "label": word, "n": sum(map(len, maps))}
        | {"map": np.concatenate(maps).mean(0)}
        for (model, pose, word), maps in cells.items()
    ]
    return pd.DataFrame(rows).sort_values(["model", "pose", "label"], ignore_index=True)


def robustness(
    heldout: Sequence[HeldOut],
    faces: FaceSet,
    *,
    strengths: Mapping[str, Sequence[float]] = STRENGTHS,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure accuracy on people held out over the strength of each distortion.

    A strength is the largest change: each image draws its own up to it (`augment.METHODS`), the
    same at every strength and for every model.

    Args:
        heldout: from `studies.heldout.heldout_models` of this set.
        faces: the set, with labels and people.
        strengths: name in `STRENGTHS` → the strengths to measure at.
        seed: of the distortions.

    Returns:
        one row per model, method and strength: model, method, unit (of the strength), strength,
        accuracy (mean over people), low, high (95 %, beta-binomial over people), n (people).
    """
    covered = np.sort(np.concatenate([part.rows for part in heldout]))
    rows = []
    for method, values in strengths.items():
        unit = METHODS[method].unit if method in METHODS else "times the test images'"
        for strength in values:
            images = distort_images(faces, method, strength, seed=seed)
            for model in heldout[0].models:
                correct = np.zeros(len(faces))
                for part in heldout:
                    preds = part.models[model].predict(images[part.rows]) > 0.5
                    correct[part.rows] = preds == (faces.labels[part.rows] == 1)
                people = pd.Series(correct[covered]).groupby(faces.subjects[covered])
                rate, _ = people_rate(people.sum(), people.size())
                row = {"model": model, "method": method, "unit": unit, "strength": strength}
                row |= {"accuracy": rate.mean, "low": rate.low, "high": rate.high, "n": rate.n}
                rows.append(row)
    return pd.DataFrame(rows)


def distort_images(faces: FaceSet, method: str, strength: float, *, seed: int = 0) -> np.ndarray:
    """Return one distorted copy of each image, uint8 (N, 30, 32), in the set's order.

    Args:
        faces: the set.
        method: a name in `STRENGTHS`.
        strength: the largest change; 0 changes nothing.
        seed: of the draws, the same for every strength.
    """
    if method in METHODS:
        draws = torch.Generator().manual_seed(seed)
        changed = METHODS[method](to_input(faces.images), float(strength), draws)
        return changed[:, 0].mul(255).round().clamp(0, 255).to(torch.uint8).numpy()
    # `distort` shuffles its copies; the place of the original travels as the person's name.
    places = np.arange(len(faces)).astype(str)
    facts = {"labels": np.zeros(len(faces), np.int64), "pose": places, "expression": places}
    known = dataclasses.replace(faces, subjects=places, **facts)
    copies = distort(known, seed=seed, n_copies=1, strength=float(strength))
    images = np.empty_like(faces.images)
    images[copies.subjects.astype(np.int64)] = copies.images
    return images
