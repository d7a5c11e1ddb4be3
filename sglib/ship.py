"""Trains the models that ship with the package and writes their files."""

import dataclasses
import time
from pathlib import Path

from sglib import weight_files
from sglib.errors import SglibError
from sglib.faceset import FaceSet
from sglib.final import retrain
from sglib.pretrained import starting_point
from sglib.profiles import Config
from sglib.shipped import SHIPPED, fit_shipped
from sglib.units import one_thread
from sglib.weight_files import Member, ModelFile

PAPERS = {"paper_1": "final_1", "paper_2": "final_2"}
NAMES = (*PAPERS, *SHIPPED)


def train_shipped(name: str, faces: FaceSet, *, seed: int = 0, device: str = "cpu") -> ModelFile:
    """Train one shipped model on a whole labelled set.

    Args:
        name: "paper_1" and "paper_2" are the paper's final configurations (§4.5), the others
            those of `shipped.SHIPPED`.
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
    model = SHIPPED[name]
    started = time.perf_counter()
    with one_thread(device == "cpu"):  # as the runs on people held out were made
        networks = fit_shipped(
            model, faces.images, faces.labels, seed=seed, device=device, start=starting_point
        )
    return ModelFile(
        name=name,
        members=tuple(
            Member(model.photos.network, seed=seed + place) for place in range(len(networks))
        ),
        states=tuple(
            {key: value.cpu().numpy() for key, value in network.state_dict().items()}
            for network in networks
        ),
        mirror=True,
        shift=1,
        data=faces.name,
        data_digest=faces.digest,
        notes={
            "settings": dataclasses.asdict(model),
            "seconds": round(time.perf_counter() - started, 1),
        },
    )


def ship(name: str, faces: FaceSet, *, seed: int = 0, folder: Path | None = None) -> Path:
    """Train one shipped model and write it to `sglib/weights` (or `folder`); return the file."""
    model = train_shipped(name, faces, seed=seed)
    return weight_files.save((folder or weight_files.weights_dir()) / f"{name}.safetensors", model)
