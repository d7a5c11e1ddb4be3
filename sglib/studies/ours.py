"""Our models on people held out: the units and runs behind notebook 07.

A unit trains one model without one person and predicts that person's photographs, clean and in
distorted copies like the course set's test images. Runs go to the same store as all others.
"""

import dataclasses
import functools
import json
import time
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from sglib.data.faces import FaceSet
from sglib.data.load import renderer_digest
from sglib.data.splits import Split
from sglib.data.synthetic import distort
from sglib.studies.profiles import Config
from sglib.studies.run import Run, run_study, spread
from sglib.studies.store import RunStore
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
) -> list[Run]:
    """List the runs: every model × person held out × seed, seeds outermost."""
    rows = [
        Run(
            name=name,
            row=(model, n_twin),
            settings={
                "method": ["model", METHOD, N_COPIES, DISTORT_SEED],
                "model": _settings(model),
                "teacher": _settings(SHIPPED[model.teacher]) if model.teacher else None,
                "n_twin": n_twin,
                "renderer": renderer_digest(),  # draws the copies, and the people to start from
            },
            work=_fit_model,
            engine="reference-cpu",
            fingerprint="",
            scheme="person",
        )
        for name, model in models.items()
    ]
    return spread(rows, faces, n_seeds=n_seeds, max_folds=max_people)


def _first_seed(run: Run) -> int:
    """Return the seed of the first network. Repetitions share none; their teachers may."""
    return run.seed * run.row[0].n_networks


def _fit_model(run: Run, faces: FaceSet, split: Split) -> dict[str, object]:
    model, n_people = run.row
    held_out = faces.subset(split.val)
    copies = distort(held_out, seed=DISTORT_SEED, n_copies=N_COPIES)
    started = time.perf_counter()
    networks = fit_shipped(
        model,
        faces.images[split.train],
        faces.labels[split.train],
        seed=_first_seed(run),
        start=functools.partial(starting_point, n_twin=n_people),
    )
    seconds = time.perf_counter() - started
    probs = predict_probs(networks, held_out.images, **model.looks)
    copy_probs = predict_probs(networks, copies.images, **model.looks)
    return {
        "model": json.dumps(_settings(model), sort_keys=True),
        "subject": str(held_out.subjects[0]),
        "val_probs": probs.tolist(),
        "copy_acc": float(((copy_probs > 0.5) == (copies.labels == 1)).mean()),
        "copy_probs": np.float32(copy_probs).tolist(),
        "copy_labels": copies.labels.tolist(),
        "seconds": seconds,
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
    runs = plan_models(
        models,
        faces,
        n_seeds=config.n_seeds,
        max_people=SHORT[config.profile].n_people if config.profile in SHORT else None,
        n_twin=n_twin(config),
    )
    store = store or RunStore()
    done = store.keys()
    for run in runs:  # pretraining comes once, before the workers start
        if run.key not in done:
            for twin, seed in needed_starts(run.row[0], _first_seed(run)):
                starting_point(twin, seed, n_twin=run.row[1])
    return run_study(runs, faces, store=store, jobs=config.n_jobs, label=label)


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
