"""sglib: does this person wear sunglasses? A small-data overfitting study, done carefully."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sglib.classifier import Classifier

__version__ = "0.1.0"


def load(name_or_path: Any = "base", *, device: str = "cpu") -> "Classifier":
    """Return a classifier, as `sglib.classifier.load` does; PyTorch is imported only here."""
    from sglib.classifier import load

    return load(name_or_path, device=device)
