"""Does runs in parallel, in threads, processes or on a Dask cluster, and tells how far it is.

Knows of a run its `engine`, its `data`, and for the time it takes the experiment in its `row`.
"""

import functools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import joblib
from tqdm import tqdm

from sglib import SglibError
from sglib.data import load_data
from sglib.data.faces import FaceSet
from sglib.data.splits import Split, make_split
from sglib.models.networks import NETWORKS
from sglib.studies.fingerprint import one_thread
from sglib.training.settings import Experiment

US_PER_STEP = 25  # of the compiled engine, evaluation included; only for what is announced
BACKENDS = {"compiled": "threading", "compiled-shuffled": "threading", "reference-cpu": "loky"}
Row = dict[str, Any]
Work = Callable[[Any, FaceSet], Row]


def in_parallel(
    work: Work, runs: Sequence[Any], faces: FaceSet, *, jobs: int, scheduler: str | None = None
) -> Iterator[Row]:
    """Yield the rows as they are finished, in any order; see `studies.run.run_study`.

    The compiled engine releases the interpreter lock: threads start at once and share the images.
    The reference engine needs processes. A GPU serves one process, this one.
    """
    if scheduler:
        yield from _on_dask(work, runs, faces, scheduler)
        return
    backends = BACKENDS if jobs > 1 else {}
    yield from (work(run, faces) for run in runs if run.engine not in backends)
    for backend in ("threading", "loky"):
        part = [run for run in runs if backends.get(run.engine) == backend]
        if part:
            options = {"n_jobs": min(jobs, len(part)), "pre_dispatch": "2*n_jobs"}
            pool = joblib.Parallel(**options, backend=backend, return_as="generator_unordered")
            yield from pool(_task(work, run, faces) for run in part)


def _task(work: Work, run: Any, faces: FaceSet | None) -> tuple[Any, ...]:
    """Return a job for joblib; networks that a user registered travel along."""
    return joblib.delayed(_elsewhere)(work, run, faces, dict(NETWORKS))


def _elsewhere(work: Work, run: Any, faces: FaceSet | None, networks: dict[str, Any]) -> Row:
    NETWORKS.update(networks)
    return work(run, faces if faces is not None else _load(run.data))


@functools.lru_cache(maxsize=2)
def _load(name: str) -> FaceSet:
    data, _, part = name.rpartition("-")
    return getattr(load_data(data), part)


def _on_dask(work: Work, runs: Sequence[Any], faces: FaceSet, scheduler: str) -> Iterator[Row]:
    try:
        import distributed
    except ImportError:
        raise SglibError("a Dask cluster needs the extra: pip install '.[study,cluster]'") from None
    try:
        client = distributed.Client(scheduler, timeout="10s", set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise SglibError(f"no Dask scheduler at {scheduler}: {error}") from None
    # Workers load a set that they know; any other is sent.
    known = faces.name in ("course-train", "synthetic-train")
    sent = None if known and _load(faces.name).digest == faces.digest else faces
    with client, joblib.parallel_config(backend="dask", client=client, wait_for_workers_timeout=60):
        pool = joblib.Parallel(return_as="generator_unordered")
        yield from pool(_task(work, run, sent) for run in runs)


def announcement(
    label: str, runs: Sequence[Any], todo: Sequence[Any], faces: FaceSet, jobs: int
) -> str:
    """Return how many runs are to be done, by which engine, and about how long it takes.

    No time is told of others than experiments, and for 0 jobs, where it depends on others.
    """
    engines = " and ".join(sorted({run.engine.partition("-")[0] for run in todo}))
    count = f"{len(todo)} of {len(runs)}" if len(todo) < len(runs) else str(len(todo))
    text = f"{count} runs of {label} on the {engines} engine"
    if not jobs or not all(isinstance(run.row, Experiment) for run in todo):
        return text
    first = {run.row: run for run in todo}
    each = {row: _seconds(run, faces) for row, run in first.items()}
    seconds = sum(each[run.row] for run in todo) / jobs
    size, unit = (1, "s") if seconds < 120 else (60, "min") if seconds < 7200 else (3600, "h")
    return f"{text}, about {max(1, round(seconds / size))} {unit}"


def _seconds(run: Any, faces: FaceSet) -> float:
    """Return about what a run takes; a few steps of the reference engine are timed."""
    row, split = run.row, make_split(faces, run.scheme)
    n_epochs, n_steps = row.n_epochs, len(split.train) / row.batch_size
    if run.engine.startswith("compiled"):
        return n_epochs * n_steps * US_PER_STEP * 1e-6
    few = Split(split.train[: 8 * row.batch_size], split.val[:0])
    for _ in range(2):  # the first time is slower
        started = time.perf_counter()
        with one_thread():
            run.work(replace(run, row=replace(row, n_epochs=1)), faces, few)
    return (time.perf_counter() - started) * n_epochs * len(split.train) / len(few.train)


def with_progress(
    rows: Iterator[Row], count: int, label: str, progress: bool | None
) -> Iterator[Row]:
    """Pass the rows on; draw a bar with the time left on a terminal, lines elsewhere."""
    if progress is not False and sys.stderr.isatty():
        yield from tqdm(rows, total=count, desc=label, unit="run", smoothing=0.05)
        return
    started = said = time.monotonic()
    for n_done, row in enumerate(rows, start=1):
        yield row
        now = time.monotonic()
        if progress is not False and now - said >= 10 and n_done < count:
            said = now
            left = (now - started) / n_done * (count - n_done)
            print(f"{label}: {n_done}/{count} runs, {left:.0f} s left", file=sys.stderr, flush=True)
