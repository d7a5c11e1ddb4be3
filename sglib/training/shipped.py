"""The three models that are shipped, by name, and their training from start to end.

A network starts on the synthetic twin: thousands of rendered people, which the twelve photographed
ones are too few to stand in for. It is then trained on the photographs and stopped half-way between
the two (`Recipe.blend`). `best` averages three such networks over ten views of a picture; `base`
and `small` are one smaller network each that learned from `best` and looks again only when in
doubt.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor, nn

from sglib import SglibError
from sglib.data.faces import FaceSet
from sglib.data.synthetic import render_faces
from sglib.models.ours import build_network
from sglib.training.recipe import Recipe, fit_recipe

TWIN_SEED = 11  # of the synthetic people; not 0, the embedded default data set
N_TWIN = 4000  # synthetic people
_PRETRAIN = 1000  # added to the seed: pretraining draws from a stream of its own

Start = dict[str, Tensor]


@dataclasses.dataclass(frozen=True)
class Model:
    """A shipped model.

    Args:
        photos: how the photographs are trained on.
        twin: how the synthetic people are trained on before; None = no pretraining.
        n_networks: networks whose logits are averaged, with seeds seed, seed + 1, …
        teacher: name of the model in `SHIPPED` to learn from, or "".
        n_companions: synthetic people whose pictures the teacher is asked about as well.
        repeats: how often each photograph is among the teacher's questions in an epoch.
        mirror, shift: which other views of a picture are averaged in, see `recipe.views`.
        doubt: for which pictures; see `recipe.settle`.
    """

    photos: Recipe
    twin: Recipe | None = None
    n_networks: int = 1
    teacher: str = ""
    n_companions: int = 80
    repeats: int = 3
    mirror: bool = True
    shift: int = 1
    doubt: float | None = None

    @property
    def looks(self) -> dict[str, Any]:
        """Return how a picture is looked at, as arguments of `recipe.predict_probs`."""
        return {"mirror": self.mirror, "shift": self.shift, "doubt": self.doubt}


_TWIN = Recipe(network="base", n_epochs=8, batch_size=64, lr=4e-3)
_PHOTOS = Recipe(network="base", n_epochs=80, blend=0.5)


def _student(network: str, *, doubt: float) -> Model:
    """One network that learned from `best` and looks again only where it is in doubt."""
    return Model(
        photos=Recipe(network=network, n_epochs=20, batch_size=64, blend=0.7),
        twin=dataclasses.replace(_TWIN, network=network),
        teacher="best",
        doubt=doubt,
    )


SHIPPED: dict[str, Model] = {
    "small": _student("small", doubt=4.0),
    "base": _student("light", doubt=1.5),
    "best": Model(photos=_PHOTOS, twin=_TWIN, n_networks=3),
}


def get_shipped(name: str) -> Model:
    """Return a shipped model's settings.

    Raises:
        SglibError: there is none of this name.
    """
    if name not in SHIPPED:
        raise SglibError(f"no model {name!r}; there are: {', '.join(SHIPPED)}")
    return SHIPPED[name]


@functools.cache
def twin_faces(n_subjects: int = N_TWIN) -> FaceSet:
    """Return the synthetic people of the pretraining, rendered once per process."""
    return render_faces(seed=TWIN_SEED, n_subjects=n_subjects, name="synthetic-pretrain")


def pretrain(
    twin: Recipe | None, seed: int, device: str = "cpu", *, n_subjects: int | None = None
) -> Start | None:
    """Train on the synthetic people (default: `N_TWIN`) and return the weights; None for None.

    No photograph enters, so one result serves every fold of a cross-validation.
    """
    if twin is None:
        return None
    faces = twin_faces(n_subjects or N_TWIN)
    assert faces.labels is not None
    trained = fit_recipe(twin, faces.images, faces.labels, seed=_PRETRAIN + seed, device=device)
    return trained.model.state_dict()


def needed_starts(model: Model, seed: int) -> list[tuple[Recipe, int]]:
    """Return the pretrainings, recipe and seed, that `fit_shipped` will ask for."""
    members = range(seed, seed + model.n_networks)
    found = [(model.twin, one) for one in members] if model.twin is not None else []
    if model.teacher:
        for one in members:
            found += needed_starts(get_shipped(model.teacher), one)
    return list(dict.fromkeys(found))


def fit_shipped(
    model: Model,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    seed: int = 0,
    device: str = "cpu",
    start: Callable[[Recipe | None, int, str], Start | None] = pretrain,
) -> list[nn.Module]:
    """Train a shipped model from start to end and return its networks, in eval mode.

    Args:
        model: a value of `SHIPPED`.
        images: uint8 (N, 30, 32).
        labels: int64 (N,), 1 = sunglasses.
        seed: of the first network.
        device: a PyTorch device.
        start: stands in for `pretrain`, for example one that keeps its results.
    """
    networks = []
    for one in range(seed, seed + model.n_networks):
        initial = start(model.twin, one, device)
        shown, truth, teachers = images, labels, []
        if model.teacher:
            teachers = fit_shipped(
                get_shipped(model.teacher), images, labels, seed=one, device=device, start=start
            )
            companions = _companions(model.n_companions)
            shown = np.concatenate([*[images] * model.repeats, companions.images])
            truth = np.concatenate([*[labels] * model.repeats, companions.labels])
        if model.photos.n_epochs == 0 and initial is not None:  # the twin alone, no photograph
            network = build_network(model.photos.network)
            network.load_state_dict(initial)
            networks.append(network.eval())
            continue
        trained = fit_recipe(
            model.photos,
            shown,
            truth,
            seed=one,
            device=device,
            initial=initial,
            teachers=teachers,
        )
        networks.append(trained.model)
    return networks


def _companions(n_subjects: int) -> FaceSet:
    return render_faces(seed=TWIN_SEED, n_subjects=n_subjects, first=N_TWIN, name="companions")
