"""Sunglasses or not: a small-data overfitting paper, reproduced, questioned and improved.

The library, bottom up; imports go one way, from below to above:

    files      paths, whole-file writes, provenance of a run
    metrics    confusion matrix and rates, the paper's formulas (4) to (9)
    data       who is on the photographs and how we get them
    models     networks, what an ensemble of them answers, files of weights
    training   one run: settings, draws, engines, our recipe
    studies    many runs: the paper's numbers, tables of rows, running, storing
    analysis   from stored runs to tables and figures
    predict    from anyone's pictures to answers; knows no study
    report     pages and published files
    cli        the command line
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sglib.predict.classifier import Classifier

__version__ = "0.1.0"


class SglibError(Exception):
    """A problem the caller can do something about; the message is one line that says what."""


def load(name_or_path: Any = "base") -> "Classifier":
    """Return a classifier, as `sglib.predict.classifier.load` does."""
    from sglib.predict.classifier import load

    return load(name_or_path)
