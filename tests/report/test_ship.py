"""ship: every shipped name is trained and written to a file that predicts as its networks do."""

import dataclasses
import functools

import numpy as np
import pandas as pd
import pytest
import torch

from sglib import SglibError
from sglib.analysis.calibration import logit_loss
from sglib.analysis.calibration_of_ours import copies
from sglib.models import files as weight_files
from sglib.predict.classifier import Classifier
from sglib.report import ship
from sglib.report.ship import NAMES, train_shipped
from sglib.studies import final
from sglib.studies.profiles import PROFILES, Config
from sglib.training.fit import fit
from sglib.training.recipe import Recipe, predict_probs
from sglib.training.shipped import SHIPPED, Model, fit_shipped

TINY = Model(photos=Recipe(network="small", n_epochs=2, batch_size=16), n_networks=2)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a model of two small networks in the place of `best`, and start from nothing."""
    monkeypatch.setattr(ship, "SHIPPED", SHIPPED | {"best": TINY})
    monkeypatch.setattr(ship, "starting_point", lambda *_: None)
    monkeypatch.setattr(ship, "run_models", heldout_runs)


def heldout_runs(models, faces, config, *, label=""):
    """Stand in for the runs without each person."""
    assert (list(models), config.profile, config.n_seeds) == (["best"], "full", 1)
    margins = np.log([9.0, 9.0, 3.0, 3.0])  # right in 3 of 4 and in 1 of 2 cases
    probs = 1 / (1 + np.exp(-np.concatenate([margins, margins])))
    return pd.DataFrame(
        {
            "name": ["best"],
            "subject": ["p0"],
            "copy_labels": [[1, 1, 1, 0, 1, 1, 1, 0]],
            "copy_probs": [probs.tolist()],
        }
    )


@pytest.fixture
def quick_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the paper's sixty epochs, on the reference engine, and call nothing stuck."""
    short = dataclasses.replace(PROFILES["paper"], max_epochs=2)
    monkeypatch.setitem(PROFILES, "paper", short)
    monkeypatch.setattr(final, "fit", functools.partial(fit, engine="reference"))
    monkeypatch.setattr(final, "STUCK_BELOW", 0.0)


def test_names():
    assert NAMES == ("paper_1", "paper_2", "small", "base", "best")
    assert set(weight_files.shipped()) <= set(NAMES)


def test_an_unknown_name_is_refused(tiny_faces, tmp_path):
    expected = "no shipped model 'huge'; there are: paper_1, paper_2, small, base, best"
    with pytest.raises(SglibError, match=expected):
        ship.ship("huge", tiny_faces, folder=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("tiny")
def test_the_file_predicts_as_the_networks_do(tiny_faces, tmp_path):
    path = ship.ship("best", tiny_faces, seed=4, folder=tmp_path)
    assert path == tmp_path / "best.safetensors"
    file = weight_files.load(path)
    assert [(member.network, member.seed) for member in file.members] == [
        ("small", 4),
        ("small", 5),
    ]
    assert (file.name, file.data, file.data_digest) == ("best", "tiny", tiny_faces.digest)
    assert file.notes["settings"]["photos"]["n_epochs"] == 2
    assert file.notes["seconds"] >= 0
    networks = fit_shipped(
        TINY, tiny_faces.images, tiny_faces.labels, seed=4, start=lambda *_: None
    )
    # The classifier's mirror and shift are those that the held-out results were made with.
    probs = Classifier(dataclasses.replace(file, temperature=1.0)).probabilities(tiny_faces.images)
    assert probs == pytest.approx(predict_probs(networks, tiny_faces.images), abs=1e-5)
    assert np.ptp(probs) > 0


@pytest.mark.usefixtures("tiny")
def test_the_file_has_the_temperature_of_people_held_out(tiny_faces, tmp_path):
    file = weight_files.load(ship.ship("best", tiny_faces, folder=tmp_path))
    labels, logits, _ = copies(heldout_runs({"best": TINY}, None, Config("full", seeds=1)), "best")
    losses = {t: logit_loss(labels, logits, temperature=t) for t in np.linspace(0.2, 5, 481)}
    assert file.temperature == pytest.approx(min(losses, key=losses.get), abs=0.01)
    assert file.temperature != 1
    assert file.notes["calibrated on"] == "8 copies of people held out"


@pytest.mark.usefixtures("tiny")
def test_a_seed_gives_one_file_on_any_number_of_threads(tiny_faces):
    first = train_shipped("best", tiny_faces, seed=1)
    torch.set_num_threads(2)
    try:
        again = train_shipped("best", tiny_faces, seed=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    other = train_shipped("best", tiny_faces, seed=2)
    for key, value in first.states[0].items():
        assert np.array_equal(value, again.states[0][key])
    assert not np.array_equal(first.states[0]["head.weight"], other.states[0]["head.weight"])
    assert np.array_equal(first.states[1]["head.weight"], other.states[0]["head.weight"])


@pytest.mark.usefixtures("tiny")
def test_pretraining_goes_through_the_cache(tiny_faces, monkeypatch):
    twin = dataclasses.replace(TINY.photos, n_epochs=1)
    monkeypatch.setitem(ship.SHIPPED, "best", dataclasses.replace(TINY, twin=twin))
    asked = []
    monkeypatch.setattr(ship, "starting_point", lambda *args: asked.append(args))
    train_shipped("best", tiny_faces, seed=7)
    assert asked == [(twin, 7, "cpu"), (twin, 8, "cpu")]


@pytest.mark.usefixtures("quick_paper")
@pytest.mark.parametrize(("name", "network"), [("paper_1", "ConvNN_1"), ("paper_2", "ConvNN_2")])
def test_the_papers_models(name, network, tiny_faces, tmp_path):
    path = ship.ship(name, tiny_faces, seed=2, folder=tmp_path)
    file = weight_files.load(path)
    (member,) = file.members
    assert (file.name, member.network, member.head, member.seed) == (name, network, "sigmoid", 2)
    assert (file.mirror, file.shift) == (False, 0)  # the paper looks once
    assert file.notes["profile"] == "paper"
    probs = Classifier(file).probabilities(tiny_faces.images)
    assert ((probs >= 0.26) & (probs <= 0.74)).all()  # softmax over two sigmoids


@pytest.mark.usefixtures("quick_paper")
def test_the_default_folder_is_the_packages(tiny_faces, tmp_path, monkeypatch):
    monkeypatch.setattr(weight_files, "weights_dir", lambda: tmp_path)
    assert ship.ship("paper_1", tiny_faces) == tmp_path / "paper_1.safetensors"
