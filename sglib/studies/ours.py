"""Our models as rows of data: what ships, the staircase of parts, Table 1; and their runs.

A run trains a model without a group of people and predicts their photographs, clean and in
distorted copies like the course set's test images. Runs go to the same store as all others.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd

from sglib.data.augment import METHODS, POLICIES, Chain
from sglib.data.faces import FaceSet
from sglib.data.splits import Split
from sglib.data.synthetic import distort, renderer_digest
from sglib.models.ensemble import Ensemble
from sglib.studies.final import ensemble_of
from sglib.studies.fingerprint import fingerprint
from sglib.studies.profiles import PROFILES, Config
from sglib.studies.run import Run, run_study, spread, trained
from sglib.studies.store import RunStore
from sglib.studies.tables import BY_NAME
from sglib.training.fit import outcome
from sglib.training.recipe import Recipe, fit_model
from sglib.training.settings import Experiment

METHOD = 5  # enters every key: raise it when the same recipe comes to give other numbers
N_COPIES, DISTORT_SEED = 10, 77  # distorted copies of each photograph, the same for every row
N_SEEDS = 5  # repetitions of our models at most: one takes a hundred times the paper's run
_SHORT = {"smoke": (2, 12, 1, 2), "paper": (15, 150, 2, 2)}  # at most, see `shorten`

_SCRATCH = Recipe("face17k")
_STARTED = replace(_SCRATCH, n_people=4000)
SHIPPED: dict[str, Recipe] = {
    "small": replace(_STARTED, network="face9k", blend=0.5),
    "base": replace(_STARTED, blend=0.5),
    "best": replace(_STARTED, blend=0.5, n_networks=3, mirror=True),
}

PAPERS = {"the paper's baseline": BY_NAME["baseline_1"], "the paper's final": BY_NAME["final_1"]}
_CONVNN = Recipe("ConvNN_1", lr=1e-3)
STAIRCASE: dict[str, Recipe | Experiment] = {
    # each row has what the row above has, and one part more
    "the paper's final": PAPERS["the paper's final"],
    "logits and AdamW instead": replace(_CONVNN, policy=POLICIES["none"]),
    "+ augmentation": _CONVNN,
    "+ our network": _SCRATCH,
    "+ synthetic people first": _STARTED,
    "+ half-way back (base)": SHIPPED["base"],
    "+ mirror image": replace(SHIPPED["base"], mirror=True),
    "+ three networks (best)": SHIPPED["best"],
}

_ALL = tuple((name, method.usual) for name, method in METHODS.items())
TABLE_1: dict[str, Recipe] = {
    # the methods of the paper's Table 1 on its ConvNN_1 (logit head): none, all, each alone
    name: replace(_CONVNN, policy=Chain(parts))
    for name, parts in {"none": (), "all": _ALL, **{f"only {p[0]}": (p,) for p in _ALL}}.items()
}


def shorten(recipe: Recipe, profile: str) -> Recipe:
    """Return the recipe with the limits of a profile that shows how, not how well."""
    fields = ("n_epochs", "n_people", "start_epochs", "n_networks")
    limits = dict(zip(fields, _SHORT.get(profile, ()), strict=False))
    return replace(recipe, **{k: min(getattr(recipe, k), limit) for k, limit in limits.items()})


def run_models(
    models: Mapping[str, Recipe | Experiment],
    faces: FaceSet,
    config: Config,
    *,
    label: str = "models",
    store: RunStore | None = None,
) -> pd.DataFrame:
    """Run models on groups of people held out as a profile says, or load what is stored.

    Returns:
        one row per run: name, seed, val_ids, val_probs, copy_people, copy_labels, copy_probs,
        failed (to learn its training images), … as in the store.
    """
    method = ["ours", METHOD, N_COPIES, DISTORT_SEED, renderer_digest()]
    profile, rows = PROFILES[config.profile], []
    for name, model in models.items():
        papers = isinstance(model, Experiment)
        row = profile.limit(model) if papers else shorten(model, config.profile)
        network = row if papers else Experiment(model=row.network, head="logit")
        row = Run(
            name=name,
            row=row,
            settings={"method": method, "recipe": row.settings() if papers else asdict(row)},
            work=_fit_paper if papers else _fit,
            engine="compiled" if papers else f"reference-{config.device}",
            fingerprint=fingerprint(network, faces, "person"),
            scheme="groups",
        )
        rows.append(row)
    n_seeds = min(config.n_seeds, N_SEEDS)
    runs = spread(rows, faces, n_seeds=n_seeds, max_folds=profile.n_folds)
    return run_study(runs, faces, store=store, jobs=config.n_jobs, label=label)


def _fit_paper(run: Run, faces: FaceSet, split: Split) -> dict[str, Any]:
    done, columns = trained(run, faces, split)
    failed = outcome(done.history["train_acc"]) != "learned"
    found = _judged(ensemble_of(run.row, done), faces.subset(split.val))
    return columns | found | {"failed": failed}


def _fit(run: Run, faces: FaceSet, split: Split) -> dict[str, Any]:
    recipe, device = run.row, run.engine.partition("-")[2]
    started = time.perf_counter()
    model = fit_model(recipe, faces.subset(split.train), seed=run.seed, device=device)
    seconds = time.perf_counter() - started  # next to none where the cache had the networks
    settings = {"model": recipe.network, "recipe": json.dumps(asdict(recipe), sort_keys=True)}
    found = _judged(model, faces.subset(split.val))
    return settings | found | {"failed": False, "seconds": seconds}


def _judged(model: Ensemble, others: FaceSet) -> dict[str, list]:
    copies = distort(others, seed=DISTORT_SEED, n_copies=N_COPIES)
    return {
        "val_probs": model.predict(others.images).tolist(),
        "copy_people": copies.subjects.tolist(),
        "copy_labels": copies.labels.tolist(),
        "copy_probs": np.float32(model.predict(copies.images)).tolist(),
    }
