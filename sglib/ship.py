"""Trains the models that ship with the package and writes their files."""

import dataclasses
from pathlib import Path

from sglib import weight_files
from sglib.errors import SglibError
from sglib.faceset import FaceSet
from sglib.final import retrain
from sglib.profiles import Config
from sglib.shipped import RECIPES, fit_models
from sglib.weight_files import Member, ModelFile

PAPERS = {"paper_1": "final_1", "paper_2": "final_2"}
NAMES = (*PAPERS, *RECIPES)


def train_shipped(name: str, faces: FaceSet, *, seed: int = 0, device: str = "cpu") -> ModelFile:
    """Train one shipped model on a whole labelled set.

    Args:
        name: "paper_1" and "paper_2" are the paper's final configurations (§4.5), the others
            those of `shipped.RECIPES`.
        faces: the labelled set.
        seed: of every draw; an ensemble takes as many seeds as it has members.
        device: a PyTorch device.

    Raises:
        SglibError: no shipped model has this name.
    """
    if name in PAPERS:
        model = retrain(faces, Config(profile="paper", device=device), seed=seed)[PAPERS[name]]
        return dataclasses.replace(model, name=name)
    if name not in RECIPES:
        raise SglibError(f"no shipped model {name!r}; there are: {', '.join(NAMES)}")
    recipe = RECIPES[name]
    trained = fit_models(recipe, faces.images, faces.labels, seed=seed, device=device)
    return ModelFile(
        name=name,
        members=tuple(Member(recipe.network, seed=seed + place) for place in range(len(trained))),
        states=tuple(
            {key: value.cpu().numpy() for key, value in one.model.state_dict().items()}
            for one in trained
        ),
        mirror=True,
        shift=1,
        data=faces.name,
        data_digest=faces.digest,
        notes={
            "n_epochs": recipe.n_epochs,
            "twin_subjects": recipe.twin_subjects,
            "twin_epochs": recipe.twin_epochs,
            "seconds": round(sum(one.seconds for one in trained), 1),
        },
    )


def ship(name: str, faces: FaceSet, *, seed: int = 0, folder: Path | None = None) -> Path:
    """Train one shipped model and write it to `sglib/weights` (or `folder`); return the file."""
    model = train_shipped(name, faces, seed=seed)
    return weight_files.save((folder or weight_files.weights_dir()) / f"{name}.safetensors", model)
