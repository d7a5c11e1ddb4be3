"""Runs many units in parallel, stores each, skips what is stored.

What runs where (threads, processes, a cluster, one shard of a job array) never changes a number.
"""

import collections
import functools
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import joblib
import pandas as pd
from tqdm import tqdm

from sglib import SglibError
from sglib.data.faces import FaceSet
from sglib.studies.profiles import PROFILES, Config
from sglib.studies.store import N_ASKED, RunStore
from sglib.studies.tables import study as study_by_name
from sglib.studies.units import Unit, plan, run_unit, shard

BACKENDS = ("local", "dask")
Work = Callable[[Unit, FaceSet], dict[str, object]]
log = logging.getLogger("sglib")


@functools.lru_cache(maxsize=2)
def _load_faces(name: str) -> FaceSet:
    from sglib.data import load_data

    source, _, part = name.partition("-")
    return getattr(load_data(source), part)


def _run_remote(unit: Unit, faces: FaceSet | None, work: Work) -> dict[str, object]:
    """Run in another process: the data is loaded there, not sent along, where it is known."""
    return work(unit, faces if faces is not None else _load_faces(unit.data))


def run_study(
    units: Sequence[Unit],
    faces: FaceSet,
    *,
    store: RunStore | None = None,
    jobs: int = 1,
    backend: str = "local",
    scheduler: str | None = None,
    progress: bool | None = None,
    label: str = "study",
    work: Work | None = None,
) -> pd.DataFrame:
    """Do the runs that the store lacks and return the rows of all of them, in order.

    Each run is stored as soon as it ends: killed at any moment, a study loses at most the runs
    in flight, and the next call goes on where it stopped.

    Args:
        units: from `plan`, maybe a `shard` of it.
        faces: the set they were planned on.
        store: default: the store of this checkout.
        jobs: runs at a time (local backend).
        backend: "local", or "dask" with the address of a scheduler.
        progress: a bar (on a terminal) or plain lines; None = only where stderr is a terminal
            or the study has more than a minute to go.
        label: what the progress lines call it.
        work: does one unit; default `units.run_unit`.

    Returns:
        One row per unit: `experiment` fields, split, seeds, engine, history lists, `val_ids`,
        `val_probs`; the name and section are those asked for, also where the run was first made
        under another name.
    """
    if backend not in BACKENDS:
        raise SglibError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
    store = store or RunStore()
    done = store.keys()
    todo = list({unit.key: unit for unit in units if unit.key not in done}.values())
    if todo:
        log.info("%s: %d runs, %d of them stored", label, len(units), len(units) - len(todo))
        _tell_outdated(todo, done)
        rows = _run_all(todo, faces, work or run_unit, jobs, backend, scheduler)
        for row in _with_progress(rows, len(todo), label, progress):
            store.add(row)
        store.merge()
    stored = store.load(unit.key for unit in units).set_index("key", drop=False)
    frame = stored.loc[[unit.key for unit in units]].reset_index(drop=True)
    frame["name"] = [unit.name for unit in units]
    frame["section"] = [unit.section for unit in units]
    return frame


def run(
    name: str,
    faces: FaceSet,
    config: Config,
    *,
    scheme: str | None = None,
    engine: str = "auto",
    which_shard: tuple[int, int] = (1, 1),
    store: RunStore | None = None,
    backend: str = "local",
    scheduler: str | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Run a study of `experiments.STUDIES` as a profile says, or load what is stored of it.

    Args:
        name: of the study.
        faces: the labelled set.
        config: profile, seeds, jobs, device.
        scheme: how to validate; default the study's.
        engine: "auto", "reference" or "compiled".
        which_shard: (i, N): only part i of N.
        store, backend, scheduler, progress: see `run_study`.
    """
    profile = PROFILES[config.profile]
    units = plan(
        profile.shorten(study_by_name(name)),
        faces,
        n_seeds=config.n_seeds,
        scheme=scheme,
        max_folds=profile.n_folds,
        engine=engine,
        device=config.device,
    )
    return run_study(
        shard(units, *which_shard),
        faces,
        store=store,
        jobs=config.n_jobs,
        backend=backend,
        scheduler=scheduler,
        progress=progress,
        label=name,
    )


def _tell_outdated(todo: Sequence[Unit], stored: set[str]) -> None:
    """Say how many stored runs were asked the same, but of other code."""
    asked = {key[:N_ASKED] for key in stored}
    counts = collections.Counter(unit.name for unit in todo if unit.key[:N_ASKED] in asked)
    for name, count in counts.items():
        log.warning(
            "%d stored runs of %s were made by another network or method; running them again",
            *(count, name),
        )


def _run_all(
    todo: list[Unit],
    faces: FaceSet,
    work: Work,
    jobs: int,
    backend: str,
    scheduler: str | None,
) -> Iterator[dict[str, object]]:
    """Yield the rows as they are finished, in any order."""
    if backend == "dask":
        yield from _run_on_dask(todo, faces, work, scheduler)
        return
    if jobs == 1:
        yield from (work(unit, faces) for unit in todo)
        return
    # The compiled engine releases the interpreter lock: threads start at once and share the
    # images. The reference engine needs processes; a GPU serves one process.
    compiled = [unit for unit in todo if unit.engine.startswith("compiled")]
    on_cpu = [unit for unit in todo if unit.engine == "reference-cpu"]
    on_cpus = ("compiled", "compiled-shuffled", "reference-cpu")
    yield from (work(unit, faces) for unit in todo if unit.engine not in on_cpus)
    for part, kind in ((compiled, "threading"), (on_cpu, "loky")):
        if part:
            workers = joblib.Parallel(
                n_jobs=min(jobs, len(part)),
                backend=kind,
                return_as="generator_unordered",
                pre_dispatch="2*n_jobs",
            )
            yield from workers(joblib.delayed(_run_remote)(unit, faces, work) for unit in part)


def _run_on_dask(
    todo: list[Unit], faces: FaceSet, work: Work, scheduler: str | None
) -> Iterator[dict[str, object]]:
    if not scheduler:
        raise SglibError("backend dask needs the address of a scheduler, such as tcp://host:8786")
    try:
        import distributed
    except ImportError:
        raise SglibError("backend dask needs the extra: pip install 'sglib[cluster]'") from None
    try:
        client = distributed.Client(scheduler, timeout="10s", set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise SglibError(f"no Dask scheduler at {scheduler}: {error}") from None
    known = faces.name in ("course-train", "synthetic-train")
    with client, joblib.parallel_config(backend="dask", client=client, wait_for_workers_timeout=60):
        workers = joblib.Parallel(return_as="generator_unordered")
        sent = None if known else faces
        yield from workers(joblib.delayed(_run_remote)(unit, sent, work) for unit in todo)


def _with_progress(
    rows: Iterator[dict[str, object]], count: int, label: str, progress: bool | None
) -> Iterator[dict[str, object]]:
    """Pass the rows on; draw one bar with the time left on a terminal, plain lines elsewhere."""
    if sys.stderr.isatty() if progress is None else progress and sys.stderr.isatty():
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
