"""Models of people they were not trained on, for what needs a network and not stored answers.

People are split into groups; each model is trained without one group, for each group in turn. So
every photograph has a network that never saw the person on it.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sglib import SglibError
from sglib.data.faces import FaceSet
from sglib.data.splits import make_split
from sglib.models.ensemble import Ensemble
from sglib.studies.final import ensemble_of
from sglib.studies.fingerprint import one_thread
from sglib.studies.ours import SHIPPED, shorten
from sglib.studies.profiles import PROFILES, Config
from sglib.studies.tables import study
from sglib.training.fit import fit_until_learned
from sglib.training.recipe import fit_model

PAPER, PAPER_ROW = "paper", "final_1"  # the paper's final model, here and among the experiments


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Models that were trained without one group of people.

    Args:
        rows: int64 (n,), sorted row numbers of the group's images in the set.
        models: name → what answers; from a single view where `models[name].one_view()` is asked.
    """

    rows: np.ndarray
    models: dict[str, Ensemble]


def heldout_models(
    faces: FaceSet,
    config: Config,
    *,
    n_groups: int = 4,
    seed: int = 0,
    rows: Sequence[str] = (PAPER, "base"),
) -> list[HeldOut]:
    """Train the paper's final model and ours without each group of people.

    Args:
        faces: a labelled set whose people are known.
        config: its profile limits epochs and groups, its device is where the networks are.
        n_groups: the sorted people are dealt to so many groups in turn, 2 or more.
        seed: of every draw; of the paper's model the first of `fit.fit_until_learned`.
        rows: "paper" and names in `ours.SHIPPED`.

    Returns:
        one entry per group; each image of the set is in the `rows` of exactly one.

    Raises:
        SglibError: an unknown row, labels or people missing, fewer than two groups or people.
    """
    wrong = [name for name in rows if name != PAPER and name not in SHIPPED]
    if wrong or not rows:
        known = ", ".join([PAPER, *SHIPPED])
        raise SglibError(f"rows must be some of {known}, got {', '.join(wrong) or 'none'}")
    made = []
    n_groups = min(n_groups, PROFILES[config.profile].n_folds or sys.maxsize)
    for people in people_groups(faces, n_groups):
        held = np.isin(faces.subjects, people)
        known, models = faces.subset(~held), {}
        with one_thread(config.device == "cpu"):
            for name in rows:
                if name == PAPER:
                    models[name] = _paper_model(known, config, seed)
                else:
                    recipe = shorten(SHIPPED[name], config.profile)
                    models[name] = fit_model(recipe, known, seed=seed, device=config.device)
        made.append(HeldOut(np.flatnonzero(held), models))
    return made


def people_groups(faces: FaceSet, n_groups: int) -> list[tuple[str, ...]]:
    """Deal the set's people, sorted by name, to groups in turn; at most one group per person."""
    if faces.labels is None or faces.subjects is None:
        lack = "labels" if faces.labels is None else "people"
        raise SglibError(f"{faces.name}: the {lack} are not known, cannot hold people out")
    people = sorted(set(faces.subjects.tolist()))
    if n_groups < 2 or len(people) < 2:
        raise SglibError(f"needs 2 or more groups of people, got {n_groups} of {len(people)}")
    count = min(n_groups, len(people))
    return [tuple(people[first::count]) for first in range(count)]


def _paper_model(faces: FaceSet, config: Config, seed: int) -> Ensemble:
    """Return the paper's final ConvNN_1, trained on a set."""
    rows = PROFILES[config.profile].shorten(study("final")).rows
    row = next(row for row in rows if row.name == PAPER_ROW)
    split = make_split(faces, "all")
    _, done = fit_until_learned(row, faces, split, seed=seed, device=config.device)
    return ensemble_of(row, done).to(config.device)
