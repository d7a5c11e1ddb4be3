"""What a set of photographs looks like in numbers: balance, grey values, who stands next to whom."""

import numpy as np
import pandas as pd
import torch

from sglib.data.augment import METHODS
from sglib.data.faces import CLASSES, FaceSet


def balance(faces: FaceSet, by: str) -> pd.DataFrame:
    """Count images by "subjects", "pose" or "expression" (index) and class (columns)."""
    groups = pd.Series(getattr(faces, by), name=by)
    classes = pd.Series(np.array(CLASSES)[faces.labels], name="class")
    return pd.crosstab(groups, classes).rename_axis(columns=None)


def pixel_statistics(*sets: FaceSet) -> pd.DataFrame:
    """Return per set: images, mean and sd of the grey values in [0, 1], share at 0 and at 255."""
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
    """Return int64 (N,): for each image the row of the most similar other one (raw pixels)."""
    flat = faces.images.reshape(len(faces), -1).astype(np.float64)  # (N, 960)
    squares = (flat**2).sum(axis=1)
    distances = squares[:, None] + squares[None, :] - 2 * flat @ flat.T  # (N, N)
    np.fill_diagonal(distances, np.inf)
    return distances.argmin(axis=1)


def contact_sheet(faces: FaceSet, *, n_columns: int = 16, seed: int = 0) -> np.ndarray:
    """Return row numbers for a gallery, int64 (people · n_columns,): a line per person, open first."""
    rng = np.random.default_rng(seed)
    lines = []
    for person in sorted(set(faces.subjects)):
        picked = np.sort(rng.permutation(np.flatnonzero(faces.subjects == person))[:n_columns])
        lines.append(picked[np.lexsort((faces.pose[picked], faces.labels[picked]))])
    return np.concatenate(lines)


def augmented_examples(
    image: np.ndarray, *, n_draws: int = 6, seed: int = 0
) -> tuple[np.ndarray, list[str]]:
    """Show what each method of the paper's Table 1 does to one photograph, uint8 (30, 32).

    Returns:
        uint8 (methods · (1 + n_draws), 30, 32): per method the unchanged photograph, then the
        draws at twice its usual strength, so that it shows; and a title for each.
    """
    batch = torch.from_numpy(image).float().div(255).expand(n_draws, 1, *image.shape)
    pictures, titles = [], []
    for name, method in METHODS.items():
        strength = min(2 * method.usual, method.limit)
        drawn = method(batch, strength, torch.Generator().manual_seed(seed))[:, 0]
        pictures += [image[None], drawn.mul(255).round().to(torch.uint8).numpy()]
        titles += [name.replace("_", " "), f"≤ {strength:g}", *[""] * (n_draws - 1)]
    return np.concatenate(pictures), titles
