"""Plans runs, does those that the store lacks, in parallel, and stores each as it ends.

What runs where (threads, processes, a cluster, one shard of a job array) never changes a number.
"""

import functools
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd

from sglib import SglibError
from sglib.data import load_data
from sglib.data.faces import FaceSet
from sglib.data.splits import Split, make_split, n_folds
from sglib.files import run_facts
from sglib.studies.fingerprint import fingerprint, one_thread
from sglib.studies.profiles import PROFILES, Config
from sglib.studies.store import N_ASKED, RunStore
from sglib.studies.tables import Study
from sglib.studies.tables import study as as_study
from sglib.studies.workers import announcement, in_parallel, with_progress
from sglib.training.fit import choose_engine, fit
from sglib.training.settings import HISTORY, Experiment, Fit


@dataclass(frozen=True, eq=False)
class Run:
    """One run, done or not: what is trained, on which part of which data, with which draws."""

    name: str  # of the row; does not enter the key
    row: Any  # what `work` trains, such as an `Experiment`
    settings: dict[str, Any]  # plain values, all that determines the result besides what follows
    work: Callable[["Run", FaceSet, Split], dict[str, Any]]  # does it → columns of its row
    engine: str  # "compiled", "compiled-shuffled" or "reference-<device>"
    fingerprint: str  # of the code, see `fingerprint`
    scheme: str  # of the split
    fold: int = 0
    seed: int = 0  # of the split and of every other draw
    data: str = ""  # name and
    digest: str = ""  # digest of the set

    @functools.cached_property
    def key(self) -> str:
        """Return what names the run in a store: what was asked, and of what code."""
        asked = {
            "method": 1,  # as in the keys of stores from before there were fingerprints
            "settings": self.settings,
            "digest": self.digest,
            "split": [self.scheme, self.fold],
            "seed": self.seed,
            "engine": self.engine,
        }
        text = json.dumps(asked, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:N_ASKED] + self.fingerprint


def spread(
    rows: Sequence[Run], faces: FaceSet, *, n_seeds: int = 1, max_folds: int | None = None
) -> list[Run]:
    """List every row × fold × seed, seeds outermost; `max_folds` takes only the first folds."""
    return [
        replace(row, fold=fold, seed=seed, data=faces.name, digest=faces.digest)
        for seed in range(n_seeds)
        for fold in range(min(n_folds(rows[0].scheme, faces), max_folds or sys.maxsize))
        for row in rows
    ]


def plan(
    study: Study,
    faces: FaceSet,
    *,
    n_seeds: int = 1,
    scheme: str = "kfold",
    max_folds: int | None = None,
    engine: str = "auto",
    device: str = "cpu",
) -> list[Run]:
    """List the runs of a study; for `engine` and `device` see `fit.choose_engine`."""
    rows = []
    for row in study.rows:
        code = fingerprint(row, faces, scheme)
        chosen = choose_engine(row, engine=engine, device=device)
        rows.append(Run(row.name, row, row.settings(), _fit, chosen, code, scheme))
    return spread(rows, faces, n_seeds=n_seeds, max_folds=max_folds)


def trained(run: Run, faces: FaceSet, split: Split) -> tuple[Fit, dict[str, Any]]:
    """Train a run's experiment; return the run as it ended, and the columns of its row."""
    kind, _, device = run.engine.partition("-")
    on = {"engine": kind, "device": device} if kind == "reference" else {"engine": run.engine}
    done = fit(run.row, faces, split, seed=(run.seed, run.fold), **on)
    return done, columns_of(run.row, done)


def _fit(run: Run, faces: FaceSet, split: Split) -> dict[str, Any]:
    return trained(run, faces, split)[1]


def columns_of(row: Experiment, done: Fit) -> dict[str, Any]:
    """Return an experiment's settings and what its run yielded, as the store takes them."""
    histories = {name: done.history[name].tolist() for name in HISTORY}
    probs = done.val_probs.tolist()
    return {**asdict(row), **histories, "val_probs": probs, "seconds": done.seconds}


_LABELS = ("key", "name", "data", "digest", "scheme", "fold", "seed", "engine")
_COLUMNS = (*_LABELS, "n_train", "n_val", *HISTORY, "val_ids", "val_probs", "seconds")


def do(run: Run, faces: FaceSet) -> dict[str, Any]:
    """Do one run and return its row for the store."""
    if faces.digest != run.digest:
        found = f"other data (digest {faces.digest[:12]}) than the study was planned on"
        raise SglibError(f"{run.data}: this machine has {found} ({run.digest[:12]})")
    split = make_split(faces, run.scheme, fold=run.fold, split_seed=run.seed)
    with one_thread(run.engine.startswith("reference")):
        columns = run.work(run, faces, split)
    return {
        **{label: getattr(run, label) for label in _LABELS},
        "n_train": len(split.train),
        "n_val": len(split.val),
        "val_ids": faces.ids[split.val].tolist(),
        **columns,
        **run_facts(),
    }


def run(
    what: str | Study | Experiment | Sequence[Experiment],
    faces: FaceSet | None = None,
    config: Config | None = None,
    *,
    scheme: str = "kfold",
    engine: str = "auto",
    shard: tuple[int, int] = (1, 1),
    **options: Any,
) -> pd.DataFrame:
    """Run a study or rows of your own as a profile says, or load what is stored of them.

    Args:
        what: a study or its name, an experiment, or a list of experiments.
        faces: the labelled set; default: the training part of `config.data`.
        config: profile, seeds, jobs, device; default: the paper's protocol.
        scheme: how to validate, see `splits.SCHEMES`.
        engine: one of `fit.ENGINES`.
        shard: (i, N): only part i of N; the parts are disjoint and cover all runs.
        options: store, scheduler, progress, as in `run_study`.
    """
    config = config or Config()
    faces = load_data(config.data).train if faces is None else faces
    profile, study = PROFILES[config.profile], as_study(what)
    runs = plan(
        profile.shorten(study),
        faces,
        n_seeds=config.n_seeds,
        scheme=scheme,
        max_folds=profile.n_folds,
        engine=engine,
        device=config.device,
    )
    part = runs[shard[0] - 1 :: shard[1]]
    return run_study(part, faces, jobs=config.n_jobs, label=study.name, **options)


def run_study(
    runs: Sequence[Run],
    faces: FaceSet,
    *,
    store: RunStore | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
    progress: bool | None = None,
    label: str = "study",
) -> pd.DataFrame:
    """Do the runs that the store lacks and return the rows of all of them, in order.

    Each run is stored as soon as it ends: killed at any moment, a study loses at most the runs
    in flight, and the next call goes on where it stopped.

    Args:
        runs: from `plan` or `spread`, for these `faces`.
        store: default: the store of this checkout.
        jobs: runs at a time on this machine.
        scheduler: address of a Dask scheduler whose workers do them instead.
        progress: a bar on a terminal, lines elsewhere; False = nothing.
        label: what the messages call it.

    Returns:
        one row per run: name and section as asked for, also where the run was first made under
        another name; settings, `_COLUMNS` and where it was made.
    """
    store = store or RunStore()
    done = store.keys()
    todo = list({run.key: run for run in runs if run.key not in done}.values())
    if todo:
        store.prepare()
        say = functools.partial(print, file=sys.stderr) if progress is not False else len
        say(announcement(label, runs, todo, faces, 0 if scheduler else jobs))
        asked = {key[:N_ASKED] for key in done}
        if outdated := [run.name for run in todo if run.key[:N_ASKED] in asked]:
            whose = f"{len(outdated)} stored runs of {', '.join(dict.fromkeys(outdated))}"
            say(f"{whose} were made by another network or method; running them again")
        rows = in_parallel(do, todo, faces, jobs=jobs, scheduler=scheduler)
        n_stored = len(runs) - len(todo)
        try:
            for row in with_progress(rows, len(todo), label, progress):
                store.add(row)
                n_stored += 1
        except KeyboardInterrupt:
            kept = f"{n_stored} of {len(runs)} runs are stored"
            say(f"{label}: stopped; {kept}, the same call does the rest")
            raise
        store.merge()
    if not runs:
        return pd.DataFrame(columns=list(dict.fromkeys([*_COLUMNS, *vars(Experiment())])))
    stored = store.load(run.key for run in runs).set_index("key", drop=False)
    frame = stored.loc[[run.key for run in runs]].reset_index(drop=True)
    frame["name"] = [run.name for run in runs]
    frame["section"] = [getattr(run.row, "section", "") for run in runs]
    return frame
