"""Controls: what a look-up table reaches, labels that mean nothing, and λ in other optimisers."""

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import RidgeClassifierCV
from sklearn.neighbors import KNeighborsClassifier

from sglib.data.faces import FaceSet
from sglib.data.splits import Split, make_split, n_folds
from sglib.studies.fingerprint import fingerprint
from sglib.studies.profiles import PROFILES, Config
from sglib.studies.run import Run, columns_of, run, run_study, spread
from sglib.studies.tables import study
from sglib.training.fit import fit_data
from sglib.training.reference import ADAM, fit_reference
from sglib.training.schedule import make_schedule

REFERENCES = {
    "the nearest photograph's label": KNeighborsClassifier(1),
    "ridge regression on the pixels": RidgeClassifierCV((0.1, 1, 10, 100, 1000)),
    "always the same answer": DummyClassifier(strategy="most_frequent"),
}
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)  # of labels that are wrong; at one half they say nothing
# optimiser and learning rate; plain SGD needs a larger one to learn at all
OPTIMISERS = {"Adam": (ADAM, 0.002), "AdamW": (torch.optim.AdamW, 0.002)}
OPTIMISERS["SGD"] = (torch.optim.SGD, 0.1)
DECAYS = (0.0, 1e-6, 1e-4)


def references(faces: FaceSet, config: Config) -> pd.DataFrame:
    """Return the accuracy of methods that learn no features, on the splits of the study.

    Returns:
        one row per reference and split: reference, scheme ("kfold", at most ten repetitions, or
        "person"), seed, fold, val_acc, n_val.
    """
    pixels = faces.images.reshape(len(faces), -1) / 255  # (N, 960)
    rows = []
    for scheme, n_seeds in (("kfold", min(config.n_seeds, 10)), ("person", 1)):
        for seed in range(n_seeds):
            for fold in range(n_folds(scheme, faces)):
                split = make_split(faces, scheme, fold=fold, split_seed=seed)
                for name, model in REFERENCES.items():
                    model.fit(pixels[split.train], faces.labels[split.train])
                    right = model.score(pixels[split.val], faces.labels[split.val])
                    row = {"reference": name, "scheme": scheme, "seed": seed, "fold": fold}
                    rows.append(row | {"val_acc": right, "n_val": len(split.val)})
    return pd.DataFrame(rows)


def with_wrong_labels(faces: FaceSet, share: float, *, seed: int = 0) -> FaceSet:
    """Return the set with the labels of a random `share` in [0, 1] of the images exchanged."""
    rng = np.random.default_rng(seed)
    wrong = rng.permutation(len(faces))[: round(share * len(faces))]
    labels = faces.labels.copy()
    labels[wrong] = 1 - labels[wrong]
    return replace(faces, name=f"{faces.name}, {share:.0%} wrong labels {seed}", labels=labels)


def random_labels(faces: FaceSet, config: Config) -> pd.DataFrame:
    """Train study `baseline` with a share `noise` of wrong labels: how much can it memorise?

    At most five repetitions. Source: Zhang, Bengio, Hardt, Recht & Vinyals 2017 (ICLR).
    """
    few = replace(config, seeds=min(config.n_seeds, 5))
    runs = [run("baseline", with_wrong_labels(faces, s), few).assign(noise=s) for s in SHARES]
    return pd.concat(runs, ignore_index=True)


def permutations(faces: FaceSet, config: Config, *, n: int = 20) -> pd.DataFrame:
    """Train study `baseline` once on each `permutation` of the labels: nothing can be learned."""
    parts = []
    for number in range(n):
        labels = np.random.default_rng(number).permutation(faces.labels)
        shuffled = replace(faces, name=f"{faces.name}, permutation {number}", labels=labels)
        found = run("baseline", shuffled, replace(config, seeds=1))
        parts.append(found.assign(permutation=number))
    return pd.concat(parts, ignore_index=True)


def decays(faces: FaceSet, config: Config) -> pd.DataFrame:
    """Train ConvNN_2 with the same λ as weight decay of Adam, AdamW and SGD: 5 seeds, one fold.

    Returns:
        one row per run: optimiser, l2, seed, fc1_norm (Euclidean, after the last epoch), and the
        columns of `studies.run.run`.
    """
    short = PROFILES[config.profile].shorten(study("l2"))
    base = next(row for row in short.rows if row.name == "baseline50_2")
    rows = []
    for optimiser, (_, lr) in OPTIMISERS.items():
        for l2 in DECAYS:
            row = replace(base, name=f"{optimiser}, λ = {l2:g}", l2=l2, lr=lr)
            settings = row.settings() | {"optimiser": optimiser}
            code = fingerprint(row, faces, "kfold")
            work = functools.partial(_decayed, optimiser=optimiser)
            rows.append(Run(row.name, row, settings, work, "reference-cpu", code, "kfold"))
    runs = spread(rows, faces, n_seeds=min(config.n_seeds, 5), max_folds=1)
    return run_study(runs, faces, jobs=config.n_jobs, label="weight decay")


def _decayed(unit: Run, faces: FaceSet, split: Split, *, optimiser: str) -> dict[str, Any]:
    schedule = make_schedule(unit.row, len(split.train), (unit.seed, unit.fold))
    make, _ = OPTIMISERS[optimiser]
    done = fit_reference(unit.row, fit_data(faces, split), schedule, make_optimizer=make)
    norm = float(np.linalg.norm(done.weights["fc1.weight"]))
    return columns_of(unit.row, done) | {"optimiser": optimiser, "fc1_norm": norm}
