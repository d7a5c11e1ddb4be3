"""What every contestant of train_step.py is given, and how it is held to the reference."""

import dataclasses
import io
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from sglib.studies.tables import BASELINE
from sglib.training.reference import scale_pixels
from sglib.training.schedule import Schedule, make_schedule
from sglib.training.settings import FitData

LR = BASELINE.lr
N_CHECK = 20  # steps after which a contestant must have the reference's weights
Weights = dict[str, np.ndarray]  # under PyTorch's names, in PyTorch's shapes


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """The paper's baseline on N images.

    Args:
        folder: JPEGs `<id>.jpg` and `tags.csv` with the columns id and class.
        images: uint8 (N, 30, 32), decoded from these files.
        labels: int64 (N,), 1 = sunglasses.
        initial: the weights to start from.
        order: int32 (40, N), the rows that each epoch shows.
    """

    folder: Path
    images: np.ndarray
    labels: np.ndarray
    initial: Weights
    order: np.ndarray

    def scaled(self) -> np.ndarray:
        """Return the images as float32 (N, 30, 32) in [0, 1]."""
        return scale_pixels(self.images, "unit")

    def one_epoch(self, order: np.ndarray) -> tuple[FitData, Schedule]:
        """Return what our engines take; as one long epoch they evaluate once, at the end."""
        data = FitData(self.images, self.labels, self.images[:0], self.labels[:0])
        flips = np.zeros((1, order.size), dtype=bool)
        return data, Schedule(self.initial, order.reshape(1, -1).astype(np.int32), flips, None)


class Contestant(Protocol):
    """Something that trains."""

    def train(self, order: np.ndarray) -> float:
        """Take one step per row in `order` (n,), go on from there next time; return seconds."""

    def weights(self) -> Weights:
        """Return the weights as they are now."""


def write_task(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Write images uint8 (N, 30, 32) as JPEGs, with their labels."""
    lines = ["id,class"]
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        Image.fromarray(image).save(folder / f"{i}.jpg", "JPEG", quality=90)
        lines.append(f"{i},{label}")
    (folder / "tags.csv").write_text("\n".join(lines) + "\n")


def read_task(folder: Path) -> Task:
    """Read what `write_task` wrote; the draws are those of seed 0."""
    lines = (folder / "tags.csv").read_text().splitlines()[1:]
    names, labels = zip(*(line.split(",") for line in lines), strict=True)
    files = [io.BytesIO((folder / f"{name}.jpg").read_bytes()) for name in names]
    images = np.stack([np.asarray(Image.open(file)) for file in files])
    schedule = make_schedule(BASELINE, len(images), 0)
    labels = np.array(labels, dtype=np.int64)
    return Task(folder, images, labels, schedule.initial, schedule.order)


def distance(found: Weights, expected: Weights, initial: Weights) -> float:
    """Return how far weights are from the expected ones, in lengths of the way they should go."""
    off = sum(float(((found[name] - w) ** 2).sum()) for name, w in expected.items())
    way = sum(float(((initial[name] - w) ** 2).sum()) for name, w in expected.items())
    return (off / way) ** 0.5
