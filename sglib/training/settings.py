"""The settings of one training run as a frozen row; `studies/tables.py` lists the rows of studies.

Nothing here imports torch or touches a file. The defaults are the paper's (§4.1).
"""

import dataclasses

from sglib import SglibError

HEADS = ("sigmoid", "logit")
AUGMENTS = ("none", "flip_add", "flip_each")
SCALINGS = ("unit", "symmetric")


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Every setting that one training run depends on, the seeds and the data set aside.

    Raises:
        SglibError: a value is out of its range or not one of the known names.
    """

    name: str = "baseline_1"
    section: str = "4.1"  # of the paper; "" where it is ours
    model: str = "ConvNN_1"  # registry name, see models.py
    head: str = "sigmoid"  # what enters CrossEntropyLoss: the paper's sigmoid outputs, or logits
    n_epochs: int = 40
    batch_size: int = 1  # §4.1
    lr: float = 0.002  # §4.1, Adam
    l2: float = 0.0  # λ of formula (1): λ·½wᵀw, which is Adam's weight_decay (not AdamW's)
    p_drop: float = 0.0  # probability of zeroing a unit of fc1
    augment: str = "none"  # "flip_add": the text's reading; "flip_each": the code comment's
    augment_fraction: float = 0.25  # share of images added, or probability per image and epoch
    scaling: str = "unit"  # pixels to [0, 1] (text) or "symmetric": [-1, 1] (published code)

    def __post_init__(self) -> None:
        _one_of(self, "head", HEADS)
        _one_of(self, "augment", AUGMENTS)
        _one_of(self, "scaling", SCALINGS)
        _in_range(self, "n_epochs", 1, 100_000, kind=int)
        _in_range(self, "batch_size", 1, 1_000_000, kind=int)
        _in_range(self, "lr", 0.0, 1e3)
        _in_range(self, "l2", 0.0, 1e3)
        _in_range(self, "p_drop", 0.0, 0.999)
        _in_range(self, "augment_fraction", 0.0, 1.0)

    def settings(self) -> dict[str, object]:
        """Return what determines a run's result: every field but the name and the section.

        A share of augmentation that no augmentation uses is left out too, so that equal
        procedures have equal settings.
        """
        fields = dataclasses.asdict(self)
        del fields["name"], fields["section"]
        if self.augment == "none":
            del fields["augment_fraction"]
        return fields


def _one_of(row: Experiment, field: str, known: tuple[str, ...]) -> None:
    value = getattr(row, field)
    if value not in known:
        raise SglibError(f"{row.name}: {field} must be one of {', '.join(known)}, got {value!r}")


def _in_range(row: Experiment, field: str, low: float, high: float, *, kind: type = float) -> None:
    value = getattr(row, field)
    allowed = int if kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, allowed) or not low <= value <= high:
        what = "a whole number" if kind is int else "a number"
        raise SglibError(f"{row.name}: {field} must be {what} in [{low}, {high}], got {value!r}")
