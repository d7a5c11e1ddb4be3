"""The course set: import from the public archive, a file or a folder; verify; decode."""

import contextlib
import fcntl
import hashlib
import importlib.resources
import io
import os
import re
import shutil
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from simplejpeg import decode_jpeg

from sglib import SglibError
from sglib.data.faces import CLASSES, FaceData, FaceSet
from sglib.files import course_dir

COMMIT = "8829e9254905fbfb5be35650f7115f1d0dbc7ee8"
URL = f"https://github.com/lhl4971/tenser_2024/archive/{COMMIT}.zip"
SCHEME = "https://"
LAYOUT = "01_BinaryImageClassification/resource"  # folder of the set inside the public archive
TAGS, PARTS = "train_tags.csv", ("train", "test")
SHA256 = {  # of the content, see data/README.md
    "train": "b9c7ca059eaa24bef89c7f39e71d564da064abb8373aca5f27471cfd1a13bde6",
    "test": "20abebdb7d555e4d44764074169ab3585b033f58980fa00e14211efc966e3533",
    TAGS: "4d25f4e07725a302b73fe0036521075a64a151430debbf62f928a2ee63c090ac",
}
RESOURCES = importlib.resources.files("sglib.data") / "resources"
MAX_BYTES = 64 * 1024**2  # of what is read, unpacked; either set has 13 MB
UNREADABLE = (OSError, ValueError, KeyError, EOFError, MemoryError, RuntimeError, zlib.error)
UNREADABLE += (zipfile.BadZipFile, tarfile.TarError)  # what the readers of damaged files raise
ADVICE = "run `sglib data fetch`, or `sglib data fetch --from FILE` with the archive at hand"
_NAME = re.compile(rf"(train|test)/(0|[1-9]\d{{0,5}})\.jpg|{re.escape(TAGS)}")
_HARMLESS = (*PARTS, "manifest.json", ".gitkeep", ".DS_Store", "Thumbs.db", "desktop.ini")

Files = dict[str, bytes]  # name below the set's folder → content
Unread = Iterator[tuple[str, int, Callable[[], bytes]]]  # name, size, reader


def is_imported(root: Path | None = None) -> bool:
    """Return whether there is a course set at `root` (default `data/course`), whole or not."""
    root = root or course_dir()
    return any((root / name).exists() for name in (TAGS, *PARTS))


def fetch(source: str | Path | None = None, *, dest: Path | None = None) -> Path:
    """Import the course set and return its folder; nothing is done if it is there and whole.

    All files are compared with their digests before any is written.

    Args:
        source: an https address, a zip file, or a folder with the set in it; default
            `SGLIB_COURSE_ARCHIVE`, else the public archive at the pinned commit.
        dest: default `data/course`.

    Raises:
        SglibError: no such source, no connection, or the first file that is not as expected.
    """
    dest = (dest or course_dir()).resolve()
    if source and "://" not in str(source) and not Path(source).expanduser().exists():
        raise SglibError(f"{source}: no such file; expected the course archive (zip) or a folder")
    try:
        dest.parent.mkdir(parents=True, exist_ok=True)
        with dest.with_name(f".{dest.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one import at a time; a killed one lets go
            for left in dest.parent.glob(f".{dest.name}.*/"):  # by a killed one
                shutil.rmtree(left)
            if not is_imported(dest) or any(a != b for _, a, b in _checks(_read_set(dest))):
                source = source or os.environ.get("SGLIB_COURSE_ARCHIVE") or URL
                _install(_read_source(str(source)), dest)
    except OSError as error:
        raise SglibError(f"{dest}: cannot import ({error.strerror or error})") from error
    return dest


def check(root: Path | None = None) -> pd.DataFrame:
    """Return a row for each check of the set on disk: check, expected, found (str), ok (bool).

    A damaged set is reported, with the first bad file of a kind; only a missing one is raised.
    """
    table = pd.DataFrame(_checks(_read_set(root)), columns=["check", "expected", "found"])
    return table.assign(ok=table["expected"] == table["found"])


def load(root: Path | None = None) -> FaceData:
    """Verify and decode the set on disk, or raise `SglibError`; `data.load_data` caches it.

    The test set has no labels (they are held back), subjects, poses or expressions.
    """
    files = _read_set(root)
    _require_whole(files, str(root or course_dir()), f"; {ADVICE}")
    people = pd.read_csv(RESOURCES / "course_subjects.csv", dtype=str)
    labels = people["tag"].map(CLASSES.index).to_numpy(np.int64)
    known = [people[name].to_numpy(str) for name in ("subject", "pose", "expression")]
    train, test = (
        np.stack([decode_jpeg(files[name], "GRAY")[..., 0] for name in sums])
        for sums in _sums().values()
    )
    return FaceData(
        "course",
        FaceSet("course-train", train, people["id"].to_numpy(str), labels, *known),
        FaceSet("course-test", test, np.arange(len(test)).astype(str)),
    )


def images_sha256(files: Files, part: str) -> str:
    """Return the sha256 (hex) over `<id>:<length>\n` and the bytes of each image of a part."""
    sha = hashlib.sha256()
    for i, name in enumerate(_sums()[part]):
        if name in files:
            sha.update(f"{i}:{len(files[name])}\n".encode() + files[name])
    return sha.hexdigest()


def stamp(root: Path | None = None) -> str:
    """Return what changes when a file of the set is replaced, added, removed or edited."""
    root = root or course_dir()
    folders = [folder for folder in (root, *(root / part for part in PARTS)) if folder.is_dir()]
    entries = [entry for folder in folders for entry in os.scandir(folder) if entry.is_file()]
    facts = sorted((e.path, e.stat().st_size, e.stat().st_mtime_ns) for e in entries)
    return hashlib.sha256(repr([facts, SHA256]).encode()).hexdigest()


def download(url: str) -> bytes:
    """Return the file at an https address or raise `SglibError`; a bar shows on a terminal."""
    import pooch  # slow to load, and rarely needed

    shown = url.partition("?")[0]  # the rest may be a password
    if not url.startswith(SCHEME):
        raise SglibError(f"{shown}: expected an address that starts with {SCHEME}")
    pooch.get_logger().setLevel("WARNING")
    fetch_file = pooch.HTTPDownloader(progressbar=sys.stderr.isatty())
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = pooch.retrieve(url, None, fname="file", path=folder, downloader=fetch_file)
            return Path(path).read_bytes()
        except (OSError, ValueError) as error:  # those of requests are OSErrors
            answer = getattr(error, "response", None)
            reason = type(error).__name__ if answer is None else f"HTTP {answer.status_code}"
            raise SglibError(f"{shown}: cannot download ({reason})") from error


@contextlib.contextmanager
def readable(shown: str) -> Iterator[None]:
    """Turn what the readers of a missing or damaged file raise into a `SglibError`."""
    try:
        yield
    except UNREADABLE as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0].rstrip(":")
        raise SglibError(f"{shown}: cannot be read ({reason})") from error


def read_files(source: str, wanted: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of files at an address, in a folder or an archive (zip, tar).

    Archives in it are looked into as well. `wanted` matches the end of a name, after a slash.

    Raises:
        SglibError: something cannot be read, or the files are all in all more than `MAX_BYTES`.
    """
    path, left = Path(source).expanduser(), MAX_BYTES
    pattern = re.compile(rf"(?:.*/)?(?:{wanted.pattern})")
    with readable(source.partition("?")[0]):
        if "://" not in source and path.is_dir():
            paths = (file for file in sorted(path.rglob("*")) if file.is_file())
            todo: list[Unread] = [((f.as_posix(), f.stat().st_size, f.read_bytes) for f in paths)]
        else:
            todo = [_members(download(source) if "://" in source else path.read_bytes())]
        while todo:
            for name, size, read in todo.pop():
                is_archive = name.endswith((".zip", ".tar", ".tgz", ".tar.gz"))
                if not is_archive and not pattern.fullmatch(name):
                    continue
                left -= size
                if left < 0:
                    raise SglibError(f"{name}: all in all more than {MAX_BYTES:,} bytes")
                if is_archive:
                    todo.append(_members(read()))
                else:
                    yield name, read()


def _members(data: bytes) -> Unread:
    stream = io.BytesIO(data)
    if zipfile.is_zipfile(stream):
        zipped = zipfile.ZipFile(stream)
        return ((m.filename, m.file_size, partial(zipped.read, m)) for m in zipped.infolist())
    stream.seek(0)
    tar = tarfile.open(fileobj=stream)  # noqa: SIM115, in memory
    return ((m.name, m.size, tar.extractfile(m).read) for m in tar if m.isfile())


def _sums() -> dict[str, dict[str, int]]:
    """Return the CRC-32 of each JPEG of the two parts by name, in the order of the ids."""
    sums = np.frombuffer((RESOURCES / "course_crc32.bin").read_bytes(), "<u4").tolist()
    n_train = len((RESOURCES / "course_subjects.csv").read_text().splitlines()) - 1
    parts = zip(PARTS, (sums[:n_train], sums[n_train:]), strict=True)
    return {part: {f"{part}/{i}.jpg": crc for i, crc in enumerate(crcs)} for part, crcs in parts}


def _read_source(source: str) -> Files:
    """Return the verified files of an address, an archive or a folder."""
    shown, found = source.partition("?")[0], dict(read_files(source, _NAME))
    tags = min((name for name in found if name.endswith(TAGS)), key=len, default=None)
    if tags is None:
        raise SglibError(f"{shown}: no course set; expected {LAYOUT}/{TAGS} in it")
    root = tags.removesuffix(TAGS)
    files = {name.removeprefix(root): found[name] for name in found if name.startswith(root)}
    files = {name: data for name, data in files.items() if _NAME.fullmatch(name)}
    _require_whole(files, shown)
    return files


def _read_set(root: Path | None) -> Files:
    """Return the files of an unpacked set, whatever is missing or too many."""
    root = root or course_dir()
    if not is_imported(root):
        raise SglibError(f"no course set in {root}: {ADVICE}")
    paths = [*root.glob(TAGS), *(path for part in PARTS for path in (root / part).glob("*.jpg"))]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def _checks(files: Files) -> Iterator[tuple[str, str, str]]:
    """Yield every check of the set's files: what, expected, found."""
    for part, sums in _sums().items():
        bad = {
            "missing": [name for name in sums if name not in files],
            "too many": sorted(n for n in files if n.startswith(f"{part}/") and n not in sums),
            "damaged": [n for n in sums if n in files and zlib.crc32(files[n]) != sums[n]],
        }
        for kind, names in bad.items():
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            yield f"{part} files {kind}", "none", names[0] + more if names else "none"
        yield f"{part} sha256", SHA256[part], images_sha256(files, part)
    # The tags' digest is over the file without byte order mark, with LF and the ids in order.
    head, *rows = (files.get(TAGS) or b"none").removeprefix(b"\xef\xbb\xbf").split()
    rows.sort(key=lambda row: (len(row.partition(b",")[0]), row))
    tags = hashlib.sha256(b"\n".join([head, *rows, b""])).hexdigest()
    yield f"{TAGS} sha256", SHA256[TAGS], tags if TAGS in files else "no such file"


def _require_whole(files: Files, shown: str, advice: str = "") -> None:
    for what, expected, found in _checks(files):
        if expected != found:
            raise SglibError(f"{shown}: {what}: expected {expected}, found {found}{advice}")


def _install(files: Files, dest: Path) -> None:
    """Put the files in place of `dest`, but never of anything else than a damaged course set."""
    for path in sorted(dest.rglob("*")):
        name = path.relative_to(dest).as_posix()
        if not _NAME.fullmatch(name) and path.name not in _HARMLESS:
            raise SglibError(f"{dest}: holds {name}, which is no part of the set; move it away")
    staging = dest.with_name(f".{dest.name}.new")
    try:
        for part in PARTS:
            (staging / "set" / part).mkdir(parents=True)
        for name, data in files.items():
            (staging / "set" / name).write_bytes(data)
        if dest.exists():
            dest.rename(staging / "old")
        (staging / "set").rename(dest)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
