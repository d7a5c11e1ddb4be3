"""Our models on people held out: the units and runs behind notebook 07.

A unit trains one model without one person and predicts that person's photographs, clean and in
distorted copies like the course set's test images. Runs go to the same store as all others.
"""

import dataclasses
import functools
import hashlib
import json
import sys
import time
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from sglib.data.faces import FaceSet
from sglib.data.splits import make_split, n_folds
from sglib.data.synthetic import distort, renderer_digest
from sglib.files import run_facts
from sglib.studies.profiles import Config
from sglib.studies.run import run_study
from sglib.studies.store import RunStore
from sglib.studies.units import one_thread
from sglib.training.pretrained import starting_point
from sglib.training.recipe import predict_probs
from sglib.training.shipped import N_TWIN, SHIPPED, Model, fit_shipped, needed_starts

METHOD = 1  # enters every key: raise it when the same recipe comes to give other numbers
N_COPIES = 10  # distorted copies of each held-out photograph
DISTORT_SEED = 77  # the same copies for every recipe and run


class Short(NamedTuple):
    """Upper limits of a profile that shows how, not how well. No network has a teacher."""

    n_twin: int  # synthetic people
    twin_epochs: int
    photo_epochs: int
    n_networks: int
    n_people: int  # held out


SHORT = {"smoke": Short(12, 1, 2, 2, 2), "paper": Short(150, 2, 15, 2, 4)}  # `full` is whole


@dataclasses.dataclass(frozen=True)
class ModelUnit:
    """One model trained without one person, not yet done; see `units.Unit`.

    Args:
        name: of the row.
        model: what is trained.
        fold: which person is held out.
        seed: of every draw.
        data, digest: name and digest of the set.
        n_twin: synthetic people of the pretraining.
        engine: these models run on PyTorch.
    """

    name: str
    model: Model
    fold: int
    seed: int
    data: str
    digest: str
    n_twin: int = N_TWIN
    engine: str = "reference-cpu"
    section: str = ""

    @property
    def first_seed(self) -> int:
        """Return the seed of the first network. Repetitions share none; their teachers may."""
        return self.seed * self.model.n_networks

    @functools.cached_property
    def key(self) -> str:
        """Return the hash of what determines the result."""
        determines = {
            "method": ["model", METHOD, N_COPIES, DISTORT_SEED],
            "model": _settings(self.model),
            "teacher": _settings(SHIPPED[self.model.teacher]) if self.model.teacher else None,
            "n_twin": self.n_twin,
            "renderer": renderer_digest(),  # draws the copies, and the people to start from
            "digest": self.digest,
            "fold": self.fold,
            "seed": self.seed,
        }
        return hashlib.sha256(json.dumps(determines, sort_keys=True).encode()).hexdigest()[:32]


def _settings(model: Model) -> list[object]:
    recipes = (recipe for recipe in (model.photos, model.twin) if recipe is not None)
    return [dataclasses.asdict(model), [type(recipe.policy).__name__ for recipe in recipes]]


def plan_models(
    models: Mapping[str, Model],
    faces: FaceSet,
    *,
    n_seeds: int,
    max_people: int | None = None,
    n_twin: int = N_TWIN,
) -> list[ModelUnit]:
    """List the runs: every model × person held out × seed, seeds outermost."""
    people = range(min(n_folds("person", faces), max_people or sys.maxsize))
    return [
        ModelUnit(name, model, fold, seed, faces.name, faces.digest, n_twin)
        for seed in range(n_seeds)
        for name, model in models.items()
        for fold in people
    ]


def run_model_unit(unit: ModelUnit, faces: FaceSet) -> dict[str, object]:
    """Do one run and return its row for the store."""
    split = make_split(faces, "person", fold=unit.fold)
    held_out = faces.subset(split.val)
    copies = distort(held_out, seed=DISTORT_SEED, n_copies=N_COPIES)
    started = time.perf_counter()
    with one_thread(True):
        networks = fit_shipped(
            unit.model,
            faces.images[split.train],
            faces.labels[split.train],
            seed=unit.first_seed,
            start=functools.partial(starting_point, n_twin=unit.n_twin),
        )
        seconds = time.perf_counter() - started
        probs = predict_probs(networks, held_out.images, **unit.model.looks)
        copy_probs = predict_probs(networks, copies.images, **unit.model.looks)
    return {
        "key": unit.key,
        "name": unit.name,
        "model": json.dumps(_settings(unit.model), sort_keys=True),
        "data": unit.data,
        "digest": unit.digest,
        "scheme": "person",
        "fold": unit.fold,
        "subject": str(held_out.subjects[0]),
        "seed": unit.seed,
        "engine": unit.engine,
        "n_train": len(split.train),
        "val_ids": held_out.ids.tolist(),
        "val_probs": probs.tolist(),
        "copy_acc": float(((copy_probs > 0.5) == (copies.labels == 1)).mean()),
        "copy_probs": np.float32(copy_probs).tolist(),
        "copy_labels": copies.labels.tolist(),
        "seconds": seconds,
        **run_facts(),
    }


def run_models(
    models: Mapping[str, Model],
    faces: FaceSet,
    config: Config,
    *,
    label: str = "models",
    store: RunStore | None = None,
) -> pd.DataFrame:
    """Run models on people held out as a profile says, or load what is stored.

    Returns:
        one row per run: name, subject, seed, val_ids, val_probs, copy_acc, … as in the store.
    """
    models = {name: shorten(model, config) for name, model in models.items()}
    units = plan_models(
        models,
        faces,
        n_seeds=config.n_seeds,
        max_people=SHORT[config.profile].n_people if config.profile in SHORT else None,
        n_twin=n_twin(config),
    )
    store = store or RunStore()
    done = store.keys()
    for unit in units:  # pretraining comes once, before the workers start
        if unit.key not in done:
            for twin, seed in needed_starts(unit.model, unit.first_seed):
                starting_point(twin, seed, n_twin=unit.n_twin)
    return run_study(
        units, faces, store=store, jobs=config.n_jobs, label=label, work=run_model_unit
    )


def repeat(config: Config) -> Config:
    """Return the config with the repetitions of a model: as asked, else one in every profile.

    A model's run takes many seconds where the paper's takes one; people, not seeds, are what the
    intervals are over.
    """
    return dataclasses.replace(config, seeds=config.seeds or 1)


def n_twin(config: Config) -> int:
    """Return the number of synthetic people that a profile pretrains on."""
    return SHORT[config.profile].n_twin if config.profile in SHORT else N_TWIN


def shorten(model: Model, config: Config) -> Model:
    """Return the model with the profile's limits (`SHORT`); a short one learns from no teacher."""
    if config.profile not in SHORT:
        return model
    short = SHORT[config.profile]
    twin = model.twin and dataclasses.replace(model.twin, n_epochs=short.twin_epochs)
    n_epochs = min(model.photos.n_epochs, short.photo_epochs)
    photos = dataclasses.replace(model.photos, n_epochs=n_epochs)
    networks = min(model.n_networks, short.n_networks)
    return dataclasses.replace(model, photos=photos, twin=twin, n_networks=networks, teacher="")
