"""sglib: does this person wear sunglasses? A small-data overfitting study, done carefully."""

__version__ = "0.1.0"
