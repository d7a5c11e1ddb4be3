"""The run store: one row per finished run, safe against being killed at any moment.

Each finished run is first a file of its own (`parts/<key>.parquet`), written under a temporary
name, flushed to disk and renamed. Many parts are merged into one segment (`segments/*.parquet`) in
the same way, and only then deleted, so at every moment each finished run stands in at least one
complete file; readers drop the second copy. Several processes may write to one store.
"""

import fcntl
import hashlib
import os
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sglib import SglibError
from sglib.files import replacing, runs_dir

N_ASKED = 32  # leading digits of a key that say what was asked; the rest say of what code
MERGE_AT = 256  # parts; below it a merge costs more than it saves


class RunStore:
    """A folder of finished runs, addressed by key; default `files.runs_dir()`."""

    def __init__(self, folder: Path | str | None = None) -> None:
        self.folder = Path(folder) if folder is not None else runs_dir()
        self._parts, self._segments = self.folder / "parts", self.folder / "segments"

    def keys(self) -> set[str]:
        """Return the keys of all stored runs."""
        parts = {path.stem for path in self._parts.glob("*.parquet")}
        tables = self._read(self._segments.glob("*.parquet"), columns=["key"])
        return parts | {key for table in tables for key in table["key"].to_pylist()}

    def prepare(self) -> None:
        """Raise `SglibError` unless runs can be stored, before any is made."""
        try:
            self._parts.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self._parts).close()
        except OSError as error:
            raise SglibError(f"{self.folder}: cannot store runs ({error.strerror})") from None

    def add(self, row: dict[str, object]) -> None:
        """Store one finished run; `row["key"]` names it. On return it survives a power cut."""
        self._write(pa.Table.from_pylist([row]), self._parts / f"{row['key']}.parquet")
        if sum(1 for _ in os.scandir(self._parts)) >= 2 * MERGE_AT:
            self.merge()

    def load(self, keys: Iterable[str]) -> pd.DataFrame:
        """Return the stored rows with these keys, in this order; missing ones are left out."""
        wanted = list(dict.fromkeys(keys))
        values = pa.array(wanted, pa.string())
        while True:
            # Parts are listed before segments: a part that a merge has deleted by then stands in
            # a segment that is listed; one that is deleted later makes us start again.
            paths = [p for k in wanted if (p := self._parts / f"{k}.parquet").exists()]
            paths += self._segments.glob("*.parquet")
            try:
                found = [t.filter(pc.is_in(t["key"], values)) for t in self._read(paths)]
                break
            except FileNotFoundError:
                continue
        if not (tables := [table for table in found if len(table)]):
            return pd.DataFrame({"key": []})
        frame = pa.concat_tables(tables, promote_options="permissive").to_pandas()
        frame = frame.drop_duplicates("key").set_index("key", drop=False)
        return frame.loc[[key for key in wanted if key in frame.index]].reset_index(drop=True)

    def merge(self) -> int:
        """Gather all parts into one segment; return how many. Safe beside other writers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as file, suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # or another process is at it
            parts = sorted(self._parts.glob("*.parquet"))
            if len(parts) > 1:
                table = pa.concat_tables(list(self._read(parts)), promote_options="permissive")
                name = hashlib.sha256("".join(p.stem for p in parts).encode()).hexdigest()[:16]
                self._write(table, self._segments / f"{name}.parquet")
                for path in parts:
                    path.unlink(missing_ok=True)
                return len(parts)
        return 0

    def take_from(self, other: "RunStore") -> int:
        """Copy the runs of another store that this one lacks; return how many."""
        if not other.folder.is_dir():
            raise SglibError(f"{other.folder}: no run store there")
        new = sorted(other.keys() - self.keys())
        if new:
            table = pa.Table.from_pandas(other.load(new), preserve_index=False)
            self._write(table, self._segments / f"{uuid.uuid4().hex[:16]}.parquet")
        return len(new)

    @staticmethod
    def _read(paths: Iterable[Path], columns: list[str] | None = None) -> Iterator[pa.Table]:
        for path in paths:
            try:
                yield pq.read_table(path, columns=columns, partitioning=None)
            except FileNotFoundError:
                raise  # merged by another process since it was listed
            except (pa.ArrowInvalid, OSError) as error:
                reason = f"not a readable run file ({str(error).splitlines()[0]})"
                remedy = "move it away and run the study again"
                raise SglibError(f"{path}: {reason}; {remedy}") from error

    @staticmethod
    def _write(table: pa.Table, path: Path) -> None:
        try:
            with replacing(path) as temporary, temporary.open("wb") as file:
                pq.write_table(table, file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise SglibError(f"{path}: cannot be written ({error.strerror})") from error
