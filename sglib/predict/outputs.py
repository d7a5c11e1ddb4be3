"""Where predictions are written: stdout, a file, or a folder of parts.

A file appears under its name only when it is finished; until then it is a hidden file beside it.
"""

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from sglib import SglibError
from sglib.predict.writers import FORMATS, WRITERS, Rows, Writer

SUFFIXES = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".parquet": "parquet",
    ".txt": "table",
}


class Output:
    """A writer and the place it writes to.

    Args:
        path: None or `-` for stdout. A folder (it exists, or the text ends in a slash) gets one
            part per shard, named `part-00003-of-00016` with the format's ending.
        format: one of `FORMATS`; None: by the path's ending; without one, a table on a terminal
            and CSV elsewhere.
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
            terminal = sys.stdout is not None and sys.stdout.isatty()
            format = format or ("table" if terminal else "csv")
            if format == "parquet" and terminal:
                raise SglibError("Parquet on a terminal is of no use: give -o FILE")
            if sys.stdout is None:
                raise SglibError("there is no standard output: give -o FILE")
            self._out: BinaryIO = sys.stdout.buffer
        else:
            format = self._place(path, format, shard)
        self.format = format
        with self._errors_said():
            self._writer: Writer = WRITERS[format](self._out)

    def _place(self, path: str, format: str | None, shard: tuple[int, int]) -> str:
        if not path:
            raise SglibError("the output has no name: give a file, a folder, or - for stdout")
        target = Path(path).expanduser()
        is_folder = os.path.isdir(target) or path.endswith(("/", os.sep))
        is_special = os.path.exists(target) and not os.path.isfile(target)  # /dev/null, a pipe
        ending = "" if is_folder or is_special else target.suffix
        if format is None and ending and ending.lower() not in SUFFIXES:
            known = ", ".join(SUFFIXES)
            raise SglibError(f"{path}: expected an ending of {known}, or --format")
        format = format or SUFFIXES.get(ending.lower(), "csv")
        if is_folder:
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
        with self._errors_said():
            self._writer.write(rows)

    def close(self) -> None:
        """End the output and give it its name.

        Raises:
            SglibError: as above.
        """
        with self._errors_said():
            self._writer.close()
            if self.path is not None:
                self._out.close()
            if self._temp is not None:
                self._temp.replace(self.path)

    def abandon(self) -> str:
        """End the output after a failure; return the name under which its rows were kept."""
        if self._temp is None or self.path is None:
            return ""
        partial = self.path.with_name(f"{self.path.name}.partial")
        with contextlib.suppress(OSError, ValueError):
            self._writer.close()
        with contextlib.suppress(OSError):
            self._out.close()
        self._temp.replace(partial)
        return str(partial)

    @contextlib.contextmanager
    def _errors_said(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:  # not a failure: whoever reads has seen enough
            raise
        except OSError as error:
            name = self.path or "stdout"
            raise SglibError(f"{name}: cannot write ({error.strerror})") from error
