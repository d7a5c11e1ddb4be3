"""The end of the paper (§4.5): retrain on all images, save the model, predict the test set."""

import logging
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from sglib.analysis.runs import STUCK_BELOW
from sglib.data.faces import FaceSet
from sglib.data.splits import Split, make_split
from sglib.files import models_dir, replacing
from sglib.metrics import accuracy, to_preds
from sglib.models import files as weight_files
from sglib.models.files import Member, ModelFile
from sglib.predict.classifier import Classifier
from sglib.studies.profiles import PROFILES, Config
from sglib.studies.tables import study
from sglib.training.fit import fit
from sglib.training.reference import Fit
from sglib.training.settings import Experiment

log = logging.getLogger("sglib")

FINAL = ("final_1", "final_2")
_TRIES = 10  # seeds until a run learns at all


def retrain(faces: FaceSet, config: Config, *, seed: int = 0) -> dict[str, ModelFile]:
    """Train the two final configurations on every image of the set.

    Args:
        faces: the labelled set.
        config: its profile limits the epochs.
        seed: of every draw; the first of `fit_until_learned`.

    Returns:
        "final_1" and "final_2" → the model, not yet saved.
    """
    split = make_split(faces, "all")
    models = {}
    for row in PROFILES[config.profile].shorten(study("final")).rows:
        if row.name not in FINAL:
            continue
        tried, done = fit_until_learned(row, faces, split, seed=seed, device=config.device)
        models[row.name] = ModelFile(
            name=row.name,
            members=(Member(row.model, head=row.head, scaling=row.scaling, seed=tried),),
            states=(done.weights,),
            data=faces.name,
            data_digest=faces.digest,
            notes={"settings": row.settings(), "engine": done.engine, "profile": config.profile},
        )
    return models


def fit_until_learned(
    row: Experiment, faces: FaceSet, split: Split, *, seed: int, device: str = "cpu"
) -> tuple[int, Fit]:
    """Train an experiment, with the next seed where the run learns nothing.

    Args:
        row: the experiment.
        faces: the set.
        split: what is trained on.
        seed: the first that is tried, of `_TRIES`.
        device: a PyTorch device.

    Returns:
        the seed taken, and the run: the first with a training accuracy of `results.STUCK_BELOW` at
        its end. If there is none (the smoke profile stops early), the last one, with a warning.
    """
    for tried in range(seed, seed + _TRIES):
        done = fit(row, faces, split, seed=tried, device=device)
        if done.history["train_acc"][-1] >= STUCK_BELOW:
            return tried, done
    log.warning(
        "%s: none of the seeds %d to %d learned anything on %s in %d epochs (training accuracy "
        "%.2f, expected %s or more); the last one is used",
        *(row.name, seed, tried, faces.name, row.n_epochs, done.history["train_acc"][-1]),
        STUCK_BELOW,
    )
    return tried, done


def predict_set(model: ModelFile, faces: FaceSet, *, device: str = "cpu") -> pd.DataFrame:
    """Return id, probability of sunglasses and result (0 or 1) of each image, in their order."""
    probs = Classifier(model, device=device).probabilities(faces.images)
    return pd.DataFrame({"id": faces.ids, "probability": probs, "result": to_preds(probs)})


def save(
    models: Mapping[str, ModelFile], test: FaceSet, *, folder: Path | None = None
) -> pd.DataFrame:
    """Write each model and its predictions of the test set, and tell what they say.

    Args:
        models: from `retrain`.
        test: the test set; its labels may be held back.
        folder: default `models/<name of the training set>`.

    Returns:
        one row per model: images, `sunglasses` (share of them predicted so), test_acc (NaN where
        the labels are held back), and the two files, `<name>.safetensors` and `<name>.csv`; the
        table has the paper's columns `id,result`.
    """
    rows = {}
    for name, model in models.items():
        place = folder or models_dir() / model.data
        weights = weight_files.save(place / f"{name}.safetensors", model)
        found = predict_set(model, test)
        table = weights.with_suffix(".csv")
        with replacing(table) as temporary:
            found[["id", "result"]].to_csv(temporary, index=False, lineterminator="\n")
        known = test.labels is not None
        rows[name] = {
            "images": len(found),
            "sunglasses": found["result"].mean(),
            "test_acc": accuracy(test.labels, found["result"]) if known else float("nan"),
            "model": weights.name,
            "predictions": table.name,
        }
    return pd.DataFrame.from_dict(rows, orient="index")
