"""Who is on the photographs and how we get them: sets of faces, splits, augmentation.

`load_data` gives a set by its name. May import `files` and `metrics`.
"""

import logging
import zipfile
from collections.abc import Callable

import numpy as np

from sglib import SglibError
from sglib.data.faces import DATA_CHOICES, FaceData, FaceSet
from sglib.files import cache_dir, course_dir, replacing

_VERSION = "2"  # of the cache files

log = logging.getLogger("sglib")


def load_data(data: str = "auto") -> FaceData:
    """Return the training and the test set of a data set, from the cache if it is up to date.

    Args:
        data: `course` (the real set), `synthetic` (the embedded one), or `auto`: course if it is
            imported, else synthetic with a warning in the log. `cmu`: the public originals, all
            twenty people to train on and nobody to test. Nothing is downloaded.

    Raises:
        SglibError: the name is unknown, or the set is missing or damaged.
    """
    from sglib.data import course, synthetic

    if data not in DATA_CHOICES:
        raise SglibError(f"data {data!r}: expected {', '.join(DATA_CHOICES)}")
    if data == "cmu":
        from sglib.data.cmu import load_cmu

        faces = load_cmu()
        return FaceData("cmu", faces, faces.subset(np.arange(0), name="cmu-test"))
    if data == "course" or (data == "auto" and course.is_imported()):
        return _cached("course", course.stamp(), course.load)
    if data == "auto":
        text = "COURSE SET NOT FOUND in %s: using SYNTHETIC pictures; to use the real ones, %s"
        log.warning(text, course_dir(), course.ADVICE)
    # Another numpy may round, and so draw, a few pixels differently.
    drawn_by = f"{synthetic.renderer_digest()} numpy {np.__version__}"
    return _cached(
        "synthetic", drawn_by, lambda: FaceData("synthetic", *synthetic.make_synthetic())
    )


def _cached(name: str, stamp: str, build: Callable[[], FaceData]) -> FaceData:
    """Return what the cache holds if it has this stamp, else `build` and store it."""
    path, stamp = cache_dir() / f"{name}.npz", f"{_VERSION} {stamp}"
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            if str(arrays["stamp"]) == stamp:
                found: dict[str, dict[str, np.ndarray]] = {"train": {}, "test": {}}
                for key in set(arrays) - {"stamp"}:
                    part, _, field = key.partition("_")
                    found[part][field] = arrays[key]
                return FaceData(name, *(FaceSet(f"{name}-{p}", **found[p]) for p in found))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass  # there is none yet, or it is damaged
    data = build()
    sets = {"train": data.train, "test": data.test}
    arrays = {f"{p}_{field}": value for p in sets for field, value in sets[p].known().items()}
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, stamp=np.array(stamp), **arrays)
    except OSError as error:  # the data are good all the same
        log.warning("%s: cannot write the cache (%s)", path, error.strerror or error)
    return data
