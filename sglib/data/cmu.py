"""The public originals: CMU Face Images, all twenty people, and who of them is in the course set.

Source: T. Mitchell, 1999, UCI Machine Learning Repository, data set 124, CC BY 4.0.
"""

import hashlib
import io
import logging
import pickletools
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.spatial.distance import cdist

from sglib import SglibError
from sglib.data.course import UNREADABLE, download, read_files, readable
from sglib.data.faces import CLASSES, FIELDS, HEIGHT, WIDTH, FaceSet
from sglib.files import course_dir, replacing

URL = "https://archive.ics.uci.edu/static/public/124/cmu+face+images.zip"
NPZ_SHA256 = "97de47890b03c8829ca342e1c1602aa88845b0a5eed7028ed8d5e94baeb831aa"  # of conx-data
LAYOUT = "faces/<person>/<person>_<pose>_<expression>_<eyes>[_2|_4].pgm"
ADVICE = "run `sglib data fetch-cmu`, or `sglib data fetch-cmu --from PATH` with the originals"
# Root mean square differences in gray levels: pictures differ by 6 to 9 from themselves saved with
# the course set's JPEG quantisation, and its photographs of two people by 25 or more.
SAME, OTHER = 12.0, 18.0
_PHOTO = re.compile(
    r"([^_./]+)_(straight|forward|left|right|up)_(neutral|happy|sad|angry)_(open|eyes|sunglasses)"
    r"(?:_[124])?(?:\.pgm)?\.(pgm|bad)"
)

log = logging.getLogger("sglib")


def cmu_path() -> Path:
    """Return the file of the imported originals (`data/cmu/faces.npz`, ignored by git)."""
    return course_dir().parent / "cmu" / "faces.npz"


def fetch_cmu(source: str | Path | None = None, *, train: FaceSet | None = None) -> Path:
    """Import the originals, see `read_originals`, and return their file.

    Args:
        source: None: UCI's archive, and nothing is done if the file is there.
        train: a training set made of them: if it is of other people, nothing is written.
    """
    dest = cmu_path()
    if source is None and dest.exists():
        return dest
    faces = read_originals(str(source or URL))
    if train is not None:
        overlap(faces, train)
    try:
        with replacing(dest) as temporary, temporary.open("wb") as file:
            np.savez(file, **{field: getattr(faces, field) for field in FIELDS})
    except OSError as error:
        raise SglibError(f"{dest}: cannot be written ({error.strerror or error})") from error
    return dest


def load_cmu() -> FaceSet:
    """Return the photographs of all people; `SglibError` if they are not imported or damaged."""
    path = cmu_path()
    if not path.exists():
        raise SglibError(f"no originals in {path}: {ADVICE}")
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            return FaceSet("cmu", **{field: arrays[field] for field in FIELDS})
    except UNREADABLE as error:
        raise SglibError(f"{path}: damaged ({error}); {ADVICE} again") from error


def others(originals: FaceSet, train: FaceSet) -> FaceSet:
    """Return the photographs of the people of whom no training image shows one, see `overlap`."""
    table = overlap(originals, train)
    people = table.loc[table["in_training"] == 0, "person"].to_list()
    return originals.subset(np.isin(originals.subjects, people), name="others")


def overlap(originals: FaceSet, train: FaceSet) -> pd.DataFrame:
    """Find by pixels who of the originals is in the course's training set, and how sure that is.

    Returns:
        one row per person: person, subject (name in `train` or ""), n (photographs), in_training
        (how many of them), nearest and farthest (of the differences between a photograph and the
        training image most like it, see `SAME` and `OTHER`).

    Raises:
        SglibError: for a person it cannot be told, or no training image is found.
    """
    x, y = (part.images.reshape(len(part), -1) for part in (originals, train))
    gap = cdist(x, y) / x.shape[1] ** 0.5  # (n originals, n train)
    rows = []
    for person in sorted(set(originals.subjects.tolist())):
        mine = gap[originals.subjects == person]
        nearest, names = mine.min(1), set(train.subjects[(mine <= SAME).any(0)].tolist())
        n, n_found = len(mine), int((nearest <= SAME).sum())
        if nearest.min() < OTHER and (n_found < 0.9 * n or len(names) > 1):
            who = ", ".join(sorted(names)) or f"nobody (difference {nearest.min():.1f})"
            raise SglibError(
                f"{person}: {n_found} of {n} photographs are in the training set, as {who}; "
                "expected nearly all as one person, or none"
            )
        rows.append((person, "".join(names), n, n_found, nearest.min(), nearest.max()))
    columns = ["person", "subject", "n", "in_training", "nearest", "farthest"]
    table = pd.DataFrame(rows, columns=columns)
    found = table.loc[table["in_training"] > 0, "subject"]
    if found.empty or found.duplicated().any():
        what = "one person under two names" if len(found) else "nobody"
        raise SglibError(f"{what} of {train.name} is in {originals.name}: are these its originals?")
    return table


def read_originals(source: str) -> FaceSet:
    """Return the photographs of a source as "cmu", the people as c01, c02, …

    People are numbered in an order that depends on their pixels only, so that the set is the same
    wherever it comes from. A photograph of which any size is marked `.bad` is left out; of several
    sizes the smallest counts, and is reduced to 30 × 32.

    Args:
        source: an https address, a folder, zip, tar or nested archive in the layout of UCI, or the
            npz of conx-data.

    Raises:
        SglibError: no originals in it, or the first file that is not as expected.
    """
    shown = source.partition("?")[0]
    sizes: dict[tuple[str, ...], dict[int, np.ndarray]] = {}  # factor of reduction → picture
    bad = set()
    for name, pixels in _photographs(source, shown):
        person, pose, expression, eyes, _ = _PHOTO.fullmatch(name).groups()
        pose = pose.replace("forward", "straight")
        key = (person, pose, expression, CLASSES[eyes == "sunglasses"])
        if pixels is None:
            bad.add(key)
            continue
        factor, picture = _reduce(pixels, f"{shown}: {name}")
        if not np.array_equal(sizes.setdefault(key, {}).setdefault(factor, picture), picture):
            raise SglibError(f"{shown}: {name} is there twice, with different pictures")
    photos = {key: sizes[key][min(sizes[key])] for key in sorted(sizes) if key not in bad}
    if not photos:
        raise SglibError(f"{shown}: no originals in it; expected {LAYOUT}")
    people = {key[0]: b"" for key in photos}
    for key, picture in photos.items():
        people[key[0]] += picture.tobytes()
    names = {name: f"c{i:02d}" for i, name in enumerate(sorted(people, key=people.get), 1)}
    counts = f"{len(photos)} photographs of {len(people)} people"
    log.info("%s: %s; %d marked bad are left out", shown, counts, len(bad))
    rows = sorted((names[key[0]], *key[1:], key) for key in photos)
    images, ids = np.stack([photos[row[4]] for row in rows]), ["_".join(row[:4]) for row in rows]
    subjects, pose, expression, eyes = np.array([row[:4] for row in rows]).T
    labels = (eyes == CLASSES[1]).astype(np.int64)
    return FaceSet("cmu", images, np.array(ids), labels, subjects, pose, expression)


def _reduce(pixels: np.ndarray, name: str) -> tuple[int, np.ndarray]:
    """Return factor and uint8 (30, 32), each pixel the mean of factor × factor pixels."""
    factor = len(pixels) // HEIGHT
    shape = (HEIGHT * factor, WIDTH * factor)
    if factor not in (1, 2, 4) or pixels.shape != shape or pixels.max() > 255:
        raise SglibError(f"{name}: expected 30 × 32, 60 × 64 or 120 × 128 gray, got {pixels.shape}")
    means = pixels.reshape(HEIGHT, factor, WIDTH, factor).mean((1, 3))
    return factor, np.rint(means).astype(np.uint8)


def _photographs(source: str, shown: str) -> Iterator[tuple[str, np.ndarray | None]]:
    """Yield name and pixels of each photograph; None for those marked bad."""
    if shown.endswith(".npz"):
        yield from _read_npz(source, shown)
        return
    for path, content in read_files(source, _PHOTO):
        name = path.rpartition("/")[2]
        try:
            is_bad, file = name.endswith(".bad"), io.BytesIO(content)
            yield name, None if is_bad else np.asarray(Image.open(file, formats=["PPM"]))
        except (OSError, ValueError) as error:
            raise SglibError(f"{shown}: {name} is not a whole PGM picture") from error


def _read_npz(source: str, shown: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and pixels (0 to 255) of the npz of `data`, gray from 0 to 1, and `labels`."""
    with readable(shown):
        content = download(source) if "://" in source else Path(source).expanduser().read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 != NPZ_SHA256:  # its labels are a pickle: no other file is opened
            known = f"sha256 {sha256}, not {NPZ_SHA256}"
            raise SglibError(f"{shown}: not the npz that is known: {known}")
        with np.load(io.BytesIO(content)) as arrays:
            images, labels = arrays["data"], arrays.zip.read("labels.npy").partition(b"\n")[2]
        texts: list[str] = []
        for code, text, _ in pickletools.genops(labels):  # reads texts off: nothing is built or run
            if code.name == "REDUCE":  # ends the making of the array, the labels follow
                texts.clear()
            elif "UNICODE" in code.name:
                texts.append(text)
        for name, image in zip(texts[-len(images) :], images, strict=True):
            if _PHOTO.fullmatch(f"{name}.pgm"):
                yield f"{name}.pgm", image * 255
