"""People whom the training set does not show: the paper's networks and ours asked about them.

Of the course set they are the other people of the public originals (`data.cmu`), of the synthetic
set people who are drawn anew. Runs go to the same store as all others.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch

from sglib.data import cmu
from sglib.data.augment import Policy, affine, blur, change_contrast, lower_black_point
from sglib.data.faces import FIELDS, FaceData, FaceSet
from sglib.data.splits import Split
from sglib.data.synthetic import TEST_FIRST, distort, render_faces
from sglib.models import files
from sglib.models.ensemble import to_unit
from sglib.studies.final import ensemble_of
from sglib.studies.ours import DISTORT_SEED, N_COPIES, SHIPPED
from sglib.studies.profiles import PROFILES, Config
from sglib.studies.run import Run, plan, run, run_study, trained
from sglib.studies.store import RunStore
from sglib.studies.tables import BY_NAME, study
from sglib.training.fit import outcome

METHOD = 1  # enters every key: raise it when `exam` comes to ask other pictures
AS_TAKEN, COPIES = "as taken", "all, as in the test set"


def _shifted(pixels: int) -> Callable[..., torch.Tensor]:
    return lambda x, _: affine(x, shift_x=x.new_full((len(x),), pixels))


# Each distortion of the course set's test images alone, up to the strength that it has there.
DISTORTIONS: dict[str, Callable[[torch.Tensor, torch.Generator], torch.Tensor]] = {
    AS_TAKEN: lambda x, _: x,
    **{
        f"shift {pixels:+d}".replace("-", "−"): _shifted(pixels)
        for pixels in range(-3, 4)
        if pixels
    },
    "black point": lambda x, draws: lower_black_point(x, 0.3, draws),
    "stretch": Policy(stretch=0.06),
    "contrast": lambda x, draws: change_contrast(x, 0.06, draws),
    "blur": lambda x, draws: blur(x, 0.25, draws),
}


def find(faces: FaceData, config: Config) -> FaceSet:
    """Return photographs of people whom the training set does not show; empty if none are here.

    Raises:
        SglibError: the originals are not those of the course set, see `cmu.overlap`.
    """
    if faces.name == "synthetic":
        found = render_faces(n_subjects=8, first=TEST_FIRST, name="synthetic-others")
    elif _are_here(faces):
        found = cmu.others(cmu.load_cmu(), faces.train)
    else:
        return faces.train.subset(np.arange(0), name="nobody")
    people = sorted(set(found.subjects))[: PROFILES[config.profile].n_folds]
    return found.subset(np.isin(found.subjects, people))


def everyone(faces: FaceData) -> FaceSet:
    """Return all twenty people of the originals where they are, else those of the training set."""
    return cmu.load_cmu() if _are_here(faces) else faces.train


def who(faces: FaceData) -> list[pd.DataFrame]:
    """Return `cmu.overlap`, who of the originals is trained on and how sure it is, if known."""
    return [cmu.overlap(cmu.load_cmu(), faces.train)] if _are_here(faces) else []


def _are_here(faces: FaceData) -> bool:
    return faces.name == "course" and cmu.cmu_path().exists()


def exam(others: FaceSet) -> FaceSet:
    """Return the photographs under each of `DISTORTIONS`, and in copies like the test images.

    The ids begin with the distortion: "shift −3: 17".
    """
    if not len(others):
        return others
    draws = torch.Generator().manual_seed(DISTORT_SEED)
    pixels = to_unit(torch.from_numpy(others.images))
    shown = [change(pixels, draws)[:, 0].mul(255).round() for change in DISTORTIONS.values()]
    copies = distort(others, seed=DISTORT_SEED, n_copies=N_COPIES)
    names = np.repeat([*DISTORTIONS, *[COPIES] * N_COPIES], len(others))
    fields = {field: getattr(others, field) for field in FIELDS[2:]}
    return FaceSet(
        f"{others.name}, distorted",
        np.concatenate([torch.cat(shown).to(torch.uint8).numpy(), copies.images]),
        np.array([f"{name}: {i}" for i, name in enumerate(names)], str),
        **{
            field: np.concatenate([*[value] * len(DISTORTIONS), getattr(copies, field)])
            for field, value in fields.items()
        },
    )


def run_others(
    faces: FaceSet, others: FaceSet, config: Config, *, store: RunStore | None = None
) -> pd.DataFrame:
    """Retrain the paper's experiments on all of a set and ask them about other people.

    Args:
        faces: to train on, every image.
        others: from `find`.
        config: profile, seeds, jobs, device.

    Returns:
        the runs, see `run.run_study`, with outcome (`fit.outcome`) and val_probs of
        `exam(others)`. No row where there is nobody to ask about.
    """
    asked = {"scheme": "all", "n_seeds": config.n_seeds, "device": config.device}
    rows = plan(PROFILES[config.profile].shorten(study("paper")), faces, **asked)
    about, shown = {"others": others.digest, "exam": METHOD}, exam(others)
    runs = [
        replace(row, settings=row.settings | about, work=partial(_ask, images=shown.images))
        for row in rows
        if len(others)
    ]
    frame = run_study(runs, faces, jobs=config.n_jobs, label="others", store=store)
    learned = [outcome(np.asarray(row)) for row in frame["train_acc"]]
    return frame.assign(outcome=learned)


def _ask(run: Run, faces: FaceSet, split: Split, *, images: np.ndarray) -> dict[str, Any]:
    done, columns = trained(run, faces, split)
    probs = ensemble_of(run.row, done).predict(images)
    return columns | {"val_probs": np.float32(probs).tolist()}


def ask_shipped(others: FaceSet) -> pd.DataFrame:
    """Ask our shipped models; return name, outcome and val_probs as `run_others` does."""
    shown, names = exam(others), list(SHIPPED) if len(others) else []
    probs = [files.load(name).ensemble().predict(shown.images) for name in names]
    return pd.DataFrame({"name": names, "outcome": "learned", "val_probs": probs})


def learning_curve(faces: FaceSet, config: Config) -> pd.DataFrame:
    """Train the plain and the final ConvNN_1 on 1, 2, 4, … people, and on all but one.

    Returns:
        the runs of schemes people1, people2, … and person, at most ten repetitions.
    """
    rows, n = [BY_NAME[name] for name in ("baseline_1", "final_1")], len(set(faces.subjects))
    few = replace(config, seeds=min(config.n_seeds, 10))
    known = [2**k for k in range(n.bit_length()) if 2**k < n - 1]
    schemes = [*(f"people{k}" for k in known), "person"]
    return pd.concat([run(rows, faces, few, scheme=s) for s in schemes], ignore_index=True)
