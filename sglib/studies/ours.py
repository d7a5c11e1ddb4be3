"""Our models as rows of data: what ships, what each part is worth, Table 1; and their runs.

A run trains a model without one person and predicts that person's photographs, clean and in
distorted copies like the course set's test images. Runs go to the same store as all others.
"""

import json
import sys
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
from sglib.studies.profiles import Config
from sglib.studies.run import Run, run_study, spread
from sglib.studies.store import RunStore
from sglib.training.recipe import DISTORT_SEED, N_COPIES, Recipe, Training, fit_ours, pretrain_all
from sglib.training.settings import Experiment

METHOD = 2  # enters every key: raise it when the same recipe comes to give other numbers

_PEOPLE = Training("face28k", n_epochs=8, batch_size=64, lr=4e-3)  # synthetic ones
_PHOTOS = Training("face28k", n_epochs=80)
_BEST = Recipe(_PHOTOS, pretraining=_PEOPLE, blend=0.5, n_networks=3, mirror=True, shift=1)


def _student(network: str) -> Recipe:
    """One network that learned from `best` and looks at a picture once."""
    return Recipe(
        Training(network, n_epochs=20, batch_size=64),
        pretraining=replace(_PEOPLE, network=network),
        blend=0.7,
        teacher=_BEST,
    )


SHIPPED: dict[str, Recipe] = {
    "small": _student("face9k"),
    "base": _student("face17k"),
    "best": _BEST,
}

_ONE = replace(_BEST, n_networks=1)
_WHOLE = replace(_ONE, blend=1.0)
# who starts from nothing needs longer
_SCRATCH = replace(_WHOLE, pretraining=None, photographs=replace(_PHOTOS, n_epochs=200))
_BARE = {"policy": POLICIES["none"]}


def _change(recipe: Recipe, **changes: Any) -> Recipe:
    return replace(recipe, photographs=replace(recipe.photographs, **changes))


_CONVNN = _change(_SCRATCH, network="ConvNN_1", lr=1e-3)
ABLATION: dict[str, Recipe] = {
    # What each part is worth; row 1 is the reference.
    "one network": _ONE,
    "synthetic people only": _change(_WHOLE, n_epochs=0),
    "not blended": _WHOLE,
    "no synthetic people": _SCRATCH,
    "no synthetic people, not augmented": _change(_SCRATCH, **_BARE),
    "photographs not augmented": _change(_ONE, **_BARE),
    "one view": replace(_ONE, mirror=False, shift=0),
    "three networks": SHIPPED["best"],
    "taught by three (base)": SHIPPED["base"],
    "ConvNN_1, no synthetic people": _CONVNN,
    "ConvNN_1, no synthetic people, not augmented": _change(_CONVNN, **_BARE),
}

_ALL = tuple((name, method.usual) for name, method in METHODS.items())


def _with(*parts: tuple[str, float]) -> Recipe:
    return _change(_CONVNN, n_epochs=100, policy=Chain(parts))


TABLE_1: dict[str, Recipe] = {
    # The methods of the paper's Table 1 on its ConvNN_1 (logit head): none, all, each alone, all
    # but one.
    "none": _with(),
    "all": _with(*_ALL),
    **{f"only {part[0]}": _with(part) for part in _ALL},
    **{f"without {part[0]}": _with(*(p for p in _ALL if p != part)) for part in _ALL},
}

# Of a profile that shows how, not how well: synthetic people, epochs on them and on photographs,
# networks, people held out. `full` is whole.
_SHORT = {"smoke": (12, 1, 2, 2, 2), "paper": (150, 2, 15, 2, 4)}


def shorten(recipe: Recipe, profile: str) -> Recipe:
    """Return the recipe with the profile's limits; a short one learns from no teacher."""
    if profile not in _SHORT:
        return recipe
    n_people, on_people, on_photos, n_networks, _ = _SHORT[profile]
    first = recipe.pretraining and replace(recipe.pretraining, n_epochs=on_people)
    return replace(
        _change(recipe, n_epochs=min(recipe.photographs.n_epochs, on_photos)),
        pretraining=first,
        n_people=n_people,
        n_networks=min(recipe.n_networks, n_networks),
        teacher=None,
    )


def rows_for(rows: Mapping[str, Recipe], profile: str) -> dict[str, Recipe]:
    """Return the rows that a profile runs: all in `full`, else the first three."""
    return dict(rows if profile == "full" else list(rows.items())[:3])


def run_models(
    models: Mapping[str, Recipe],
    faces: FaceSet,
    config: Config,
    *,
    label: str = "models",
    store: RunStore | None = None,
) -> pd.DataFrame:
    """Run models on people held out as a profile says, or load what is stored.

    A repetition takes many seconds where the paper's takes one: one, unless `config.seeds` says.

    Returns:
        one row per run: name, subject, seed, val_ids, val_probs, copy_acc, copy_probs,
        copy_labels, … as in the store.
    """
    method = ["ours", METHOD, N_COPIES, DISTORT_SEED, renderer_digest()]
    rows = []
    for name, model in models.items():
        recipe = shorten(model, config.profile)
        network = Experiment(model=recipe.photographs.network, head="logit")
        row = Run(
            name=name,
            row=recipe,
            settings={"method": method, "recipe": asdict(recipe)},
            work=_fit,
            engine=f"reference-{config.device}",
            fingerprint=fingerprint(network, faces, "person"),
            scheme="person",
        )
        rows.append(row)
    n_people = _SHORT.get(config.profile, (sys.maxsize,))[-1]
    runs = spread(rows, faces, n_seeds=config.seeds or 1, max_folds=n_people)
    store = store or RunStore()
    done = store.keys()
    for run in runs:  # pretraining comes before the workers, who would do it side by side
        if run.key not in done:
            first = run.seed * run.row.n_networks
            pretrain_all(run.row, seed=first, device=config.device)
    return run_study(runs, faces, store=store, jobs=config.n_jobs, label=label)


def _fit(run: Run, faces: FaceSet, split: Split) -> dict[str, Any]:
    recipe = run.row
    done = fit_ours(recipe, faces, split, seed=run.seed, device=run.engine.partition("-")[2])
    return {
        "model": recipe.photographs.network,
        "recipe": json.dumps(asdict(recipe), sort_keys=True),
        "subject": str(faces.subjects[split.val[0]]),
        "val_probs": done.val_probs.tolist(),
        "copy_acc": float(((done.copy_probs > 0.5) == (done.copy_labels == 1)).mean()),
        "copy_probs": np.float32(done.copy_probs).tolist(),
        "copy_labels": done.copy_labels.tolist(),
        "seconds": done.seconds,
    }
