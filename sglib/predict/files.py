"""Which files to look at: files, folders, patterns and lists, one path after the other.

Folders are read in the order of their sorted names, one at a time, so that the order is the same
each time and memory holds the names of one folder (and of those above it) only.
"""

import glob
import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from PIL import Image

from sglib import SglibError
from sglib.predict.pictures import Picture

_CHUNK = 1 << 16


class Search:
    """Finds pictures, and counts the other files that were passed over.

    Args:
        paths: files; folders, read with the folders in them; patterns with * ? [ ] and **, where
            no such file exists; `-` for a list of files and folders on stdin, one a line, or
            separated by NUL.
        stdin: where that list comes from.

    In folders, hidden files and folders are left out, links to folders are not followed, and a
    file counts as a picture if its name ends like one or Pillow knows its first bytes.
    """

    def __init__(
        self, paths: Iterable[str | os.PathLike], *, stdin: BinaryIO | None = None
    ) -> None:
        self._paths, self._stdin = [os.fspath(path) for path in paths], stdin
        self._endings = picture_endings()
        self.n_passed_over = 0

    def __iter__(self) -> Iterator[Picture]:
        for path in self._paths:
            if path == "-":
                for line in _lines(self._stdin):
                    yield from self._one(line)
            elif glob.has_magic(path) and not os.path.lexists(path):
                matches = sorted(glob.iglob(os.path.expanduser(path), recursive=True))
                if not matches:
                    yield Picture(path, None, "no file matches")
                for match in matches:
                    yield from self._one(match)
            else:
                yield from self._one(path)

    def _one(self, path: str) -> Iterator[Picture]:
        if not path or "\0" in path:
            yield Picture(path, None, "not a file name")
        elif os.path.isdir(path):
            yield from self._folder(path)
        elif os.path.isfile(path):
            yield Picture(path, path)
        else:
            yield Picture(path, None, "not a file" if os.path.exists(path) else "no such file")

    def _folder(self, folder: str) -> Iterator[Picture]:
        names = []  # of 200,000 entries, keep the names only
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        names.append(entry.name + os.sep)
                    elif entry.is_file():
                        names.append(entry.name)
                    else:  # a pipe, a link to a folder or to nothing
                        self.n_passed_over += 1
        except OSError as error:
            yield Picture(folder, None, f"cannot read the folder ({error.strerror})")
            return
        start = os.path.join(folder, "")
        for name in sorted(names):
            path = start + name
            if name.endswith(os.sep):
                yield from self._folder(path.removesuffix(os.sep))
            elif name.rpartition(".")[2].lower() in self._endings or _looks_like_one(path):
                yield Picture(path, path)
            else:
                self.n_passed_over += 1


def _looks_like_one(path: str) -> bool:
    try:
        Image.open(path).close()
    except Exception:  # whatever the reason, it is not known to be a picture
        return False
    return True


def picture_endings() -> frozenset[str]:
    """Return the endings of picture files, without the dot, in lower case."""
    Image.init()
    no_pictures = {"pdf", "ps", "eps", "mpg", "mpeg", "h5", "hdf", "grib", "bufr"}
    known = {ending.removeprefix(".") for ending in Image.registered_extensions()}
    return frozenset(known - no_pictures | {"heic", "heif"})


def _lines(stdin: BinaryIO | None) -> Iterator[str]:
    """Yield the paths of a list as they come, without holding all of it."""
    if stdin is None:
        raise SglibError("a list of files (-) was asked for, but there is no standard input")
    rest, separator = b"", b""
    read = getattr(stdin, "read1", stdin.read)  # what is there, without waiting for more
    while chunk := read(_CHUNK):
        separator = separator or (b"\0" if b"\0" in chunk else b"\n")
        *lines, rest = (rest + chunk).split(separator)
        yield from _decoded(lines)
    yield from _decoded([rest])


def _decoded(lines: list[bytes]) -> Iterator[str]:
    for line in lines:
        if line := line.removesuffix(b"\r"):
            yield os.fsdecode(line)
