"""ship: every shipped name is trained and written to files that answer as the model does."""

import dataclasses
import functools

import numpy as np
import pandas as pd
import pytest
import torch

from sglib import SglibError
from sglib.models import files
from sglib.report import ship
from sglib.report.ship import NAMES, train_shipped
from sglib.studies.ours import SHIPPED
from sglib.studies.profiles import PROFILES
from sglib.training import fit as fit_module
from sglib.training.fit import fit
from sglib.training.recipe import Recipe, Training, fit_model

TINY = Recipe(Training("face9k", n_epochs=2, batch_size=16), n_networks=2, mirror=True, shift=1)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a model of two small networks in the place of `best`, and start from nothing."""
    monkeypatch.setattr(ship, "SHIPPED", SHIPPED | {"best": TINY})
    monkeypatch.setattr(ship, "run_models", heldout_runs)
    monkeypatch.setattr(ship, "export_onnx", lambda path, _model: path.touch())


def heldout_runs(models, faces, config, *, label=""):
    """Stand in for the runs without each person."""
    assert (list(models), config.profile, config.n_seeds) == (["best"], "full", 1)
    margins = np.log([9.0, 9.0, 3.0, 3.0])  # right in 3 of 4 and in 1 of 2 cases
    probs = 1 / (1 + np.exp(-np.concatenate([margins, margins])))
    labels = [[1, 1, 1, 0, 1, 1, 1, 0]]
    row = {"name": ["best"], "subject": ["p0"], "copy_labels": labels}
    return pd.DataFrame(row | {"copy_probs": [probs.tolist()]})


@pytest.fixture
def quick_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the paper's sixty epochs, on the reference engine, and call nothing failed."""
    short = dataclasses.replace(PROFILES["paper"], max_epochs=2)
    monkeypatch.setitem(PROFILES, "paper", short)
    monkeypatch.setattr(fit_module, "fit", functools.partial(fit, engine="reference"))
    monkeypatch.setattr(fit_module, "LEARNS_AT", 0.0)


def test_names():
    assert NAMES == ("paper_1", "paper_2", "small", "base", "best")
    assert set(files.shipped()) <= set(NAMES)


def test_an_unknown_name_is_refused(tiny_faces, tmp_path):
    expected = "no shipped model 'huge'; there are: paper_1, paper_2, small, base, best"
    with pytest.raises(SglibError, match=expected):
        ship.ship("huge", tiny_faces, folder=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("tiny")
def test_the_files_answer_as_the_model_does(tiny_faces, tmp_path):
    path = ship.ship("best", tiny_faces, seed=4, folder=tmp_path)
    assert path == tmp_path / "best.safetensors"
    assert path.with_suffix(".onnx").exists()
    file = files.load(path)
    assert [(m.network, m.seed) for m in file.members] == [("face9k", 4), ("face9k", 5)]
    assert (file.name, file.data, file.data_digest) == ("best", "tiny", tiny_faces.digest)
    assert file.notes["recipe"]["photographs"]["n_epochs"] == 2
    assert file.notes["seconds"] >= 0
    expected = fit_model(TINY, tiny_faces, seed=4).predict(tiny_faces.images)
    probs = dataclasses.replace(file, temperature=1.0).ensemble().predict(tiny_faces.images)
    assert probs == pytest.approx(expected, abs=1e-6)
    assert np.ptp(probs) > 0


@pytest.mark.usefixtures("tiny")
def test_the_file_has_the_temperature_of_people_held_out(tiny_faces, tmp_path):
    file = files.load(ship.ship("best", tiny_faces, folder=tmp_path))
    frame = heldout_runs({"best": TINY}, None, ship.Config("full", seeds=1))
    labels, probs = (np.array(frame.loc[0, f"copy_{what}"]) for what in ("labels", "probs"))
    margins = np.where(labels == 1, 1, -1) * np.log(probs / (1 - probs))
    losses = {t: np.log1p(np.exp(-margins / t)).mean() for t in np.linspace(0.2, 5, 481)}
    assert file.temperature == pytest.approx(min(losses, key=losses.get), abs=0.01)
    assert file.temperature != 1
    assert file.notes["calibrated on"] == "8 copies of people held out"


@pytest.mark.usefixtures("tiny")
def test_a_seed_gives_one_model_on_any_number_of_threads(tiny_faces):
    first = train_shipped("best", tiny_faces, seed=1)
    torch.set_num_threads(2)
    try:
        again = train_shipped("best", tiny_faces, seed=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    for key, value in first.states[0].items():
        assert np.array_equal(value, again.states[0][key])


@pytest.mark.usefixtures("quick_paper")
@pytest.mark.parametrize(("name", "network"), [("paper_1", "ConvNN_1"), ("paper_2", "ConvNN_2")])
def test_the_papers_models(name, network, tiny_faces):
    file = train_shipped(name, tiny_faces, seed=2)
    (member,) = file.members
    assert (file.name, member.network, member.head, member.seed) == (name, network, "sigmoid", 2)
    assert file.notes["profile"] == "paper"
    probs = file.ensemble().predict(tiny_faces.images)
    assert ((probs >= 0.26) & (probs <= 0.74)).all()  # softmax over two sigmoids
