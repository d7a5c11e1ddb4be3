"""Recipes on people held out: the units, runs and tables behind notebook 07.

A unit trains one recipe without one person and predicts that person's photographs, clean and in
distorted copies like the course set's test images. Runs go to the same store as all others.
"""

import dataclasses
import functools
import hashlib
import json
import sys
from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from sglib.augment import METHODS
from sglib.data import renderer_digest
from sglib.faceset import FaceSet
from sglib.networks import build_network
from sglib.origin import run_facts
from sglib.paths import cache_dir
from sglib.people import compare_people, person_interval
from sglib.policies import POLICIES, Chain
from sglib.profiles import PROFILES, Config
from sglib.recipe import Recipe, fit_recipe, predict_probs
from sglib.shipped import RECIPES, pretrain
from sglib.splits import make_split, n_folds
from sglib.store import RunStore
from sglib.study import run_study
from sglib.synthetic import distort
from sglib.units import one_thread

METHOD = 1  # enters every key: raise it when the same recipe comes to give other numbers
N_COPIES = 10  # distorted copies of each held-out photograph
N_SEEDS = {"smoke": 1, "paper": 1, "full": 3}  # of a profile, unless seeds are asked for
DISTORT_SEED = 77  # the same copies for every recipe and run


@dataclasses.dataclass(frozen=True)
class RecipeUnit:
    """One recipe trained without one person, not yet done; see `units.Unit`.

    Args:
        name: of the row.
        recipe: what is trained.
        fold: which person is held out.
        seed: of every draw.
        data, digest: name and digest of the set.
        engine: recipes run on PyTorch.
    """

    name: str
    recipe: Recipe
    fold: int
    seed: int
    data: str
    digest: str
    engine: str = "reference-cpu"
    section: str = ""

    @functools.cached_property
    def key(self) -> str:
        """Return the hash of what determines the result."""
        determines = {
            "method": ["recipe", METHOD, N_COPIES, DISTORT_SEED],
            "recipe": dataclasses.asdict(self.recipe),
            "policy": type(self.recipe.policy).__name__,
            "renderer": renderer_digest(),  # draws the copies, and the people to start from
            "digest": self.digest,
            "fold": self.fold,
            "seed": self.seed,
        }
        return hashlib.sha256(json.dumps(determines, sort_keys=True).encode()).hexdigest()[:32]


def plan_recipes(
    recipes: Mapping[str, Recipe], faces: FaceSet, *, n_seeds: int, max_people: int | None = None
) -> list[RecipeUnit]:
    """List the runs: every recipe × person held out × seed, seeds outermost."""
    people = range(min(n_folds("person", faces), max_people or sys.maxsize))
    return [
        RecipeUnit(name, recipe, fold, seed, faces.name, faces.digest)
        for seed in range(n_seeds)
        for name, recipe in recipes.items()
        for fold in people
    ]


def run_recipe_unit(unit: RecipeUnit, faces: FaceSet) -> dict[str, object]:
    """Do one run and return its row for the store."""
    split = make_split(faces, "person", fold=unit.fold)
    images, labels = faces.images[split.train], faces.labels[split.train]
    held_out = faces.subset(split.val)
    copies = distort(held_out, seed=DISTORT_SEED, n_copies=N_COPIES)
    recipe = unit.recipe
    models, seconds = [], 0.0
    with one_thread(True):
        for member in range(recipe.n_models):
            seed = unit.seed * recipe.n_models + member
            start = starting_point(recipe, seed)
            if recipe.n_epochs == 0:  # the twin alone, no photograph
                model = build_network(recipe.network)
                model.load_state_dict(start)
                models.append(model.eval())
                continue
            trained = fit_recipe(recipe, images, labels, seed=seed, initial=start)
            models.append(trained.model)
            seconds += trained.seconds
        probs = predict_probs(models, held_out.images)
        copy_probs = predict_probs(models, copies.images)
    return {
        "key": unit.key,
        "name": unit.name,
        "recipe": json.dumps(dataclasses.asdict(recipe), sort_keys=True),
        "data": unit.data,
        "digest": unit.digest,
        "scheme": "person",
        "fold": unit.fold,
        "subject": str(held_out.subjects[0]),
        "seed": unit.seed,
        "n_train": len(split.train),
        "val_ids": held_out.ids.tolist(),
        "val_probs": probs.tolist(),
        "copy_acc": float(((copy_probs > 0.5) == (copies.labels == 1)).mean()),
        "copy_probs": np.float32(copy_probs).tolist(),
        "copy_labels": copies.labels.tolist(),
        "seconds": seconds,
        **run_facts(),
    }


def starting_point(recipe: Recipe, seed: int) -> dict[str, torch.Tensor] | None:
    """Return the weights that `shipped.pretrain` gives, from the cache where they are; or None.

    No photograph enters them, so one pretraining serves every person held out.
    """
    if not recipe.twin_subjects:
        return None
    relevant = dataclasses.asdict(dataclasses.replace(recipe, n_epochs=1, n_models=1))
    text = json.dumps([relevant, seed, renderer_digest()], sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:24]
    path = cache_dir() / "pretrained" / f"{name}.safetensors"
    if not path.exists():
        state = pretrain(recipe, seed=seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{seed}.tmp")
        save_file({key: value.contiguous() for key, value in state.items()}, temporary)
        temporary.replace(path)
    return load_file(path)


def run_recipes(
    recipes: Mapping[str, Recipe],
    faces: FaceSet,
    config: Config,
    *,
    label: str = "recipes",
    store: RunStore | None = None,
) -> pd.DataFrame:
    """Run recipes on people held out as a profile says, or load what is stored.

    Returns:
        one row per run: name, subject, seed, val_ids, val_probs, copy_acc, … as in the store.
    """
    recipes = {name: _shorten(recipe, config) for name, recipe in recipes.items()}
    max_people = PROFILES[config.profile].n_folds
    units = plan_recipes(recipes, faces, n_seeds=config.n_seeds, max_people=max_people)
    store = store or RunStore()
    done = store.keys()
    todo = {(unit.recipe, unit.seed) for unit in units if unit.key not in done}
    for recipe, seed in sorted(todo, key=repr):  # once, before the workers start
        for member in range(recipe.n_models):
            starting_point(recipe, seed * recipe.n_models + member)
    return run_study(
        units, faces, store=store, jobs=config.n_jobs, label=label, work=run_recipe_unit
    )


def repeat(config: Config) -> Config:
    """Return the config with the repetitions of a recipe: fewer than of the paper's runs.

    A recipe's run takes minutes where the paper's takes a second; people, not seeds, are what the
    intervals are over.
    """
    return dataclasses.replace(config, seeds=n_seeds(config))


def n_seeds(config: Config) -> int:
    """Return how often each recipe is run: as asked, else `N_SEEDS` of the profile."""
    return config.seeds or N_SEEDS[config.profile]


def _shorten(recipe: Recipe, config: Config) -> Recipe:
    """Return the recipe with the profile's limit on epochs; the smoke profile has a tiny twin."""
    most = PROFILES[config.profile].max_epochs
    if most is None:
        return recipe
    twin = min(recipe.twin_subjects, 12)
    return dataclasses.replace(
        recipe,
        n_epochs=min(recipe.n_epochs, most),
        twin_subjects=twin,
        twin_epochs=min(recipe.twin_epochs, 1),
        n_models=min(recipe.n_models, 2),
    )


def per_person(frame: pd.DataFrame, faces: FaceSet) -> pd.DataFrame:
    """Return accuracy per person and row, seeds averaged.

    Returns:
        index subject; columns (name, "clean") and (name, "copies").
    """
    truth = dict(zip(faces.ids.tolist(), faces.labels.tolist(), strict=True))
    clean = [
        np.mean([(prob > 0.5) == truth[name] for name, prob in zip(ids, probs, strict=True)])
        for ids, probs in zip(frame["val_ids"], frame["val_probs"], strict=True)
    ]
    values = frame[["name", "subject"]].assign(clean=clean, copies=frame["copy_acc"])
    table = values.pivot_table(index="subject", columns="name", values=["clean", "copies"])
    return table.swaplevel(axis=1)[
        [(name, kind) for name in dict.fromkeys(frame["name"]) for kind in ("clean", "copies")]
    ]


def recipe_table(
    frame: pd.DataFrame, faces: FaceSet, *, reference: str | None = None
) -> pd.DataFrame:
    """Return accuracy on people not seen per row, and the paired difference to a reference row.

    Args:
        frame: from `run_recipes`.
        faces: the set.
        reference: name of a row.

    Returns:
        index name: clean, low, high (Wilson over people), worst person, copies, and with a
        reference difference, diff_low, diff_high (on the copies, t over people), p (exact sign
        flips), n_people, n_seeds, seconds.
    """
    people = per_person(frame, faces)
    rows = {}
    for name in dict.fromkeys(frame["name"]):
        clean, copies = people[(name, "clean")].dropna(), people[(name, "copies")].dropna()
        interval = person_interval(clean.to_numpy(), kind="rate")
        one = frame[frame["name"] == name]
        row = {
            "clean": interval.mean,
            "low": interval.low,
            "high": interval.high,
            "worst": clean.min(),
            "copies": copies.mean(),
        }
        if reference is not None:
            found = compare_people(copies, people[(reference, "copies")].dropna())
            row |= {
                "difference": found.effect,
                "diff_low": found.interval.low,
                "diff_high": found.interval.high,
                "p": found.p,
            }
        row |= {
            "n_people": len(clean),
            "n_seeds": one["seed"].nunique(),
            "seconds": one["seconds"].mean(),
        }
        rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index")


_BASE = RECIPES["base"]
ABLATION: dict[str, Recipe] = {
    # What each part of the recipe is worth; row 1 is the reference.
    "base": _BASE,
    "no twin": dataclasses.replace(_BASE, twin_subjects=0),
    "twin only": dataclasses.replace(_BASE, n_epochs=0),
    "no augmentation": dataclasses.replace(_BASE, policy=POLICIES["none"]),
    "ConvNN_1": dataclasses.replace(_BASE, network="ConvNN_1", lr=1e-3),
    "ConvNN_1, no twin": dataclasses.replace(_BASE, network="ConvNN_1", lr=1e-3, twin_subjects=0),
}

_PLAIN = Recipe(network="ConvNN_1", policy=POLICIES["none"], n_epochs=100, lr=1e-3)
_ALL = tuple((name, method.usual) for name, method in METHODS.items())
TABLE_1: dict[str, Recipe] = {
    # The nine methods of the paper's Table 1 on the paper's ConvNN_1 (logit head): none, all, each
    # alone, all but one.
    "none": _PLAIN,
    "all": dataclasses.replace(_PLAIN, policy=Chain(_ALL)),
    **{
        f"only {name}": dataclasses.replace(_PLAIN, policy=Chain(((name, strength),)))
        for name, strength in _ALL
    },
    **{
        f"without {name}": dataclasses.replace(
            _PLAIN, policy=Chain(tuple(part for part in _ALL if part[0] != name))
        )
        for name, _ in _ALL
    },
}
