"""Writing predictions as they come: table, CSV, JSON lines, Parquet, and the course's format.

A file appears under its name only when it is finished; until then it is a hidden file beside it.
"""

import contextlib
import csv
import dataclasses
import io
import json
import os
import stat
import sys
import unicodedata
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from sglib.errors import SglibError

COLUMNS = ("file", "label", "probability", "status")
FORMATS = ("table", "csv", "json", "parquet", "course")
SUFFIXES = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".parquet": "parquet",
    ".txt": "table",
}
_ROW_GROUP = 65_536  # rows of Parquet held before they are written
_UNSAFE_CATEGORIES = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}  # of characters that a table escapes


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """Predictions of some files.

    Args:
        files: paths as they were given.
        labels: `sunglasses` or `open`; empty where there is none.
        probs: float64 (N,), probability of sunglasses; NaN where there is none.
        statuses: starts with `ok`, or says what is wrong.
    """

    files: list[str]
    labels: list[str]
    probs: np.ndarray
    statuses: list[str]

    def __len__(self) -> int:
        return len(self.files)


class Writer(Protocol):
    """Takes rows; `close` ends the output, also when only some of the rows came."""

    def write(self, rows: Rows) -> None: ...
    def close(self) -> None: ...


def readable(path: str) -> str:
    r"""Return a path as valid text: a byte that is no UTF-8 becomes `\xNN`, the rest stays."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return os.fsencode(path).decode("utf-8", "backslashreplace")
    return path


def escaped(text: str) -> str:
    """Return text for a terminal: nothing in it can move the cursor or hide something."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in _UNSAFE_CATEGORIES else c
        for c in readable(text)
    )


class CsvWriter:
    """`file,label,probability,status`, UTF-8, quoted where needed; names are not altered."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._emit([COLUMNS])

    def write(self, rows: Rows) -> None:
        """Write rows."""
        self._emit(
            zip(map(readable, rows.files), rows.labels, _numbers(rows), rows.statuses, strict=True)
        )

    def close(self) -> None:
        """Write what is left."""
        self._out.flush()

    def _emit(self, lines: Any) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(lines)
        self._out.write(text.getvalue().encode())
        self._out.flush()


class JsonWriter:
    """One JSON object a line; label and probability are null where there is none."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def write(self, rows: Rows) -> None:
        """Write rows."""
        lines = []
        for file, label, prob, status in _tuples(rows):
            row = dict(zip(COLUMNS, (readable(file), label, prob, status), strict=True))
            lines.append(json.dumps(row, ensure_ascii=False) + "\n")
        self._out.write("".join(lines).encode())
        self._out.flush()

    def close(self) -> None:
        """Write what is left."""
        self._out.flush()


class TableWriter:
    """For people: label, probability, file, and the status in brackets if it says more than ok."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        out.write(f"{'label':<11} {'probability':>11}  file\n".encode())

    def write(self, rows: Rows) -> None:
        """Write rows."""
        lines = []
        for file, label, prob, status in _tuples(rows):
            number = "-" if prob is None else f"{prob:.4f}"
            note = "" if status == "ok" else f"  [{escaped(status)}]"
            lines.append(f"{label or '-':<11} {number:>11}  {escaped(file)}{note}\n")
        self._out.write("".join(lines).encode())
        self._out.flush()

    def close(self) -> None:
        """Write what is left."""
        self._out.flush()


class ParquetWriter:
    """Columns file, label, status (text), probability (float64, null where there is none)."""

    def __init__(self, out: BinaryIO) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = (pa.string(), pa.string(), pa.float64(), pa.string())
        self._schema = pa.schema(list(zip(COLUMNS, types, strict=True)))
        self._writer = pq.ParquetWriter(out, self._schema, compression="zstd")
        self._waiting: list[Rows] = []
        self._out = out

    def write(self, rows: Rows) -> None:
        """Keep rows, and write them when there are enough for a row group."""
        self._waiting.append(rows)
        if sum(map(len, self._waiting)) >= _ROW_GROUP:
            self._flush()

    def close(self) -> None:
        """Write what is left, and the footer."""
        self._flush()
        self._writer.close()
        self._out.flush()

    def _flush(self) -> None:
        import pyarrow as pa

        kept, self._waiting = self._waiting, []
        if not kept:
            return
        probs = np.concatenate([rows.probs for rows in kept])
        columns = [
            pa.array([readable(file) for rows in kept for file in rows.files], pa.string()),
            pa.array([label or None for rows in kept for label in rows.labels], pa.string()),
            pa.array(probs, pa.float64(), from_pandas=True),
            pa.array([status for rows in kept for status in rows.statuses], pa.string()),
        ]
        self._writer.write_table(pa.table(columns, schema=self._schema))


class CourseWriter:
    """The paper's `id,result` in the order of the ids, result 1 = sunglasses.

    The id is the file's name without its ending, which must be a number. Files without a
    prediction have no row; what cannot be written is counted in `problems`.
    """

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._results: dict[int, int] = {}
        self.problems: list[str] = []

    def write(self, rows: Rows) -> None:
        """Keep rows."""
        for file, label in zip(rows.files, rows.labels, strict=True):
            if not label:
                continue
            stem = Path(file).stem
            if not (stem.isascii() and stem.isdecimal()):
                self.problems.append(f"{escaped(file)}: the name is not a number, as an id must be")
            elif int(stem) in self._results:
                self.problems.append(f"{escaped(file)}: id {int(stem)} came before")
            else:
                self._results[int(stem)] = int(label == "sunglasses")

    def close(self) -> None:
        """Write all rows."""
        lines = (f"{i},{self._results[i]}\n" for i in sorted(self._results))
        self._out.write(("id,result\n" + "".join(lines)).encode())
        self._out.flush()


def _numbers(rows: Rows) -> list[str]:
    return ["" if prob != prob else f"{prob:.6g}" for prob in rows.probs.tolist()]


def _tuples(rows: Rows) -> Any:
    """Yield (file, label or None, probability or None, status)."""
    for file, label, prob, status in zip(
        rows.files, rows.labels, rows.probs.tolist(), rows.statuses, strict=True
    ):
        yield file, label or None, None if prob != prob else prob, status


_WRITERS = {
    "table": TableWriter,
    "csv": CsvWriter,
    "json": JsonWriter,
    "parquet": ParquetWriter,
    "course": CourseWriter,
}


class Output:
    """A writer and the place it writes to.

    Args:
        path: None or `-` for stdout. A folder (it exists, or the text ends in a slash) gets one
            part per shard, named `part-00003-of-00016` with the format's ending.
        format: one of `FORMATS`; None: by the path's ending, else a table on a terminal and CSV
            elsewhere.
        shard: (i, N).

    Raises:
        SglibError: no such format, or the place cannot be written to.
    """

    def __init__(
        self, path: str | None, *, format: str | None = None, shard: tuple[int, int] = (1, 1)
    ) -> None:
        self.path: Path | None = None
        self._temp: Path | None = None
        if format is not None and format not in FORMATS:
            raise SglibError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")
        if path in (None, "-"):
            format = format or ("table" if sys.stdout.isatty() else "csv")
            if format == "parquet" and sys.stdout.isatty():
                raise SglibError("Parquet on a terminal is of no use: give -o FILE")
            self._out: BinaryIO = sys.stdout.buffer
        else:
            format = self._place(path, format, shard)
        self.format = format
        self._writer: Writer = _WRITERS[format](self._out)

    def _place(self, path: str, format: str | None, shard: tuple[int, int]) -> str:
        target = Path(path).expanduser()
        format = format or SUFFIXES.get(target.suffix.lower(), "csv")
        if target.is_dir() or path.endswith(("/", os.sep)):
            if format == "course":
                raise SglibError(f"{path}: the course format is one file, not a folder of parts")
            suffix = "txt" if format == "table" else format
            target = target / f"part-{shard[0]:05}-of-{shard[1]:05}.{suffix}"
        self.path = target
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists() and not stat.S_ISREG(target.stat().st_mode):  # /dev/null, a pipe
                self._out = open(target, "wb")  # noqa: SIM115
            else:
                self._temp = target.with_name(f".{target.name}.{os.getpid()}.tmp")
                self._out = open(self._temp, "wb")  # noqa: SIM115
        except OSError as error:
            raise SglibError(f"{target}: cannot write ({error.strerror})") from error
        return format

    @property
    def problems(self) -> list[str]:
        """What could not be written, so far."""
        return getattr(self._writer, "problems", [])

    def write(self, rows: Rows) -> None:
        """Write rows.

        Raises:
            SglibError: the disk is full or the like.
        """
        try:
            self._writer.write(rows)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise SglibError(f"{self.path}: cannot write ({error.strerror})") from error

    def close(self) -> None:
        """End the output and give it its name."""
        try:
            self._writer.close()
            if self.path is not None:
                self._out.close()
            if self._temp is not None:
                self._temp.replace(self.path)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise SglibError(f"{self.path}: cannot write ({error.strerror})") from error

    def abandon(self) -> str:
        """End the output after a failure; return the name under which its rows were kept."""
        if self._temp is None or self.path is None:
            return ""
        partial = self.path.with_name(f"{self.path.name}.partial")
        with contextlib.suppress(OSError, ValueError):
            self._writer.close()
        self._out.close()
        self._temp.replace(partial)
        return str(partial)
