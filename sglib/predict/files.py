"""Which files to look at: files, folders, patterns and lists, one path after the other.

Folders are read in the order of their sorted names, one at a time, so that the order is the same
each time and memory holds the names of one folder (and of those above it) only.
"""

import glob
import heapq
import itertools
import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from sglib import SglibError

_CHUNK = 1 << 16
_RUN = 20_000  # names
# The first bytes of the common formats, for files in folders whose name does not say what they are.
_SIGNATURES = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF8",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"P1",
    b"P2",
    b"P3",
    b"P4",
    b"P5",
    b"P6",
)


class Found(NamedTuple):
    """A path to look at, or what is wrong with it."""

    path: str
    problem: str = ""


class Discovery:
    """Finds pictures, and counts the other files that were passed over.

    Args:
        paths: files; folders, read with the folders in them; patterns with * ? [ ] and **, where
            no such file exists; `-` for a list of these but patterns on stdin, one a line, or
            separated by NUL.
        stdin: where that list comes from.
        shard: (i, N) with 1 ≤ i ≤ N: only every N-th file, from the i-th on.

    In folders, hidden files and folders are left out, links to folders are not followed, and a
    file counts as a picture if its name ends like one or its first bytes are those of one.
    """

    def __init__(
        self,
        paths: Iterable[str | os.PathLike],
        *,
        stdin: BinaryIO | None = None,
        shard: tuple[int, int] = (1, 1),
    ) -> None:
        i, n = shard
        if not 1 <= i <= n:
            raise SglibError(f"shard must be i/N with 1 <= i <= N, got {i}/{n}")
        self._paths = [os.fspath(path) for path in paths]
        self._stdin, self._shard = stdin, (i, n)
        self.n_passed_over = 0
        self._endings = _picture_endings()

    def __iter__(self) -> Iterator[Found]:
        i, n = self._shard
        return itertools.islice(self._all(), i - 1, None, n)

    def _all(self) -> Iterator[Found]:
        for path in self._paths:
            if path == "-":
                for line in _read_list(self._stdin):
                    yield from self._one(line)
            elif glob.has_magic(path) and not os.path.lexists(path):
                matches = sorted(glob.iglob(os.path.expanduser(path), recursive=True))
                if not matches:
                    yield Found(path, "no file matches")
                for match in matches:
                    yield from self._one(match)
            else:
                yield from self._one(path)

    def _one(self, path: str) -> Iterator[Found]:
        if not path or "\0" in path:
            yield Found(path, "not a file name")
        elif os.path.isdir(path):
            yield from self._folder(path)
        elif os.path.lexists(path):
            yield Found(path)
        else:
            yield Found(path, "no such file")

    def _folder(self, folder: str) -> Iterator[Found]:
        try:
            names = _sorted_names(folder)
        except OSError as error:
            yield Found(folder, f"cannot read the folder ({error.strerror})")
            return
        start = os.path.join(folder, "")
        for name in names:
            if name.endswith(os.sep):
                yield from self._folder(start + name.rstrip(os.sep))
            elif name.rpartition(".")[2].lower() in self._endings or _looks_like_one(start + name):
                yield Found(start + name)
            else:
                self.n_passed_over += 1


def _sorted_names(folder: str) -> Iterator[str]:
    """Return the names in a folder that are not hidden, sorted; those of folders end in a slash.

    Of a folder with very many, they are kept in packed and sorted runs, which take a fifth of the
    memory and are merged as they are needed.
    """
    runs: list[Iterable[bytes]] = []
    names: list[bytes] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                name = entry.name + os.sep if entry.is_dir(follow_symlinks=False) else entry.name
                names.append(os.fsencode(name))
                if len(names) == _RUN:
                    runs.append(np.sort(np.array(names)))
                    names = []
    runs.append(sorted(names))
    return map(os.fsdecode, heapq.merge(*runs) if len(runs) > 1 else runs[0])


def _looks_like_one(path: str) -> bool:
    """Return whether a file's first bytes are those of a picture."""
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            start = file.read(16)
    except OSError:
        return False
    return start.startswith(_SIGNATURES) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")


def is_picture_name(path: str) -> bool:
    """Return whether a file of this name counts as a picture, whatever is in it."""
    return path.rpartition(".")[2].lower() in _picture_endings()


def _picture_endings() -> frozenset[str]:
    Image.init()
    no_pictures = {"pdf", "ps", "eps", "mpg", "mpeg", "h5", "hdf", "grib", "bufr"}
    known = {ending.removeprefix(".") for ending in Image.registered_extensions()}
    return frozenset(known - no_pictures | {"heic", "heif"})


def _read_list(stdin: BinaryIO | None) -> Iterator[str]:
    """Yield the paths of a list without holding all of it."""
    if stdin is None:
        raise SglibError("a list of files (-) was asked for, but there is no standard input")
    rest, separator = b"", b""
    read = getattr(stdin, "read1", stdin.read)  # what is there, without waiting for more
    while chunk := read(_CHUNK):
        if not separator:
            separator = b"\0" if b"\0" in chunk else b"\n"
        *lines, rest = (rest + chunk).split(separator)
        yield from _decoded(lines, separator)
    yield from _decoded([rest], separator)


def _decoded(lines: list[bytes], separator: bytes) -> Iterator[str]:
    for line in lines:
        if separator == b"\n":
            line = line.removesuffix(b"\r")
        if line:
            yield os.fsdecode(line)
