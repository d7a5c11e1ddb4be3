"""Trains the models that ship with the package and writes their files."""

import dataclasses
import time
from pathlib import Path

from sglib import SglibError
from sglib.data.faces import FaceSet
from sglib.models import files as model_files
from sglib.models.files import Member, ModelFile, export_onnx
from sglib.studies.final import retrain
from sglib.studies.fingerprint import one_thread
from sglib.studies.ours import SHIPPED
from sglib.studies.profiles import Config
from sglib.training.recipe import fit_model

PAPERS = {"paper_1": "final_1", "paper_2": "final_2"}
NAMES = (*PAPERS, *SHIPPED)


def train_shipped(name: str, faces: FaceSet, *, seed: int = 0, device: str = "cpu") -> ModelFile:
    """Train one shipped model on a whole labelled set.

    Args:
        name: "paper_1" and "paper_2" are the paper's final configurations (§4.5), the others
            those of `ours.SHIPPED`.
        faces: the labelled set.
        seed: of every draw, see `recipe.fit_model`.
        device: a PyTorch device.

    Raises:
        SglibError: no shipped model has this name.
    """
    if name in PAPERS:
        model = retrain(faces, Config(profile="paper", device=device), seed=seed)[PAPERS[name]]
        return dataclasses.replace(model, name=name)
    if name not in SHIPPED:
        raise SglibError(f"no shipped model {name!r}; there are: {', '.join(NAMES)}")
    recipe = SHIPPED[name]
    first = seed * recipe.n_networks
    started = time.perf_counter()
    with one_thread(device == "cpu"):  # as the runs on people held out were made
        model = fit_model(recipe, faces, seed=seed, device=device)
    seconds = round(time.perf_counter() - started, 1)
    return ModelFile(
        name=name,
        members=tuple(Member(recipe.network, seed=first + i) for i in range(recipe.n_networks)),
        states=tuple(
            {key: value.cpu().numpy() for key, value in one.state_dict().items()}
            for one in model.networks
        ),
        mirror=recipe.mirror,
        data=faces.name,
        data_digest=faces.digest,
        notes={"recipe": dataclasses.asdict(recipe), "seconds": seconds},
    )


def ship(name: str, faces: FaceSet, *, seed: int = 0, folder: Path | None = None) -> Path:
    """Train one shipped model, write it as safetensors and ONNX, and return the first path.

    Args:
        name, faces, seed: as for `train_shipped`.
        folder: default `sglib/weights`.
    """
    model = train_shipped(name, faces, seed=seed)
    path = model_files.save((folder or model_files.weights_dir()) / f"{name}.safetensors", model)
    export_onnx(path.with_suffix(".onnx"), model)
    return path
