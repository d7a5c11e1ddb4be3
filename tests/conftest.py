"""What all tests share: a tiny learnable set, a few finished runs, a store of their own.

The images are made here with numpy, not by `sglib.data.synthetic`, so that a test of the trainers
does not fail because of the renderer.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from sglib.analysis.plots.style import use_style
from sglib.data.faces import FaceSet
from sglib.studies.run import plan, run_study
from sglib.studies.store import RunStore
from sglib.studies.tables import BASELINE, BASELINE_2, BY_NAME, Study

matplotlib.use("Agg")
torch.set_num_threads(1)

N_PEOPLE, N_PER_PERSON = 4, 10
POSES = np.array(["straight", "left", "right", "up"])
EXPRESSIONS = np.array(["neutral", "happy", "sad", "angry"])


def make_tiny_faces() -> FaceSet:
    """Return 40 images of 4 people, half of them with a dark band where the eyes are."""
    rng = np.random.default_rng(0)
    n = N_PEOPLE * N_PER_PERSON
    person = np.repeat(np.arange(N_PEOPLE), N_PER_PERSON)
    labels = np.tile([0, 1], n // 2).astype(np.int64)
    images = rng.normal(150, 12, (n, 30, 32)) + 12 * person[:, None, None]
    images[:, 20:, 6:26] -= 30  # a chin, so that up and down differ
    images[:, :, 2:5] += 25  # a bright edge on the left, so that a mirror image differs
    images[labels == 1, 9:14, 7:25] -= 90
    order = rng.permutation(n)
    return FaceSet(
        name="tiny",
        images=np.clip(images, 0, 255).astype(np.uint8)[order],
        ids=np.array([f"t{i}" for i in range(n)])[order],
        labels=labels[order],
        subjects=np.array([f"p{i}" for i in person])[order],
        pose=POSES[np.arange(n) % 4][order],
        expression=EXPRESSIONS[np.arange(n) // 2 % 4][order],
    )


@pytest.fixture
def plot_style() -> Iterator[None]:
    """Draw in the project's style, and leave neither settings nor figures behind."""
    with plt.rc_context():
        use_style()
        yield
    plt.close("all")


@pytest.fixture(scope="session")
def tiny_faces() -> FaceSet:
    return make_tiny_faces()


@pytest.fixture(scope="session")
def small_runs(tiny_faces: FaceSet, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Return finished runs under names of the paper: 4 rows × 2 folds × 2 seeds, 3 epochs."""
    rows = (BASELINE, BASELINE_2, BY_NAME["flip_1"], BY_NAME["dropout50_1"])
    short = tuple(dataclasses.replace(row, n_epochs=3) for row in rows)
    small = Study("small", "Does it run?", ("model", "augment", "p_drop"), short)
    units = plan(small, tiny_faces, n_seeds=2, max_folds=2, engine="reference")
    return run_study(
        units, tiny_faces, store=RunStore(tmp_path_factory.mktemp("small_runs")), progress=False
    )


@pytest.fixture(scope="session", autouse=True)
def _no_real_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep session and module fixtures off the store of the checkout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SGLIB_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield


@pytest.fixture(autouse=True)
def _own_store(_no_real_store: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test an empty default store."""
    monkeypatch.setenv("SGLIB_RUNS", str(tmp_path / "default-runs"))
