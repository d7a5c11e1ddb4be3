"""Models of people they were not trained on, for what needs a network and not stored answers.

Each model is trained without one group of people, for each group in turn. So every photograph has
a network that never saw the person on it.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sglib import SglibError
from sglib.data.faces import FaceSet
from sglib.data.splits import make_split, n_folds
from sglib.models.ensemble import Ensemble
from sglib.studies.final import ensemble_of
from sglib.studies.fingerprint import one_thread
from sglib.studies.ours import SHIPPED, shorten
from sglib.studies.profiles import PROFILES, Config
from sglib.studies.tables import BY_NAME
from sglib.training.fit import fit_until_learned
from sglib.training.recipe import fit_model

PAPER, PAPER_ROW = "paper", "final_1"  # the paper's final model, here and among the experiments


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Models that were trained without one group of people.

    Args:
        rows: int64 (n,), sorted row numbers of the group's images in the set.
        models: name → what answers.
    """

    rows: np.ndarray
    models: dict[str, Ensemble]


def heldout_models(
    faces: FaceSet, config: Config, *, seed: int = 0, rows: Sequence[str] = (PAPER, "base")
) -> list[HeldOut]:
    """Train the paper's final model and ours without each group of people.

    Args:
        faces: a labelled set whose people are known.
        config: its profile limits epochs and groups, its device is where the networks are.
        seed: of every draw; of the paper's model the first of `fit.fit_until_learned`.
        rows: "paper" and names in `ours.SHIPPED`.

    Returns:
        one entry per fold of the scheme `groups`; each image is in the `rows` of one at most.

    Raises:
        SglibError: an unknown row, labels or people missing.
    """
    wrong = [name for name in rows if name != PAPER and name not in SHIPPED]
    if wrong or not rows:
        known = ", ".join([PAPER, *SHIPPED])
        raise SglibError(f"rows must be some of {known}, got {', '.join(wrong) or 'none'}")
    made = []
    limit = PROFILES[config.profile].n_folds or sys.maxsize
    for fold in range(min(n_folds("groups", faces), limit)):
        split = make_split(faces, "groups", fold=fold)
        known, models = faces.subset(split.train), {}
        with one_thread(config.device == "cpu"):
            for name in rows:
                if name == PAPER:
                    row = PROFILES[config.profile].limit(BY_NAME[PAPER_ROW])
                    whole, on = make_split(known, "all"), config.device
                    _, done = fit_until_learned(row, known, whole, seed=seed, device=on)
                    models[name] = ensemble_of(row, done).to(on)
                else:
                    recipe = shorten(SHIPPED[name], config.profile)
                    models[name] = fit_model(recipe, known, seed=seed, device=config.device)
        made.append(HeldOut(split.val, models))
    return made
