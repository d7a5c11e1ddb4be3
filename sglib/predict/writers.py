"""Answers as a table, CSV, JSON lines, Parquet, or in the course's format, as they come.

A file is written as `NAME.partial` and gets its name when it is finished: whatever ends the run,
what was finished by then is there, and a file under its own name is whole.
"""

import contextlib
import csv
import io
import json
import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

from sglib import SglibError


class Answer(NamedTuple):
    """What a model says of a picture.

    Args:
        file: its path as it was given; of an array or image, its number.
        label: `sunglasses` or `open`; None if there is no answer.
        probability: of sunglasses, in [0, 1]; None if there is no answer.
        status: starts with `ok`, else the reason why there is no answer.
    """

    file: str
    label: str | None
    probability: float | None
    status: str


FORMATS = {"table": ".txt", "csv": ".csv", "json": ".json", "parquet": ".parquet", "course": None}
_BY_ENDING = {ending: name for name, ending in FORMATS.items()} | {".jsonl": "json"}
_UNSAFE_CATEGORIES = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}  # of characters that a table escapes


def readable(path: str) -> str:
    r"""Return a path as text for a file: a byte that is no UTF-8 becomes `\xNN`, the rest stays."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def escaped(text: str) -> str:
    """Return text for a terminal: nothing in it can move the cursor or hide something."""
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in _UNSAFE_CATEGORIES else c
        for c in readable(text)
    )


def for_cell(path: str) -> str:
    r"""Return a path for a CSV file: the same file's name, but never a spreadsheet's formula.

    `=1+1.jpg` becomes `./=1+1.jpg`. A carriage return, which `csv` does not quote before Python
    3.13, becomes `\x0d`.
    """
    safe = os.path.join(".", path) if path.startswith(tuple("=+-@\t\r\n")) else path
    return readable(safe).replace("\r", "\\x0d")


class Output:
    """Where answers go: stdout or a file, in one of the formats.

    Args:
        path: None or `-` for stdout.
        format: one of `FORMATS`; None: by the path's ending; without one, a table on a terminal
            and CSV elsewhere.

    Attributes:
        problems: what could not be written in the course's format.

    Raises:
        SglibError: no such format, or the place cannot be written to.
    """

    def __init__(self, path: str | None, *, format: str | None = None) -> None:
        self.path = None if path in (None, "-") else Path(path).expanduser()
        self.format = format or self._default_format()
        self.problems: list[str] = []
        self._results: dict[int, int] = {}  # of the course's format: id → result
        if self.format == "parquet":
            if self.path is None or (self.path.exists() and not self.path.is_file()):
                raise SglibError("Parquet needs a file: give -o FILE")
            _pyarrow()  # what is missing is said before the work
        self._partial = self.path
        with self._errors_said():
            if self.path is None:
                if sys.stdout is None:
                    raise SglibError("there is no standard output: give -o FILE")
                # the wrapped bytes: UTF-8 and plain newlines whatever the terminal's settings
                self._out: TextIO = io.TextIOWrapper(
                    sys.stdout.buffer, encoding="utf-8", newline="", write_through=True
                )
            else:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                if not self.path.exists() or self.path.is_file():  # else /dev/null, a pipe
                    self._partial = self.path.with_name(f"{self.path.name}.partial")
                self._out = open(self._partial, "w", encoding="utf-8", newline="")  # noqa: SIM115
            self._csv = csv.writer(self._out, lineterminator="\n")
            if self.format in ("csv", "parquet"):
                self._csv.writerow(Answer._fields)
            elif self.format == "table":
                self._out.write(f"{'label':<11} {'probability':>11}  file\n")

    def _default_format(self) -> str:
        if self.path is None:
            return "table" if sys.stdout is not None and sys.stdout.isatty() else "csv"
        ending = self.path.suffix.lower()
        if ending and ending not in _BY_ENDING and (self.path.is_file() or not self.path.exists()):
            known = ", ".join(filter(None, _BY_ENDING))
            raise SglibError(f"{self.path}: expected an ending of {known}, or --format")
        return _BY_ENDING.get(ending) or "csv"

    def write(self, answers: Iterable[Answer]) -> None:
        """Write answers.

        Raises:
            SglibError: the disk is full or the like.
        """
        with self._errors_said():
            if self.format in ("csv", "parquet"):
                self._csv.writerows(
                    (for_cell(a.file), a.label, _number(a.probability, ".8g"), a.status)
                    for a in answers
                )
            elif self.format == "course":
                self._keep(answers)
            else:
                line = _table_line if self.format == "table" else _json_line
                self._out.write("".join(map(line, answers)))
            self._out.flush()

    def _keep(self, answers: Iterable[Answer]) -> None:
        """Keep results by id, which is the file's name without its ending."""
        for answer in answers:
            stem = os.path.splitext(os.path.basename(answer.file))[0]
            if answer.label is None:
                continue
            if not (stem.isascii() and stem.isdecimal()):
                self.problems.append(f"{escaped(answer.file)}: its name is not a number")
            elif int(stem) in self._results:
                self.problems.append(f"{escaped(answer.file)}: id {int(stem)} came before")
            else:
                self._results[int(stem)] = int(answer.label == "sunglasses")

    def close(self, *, whole: bool = True) -> Path | None:
        """End the output and return where it is; a file gets its name if it is `whole`.

        Raises:
            SglibError: as `write`.
        """
        with self._errors_said():
            if self.format == "course":
                self._csv.writerow(("id", "result"))
                self._csv.writerows(sorted(self._results.items()))
            self._out.flush()
            if self.path is None or self._partial is None:
                self._out.detach()  # stdout stays open
                return None
            self._out.close()
            if self.format == "parquet":
                _to_parquet(self._partial)
            if whole and self._partial != self.path:
                self._partial.replace(self.path)
                return self.path
            return self._partial

    @contextlib.contextmanager
    def _errors_said(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:  # not a failure: whoever reads has seen enough
            raise
        except OSError as error:
            place = self.path or "stdout"
            raise SglibError(f"{place}: cannot write ({error.strerror or error})") from error


def _number(value: float | None, digits: str) -> str:
    return "" if value is None else format(value, digits)


def _table_line(a: Answer) -> str:
    note = "" if a.status == "ok" else f"  [{escaped(a.status)}]"
    number = _number(a.probability, ".4f") or "-"
    return f"{a.label or '-':<11} {number:>11}  {escaped(a.file)}{note}\n"


def _json_line(a: Answer) -> str:
    return json.dumps(a._replace(file=readable(a.file))._asdict(), ensure_ascii=False) + "\n"


def _pyarrow() -> object:
    try:
        import pyarrow.csv
        import pyarrow.parquet
    except ImportError as error:
        raise SglibError("Parquet needs pyarrow: pip install pyarrow") from error
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())  # its own pool holds 20 MB more
    return pyarrow


def _to_parquet(path: Path) -> None:
    """Turn a CSV file of answers into a Parquet file of the same name, piece by piece."""
    pa = _pyarrow()
    types = {name: pa.string() for name in Answer._fields} | {"probability": pa.float64()}
    convert = pa.csv.ConvertOptions(
        column_types=types,
        strings_can_be_null=True,
        null_values=[""],
        quoted_strings_can_be_null=False,
    )
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    read = pa.csv.ReadOptions(use_threads=False, block_size=1 << 16)  # larger ones take 20 MB more
    packed = {"compression": "zstd", "use_dictionary": ["label", "status"]}  # these repeat
    target = path.with_name(f"{path.name}.parquet")
    with (
        pa.csv.open_csv(path, read, parse, convert) as pieces,
        pa.parquet.ParquetWriter(target, pieces.schema, **packed) as writer,
    ):
        for piece in pieces:
            writer.write_batch(piece)
    target.replace(path)
