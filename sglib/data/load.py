"""The data sets by name, decoded or rendered once and then read from a cache on disk."""

import functools
import logging
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sglib import SglibError
from sglib.data import course
from sglib.data.course_archive import stamp
from sglib.data.course_verify import CourseSpec, course_spec
from sglib.data.faces import CLASSES, HEIGHT, WIDTH, FaceData, FaceSet
from sglib.files import cache_dir, course_dir, replacing

__all__ = [
    "CLASSES",
    "DATA_NAMES",
    "HEIGHT",
    "WIDTH",
    "FaceData",
    "FaceSet",
    "load_course",
    "load_data",
    "load_synthetic",
]

log = logging.getLogger("sglib")

DATA_NAMES = ("auto", "course", "synthetic")
_RENDERER = "b61174cb62297d82bdccf0f526db97199da0cf5c224aa84acb9853b389f29335"
_VERSION = "1"  # of the cache files
_FIELDS = ("images", "ids", "labels", "subjects", "pose", "expression")


def load_data(data: str = "auto") -> FaceData:
    """Return the training and the test set of a data set.

    Args:
        data: `course` (the real set), `synthetic` (the embedded one), or `auto`: course if it is
            imported, else synthetic with a warning in the log. Nothing is downloaded.

    Raises:
        SglibError: the name is unknown, or the course set is missing or damaged.
    """
    if data not in DATA_NAMES:
        raise SglibError(f"data {data!r}: expected {', '.join(DATA_NAMES)}")
    if data == "course" or (data == "auto" and course.is_imported()):
        return load_course()
    if data == "auto":
        log.warning(
            "COURSE SET NOT FOUND in %s: using SYNTHETIC pictures; to use the real ones, %s",
            course_dir(),
            course.ADVICE,
        )
    return load_synthetic()


def load_course(
    root: Path | None = None, *, spec: CourseSpec | None = None, cache: Path | None = None
) -> FaceData:
    """Return the course set: verified and decoded the first time, then from the cache.

    The cache is used only while names, sizes and times of all files are those it was made from.

    Args:
        root: the imported set, default `data/course`.
        spec: what the set must be; default the real one.
        cache: folder of the cache, default `data/cache`.

    Raises:
        SglibError: there is no set, or the first file that is not as expected.
    """
    root, spec = root or course_dir(), spec or course_spec()
    if not course.is_imported(root):
        return course.load(root, spec=spec)  # raises, with advice
    build = functools.partial(course.load, root, spec=spec)
    return _cached("course", spec.digest, stamp(root), build, cache)


def load_synthetic(*, cache: Path | None = None) -> FaceData:
    """Return the embedded synthetic set with its default people and seed.

    Args:
        cache: folder of the cache, default `data/cache`.
    """

    def render() -> FaceData:
        from sglib.data.synthetic import make_synthetic

        return FaceData("synthetic", *make_synthetic())

    return _cached("synthetic", renderer_digest(), "", render, cache)


def renderer_digest() -> str:
    """Return what stands for the renderer in caches and keys of runs: other pictures, other digest.

    A literal, so that moving or rewording the code changes no key; the golden test of the pictures
    fails when the renderer comes to draw others, and then this is to be changed as well.
    """
    return _RENDERER


def _cached(
    name: str, digest: str, stamp: str, build: Callable[[], FaceData], cache: Path | None
) -> FaceData:
    """Return what is stored under `digest` if it fits `stamp`, else `build` and store it."""
    path = (cache or cache_dir()) / f"{name}-{digest[:16]}.npz"
    stamp = f"{_VERSION} {digest} {stamp}"
    data = _read_cache(path, name, stamp)
    if data is None:
        data = build()
        _write_cache(path, data, stamp)
    return data


def _read_cache(path: Path, name: str, stamp: str) -> FaceData | None:
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:  # every member's CRC-32
                raise ValueError("damaged member")
        with np.load(path) as arrays:
            if str(arrays["stamp"]) != stamp:
                return None
            sets = [
                FaceSet(
                    name=f"{name}-{part}",
                    **{f: arrays[key] for f in _FIELDS if (key := f"{part}_{f}") in arrays},
                )
                for part in ("train", "test")
            ]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
        log.warning("%s: damaged cache, making it again (%s)", path, error)
        return None
    return FaceData(name, *sets)


def _write_cache(path: Path, data: FaceData, stamp: str) -> None:
    arrays = {"stamp": np.array(stamp)} | {
        f"{part}_{field}": value
        for part in ("train", "test")
        for field in _FIELDS
        if (value := getattr(getattr(data, part), field)) is not None
    }
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)
    except OSError as error:  # the data are good all the same
        log.warning("%s: cannot write the cache (%s)", path, error.strerror or error)
