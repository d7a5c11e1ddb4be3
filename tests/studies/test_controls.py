"""controls: references against a loop of one's own, wrong labels, three optimisers."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from sglib.data.faces import FaceSet
from sglib.data.splits import make_split
from sglib.studies import controls
from sglib.studies.profiles import Config

SMOKE = Config(profile="smoke", jobs=1)


def test_the_nearest_photograph_answers(tiny_faces: FaceSet) -> None:
    table = controls.references(tiny_faces, SMOKE)
    assert len(table) == 3 * (5 + 4)
    split = make_split(tiny_faces, "person", fold=2)
    flat = tiny_faces.images.reshape(len(tiny_faces), -1).astype(float)
    right = [
        tiny_faces.labels[
            split.train[np.linalg.norm(flat[split.train] - flat[row], axis=1).argmin()]
        ]
        == tiny_faces.labels[row]
        for row in split.val
    ]
    row = table[(table["scheme"] == "person") & (table["fold"] == 2)].set_index("reference")
    assert row.loc["the nearest photograph's label", "val_acc"] == pytest.approx(np.mean(right))
    assert row.loc["always the same answer", "val_acc"] == pytest.approx(0.5)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_that_share_of_the_labels_is_wrong(tiny_faces: FaceSet, share: float) -> None:
    noisy = controls.with_wrong_labels(tiny_faces, share, seed=1)
    assert (noisy.labels != tiny_faces.labels).mean() == share
    assert (noisy.digest == tiny_faces.digest) == (share == 0)
    assert np.array_equal(
        noisy.labels, controls.with_wrong_labels(tiny_faces, share, seed=1).labels
    )


def test_wrong_and_permuted_labels_are_trained_on(
    tiny_faces: FaceSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def run(name: str, faces: FaceSet, config: Config) -> pd.DataFrame:
        seen.append((name, faces, config.n_seeds))
        return pd.DataFrame({"name": ["baseline_1"]})

    monkeypatch.setattr(controls, "run", run)
    config = dataclasses.replace(SMOKE, seeds=9)
    assert controls.random_labels(tiny_faces, config)["noise"].tolist() == list(controls.SHARES)
    assert {n for _, _, n in seen} == {5}
    seen.clear()
    assert controls.permutations(tiny_faces, config, n=3)["permutation"].tolist() == [0, 1, 2]
    assert len({faces.digest for _, faces, _ in seen}) == 3
    assert all(faces.labels.sum() == tiny_faces.labels.sum() for _, faces, _ in seen)


def test_the_same_weight_decay_in_three_optimisers(
    tiny_faces: FaceSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controls, "DECAYS", (0.0, 1e-4))
    table = controls.decays(tiny_faces, SMOKE)
    assert len(table) == 3 * 2
    norms = table.set_index(["optimiser", "l2"])["fc1_norm"]
    fall = {name: 1 - norms[name, 1e-4] / norms[name, 0.0] for name in controls.OPTIMISERS}
    assert fall["Adam"] > 10 * abs(fall["AdamW"])  # in Adam λ acts far beyond its size
    assert controls.decays(tiny_faces, SMOKE)["seconds"].tolist() == table["seconds"].tolist()


def test_adam_here_is_the_adam_of_the_study(tiny_faces: FaceSet) -> None:
    made = controls.OPTIMISERS["Adam"][0]([torch.nn.Parameter(torch.zeros(1))], lr=0.002)
    assert isinstance(made, torch.optim.Adam)
    assert not isinstance(made, torch.optim.AdamW)
