"""The unit of work of a study: what is to be run, under which key, and the doing of it.

A `Unit` is small and can be sent to another machine; its key is a hash of everything that
determines its result.
"""

import dataclasses
import functools
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from sglib import SglibError
from sglib.data.faces import FaceSet
from sglib.data.splits import make_split, n_folds
from sglib.files import run_facts
from sglib.studies.tables import Study
from sglib.training.fit import choose_engine, fit
from sglib.training.reference import HISTORY
from sglib.training.settings import Experiment

METHOD = 1  # enters every key: raise it when the same settings come to give other numbers


@dataclasses.dataclass(frozen=True)
class Unit:
    """One run, not yet done."""

    experiment: Experiment
    scheme: str
    fold: int
    seed: int
    engine: str  # resolved: "compiled" or "reference-<device>"
    data: str  # name of the set, as in FaceSet.name
    digest: str  # of the set

    @property
    def split_seed(self) -> int:
        """The seed of the split: each repetition draws folds of its own."""
        return self.seed

    @property
    def name(self) -> str:
        """The row's name."""
        return self.experiment.name

    @property
    def section(self) -> str:
        """The paper's section."""
        return self.experiment.section

    @functools.cached_property
    def key(self) -> str:
        """Return the hash of what determines the result; equal procedures share a run."""
        determines = {
            "method": METHOD,
            "settings": self.experiment.settings(),
            "digest": self.digest,
            "split": [self.scheme, self.fold],
            "seed": self.seed,
            "engine": self.engine,
        }
        text = json.dumps(determines, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def plan(
    study: Study,
    faces: FaceSet,
    *,
    n_seeds: int = 1,
    scheme: str | None = None,
    max_folds: int | None = None,
    engine: str = "auto",
    device: str = "cpu",
) -> list[Unit]:
    """List the runs of a study: every row × fold × seed, seeds outermost.

    Args:
        study: its rows; `scheme` defaults to the study's.
        faces: the labelled set.
        n_seeds: repetitions, numbered from 0.
        max_folds: only the first so many folds of the scheme; None = all.
        engine, device: see `fit.choose_engine`.
    """
    scheme = scheme or study.scheme
    folds = range(min(n_folds(scheme, faces), max_folds or sys.maxsize))
    engines = {row: choose_engine(row, engine=engine, device=device) for row in study.rows}
    return [
        Unit(row, scheme, fold, seed, engines[row], faces.name, faces.digest)
        for seed in range(n_seeds)
        for fold in folds
        for row in study.rows
    ]


def shard(units: Sequence[Unit], which: int, count: int) -> list[Unit]:
    """Return part `which` (from 1) of `count`; the parts are disjoint and cover all units.

    Raises:
        SglibError: `which` is not in [1, count].
    """
    if not 1 <= which <= count:
        raise SglibError(f"shard must be i/N with 1 <= i <= N, got {which}/{count}")
    return list(units[which - 1 :: count])


def run_unit(unit: Unit, faces: FaceSet) -> dict[str, object]:
    """Do one run and return its row for the store."""
    if faces.digest != unit.digest:
        raise SglibError(
            f"{unit.data}: this machine has other data (digest {faces.digest[:12]}) "
            f"than the study was planned on ({unit.digest[:12]})"
        )
    split = make_split(faces, unit.scheme, fold=unit.fold, split_seed=unit.split_seed)
    name, _, device = unit.engine.partition("-")
    with one_thread(name == "reference"):
        result = fit(
            unit.experiment,
            faces,
            split,
            seed=(unit.seed, unit.fold),
            engine=name,
            device=device or "cpu",
        )
    return {
        "key": unit.key,
        **dataclasses.asdict(unit.experiment),
        "data": unit.data,
        "digest": unit.digest,
        "scheme": unit.scheme,
        "fold": unit.fold,
        "split_seed": unit.split_seed,
        "seed": unit.seed,
        "engine": result.engine,
        "n_train": len(split.train),
        "n_val": len(split.val),
        **{name: result.history[name].tolist() for name in HISTORY},
        "val_ids": faces.ids[split.val].tolist(),
        "val_probs": result.val_probs.tolist(),
        "seconds": result.seconds,
        **run_facts(),
    }


@contextmanager
def one_thread(needed: bool) -> Iterator[None]:
    """Hold PyTorch to one thread: more threads change the order of sums, and so the last bits."""
    before = torch.get_num_threads()
    if needed and before != 1:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if needed and before != 1:
            torch.set_num_threads(before)
