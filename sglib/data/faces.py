"""`FaceSet`: labelled 30×32 photographs in memory, with the person on each."""

import dataclasses
import hashlib
from functools import cached_property
from typing import NamedTuple

import numpy as np

HEIGHT, WIDTH = 30, 32
CLASSES = ("open", "sunglasses")  # the index is the label
DATA_CHOICES = ("auto", "course", "synthetic")  # as `load_data` takes them


@dataclasses.dataclass(frozen=True, eq=False)
class FaceSet:
    """A set of grayscale photographs, decoded once and kept in memory.

    Args:
        name: for example `course-train`.
        images: uint8 (N, 30, 32), 0 black to 255 white.
        ids: str (N,), unique.
        labels: int64 (N,), 1 = sunglasses, 0 = open; None where they are held back.
        subjects: str (N,), the person; None where unknown.
        pose: str (N,), straight, left, right or up; None where unknown.
        expression: str (N,), neutral, happy, sad or angry; None where unknown.

    Raises:
        ValueError: a shape, dtype, label or id is not as above.
    """

    name: str
    images: np.ndarray
    ids: np.ndarray
    labels: np.ndarray | None = None
    subjects: np.ndarray | None = None
    pose: np.ndarray | None = None
    expression: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.ids)
        if self.images.dtype != np.uint8 or self.images.shape != (n, HEIGHT, WIDTH):
            raise ValueError(
                f"{self.name}: images must be uint8 ({n}, {HEIGHT}, {WIDTH}), "
                f"got {self.images.dtype} {self.images.shape}"
            )
        for field in ("labels", "subjects", "pose", "expression"):
            value = getattr(self, field)
            if value is not None and value.shape != (n,):
                raise ValueError(f"{self.name}: {field} must be ({n},), got {value.shape}")
        for field in ("ids", "subjects", "pose", "expression"):
            value = getattr(self, field)
            if value is not None and value.dtype.kind != "U":
                raise ValueError(f"{self.name}: {field} must be a str array, got {value.dtype}")
        if self.labels is not None and (
            self.labels.dtype != np.int64 or not np.isin(self.labels, (0, 1)).all()
        ):
            raise ValueError(f"{self.name}: labels must be int64 of 0 and 1")
        if len(np.unique(self.ids)) != n:
            raise ValueError(f"{self.name}: ids must be unique")

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def digest(self) -> str:
        """Return the sha256 (hex) of the content; the name does not enter."""
        sha = hashlib.sha256()
        for field in ("images", "ids", "labels", "subjects", "pose", "expression"):
            value = getattr(self, field)
            sha.update(field.encode())
            if value is None:
                continue
            if value.dtype.kind == "U":  # the padding width of a str array is not content
                sha.update("\0".join(value.tolist()).encode())
            else:
                sha.update(np.ascontiguousarray(value).tobytes())
        return sha.hexdigest()

    def subset(self, index: np.ndarray, *, name: str | None = None) -> "FaceSet":
        """Return the rows at `index` (int or bool (N,)) as a new set."""
        picked = {
            field: None if (value := getattr(self, field)) is None else value[index]
            for field in ("images", "ids", "labels", "subjects", "pose", "expression")
        }
        return FaceSet(name=name or self.name, **picked)


class FaceData(NamedTuple):
    """The two parts of a data set; no person is in both."""

    name: str  # "course" or "synthetic"
    train: FaceSet
    test: FaceSet
