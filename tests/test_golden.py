"""What moving or shortening the code must not change: keys of runs, pictures, answers of models.

The literals were computed once; a change that is meant to alter one of them says so in its commit.
"""

import hashlib
import json

import numpy as np
import pytest

from sglib.data.synthetic import make_synthetic
from sglib.models import files
from sglib.studies.fingerprint import fingerprint
from sglib.studies.run import plan
from sglib.studies.store import N_ASKED
from sglib.studies.tables import BY_NAME, STUDIES

PICTURES = ["19a15c650582588c", "2424fb104598ce2f"]
KEYS = {
    "paper": "984cbbb8a8c63cec",
    "baseline": "40345b41f714d6ab",
    "augmentation": "0668625c5133ed8a",
    "l2": "548cba2f6d42311e",
    "l2_sweep": "1dd05bf0846e59a5",
    "dropout": "0bd318b01de97402",
    "final": "b4cf849f9ea7d719",
    "scaling": "69b70703a8d04b84",
    "verdicts": "4c2a947c6e31d2ca",
    "logit": "f3d9aa2b5df89c80",
}
FINGERPRINTS = {"baseline_1": "81e6814e", "flip_2": "2b96fe90", "final_1": "7e3b11f7"}
ANSWERS = {
    "paper_1": [0.7310586, 0.7310586, 0.7310586, 0.7310586],
    "paper_2": [0.7310586, 0.7310586, 0.7310586, 0.7310586],
    "small": [0.9999994, 1.0, 0.9999975, 1.0],
    "base": [0.9999999, 0.9999994, 1.0, 1.0],
    "best": [1.0, 1.0, 1.0, 1.0],
}
MEANS = {
    "paper_1": 0.5528066,
    "paper_2": 0.5032927,
    "small": 0.4500949,
    "base": 0.4507032,
    "best": 0.4500261,
}


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


@pytest.fixture(scope="module")
def faces():
    return make_synthetic(n_train_subjects=4, n_test_subjects=1, n_copies=2)


def test_the_renderer_draws_the_same_pictures(faces) -> None:
    assert [part.digest[:16] for part in faces] == PICTURES


@pytest.mark.parametrize("name", list(STUDIES))
def test_runs_keep_their_keys(name: str, faces) -> None:
    units = plan(STUDIES[name], faces[0], n_seeds=2)
    assert digest([unit.key[:N_ASKED] for unit in units]) == KEYS[name]


@pytest.mark.parametrize("name", list(FINGERPRINTS))
def test_network_and_training_keep_their_fingerprint(name: str, faces) -> None:
    assert fingerprint(BY_NAME[name], faces[0], "kfold") == FINGERPRINTS[name]


@pytest.mark.parametrize("name", ["paper_1", "paper_2", "small", "base", "best"])
def test_shipped_models_answer_as_before(name: str, faces) -> None:
    probs = files.load(name).ensemble().predict(faces[1].images[:40])
    np.testing.assert_allclose(probs[:4], ANSWERS[name], atol=2e-6)
    assert probs.mean() == pytest.approx(MEANS[name], abs=2e-6)
