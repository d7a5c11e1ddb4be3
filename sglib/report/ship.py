"""Trains the models that ship with the package and writes their files."""

import dataclasses
import time
from pathlib import Path

from sglib import SglibError
from sglib.analysis.calibration import copies, fit_temperature
from sglib.data.faces import FaceSet
from sglib.models import files as model_files
from sglib.models.files import Member, ModelFile, export_onnx
from sglib.studies.final import retrain
from sglib.studies.fingerprint import one_thread
from sglib.studies.ours import SHIPPED, run_models
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
        seed: of every draw; an ensemble takes as many seeds as it has members.
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
    started = time.perf_counter()
    with one_thread(device == "cpu"):  # as the runs on people held out were made
        model = fit_model(recipe, faces, seed=seed, device=device)
    seconds = round(time.perf_counter() - started, 1)
    network = recipe.photographs.network
    return ModelFile(
        name=name,
        members=tuple(Member(network, seed=seed + i) for i in range(recipe.n_networks)),
        states=tuple(
            {key: value.cpu().numpy() for key, value in one.state_dict().items()}
            for one in model.networks
        ),
        mirror=recipe.mirror,
        shift=recipe.shift,
        data=faces.name,
        data_digest=faces.digest,
        notes={"recipe": dataclasses.asdict(recipe), "seconds": seconds},
    )


def calibrated(model: ModelFile, faces: FaceSet) -> ModelFile:
    """Return the model with the temperature that fits people held out.

    The runs without each person are loaded from the store, or made first: as long as twelve
    trainings.
    """
    config = Config(profile="full", seeds=1)
    runs = run_models({model.name: SHIPPED[model.name]}, faces, config, label="calibration")
    labels, logits, _ = copies(runs, model.name)
    notes = {**model.notes, "calibrated on": f"{len(labels)} copies of people held out"}
    return dataclasses.replace(model, temperature=fit_temperature(labels, logits), notes=notes)


def ship(name: str, faces: FaceSet, *, seed: int = 0, folder: Path | None = None) -> Path:
    """Train one shipped model, calibrate ours, write it as safetensors and ONNX; return the first.

    Args:
        name, faces, seed: as for `train_shipped`.
        folder: default `sglib/weights`.
    """
    model = train_shipped(name, faces, seed=seed)
    if name in SHIPPED:
        model = calibrated(model, faces)
    path = model_files.save((folder or model_files.weights_dir()) / f"{name}.safetensors", model)
    export_onnx(path.with_suffix(".onnx"), model)
    return path
