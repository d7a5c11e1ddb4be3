"""Who is on the photographs and how we get them: sets of faces, splits, augmentation.

`load_data` gives a set by its name. May import `files` and `metrics`.
"""

from sglib.data.faces import FaceData


def load_data(data: str = "auto") -> FaceData:
    """Return the training and the test set of a data set, from the cache if it is up to date."""
    from sglib.data import load

    return load.load_data(data)
