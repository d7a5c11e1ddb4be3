"""Predictions as table, CSV, JSON lines, Parquet, or in the course's format, as they come."""

import dataclasses
import json
import os
import re
import unicodedata
from typing import Any, BinaryIO, Protocol

import numpy as np

COLUMNS = ("file", "label", "probability", "status")
FORMATS = ("table", "csv", "json", "parquet", "course")
_CSV_SPECIAL = re.compile(r'[",\r\n]')
_ROW_GROUP = 16_384  # rows of Parquet held before they are written
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
        self._out.write((",".join(COLUMNS) + "\n").encode())

    def write(self, rows: Rows) -> None:
        """Write rows."""
        lines = []
        for file, label, prob, status in _tuples(rows):
            number = "" if prob is None else f"{prob:.6g}"
            lines.append(f"{_quoted(readable(file))},{label or ''},{number},{_quoted(status)}\n")
        self._out.write("".join(lines).encode())
        self._out.flush()

    def close(self) -> None:
        """Write what is left."""
        self._out.flush()


def _quoted(text: str) -> str:
    # by hand: before Python 3.13 the csv module leaves a carriage return unquoted
    return '"' + text.replace('"', '""') + '"' if _CSV_SPECIAL.search(text) else text


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

        pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own holds 20 MB more
        types = (pa.string(), pa.string(), pa.float64(), pa.string())
        self._schema = pa.schema(list(zip(COLUMNS, types, strict=True)))
        self._writer = pq.ParquetWriter(
            out,
            self._schema,
            compression="zstd",
            use_dictionary=["label", "status"],  # names and probabilities hardly repeat
        )
        self._waiting: list[Any] = []  # tables: a tenth of the rows' size
        self._out = out

    def write(self, rows: Rows) -> None:
        """Keep rows, and write them when there are enough for a row group."""
        import pyarrow as pa

        probs = np.ascontiguousarray(rows.probs)
        columns = [
            _text_column(list(map(readable, rows.files))),
            _text_column(rows.labels, np.array(rows.labels) != ""),
            pa.Array.from_buffers(
                pa.float64(), len(probs), [_bits(~np.isnan(probs)), pa.py_buffer(probs)]
            ),
            _text_column(rows.statuses),
        ]
        self._waiting.append(pa.Table.from_arrays(columns, schema=self._schema))
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
        if kept:
            self._writer.write_table(pa.concat_tables(kept), row_group_size=_ROW_GROUP)


def _text_column(texts: list[str], valid: np.ndarray | None = None) -> Any:
    """Return a column of text, null where not `valid`.

    From buffers: given a list, pyarrow imports pandas to look at it, which takes 60 MB.
    """
    import pyarrow as pa

    encoded = [text.encode() for text in texts]
    offsets = np.zeros(len(texts) + 1, np.int32)
    np.cumsum([len(one) for one in encoded], out=offsets[1:])
    buffers = [None if valid is None else _bits(valid), pa.py_buffer(offsets)]
    return pa.Array.from_buffers(
        pa.string(), len(texts), [*buffers, pa.py_buffer(b"".join(encoded))]
    )


def _bits(valid: np.ndarray) -> Any:
    import pyarrow as pa

    return pa.py_buffer(np.packbits(valid, bitorder="little"))


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
            stem = os.path.splitext(os.path.basename(file))[0]
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


def _tuples(rows: Rows) -> Any:
    """Yield (file, label or None, probability or None, status)."""
    for file, label, prob, status in zip(
        rows.files, rows.labels, rows.probs.tolist(), rows.statuses, strict=True
    ):
        yield file, label or None, None if prob != prob else prob, status


WRITERS = {
    "table": TableWriter,
    "csv": CsvWriter,
    "json": JsonWriter,
    "parquet": ParquetWriter,
    "course": CourseWriter,
}
