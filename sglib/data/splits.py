"""Which images train and which validate: hold-out, k-fold, leave-people-out.

The drawing is scikit-learn's; this module names the schemes and checks the input.
"""

from typing import NamedTuple

import numpy as np
from sklearn.model_selection import StratifiedKFold, train_test_split

from sglib import SglibError
from sglib.data.faces import FaceSet

N_FOLDS, N_GROUPS = 5, 4
PEOPLE_BY = ("by picture", "by person")  # how `people_split` divides
SCHEMES = ("holdout", "kfold", "person", "groups", "all")  # and people1, people2, …


class Split(NamedTuple):
    """Row numbers of a training and a validation part: int64, sorted, disjoint."""

    train: np.ndarray
    val: np.ndarray


def n_folds(scheme: str, faces: FaceSet) -> int:
    """Return how many folds a scheme has on this set; `SglibError` where it cannot be used."""
    if scheme in ("holdout", "all"):
        return 1
    if scheme in ("person", "groups"):
        n = len(_people(faces))
        return n if scheme == "person" else min(n, N_GROUPS)
    if scheme != "kfold" and not 1 <= _n_known(scheme) < len(_people(faces)):
        n = len(_people(faces))
        raise SglibError(f"{scheme}: {faces.name} has {n} people, one must be left")
    return N_FOLDS


def make_split(faces: FaceSet, scheme: str, *, fold: int = 0, split_seed: int = 0) -> Split:
    """Split a labelled set.

    - `holdout`: the paper's 80 % / 20 % random split (§4.1), `int(0.2·N)` validation rows.
    - `kfold`: stratified 5-fold cross-validation (§2.4), shuffled by `split_seed`.
    - `person`: fold i holds out all images of the i-th person (in the order of their names).
    - `groups`: the people are dealt to 4 groups in turn, fold i holds out the i-th group.
    - `all`: every row trains, none validates (§4.5, the model that is deployed).
    - `people4`, or any other number: all images of 4 people drawn at random train, those of all
      others validate; 5 draws count as folds (for learning curves).

    Raises:
        SglibError: unknown scheme, a fold out of range, labels or people missing.
    """
    count = n_folds(scheme, faces)
    if not 0 <= fold < count:
        raise SglibError(f"fold must be in [0, {count - 1}] for {scheme}, got {fold}")
    if faces.labels is None:
        raise SglibError(f"{faces.name}: the labels are held back, cannot split")
    rows = np.arange(len(faces))
    if scheme == "all":
        return Split(rows, rows[:0])
    if scheme == "holdout":
        n_val = int(0.2 * len(faces))
        parts = train_test_split(rows, test_size=n_val, random_state=split_seed)
        return Split(*map(np.sort, parts))
    if scheme == "kfold":
        folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=split_seed)
        return Split(*list(folds.split(rows, faces.labels))[fold])
    people = _people(faces)
    if scheme in ("person", "groups"):
        held = people[fold :: len(people) if scheme == "person" else N_GROUPS]
        known = ~np.isin(faces.subjects, held)
    else:
        drawn = np.random.default_rng((split_seed, fold)).permutation(people)
        known = np.isin(faces.subjects, drawn[: _n_known(scheme)])
    return Split(rows[known], rows[~known])


def people_split(faces: FaceSet, by: str, n_people: int, *, seed: int = 0) -> Split:
    """Return a split that trains on some of the people.

    Args:
        faces: the labelled set.
        by: "by person": all pictures of `n_people` train, those of the others validate; "by
            picture": of the same people's pictures, four of five train and one validates.
        n_people: fewer than there are.
        seed: of who and what is drawn.
    """
    if by not in PEOPLE_BY:
        raise SglibError(f"a split is {' or '.join(PEOPLE_BY)}, got {by!r}")
    drawn = make_split(faces, f"people{n_people}", split_seed=seed)
    if by == "by person":
        return drawn
    within = make_split(faces.subset(drawn.train), "kfold", split_seed=seed)
    return Split(drawn.train[within.train], drawn.train[within.val])


def _n_known(scheme: str) -> int:
    number = scheme.removeprefix("people")
    if not scheme.startswith("people") or not number.isdecimal():
        known = ", ".join(SCHEMES)
        raise SglibError(f"no split scheme {scheme!r}; there are: {known}, people1, people2, …")
    return int(number)


def _people(faces: FaceSet) -> list[str]:
    if faces.subjects is None:
        raise SglibError(f"{faces.name}: who is on the images is not known, cannot hold people out")
    return sorted(set(faces.subjects.tolist()))
