"""ship: every shipped name is trained and written to files that answer as the model does."""

import dataclasses
import functools

import numpy as np
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
from sglib.training.recipe import Recipe, fit_model

TINY = Recipe("face9k", n_epochs=2, batch_size=16, n_networks=2, mirror=True)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a model of two small networks in the place of `best`, and start from nothing."""
    monkeypatch.setattr(ship, "SHIPPED", SHIPPED | {"best": TINY})
    monkeypatch.setattr(ship, "export_onnx", lambda path, _model: path.touch())


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
    assert [(m.network, m.seed) for m in file.members] == [("face9k", 8), ("face9k", 9)]
    assert (file.name, file.data, file.data_digest) == ("best", "tiny", tiny_faces.digest)
    assert file.notes["recipe"]["n_epochs"] == 2
    assert file.notes["seconds"] >= 0
    expected = fit_model(TINY, tiny_faces, seed=4).predict(tiny_faces.images)
    probs = file.ensemble().predict(tiny_faces.images)
    assert probs == pytest.approx(expected, abs=1e-6)
    assert np.ptp(probs) > 0


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
