"""What a set of photographs looks like in numbers: balance, people, pixels, near-duplicates."""

import numpy as np
import pandas as pd
import torch

from sglib.data.augment import METHODS
from sglib.data.faces import CLASSES, FaceSet


def balance(faces: FaceSet, by: str) -> pd.DataFrame:
    """Count images by a field and class.

    Args:
        faces: a labelled set.
        by: "subjects", "pose" or "expression".

    Returns:
        index: the field's values; columns "open" and "sunglasses".
    """
    groups = pd.Series(getattr(faces, by), name=by)
    classes = pd.Series(np.array(CLASSES)[faces.labels], name="class")
    return pd.crosstab(groups, classes).rename_axis(columns=None)


def pixel_statistics(*sets: FaceSet) -> pd.DataFrame:
    """Return per set: images, mean and standard deviation of the grey values, black and white.

    Grey values are scaled to [0, 1]; `black` and `white` are the fractions of pixels at 0 and 255.
    """
    rows = {
        faces.name: {
            "images": len(faces),
            "mean": faces.images.mean() / 255,
            "std": faces.images.std() / 255,
            "black": (faces.images == 0).mean(),
            "white": (faces.images == 255).mean(),
        }
        for faces in sets
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def nearest_neighbours(faces: FaceSet) -> np.ndarray:
    """Return for each image the row of the most similar other one (Euclidean, raw pixels).

    Returns:
        int64 (N,).
    """
    flat = faces.images.reshape(len(faces), -1).astype(np.float64)  # (N, 960)
    squares = (flat**2).sum(axis=1)
    distances = squares[:, None] + squares[None, :] - 2 * flat @ flat.T  # (N, N)
    np.fill_diagonal(distances, np.inf)
    return distances.argmin(axis=1)


def same_person_share(faces: FaceSet) -> float:
    """Return the fraction of images whose most similar other image shows the same person."""
    return float((faces.subjects[nearest_neighbours(faces)] == faces.subjects).mean())


def contact_sheet(faces: FaceSet, *, n_columns: int = 16, seed: int = 0) -> np.ndarray:
    """Pick images for a gallery, one line per person, open first, poses in order.

    Returns:
        int64 (people · n_columns,) row numbers; without known people a random choice.
    """
    rng = np.random.default_rng(seed)
    if faces.subjects is None:
        return rng.permutation(len(faces))[: 8 * n_columns]
    lines = []
    for person in sorted(set(faces.subjects)):
        rows = np.flatnonzero(faces.subjects == person)
        picked = np.sort(rng.permutation(rows)[:n_columns])
        lines.append(picked[np.lexsort((faces.pose[picked], faces.labels[picked]))])
    return np.concatenate(lines)


def augmented_examples(
    image: np.ndarray, *, n_draws: int = 6, seed: int = 0
) -> tuple[np.ndarray, list[str]]:
    """Show what each method of the paper's Table 1 does to one photograph.

    Args:
        image: uint8 (30, 32).
        n_draws: random draws per method, each at twice its usual strength so that it shows.
        seed: of the draws.

    Returns:
        uint8 (methods · (1 + n_draws), 30, 32): per method the unchanged photograph, then the
        draws; and a title for each, the method's name over the first.
    """
    batch = torch.from_numpy(image).float().div(255).expand(n_draws, 1, *image.shape)
    pictures, titles = [], []
    for name, method in METHODS.items():
        generator = torch.Generator().manual_seed(seed)
        strength = min(2 * method.usual, method.limit)
        drawn = method(batch, strength, generator)[:, 0]  # (n_draws, 30, 32)
        pictures += [image[None], drawn.mul(255).round().to(torch.uint8).numpy()]
        titles += [name.replace("_", " "), f"≤ {strength:g}", *[""] * (n_draws - 1)]
    return np.concatenate(pictures), titles
