"""What one training run is asked and what it yields; `studies/tables.py` lists the rows of studies.

Nothing here imports torch or touches a file. The defaults are the paper's (§4.1).
"""

import dataclasses

import numpy as np

from sglib import SglibError
from sglib.models import HEADS, SCALINGS

METHODS_OF_TABLE_1 = (  # the keys of data.augment.METHODS, which imports torch
    *("flip_horizontal", "flip_vertical", "flip_both", "rotation", "scaling", "noise"),
    *("colour_space", "contrast", "sharpness", "translation_horizontal", "translation_vertical"),
    *("translation_both", "cropping"),
)
AUGMENTS = ("none", "flip_add", "flip_each", *METHODS_OF_TABLE_1)
HISTORY = ("fit_loss", "fit_acc", "train_loss", "train_acc", "val_loss", "val_acc")
_RANGES = {
    "n_epochs": (int, 1, 100_000),
    "batch_size": (int, 1, 1_000_000),
    "lr": (float, 0.0, 1e3),
    "l2": (float, 0.0, 1e3),
    "p_drop": (float, 0.0, 0.999),
    "augment_fraction": (float, 0.0, 1.0),
}


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Every setting that a run depends on but seeds and data; `SglibError` for a bad one."""

    name: str = ""  # where there is none, a study makes one of the settings
    section: str = ""  # of the paper; "" where it is ours
    model: str = "ConvNN_1"  # a name in `models.networks.NETWORKS`
    head: str = "sigmoid"  # what enters CrossEntropyLoss: the paper's sigmoid outputs, or logits
    n_epochs: int = 40
    batch_size: int = 1  # §4.1
    lr: float = 0.002  # §4.1, Adam
    l2: float = 0.0  # λ of formula (1): λ·½wᵀw, which is Adam's weight_decay (not AdamW's)
    p_drop: float = 0.0  # probability of zeroing a unit of fc1
    # "flip_add": the text's reading; "flip_each": the code comment's; or a method of Table 1
    augment: str = "none"
    augment_fraction: float = 0.25  # share of images added, or probability per image and epoch
    scaling: str = "unit"  # pixels to [0, 1] (text) or "symmetric": [-1, 1] (published code)

    def __post_init__(self) -> None:
        known = {"head": HEADS, "augment": AUGMENTS, "scaling": SCALINGS}
        for field, names in known.items():
            if getattr(self, field) not in names:
                self._refuse(field, f"one of {', '.join(names)}")
        for field, (kind, low, high) in _RANGES.items():
            value = getattr(self, field)
            if type(value) not in (int, kind) or not low <= value <= high:
                what = "a whole number" if kind is int else "a number"
                self._refuse(field, f"{what} in [{low}, {high}]")
            object.__setattr__(self, field, kind(value))  # 0 and 0.0 are one setting, and one key
        if self.augment in METHODS_OF_TABLE_1 and self.scaling != "unit":
            self._refuse("scaling", "unit where a method of Table 1 augments")

    def _refuse(self, field: str, expected: str) -> None:
        whose = f"{self.name}: " if self.name else ""
        raise SglibError(f"{whose}{field} must be {expected}, got {getattr(self, field)!r}")

    def settings(self) -> dict[str, object]:
        """Return what determines a run's result: every field that is used, without the labels."""
        fields = dataclasses.asdict(self)
        del fields["name"], fields["section"]
        if self.augment == "none":
            del fields["augment_fraction"]
        return fields


@dataclasses.dataclass(frozen=True, eq=False)
class FitData:
    """The images and labels of one run; the validation part may be empty."""

    train_images: np.ndarray  # uint8 (N, 30, 32)
    train_labels: np.ndarray  # int64 (N,), 1 = sunglasses
    val_images: np.ndarray
    val_labels: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Fit:
    """What a run yields.

    In `history`, `fit_*` are means over the samples as they were trained on (mirrored, dropout on,
    weights still moving); `train_*` and `val_*` are measured after the epoch on the unchanged
    images, dropout off. Losses in nats, accuracies in [0, 1]; NaN without validation images.
    """

    history: dict[str, np.ndarray]  # name in `HISTORY` → float64 (n_epochs,)
    weights: dict[str, np.ndarray]  # parameter name → float32 array, after the last epoch
    val_probs: np.ndarray  # float64 (n_val,), of sunglasses, after the last epoch
    engine: str  # which engine ran
    seconds: float  # wall time of the run


def scale_pixels(images: np.ndarray, scaling: str) -> np.ndarray:
    """Return uint8 images as float32 in [0, 1] ("unit") or [-1, 1] ("symmetric")."""
    if scaling == "unit":
        return images.astype(np.float32) / np.float32(255)
    if scaling == "symmetric":
        return images.astype(np.float32) / np.float32(127.5) - np.float32(1)
    raise SglibError(f"scaling must be {' or '.join(SCALINGS)}, got {scaling!r}")
