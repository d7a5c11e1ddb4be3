"""What the benchmarks share: the machine, one core per contestant, tables of results."""

import argparse
import csv
import importlib.metadata
import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sglib import SglibError
from sglib.files import machine, processor, reports_dir

COLUMNS = ("benchmark", "what", "value", "unit", "ratio", "n", "machine", "versions")


class Row(NamedTuple):
    """One line of reports/tables/benchmarks.csv."""

    what: str
    value: float | None  # None: not measured; `unit` then says why
    unit: str
    ratio: float | None = None  # of what, the benchmark's README says
    n: int | None = None  # measurements behind the value


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks have."""
    options = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    options.add_argument("--json", type=Path, metavar="FILE", help="also write the results there")
    options.add_argument(
        "--table",
        type=Path,
        metavar="FILE",
        default=reports_dir() / "tables" / "benchmarks.csv",
        help="CSV whose rows of this benchmark are replaced; default: reports/tables",
    )
    options.add_argument("--data", choices=["synthetic", "course"], default="synthetic")
    return options


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of Python and of those packages that are installed."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def write_results(
    benchmark: str,
    rows: Sequence[Row],
    packages: Sequence[str],
    *,
    table: Path,
    json_file: Path | None = None,
    results: dict[str, object] | None = None,
) -> None:
    """Replace the benchmark's rows in the table; write `results`, machine and versions as JSON."""
    found, here = versions(*packages), f"{processor()}, {machine()}"
    text = "; ".join(f"{name} {version}" for name, version in found.items())
    kept = []
    if table.exists():
        with table.open(newline="", encoding="utf-8") as file:
            kept = [line for line in csv.DictReader(file) if line["benchmark"] != benchmark]
    new = [
        {"benchmark": benchmark, "machine": here, "versions": text}
        | {k: _short(v) for k, v in row._asdict().items()}
        for row in rows
    ]
    table.parent.mkdir(parents=True, exist_ok=True)
    temporary = table.with_suffix(".tmp")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(kept + new, key=lambda line: line["benchmark"]))  # stable
    temporary.replace(table)
    if json_file is not None:
        document = {**(results or {}), "machine": here, "versions": found}
        json_file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _short(value: object) -> object:
    return f"{value:.4g}" if isinstance(value, float) else value


def median(values: Sequence[float]) -> float:
    """Return the median; of an even number the mean of the middle two."""
    return float(statistics.median(values))


def bench_core() -> int | None:
    """Return the processor that contestants run on, the last usable one; None where no pinning."""
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def pin(core: int | None) -> None:
    """Hold this process, with threads that it starts from now on, to one processor."""
    if core is not None:
        os.sched_setaffinity(0, {core})


def warn_if_busy() -> None:
    """Say so on stderr if other programs are using the processors."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > 0.5:
        print(
            f"note: the load is {load:.1f} before the start; times will be too long",
            file=sys.stderr,
        )


def load_part(data: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images uint8 (303, 30, 32) and labels: as many as the paper trains on.

    The first fold of the paper's 5 by the project's own split.
    """
    from sglib.data import load_data
    from sglib.data.splits import make_split

    faces = load_data(data).train
    if faces.labels is None:
        raise SglibError(f"{faces.name}: no labels to train on")
    rows = make_split(faces, "holdout", fold=0, split_seed=0).train
    return faces.images[rows], faces.labels[rows]
