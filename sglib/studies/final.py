"""The end of the paper (§4.5): retrain on all images, save the model, predict the test set."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from sglib.data.faces import FaceSet
from sglib.data.splits import make_split
from sglib.files import models_dir, replacing
from sglib.metrics import accuracy, to_preds
from sglib.models import files as model_files
from sglib.models.ensemble import Ensemble
from sglib.models.files import Member, ModelFile
from sglib.studies.profiles import PROFILES, Config
from sglib.studies.tables import study
from sglib.training.fit import fit_until_learned
from sglib.training.settings import Experiment, Fit

FINAL = ("final_1", "final_2")


def retrain(faces: FaceSet, config: Config, *, seed: int = 0) -> dict[str, ModelFile]:
    """Train `FINAL` on every image of a labelled set; return the models by name, not yet saved.

    The seed is of every draw, and the first of `fit.fit_until_learned`.
    """
    split = make_split(faces, "all")
    models = {}
    for row in PROFILES[config.profile].shorten(study("final")).rows:
        if row.name not in FINAL:
            continue
        tried, done = fit_until_learned(row, faces, split, seed=seed, device=config.device)
        models[row.name] = ModelFile(
            name=row.name,
            members=(Member(row.model, head=row.head, seed=tried),),
            states=(done.weights,),
            scaling=row.scaling,
            data=faces.name,
            data_digest=faces.digest,
            notes={"settings": row.settings(), "engine": done.engine, "profile": config.profile},
        )
    return models


def ensemble_of(row: Experiment, done: Fit) -> Ensemble:
    """Return the network that a run of an experiment trained, as a model that answers."""
    member = Member(row.model, head=row.head)
    return ModelFile(
        row.name or row.model, (member,), (done.weights,), scaling=row.scaling
    ).ensemble()


def save(
    models: Mapping[str, ModelFile], test: FaceSet, *, folder: Path | None = None
) -> pd.DataFrame:
    """Write each model and its predictions of the test set, and tell what they say.

    Returns:
        one row per model: images, `sunglasses` (share of them predicted so), test_acc (NaN where
        the labels are held back), and the two files in the folder (default `models/<name of the
        training set>`): `<name>.safetensors`, and `<name>.csv` with the paper's `id,result`.
    """
    rows = {}
    for name, model in models.items():
        place = folder or models_dir() / model.data
        weights = model_files.save(place / f"{name}.safetensors", model)
        preds = to_preds(model.ensemble().predict(test.images), threshold=model.threshold)
        with replacing(weights.with_suffix(".csv")) as temporary:
            found = pd.DataFrame({"id": test.ids, "result": preds})
            found.to_csv(temporary, index=False, lineterminator="\n")
        known = test.labels is not None
        rows[name] = {
            "images": len(preds),
            "sunglasses": preds.mean(),
            "test_acc": accuracy(test.labels, preds) if known else float("nan"),
            "model": weights.name,
            "predictions": weights.with_suffix(".csv").name,
        }
    return pd.DataFrame.from_dict(rows, orient="index")
