"""Where models look: maps of many images at once, by occlusion and by gradient, averaged by pose.

`explain.py` draws one picture's map in log-odds for a user; here maps of whole sets are compared.
Source: occlusion, Zeiler & Fergus 2014 (ECCV), §4.2; gradient, Simonyan et al. 2014 (ICLR
workshop), §3.
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from torch import nn

from sglib import SglibError
from sglib.data.faces import CLASSES, HEIGHT, WIDTH, FaceSet
from sglib.studies.heldout import HeldOut
from sglib.training.recipe import to_input

KINDS = ("occlusion", "gradient")
_BATCH = 4096  # covered pictures at once: 4 MB


def occlusion_maps(
    predict: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    *,
    labels: np.ndarray | None = None,
    size: int = 5,
    stride: int = 2,
) -> np.ndarray:
    """Return by how much covering each place lowers the probability of a class.

    A square is painted with the image's mean and moved over the image. A pixel's value is the
    mean over the squares that cover it.

    Args:
        predict: from images uint8 (N, 30, 32) to the probability of sunglasses (N,).
        images: uint8 (N, 30, 32).
        labels: int (N,), the class whose probability is watched; None = the predicted one.
        size: side of the square in pixels, 1 to 30.
        stride: pixels from one square to the next, 1 to `size`, so that no pixel is left out.

    Returns:
        float64 (N, 30, 32), probability before minus after; above 0 where the model looks for
        the class, below 0 where something speaks against it.

    Raises:
        SglibError: size or stride out of range.
    """
    if not 1 <= size <= min(HEIGHT, WIDTH):
        raise SglibError(f"size must be 1 to {min(HEIGHT, WIDTH)} pixels, got {size}")
    if not 1 <= stride <= size:
        raise SglibError(f"stride must be 1 to size ({size}) pixels, got {stride}")
    places = [
        (slice(top, top + size), slice(left, left + size))
        for top in _starts(HEIGHT, size, stride)
        for left in _starts(WIDTH, size, stride)
    ]
    before = predict(images)  # (N,)
    watched = before > 0.5 if labels is None else np.asarray(labels) == 1  # (N,)
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
        drop = before[part, None] - after
        drop = np.where(watched[part, None], drop, -drop)  # of the class, not of sunglasses
        for number, (rows, columns) in enumerate(places):
            total[part, rows, columns] += drop[:, number, None, None]
    return total / n_covers


def gradient_maps(network: nn.Module, images: np.ndarray, *, batch_size: int = 256) -> np.ndarray:
    """Return how strongly each pixel moves the margin, |∂(output₁ − output₀) / ∂pixel|.

    Args:
        network: from float images (B, 1, 30, 32) in [0, 1] to two outputs (B, 2); in eval mode,
            where an image's outputs depend on no other image.
        images: uint8 (N, 30, 32).
        batch_size: images at once.

    Returns:
        float64 (N, 30, 32), change of the margin per full range of gray.
    """
    weight = next(network.parameters(), None)
    maps = []
    for batch in to_input(images).split(batch_size) if len(images) else ():
        x = batch.to("cpu" if weight is None else weight.device).requires_grad_()
        with torch.enable_grad():
            outputs = network(x)  # (B, 2)
            (slope,) = torch.autograd.grad((outputs[:, 1] - outputs[:, 0]).sum(), x)
        maps.append(slope[:, 0].abs().double().cpu().numpy())  # (B, 30, 32)
    return np.concatenate(maps) if maps else np.empty((0, HEIGHT, WIDTH))


def mean_maps_by_pose(
    heldout: Sequence[HeldOut],
    faces: FaceSet,
    *,
    kind: str = "occlusion",
    n_images: int | None = None,
    size: int = 5,
    stride: int = 2,
) -> pd.DataFrame:
    """Average the maps of people not trained on, for each model, pose and class.

    Occlusion watches the probability of the true class. Both kinds take one view of the image:
    averaging shifted and mirrored views, as our models do in use, would blur the maps.

    Args:
        heldout: from `heldout.heldout_models` of this set.
        faces: the set, with labels and poses.
        kind: "occlusion" or "gradient".
        n_images: at most so many images per pose, class and group; None = all.
        size, stride: of the occlusion, see `occlusion_maps`.

    Returns:
        columns model, pose, label ("open" or "sunglasses"), n (images) and map, float64 (30, 32):
        the mean over images; what its values are, see `occlusion_maps` and `gradient_maps`.

    Raises:
        SglibError: unknown kind, or the poses are not known.
    """
    if kind not in KINDS:
        raise SglibError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if faces.labels is None or faces.pose is None:
        raise SglibError(f"{faces.name}: labels and poses are needed for maps by pose")
    cells = []
    for model in heldout[0].networks:
        for pose in sorted(set(faces.pose.tolist())):
            for label, label_name in enumerate(CLASSES):
                maps = np.concatenate(
                    [
                        _maps(part, model, faces.subset(rows[:n_images]), kind, size, stride)
                        for part in heldout
                        for rows in (part.rows[_which(faces, part.rows, pose, label)],)
                    ]
                )  # (n, 30, 32)
                if len(maps):
                    cell = {"model": model, "pose": pose, "label": label_name, "n": len(maps)}
                    cells.append(cell | {"map": maps.mean(0)})
    return pd.DataFrame(cells)


def centre_of_mass(map_: np.ndarray) -> tuple[float, float]:
    """Return row and column, in pixels from the top left, of the centre of a map's positive part.

    Args:
        map_: float (30, 32), positive somewhere.
    """
    weights = np.maximum(map_, 0)
    rows, columns = np.indices(weights.shape)
    total = weights.sum()
    return float((rows * weights).sum() / total), float((columns * weights).sum() / total)


def _which(faces: FaceSet, rows: np.ndarray, pose: str, label: int) -> np.ndarray:
    return (faces.pose[rows] == pose) & (faces.labels[rows] == label)


def _maps(
    part: HeldOut, model: str, faces: FaceSet, kind: str, size: int, stride: int
) -> np.ndarray:
    """Return the maps (N, 30, 32) of images, N = 0 included."""
    if kind == "gradient" or not len(faces):
        return gradient_maps(part.networks[model], faces.images)
    one_view = functools.partial(part.predict[model], mirror=False, shift=0)
    return occlusion_maps(one_view, faces.images, labels=faces.labels, size=size, stride=stride)


def _starts(length: int, size: int, stride: int) -> list[int]:
    """Return where squares begin; the last one ends at the border whatever the stride."""
    return sorted({*range(0, length - size + 1, stride), length - size})
