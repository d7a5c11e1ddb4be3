"""The unit of work of a study: what is to be run, under which key, and the doing of it.

A `Unit` is small and can be sent to another machine; its key is a hash of everything that
determines its result.
"""

import dataclasses
import functools
import sys
from collections.abc import Sequence

from sglib import SglibError
from sglib.data.faces import FaceSet
from sglib.data.splits import make_split, n_folds
from sglib.files import run_facts
from sglib.studies.keys import fingerprint, key_of, one_thread
from sglib.studies.tables import Study
from sglib.training.fit import choose_engine, fit
from sglib.training.reference import HISTORY
from sglib.training.settings import Experiment


@dataclasses.dataclass(frozen=True)
class Unit:
    """One run, not yet done."""

    experiment: Experiment
    scheme: str
    fold: int
    seed: int  # of the split and of every draw
    engine: str  # resolved: "compiled" or "reference-<device>"
    data: str  # name of the set, as in FaceSet.name
    digest: str  # of the set
    fingerprint: str  # of the network and the training, see `keys.fingerprint`

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
        """Return what names the run in a store, see `keys.key_of`."""
        return key_of(
            self.experiment.settings(),
            digest=self.digest,
            split=[self.scheme, self.fold],
            seed=self.seed,
            engine=self.engine,
            fingerprint=self.fingerprint,
        )


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
    prints = {row: fingerprint(row, faces, scheme) for row in study.rows}
    return [
        Unit(row, scheme, fold, seed, engines[row], faces.name, faces.digest, prints[row])
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
    split = make_split(faces, unit.scheme, fold=unit.fold, split_seed=unit.seed)
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
