"""Which images train and which validate: hold-out, k-fold, leave-people-out.

The drawing is scikit-learn's; this module names the schemes and checks the input.
"""

import dataclasses

import numpy as np
from sklearn.model_selection import StratifiedKFold, train_test_split

from sglib import SglibError
from sglib.data.faces import FaceSet

N_FOLDS = 5
SCHEMES = ("holdout", "kfold", "person", "all", "peopleK")


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of one training and one validation part.

    Args:
        scheme: one of `SCHEMES`.
        fold: number of the fold within the scheme, from 0.
        train, val: int64, sorted row numbers; disjoint.
    """

    scheme: str
    fold: int
    train: np.ndarray
    val: np.ndarray


def n_folds(scheme: str, faces: FaceSet) -> int:
    """Return how many folds a scheme has on this set.

    Raises:
        SglibError: unknown scheme, or the set lacks the people that `person` needs.
    """
    if scheme == "person":
        return len(_people(faces))
    if scheme == "kfold" or _n_people(scheme) is not None:
        return N_FOLDS
    if scheme in ("holdout", "all"):
        return 1
    raise SglibError(f"no split scheme {scheme!r}; there are: {', '.join(SCHEMES)}")


def make_split(faces: FaceSet, scheme: str, *, fold: int = 0, split_seed: int = 0) -> Split:
    """Split a labelled set.

    - `holdout`: the paper's 80 % / 20 % random split (§4.1), `int(0.2·N)` validation rows.
    - `kfold`: stratified 5-fold cross-validation (§2.4), shuffled by `split_seed`.
    - `person`: fold i holds out all images of the i-th person (in the order of their names).
    - `all`: every row trains, none validates (§4.5, the model that is deployed).
    - `peopleK`, such as `people4`: all images of K people drawn at random train, those of all
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
        return Split(scheme, fold, rows, rows[:0])
    if (n_people := _n_people(scheme)) is not None:
        people = _people(faces)
        if not 1 <= n_people < len(people):
            raise SglibError(f"{scheme}: {faces.name} has {len(people)} people, one must be left")
        drawn = np.random.default_rng((split_seed, fold)).permutation(people)[:n_people]
        known = np.isin(faces.subjects, drawn)
        return Split(scheme, fold, rows[known], rows[~known])
    if scheme == "person":
        held_out = faces.subjects == _people(faces)[fold]
        return Split(scheme, fold, rows[~held_out], rows[held_out])
    if scheme == "holdout":
        n_val = int(0.2 * len(faces))
        train, val = train_test_split(rows, test_size=n_val, random_state=split_seed)
    else:
        folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=split_seed)
        train, val = list(folds.split(rows, faces.labels))[fold]
    return Split(scheme, fold, np.sort(train), np.sort(val))


def _n_people(scheme: str) -> int | None:
    """Return K of `peopleK`, None for any other scheme."""
    count = scheme.removeprefix("people")
    return int(count) if scheme.startswith("people") and count.isdecimal() else None


def _people(faces: FaceSet) -> list[str]:
    if faces.subjects is None:
        raise SglibError(f"{faces.name}: who is on the images is not known, cannot hold people out")
    return sorted(set(faces.subjects.tolist()))
