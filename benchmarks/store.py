"""What a store of 100,000 runs costs: bytes, merging, keys, loading, and the start of a process.

    python benchmarks/store.py [--runs 100000] [--stores 100] [--json FILE]

Real runs of the paper's twelve experiments are repeated under new keys, their numbers changed a
little at random so that they compress as badly as others would.
"""

import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from _common import Row, parser, warn_if_busy, write_results

from sglib.data import load_data
from sglib.files import n_usable_cpus
from sglib.studies.profiles import PROFILES
from sglib.studies.run import plan, run_study
from sglib.studies.store import MERGE_AT, RunStore
from sglib.studies.tables import STUDIES

PACKAGES = ("pandas", "pyarrow", "numpy")
SEGMENT = 2 * MERGE_AT  # runs that a study gathers at once


def real_runs(data: str, profile: str) -> pd.DataFrame:
    """Return a run of each of the paper's experiments as the store has it."""
    faces, study = load_data(data).train, PROFILES[profile].shorten(STUDIES["paper"])
    units = plan(study, faces, max_folds=1)
    with tempfile.TemporaryDirectory(prefix="sglib-bench-") as folder:
        return run_study(units, faces, store=RunStore(folder), jobs=n_usable_cpus(), progress=False)


def fill(stores: Sequence[RunStore], runs: pd.DataFrame, n_runs: int) -> None:
    """Write n runs, dealt to the stores, in segments as a study leaves them."""
    rng = np.random.default_rng(0)
    numbers = [
        name
        for name in runs.columns
        if isinstance(runs[name].iloc[0], np.ndarray) and runs[name].iloc[0].dtype.kind == "f"
    ]
    for place, store in enumerate(stores):
        mine = np.arange(place, n_runs, len(stores))
        for start in range(0, len(mine), SEGMENT):
            part = mine[start : start + SEGMENT]
            rows = runs.iloc[part % len(runs)].reset_index(drop=True)
            rows["key"] = [hashlib.sha256(str(i).encode()).hexdigest()[:32] for i in part]
            rows["seed"] = part // len(runs)
            for name in numbers:
                rows[name] = [x * rng.normal(1, 1e-3, len(x)).astype(x.dtype) for x in rows[name]]
            folder = store.folder / "segments"
            folder.mkdir(parents=True, exist_ok=True)
            rows.to_parquet(folder / f"{part[0]}.parquet", compression="zstd", index=False)


def size(store: RunStore) -> int:
    """Return the bytes of a store's files."""
    return sum(path.stat().st_size for path in store.folder.rglob("*.parquet"))


def seconds_to_start(folder: Path) -> float:
    """Return the seconds of a study's command that finds all of its runs stored."""
    study = ("study", "baseline", "--profile", "smoke", "--data", "synthetic")
    command = [sys.executable, "-m", "sglib", *study, "--store", str(folder)]
    for _ in range(2):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        took = time.perf_counter() - started
    return took


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write the table."""
    options = parser(__doc__)
    options.add_argument("--runs", type=int, default=100_000)
    options.add_argument("--stores", type=int, default=100, help="that are merged into one")
    options.add_argument("--profile", choices=list(PROFILES), default="paper")
    chosen = options.parse_args(argv)
    warn_if_busy()
    runs = real_runs(chosen.data, chosen.profile)
    with tempfile.TemporaryDirectory(prefix="sglib-bench-") as name:
        start = seconds_to_start(Path(name) / "start")
        stores = [RunStore(Path(name) / str(i)) for i in range(chosen.stores)]
        fill(stores, runs, chosen.runs)
        merged = RunStore(Path(name) / "merged")
        started = time.perf_counter()
        n_merged = sum(merged.take_from(store) for store in stores)
        merging = time.perf_counter() - started
        assert n_merged == chosen.runs
        per_run, n_files = size(merged) / chosen.runs, len(os.listdir(merged.folder / "segments"))
        started = time.perf_counter()
        keys = merged.keys()
        listing = time.perf_counter() - started
        started = time.perf_counter()
        assert len(merged.load(keys)) == chosen.runs
        loading = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # GiB, of kB on Linux
    n = chosen.runs
    rows = [
        Row("starting a process", start, "s", None, 1),
        Row("stored per run", per_run, "bytes", None, n),
        Row(f"merging {chosen.stores} stores", merging, "s", None, n),
        Row("files", float(n_files), "files", None, n),
        Row("listing the keys", listing, "s", None, n),
        Row("loading every row", loading, "s", None, n),
        Row("memory at most", peak, "GiB", None, n),
    ]
    for row in rows:
        print(f"{row.what}: {row.value:,.3g} {row.unit}")
    results = {row.what: row.value for row in rows} | {"runs": n}
    write_results(
        "store", rows, PACKAGES, table=chosen.table, json_file=chosen.json, results=results
    )


if __name__ == "__main__":
    main()
