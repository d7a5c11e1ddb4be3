"""Models on people they were not trained on, for what needs a network and not stored answers.

People are split into groups; each model is trained without one group, for each group in turn. So
every photograph has a network that never saw the person on it.
"""

import dataclasses
import functools
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sglib import SglibError
from sglib.data.faces import FaceSet
from sglib.data.splits import Split
from sglib.models.networks import build_model
from sglib.studies.final import fit_until_learned
from sglib.studies.fingerprint import one_thread
from sglib.studies.ours import n_twin, shorten
from sglib.studies.profiles import PROFILES, Config
from sglib.studies.tables import study
from sglib.training.pretrained import starting_point
from sglib.training.recipe import predict_probs
from sglib.training.settings import Experiment
from sglib.training.shipped import SHIPPED, Model, fit_shipped

PAPER = "paper"  # the name of the paper's final model here
PAPER_ROW = "final_1"  # what it is called among the experiments


@dataclasses.dataclass(frozen=True, eq=False)
class HeldOut:
    """Models that were trained without one group of people.

    Args:
        group: number of the group, from 0.
        people: who is held out, sorted.
        rows: int64 (n,), sorted row numbers of their images in the set.
        train: int64, sorted row numbers of the images trained on.
        predict: name of a model → function of images uint8 (N, 30, 32) that returns the
            probability of sunglasses, float64 (N,), as the model answers in use. Called with
            `mirror=False, shift=0` it answers from the one view that it is given.
        networks: name → module from float images (N, 1, 30, 32) in [0, 1] to two outputs (N, 2)
            before any sigmoid or softmax, in eval mode. Several networks are averaged.
    """

    group: int
    people: tuple[str, ...]
    rows: np.ndarray
    train: np.ndarray
    predict: dict[str, Callable[..., np.ndarray]]
    networks: dict[str, nn.Module]


class Average(nn.Module):
    """The mean of several networks' outputs.

    Args:
        members: one network or more.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        """Return the outputs (B, 2) of images (B, 1, 30, 32)."""
        return torch.stack([member(images) for member in self.members]).mean(0)


class _Trained(NamedTuple):
    predict: Callable[..., np.ndarray]
    network: nn.Module


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
        seed: of every draw; of the paper's model the first of `final.fit_until_learned`.
        rows: "paper" and names in `shipped.SHIPPED`.

    Returns:
        one entry per group; each image of the set is in the `rows` of exactly one.

    Raises:
        SglibError: an unknown row, labels or people missing, fewer than two groups or people.
    """
    wrong = [name for name in rows if name != PAPER and name not in SHIPPED]
    if wrong or not rows:
        known = ", ".join([PAPER, *SHIPPED])
        raise SglibError(f"rows must be some of {known}, got {', '.join(wrong) or 'none'}")
    groups = people_groups(faces, min(n_groups, PROFILES[config.profile].n_folds or sys.maxsize))
    made = []
    with one_thread(config.device == "cpu"):
        for number, people in enumerate(groups):
            held = np.isin(faces.subjects, people)
            split = Split("groups", number, np.flatnonzero(~held), np.flatnonzero(held))
            models = {
                name: _paper_model(faces, split, config, seed=seed)
                if name == PAPER
                else _our_model(SHIPPED[name], faces, split, config, seed=seed)
                for name in rows
            }
            made.append(
                HeldOut(
                    group=number,
                    people=people,
                    rows=split.val,
                    train=split.train,
                    predict={name: model.predict for name, model in models.items()},
                    networks={name: model.network for name, model in models.items()},
                )
            )
    return made


def people_groups(faces: FaceSet, n_groups: int) -> list[tuple[str, ...]]:
    """Deal the set's people, sorted by name, to groups in turn; at most one group per person.

    Raises:
        SglibError: fewer than two groups or people, or labels or people missing.
    """
    if faces.labels is None or faces.subjects is None:
        lack = "labels" if faces.labels is None else "people"
        raise SglibError(f"{faces.name}: the {lack} are not known, cannot hold people out")
    people = sorted(set(faces.subjects.tolist()))
    if n_groups < 2 or len(people) < 2:
        raise SglibError(f"needs 2 or more groups of people, got {n_groups} of {len(people)}")
    count = min(n_groups, len(people))
    return [tuple(people[first::count]) for first in range(count)]


def heldout_probs(heldout: Sequence[HeldOut], faces: FaceSet) -> dict[str, np.ndarray]:
    """Return each image's probability by the models that do not know its person.

    Args:
        heldout: from `heldout_models` of this set.
        faces: the set.

    Returns:
        name of the model → float64 (N,) in the set's order.
    """
    probs = {name: np.full(len(faces), np.nan) for name in heldout[0].predict}
    for part in heldout:
        for name, predict in part.predict.items():
            probs[name][part.rows] = predict(faces.images[part.rows])
    return probs


def paper_experiment(config: Config) -> Experiment:
    """Return the paper's final configuration of ConvNN_1, its epochs limited by the profile."""
    rows = PROFILES[config.profile].shorten(study("final")).rows
    return next(row for row in rows if row.name == PAPER_ROW)


def _paper_model(faces: FaceSet, split: Split, config: Config, *, seed: int) -> _Trained:
    row = paper_experiment(config)
    if row.scaling != "unit":
        raise SglibError(f"{row.name}: expected pixels scaled to [0, 1], got {row.scaling}")
    _, done = fit_until_learned(row, faces, split, seed=seed, device=config.device)
    state = {name: torch.from_numpy(value) for name, value in done.weights.items()}
    # The printed outputs are sigmoids. They saturate, so gradients are taken before them.
    printed, plain = (build_model(row.model, head=head) for head in (row.head, "logit"))
    for model in (printed, plain):
        model.load_state_dict(state)
        model.to(config.device).eval()
    # The paper looks at the image once, as it is.
    return _Trained(functools.partial(predict_probs, printed, mirror=False, shift=0), plain)


def _our_model(
    model: Model, faces: FaceSet, split: Split, config: Config, *, seed: int
) -> _Trained:
    networks = fit_shipped(
        shorten(model, config),
        faces.images[split.train],
        faces.labels[split.train],
        seed=seed,
        device=config.device,
        start=functools.partial(starting_point, n_twin=n_twin(config)),
    )
    predict = functools.partial(predict_probs, networks, **model.looks)
    return _Trained(predict, Average(networks).eval())
