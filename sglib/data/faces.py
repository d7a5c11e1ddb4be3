"""`FaceSet`: labelled 30×32 photographs in memory, with the person on each."""

import dataclasses
import hashlib
from functools import cached_property
from typing import NamedTuple

import numpy as np

from sglib import SglibError

HEIGHT, WIDTH = 30, 32
CLASSES = ("open", "sunglasses")  # the index is the label
POSES = ("straight", "left", "right", "up")
EXPRESSIONS = ("neutral", "happy", "sad", "angry")
DATA_CHOICES = ("auto", "course", "synthetic", "cmu")  # as `load_data` takes them
FIELDS = ("images", "ids", "labels", "subjects", "pose", "expression")  # of a `FaceSet`


@dataclasses.dataclass(frozen=True, eq=False)
class FaceSet:
    """Grayscale photographs in memory; `SglibError` if a field is not as its comment says."""

    name: str  # for example "course-train"
    images: np.ndarray  # uint8 (N, 30, 32), 0 black to 255 white
    ids: np.ndarray  # str (N,), unique
    labels: np.ndarray | None = None  # int64 (N,), 1 = sunglasses; None where they are held back
    subjects: np.ndarray | None = None  # str (N,), the person; this and the next None if unknown
    pose: np.ndarray | None = None  # str (N,), one of `POSES`
    expression: np.ndarray | None = None  # str (N,), one of `EXPRESSIONS`

    def __post_init__(self) -> None:
        n = len(self.ids)
        for field, value in self.known().items():
            shape = (n, HEIGHT, WIDTH) if field == "images" else (n,)
            kind = {"images": np.uint8, "labels": np.int64}.get(field, np.str_)
            if value.shape != shape or value.dtype.type is not kind:
                raise SglibError(
                    f"{self.name}: {field} must be {kind.__name__.strip('_')} {shape}, "
                    f"got {value.dtype} {value.shape}"
                )
        if self.labels is not None and not np.isin(self.labels, (0, 1)).all():
            raise SglibError(f"{self.name}: labels must be 0 or 1")
        if len(np.unique(self.ids)) != n:
            raise SglibError(f"{self.name}: ids must be unique")

    def __len__(self) -> int:
        return len(self.ids)

    def known(self) -> dict[str, np.ndarray]:
        """Return the fields that are not None, by name."""
        values = {field: getattr(self, field) for field in FIELDS}
        return {field: value for field, value in values.items() if value is not None}

    @cached_property
    def digest(self) -> str:
        """Return the sha256 (hex) of the content; the name does not enter."""
        sha = hashlib.sha256()
        for field in FIELDS:
            sha.update(field.encode())
            value = getattr(self, field)
            if value is not None and value.dtype.kind == "U":  # without the padding to one width
                sha.update("\0".join(value.tolist()).encode())
            elif value is not None:
                sha.update(np.ascontiguousarray(value).tobytes())
        return sha.hexdigest()

    def subset(self, index: np.ndarray, *, name: str | None = None) -> "FaceSet":
        """Return the rows at `index` (int or bool (N,)) as a new set."""
        picked = {field: value[index] for field, value in self.known().items()}
        return FaceSet(name=name or self.name, **picked)


class FaceData(NamedTuple):
    """The two parts of a data set; no person is in both."""

    name: str  # "course", "synthetic" or "cmu"
    train: FaceSet
    test: FaceSet
