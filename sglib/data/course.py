"""The course set: import from the public archive or a file, verify, decode."""

import contextlib
import datetime
import hashlib
import io
import json
import logging
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from sglib import SglibError
from sglib.data import course_archive, course_tags, course_verify, download
from sglib.data.course_archive import PARTS, TAGS, RawSet
from sglib.data.course_verify import CourseSpec
from sglib.data.faces import CLASSES, HEIGHT, WIDTH, FaceData, FaceSet
from sglib.files import course_dir

log = logging.getLogger("sglib")

MANIFEST = "manifest.json"
COMMIT = "8829e9254905fbfb5be35650f7115f1d0dbc7ee8"
URL = f"https://github.com/lhl4971/tenser_2024/archive/{COMMIT}.zip"
ADVICE = "run `sglib data fetch`, or `sglib data fetch --from FILE` with the archive at hand"


def is_imported(root: Path | None = None) -> bool:
    """Return whether there is a course set at `root` (default `data/course`).

    Cheap: says nothing about its state, which `check` and `load` do.
    """
    root = root or course_dir()
    return any((root / name).exists() for name in (TAGS, *PARTS))


def fetch(
    source: str | Path | None = None,
    *,
    dest: Path | None = None,
    progress: bool | None = None,
    spec: CourseSpec | None = None,
) -> Path:
    """Import the course set and return its folder; nothing is done if it is there and whole.

    Whatever the source, the files are read into memory, compared with the digests in `spec`, and
    only then written, to a folder beside `dest` that takes its name at the end.

    Args:
        source: an https address, a zip file, or a folder with the archive's layout; default
            `SGLIB_COURSE_ARCHIVE`, else the public archive at the pinned commit.
        dest: default `data/course`.
        progress: draw progress bars on stderr; default only on a terminal.
        spec: what the set must be; default the real one.

    Raises:
        SglibError: one line: no such source, no connection, or the file that is not as expected.
    """
    spec = spec or course_verify.course_spec()
    dest = (dest or course_dir()).resolve()
    progress = sys.stderr.isatty() if progress is None else progress
    if _is_verified(dest, spec):
        return dest
    source = source or os.environ.get("SGLIB_COURSE_ARCHIVE") or URL
    try:
        dest.parent.mkdir(parents=True, exist_ok=True)
        with _lock(dest):
            if not _is_verified(dest, spec):  # another process may have been faster
                _remove_leftovers(dest)
                _refuse_foreign_files(dest)
                raw, shown = _read(source, dest, progress, spec)
                _install(raw, shown, dest, progress, spec)
    except OSError as error:
        raise SglibError(f"{dest}: cannot import ({error.strerror or error})") from error
    return dest


def check(root: Path | None = None, *, spec: CourseSpec | None = None) -> pd.DataFrame:
    """Return one row per check of the set on disk: check, expected, found (str), ok (bool).

    Counts, names, sizes, digests, tags and people; the first bad file of a kind is named. A
    damaged set is reported, not raised.

    Raises:
        SglibError: there is no set at all.
    """
    spec = spec or course_verify.course_spec()
    root = _require_set(root)
    return pd.DataFrame(course_verify.findings(course_archive.read_folder(root), spec))


def load(root: Path | None = None, *, spec: CourseSpec | None = None) -> FaceData:
    """Verify and decode the set on disk: the slow way, which `data.load_data` caches.

    The test set has no labels (they are held back), subjects, poses or expressions.

    Raises:
        SglibError: there is no set, or the first file that is not as expected.
    """
    spec = spec or course_verify.course_spec()
    root = _require_set(root)
    raw = course_archive.read_folder(root)
    course_verify.require_whole(raw, spec, advice=ADVICE)
    rows = course_tags.read_subjects(spec.subjects, name="course_subjects.csv", n_ids=spec.n_train)
    train = FaceSet(
        name="course-train",
        images=_decode(raw.images["train"]),
        ids=_ids(spec.n_train),
        labels=np.array([CLASSES.index(row["tag"]) for row in rows], dtype=np.int64),
        subjects=np.array([row["subject"] for row in rows]),
        pose=np.array([row["pose"] for row in rows]),
        expression=np.array([row["expression"] for row in rows]),
    )
    test = FaceSet(name="course-test", images=_decode(raw.images["test"]), ids=_ids(spec.n_test))
    return FaceData("course", train, test)


def _require_set(root: Path | None) -> Path:
    root = root or course_dir()
    if not is_imported(root):
        raise SglibError(f"no course set in {root}: {ADVICE}")
    return root


def _ids(n: int) -> np.ndarray:
    return np.array([str(i) for i in range(n)])


def _decode(files: dict[int, bytes]) -> np.ndarray:
    """Return uint8 (N, 30, 32), in the order of the ids."""
    decode = _decoder()
    images = np.empty((len(files), HEIGHT, WIDTH), dtype=np.uint8)
    with warnings.catch_warnings():
        # since 0.29 torchvision announces that its decoders will go
        warnings.filterwarnings("ignore", "The image decoding", DeprecationWarning)
        for i in range(len(files)):
            images[i] = decode(files[i])
    return images


def _decoder() -> Callable[[bytes], np.ndarray]:
    """Return torchvision's JPEG decoder, or Pillow's, with the same pixels, where it is gone."""
    try:
        import torch  # not above: the cached way to the data does without
        from torchvision.io import ImageReadMode, decode_jpeg
    except ImportError:
        return lambda data: np.asarray(Image.open(io.BytesIO(data)).convert("L"))
    return lambda data: decode_jpeg(
        torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.GRAY
    )[0].numpy()


def _is_verified(dest: Path, spec: CourseSpec) -> bool:
    """Return whether `dest` holds the whole set; contents are read only if something moved."""
    if not is_imported(dest):
        return False
    now = course_archive.stamp(dest)
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        manifest = json.loads((dest / MANIFEST).read_text(encoding="utf-8"))
        if (manifest["digest"], manifest["stamp"]) == (spec.digest, now):
            return True
    raw = course_archive.read_folder(dest)
    if not all(finding.ok for finding in course_verify.findings(raw, spec)):
        return False
    _write_manifest(dest, "found in place", spec)
    return True


def _read(source: str | Path, dest: Path, progress: bool, spec: CourseSpec) -> tuple[RawSet, str]:
    """Return the verified files of `source`, and its name for the record."""
    if not (isinstance(source, str) and "://" in source):
        path = Path(source).expanduser()
        raw = course_archive.read_source(path)
        course_verify.require_whole(raw, spec)
        return raw, path.name
    key = hashlib.sha256(source.encode()).hexdigest()[:12]
    part = dest.with_name(f".{dest.name}.{key}.part")
    download.download(source, part, progress=progress)
    try:
        raw = course_archive.read_source(part)
        raw.source = download.shown(source)
        course_verify.require_whole(raw, spec)
    except SglibError as error:
        # complete but wrong: going on from it would never help
        download.discard(part)
        raise SglibError(str(error).replace(str(part), download.shown(source))) from error
    download.discard(part)
    return raw, download.shown(source)


def _install(raw: RawSet, source: str, dest: Path, progress: bool, spec: CourseSpec) -> None:
    temp = Path(tempfile.mkdtemp(prefix=f".{dest.name}.new-", dir=dest.parent))
    old = dest.with_name(f".{dest.name}.old")
    try:
        temp.chmod(0o755)  # mkdtemp makes it private
        files = [(part, i, data) for part in PARTS for i, data in raw.images[part].items()]
        for part in PARTS:
            (temp / part).mkdir()
        for part, i, data in tqdm(files, "unpack", unit="file", disable=not progress):
            (temp / part / f"{i}.jpg").write_bytes(data)
        rows = course_tags.read_tags(raw.tags or b"", name=TAGS, n_ids=spec.n_train)
        (temp / TAGS).write_bytes(course_tags.canonical_tags(rows))
        _write_manifest(temp, source, spec)
        if dest.exists():
            dest.rename(old)
        temp.rename(dest)
    finally:
        shutil.rmtree(temp, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _write_manifest(folder: Path, source: str, spec: CourseSpec) -> None:
    manifest = {
        "source": source,
        "imported": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "digest": spec.digest,
        "sha256": {"train": spec.train_sha256, "test": spec.test_sha256, "tags": spec.tags_sha256},
        "stamp": course_archive.stamp(folder),
    }
    with contextlib.suppress(OSError):  # a read-only set is as good without
        temp = folder / f".{MANIFEST}"
        temp.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        temp.replace(folder / MANIFEST)


def _refuse_foreign_files(dest: Path) -> None:
    """Never replace a folder that holds anything but a (damaged) course set."""
    if not dest.exists():
        return
    ours = {TAGS, MANIFEST, f".{MANIFEST}", ".DS_Store", ".gitkeep", *PARTS}
    foreign = sorted({path.name for path in dest.iterdir()} - ours)
    foreign += course_archive.read_folder(dest).extras
    if foreign:
        raise SglibError(f"{dest}: holds {foreign[0]}, which is no part of the set; move it away")


def _remove_leftovers(dest: Path) -> None:
    """Remove what a killed import left behind; the caller holds the lock, so nobody uses it."""
    for path in dest.parent.glob(f".{dest.name}.new-*"):
        shutil.rmtree(path, ignore_errors=True)
    shutil.rmtree(dest.with_name(f".{dest.name}.old"), ignore_errors=True)


@contextlib.contextmanager
def _lock(dest: Path) -> Iterator[None]:
    """Let one process at a time import into `dest`; the system drops the lock of a killed one."""
    import fcntl  # Unix only, and so not above

    with dest.with_name(f".{dest.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.warning("%s: another import is under way, waiting for it", dest)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
