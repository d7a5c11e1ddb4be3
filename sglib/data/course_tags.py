"""Read the course set's two tables: the tags, and our own list of people, poses and expressions."""

import csv
import io

from sglib import SglibError
from sglib.data.faces import CLASSES

POSES = ("straight", "left", "right", "up")
EXPRESSIONS = ("neutral", "happy", "sad", "angry")


def read_tags(data: bytes, *, name: str, n_ids: int) -> list[str]:
    """Return the tag of each training image, in the order of the ids 0 … n_ids - 1.

    Byte order mark, CRLF, blank lines at the end and any order of the rows are accepted.

    Args:
        data: the file `id,tag`.
        name: the file's name, for messages.
        n_ids: number of training images.

    Raises:
        SglibError: names the line of a missing, duplicate, unknown or wrongly cased tag.
    """
    allowed = {"tag": CLASSES}
    return [row["tag"] for row in _read(data, name=name, n_ids=n_ids, allowed=allowed)]


def read_subjects(data: bytes, *, name: str, n_ids: int) -> list[dict[str, str]]:
    """Return tag, subject, pose and expression of each training image, in the order of the ids.

    Args:
        data: the file `id,tag,subject,pose,expression`.
        name: the file's name, for messages.
        n_ids: number of training images.

    Raises:
        SglibError: names the line that is not as above.
    """
    allowed = {"tag": CLASSES, "subject": None, "pose": POSES, "expression": EXPRESSIONS}
    return _read(data, name=name, n_ids=n_ids, allowed=allowed)


def canonical_tags(tags: list[str]) -> bytes:
    """Return the bytes of a tags file: LF line ends, ids in order (what its digest is taken of)."""
    return "".join(["id,tag\n", *(f"{i},{tag}\n" for i, tag in enumerate(tags))]).encode()


def _read(
    data: bytes, *, name: str, n_ids: int, allowed: dict[str, tuple[str, ...] | None]
) -> list[dict[str, str]]:
    columns = ["id", *allowed]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SglibError(f"{name}:{line}: not UTF-8 text ({error.reason})") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: dict[int, dict[str, str]] = {}
    lines: dict[int, int] = {}
    try:
        header = next(reader, [])
        if header != columns:
            raise SglibError(
                f"{name}:1: header {','.join(header)!r}; expected {','.join(columns)!r}"
            )
        for cells in reader:
            if not cells:
                continue
            where = f"{name}:{reader.line_num}"
            index = _index(cells[0], n_ids, where)
            if len(cells) != len(columns):
                missing = "no tag" if len(cells) == 1 else f"{len(cells)} fields"
                raise SglibError(f"{where}: {missing} for id {index}; expected {','.join(columns)}")
            if index in lines:
                raise SglibError(f"{where}: id {index} again; first on line {lines[index]}")
            row = dict(zip(columns, cells, strict=True))
            for column, values in allowed.items():
                _require(row[column], column, values, where)
            lines[index], rows[index] = reader.line_num, row
    except csv.Error as error:
        raise SglibError(f"{name}:{reader.line_num}: not CSV ({error})") from error
    absent = [i for i in range(n_ids) if i not in rows]
    if absent:
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        raise SglibError(f"{name}:{reader.line_num}: ends without a row for id {absent[0]}{more}")
    return [rows[i] for i in range(n_ids)]


def _index(text: str, n_ids: int, where: str) -> int:
    # "007" and " 7" are not 7: the id is the name of a file
    if text.isascii() and text.isdigit() and str(int(text)) == text and int(text) < n_ids:
        return int(text)
    raise SglibError(f"{where}: id {text!r} is no training image; expected 0 to {n_ids - 1}")


def _require(value: str, column: str, allowed: tuple[str, ...] | None, where: str) -> None:
    if not value:
        raise SglibError(f"{where}: no {column}")
    if allowed is None or value in allowed:
        return
    expected = " or ".join(allowed)
    if value.strip().lower() in allowed:
        raise SglibError(f"{where}: {column} {value!r}: expected lower case, no spaces: {expected}")
    raise SglibError(f"{where}: unknown {column} {value!r}: expected {expected}")
