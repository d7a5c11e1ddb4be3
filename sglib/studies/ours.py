"""Our models as rows of data: what ships, the staircase of parts, Table 1; and their runs.

A run trains a model without a group of people and predicts their photographs, clean and in
distorted copies like the course set's test images. Runs go to the same store as all others.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd

from sglib.data.augment import METHODS, POLICIES, Chain
from sglib.data.faces import FaceSet
from sglib.data.splits import Split
from sglib.data.synthetic import renderer_digest
from sglib.studies.fingerprint import fingerprint
from sglib.studies.profiles import PROFILES, Config
from sglib.studies.run import Run, run_study, spread
from sglib.studies.store import RunStore
from sglib.training.recipe import DISTORT_SEED, N_COPIES, Recipe, fit_ours
from sglib.training.settings import Experiment

METHOD = 3  # enters every key: raise it when the same recipe comes to give other numbers
N_SEEDS = 5  # repetitions of our models in `full`: one takes a hundred times the paper's run
_SHORT = {"smoke": (2, 2), "paper": (15, 2)}  # profile → epochs and networks at most

_ONE = Recipe("face17k", n_people=1500)
_BEST = replace(_ONE, n_networks=4, mirror=True)


def _student(network: str) -> Recipe:
    """One network that learned the answers of `best` and looks at a picture once."""
    return replace(_ONE, network=network, n_epochs=80, teacher=_BEST)


SHIPPED: dict[str, Recipe] = {
    "small": _student("face9k"),
    "base": _student("face17k"),
    "best": _BEST,
}

_CONVNN = Recipe("ConvNN_1", lr=1e-3)
STAIRCASE: dict[str, Recipe] = {
    # each row has what the row above has, and one part more
    "ConvNN_1, logits": replace(_CONVNN, policy=POLICIES["none"]),
    "+ augmentation": _CONVNN,
    "+ our network": replace(_ONE, n_people=0),
    "+ synthetic people": _ONE,
    "+ mirror image": replace(_ONE, mirror=True),
    "+ four networks (best)": _BEST,
}
TAUGHT: dict[str, Recipe] = {
    # what one look of one network gains from a teacher
    "face9k": replace(_ONE, network="face9k"),
    "face9k, taught (small)": SHIPPED["small"],
    "face17k": _ONE,
    "face17k, taught (base)": SHIPPED["base"],
}

_ALL = tuple((name, method.usual) for name, method in METHODS.items())
TABLE_1: dict[str, Recipe] = {
    # the methods of the paper's Table 1 on its ConvNN_1 (logit head): none, all, each alone
    name: replace(_CONVNN, policy=Chain(parts))
    for name, parts in {"none": (), "all": _ALL, **{f"only {p[0]}": (p,) for p in _ALL}}.items()
}


def shorten(recipe: Recipe, profile: str) -> Recipe:
    """Return the recipe with the limits of a profile that shows how, not how well."""
    if profile not in _SHORT:
        return recipe
    n_epochs, n_networks = _SHORT[profile]
    return replace(
        recipe,
        n_epochs=min(recipe.n_epochs, n_epochs),
        n_networks=min(recipe.n_networks, n_networks),
        n_people=min(recipe.n_people, 12),
        teacher=recipe.teacher and shorten(recipe.teacher, profile),
    )


def run_models(
    models: Mapping[str, Recipe],
    faces: FaceSet,
    config: Config,
    *,
    label: str = "models",
    store: RunStore | None = None,
) -> pd.DataFrame:
    """Run models on groups of people held out as a profile says, or load what is stored.

    Returns:
        one row per run: name, seed, val_ids, val_probs, copy_people, copy_labels, copy_probs, …
        as in the store.
    """
    method = ["ours", METHOD, N_COPIES, DISTORT_SEED, renderer_digest()]
    rows = []
    for name, model in models.items():
        recipe = shorten(model, config.profile)
        network = Experiment(model=recipe.network, head="logit")
        row = Run(
            name=name,
            row=recipe,
            settings={"method": method, "recipe": asdict(recipe)},
            work=_fit,
            engine=f"reference-{config.device}",
            fingerprint=fingerprint(network, faces, "person"),
            scheme="groups",
        )
        rows.append(row)
    n_seeds = config.seeds or (N_SEEDS if config.profile == "full" else 1)
    runs = spread(rows, faces, n_seeds=n_seeds, max_folds=PROFILES[config.profile].n_folds)
    return run_study(runs, faces, store=store, jobs=config.n_jobs, label=label)


def _fit(run: Run, faces: FaceSet, split: Split) -> dict[str, Any]:
    recipe = run.row
    done = fit_ours(recipe, faces, split, seed=run.seed, device=run.engine.partition("-")[2])
    return {
        "model": recipe.network,
        "recipe": json.dumps(asdict(recipe), sort_keys=True),
        "val_probs": done.val_probs.tolist(),
        "copy_people": done.copies.subjects.tolist(),
        "copy_labels": done.copies.labels.tolist(),
        "copy_probs": np.float32(done.copy_probs).tolist(),
        "seconds": done.seconds,
    }
