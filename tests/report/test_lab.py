"""lab: the playground's callbacks, without a browser."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from sglib.report import lab
from sglib.studies.profiles import Config
from sglib.training.settings import Experiment

pytestmark = pytest.mark.usefixtures("plot_style")
SHORT = Experiment(n_epochs=3, batch_size=8)


@pytest.fixture
def play(tiny_faces):
    return lab.Playground(tiny_faces, Config("paper"))


def size(png):
    with Image.open(io.BytesIO(png)) as image:
        return image.size


def named(widget, description):
    """Return the control of that name, wherever it stands."""
    found = [named(child, description) for child in getattr(widget, "children", ())]
    own = [widget] if getattr(widget, "description", "") == description else []
    return next(iter(own + [one for one in found if one is not None]), None)


def test_a_run_is_drawn_as_it_grows_and_kept_under_its_settings(play, tiny_faces):
    shown = []
    experiment, run, rows = play.train(SHORT, "by person", 3, seed=1, show=shown.append)
    assert len({size(png) for png in shown}) >= 1
    [(name, history)] = play.runs.items()
    assert name == "n_epochs=3 batch_size=8; by person, 3 people, seed 1"
    assert np.array_equal(history[:, 3], run.history["train_acc"])
    assert experiment == SHORT
    assert len(set(tiny_faces.subjects[rows])) == 1  # the fourth person's
    table = play.table()
    assert table["gap"][0] == pytest.approx(history[-1, 3] - history[-1, 5])


def test_the_last_runs_are_kept_once_each_and_the_newest_is_last(play):
    for seed in (*range(5), 3):
        play.train(SHORT, seed=seed, show=bool)
    assert [name[-1] for name in play.runs] == ["1", "2", "4", "3"]


def test_without_a_place_to_show_it_the_cell_is_emptied_at_the_end(play, monkeypatch):
    calls = []
    monkeypatch.setattr(lab, "clear_output", lambda wait: calls.append("clear"))
    monkeypatch.setattr(lab, "display", lambda _: calls.append("show"))
    play.train(SHORT)
    assert calls[:2] == ["clear", "show"]
    assert calls[-2:] == ["show", "clear"]


def test_smoke_limits_the_epochs(tiny_faces):
    play = lab.Playground(tiny_faces, Config("smoke"))
    experiment, run, _ = play.train(dataclasses.replace(SHORT, n_epochs=40), show=bool)
    assert (experiment.n_epochs, len(run.history["val_acc"])) == (12, 12)


def test_the_button_trains_with_what_the_controls_say(play):
    play.train(SHORT, show=bool)
    controls = play.controls()
    before = controls.children[1].children[0].value
    for name, value in {"n_epochs": 3, "batch_size": 8, "p_drop": 0.5, "n_people": 2}.items():
        play.fields[name].value = value
    named(controls, "Train").click()
    assert list(play.runs)[-1] == (
        "n_epochs=3 batch_size=8 p_drop=0.5; by picture, 2 people, seed 0"
    )
    picture, told, looks = controls.children[1].children
    assert picture.value != before
    assert "p_drop=0.5" in told.value
    assert size(looks.value)[0] > 300


def test_what_cannot_be_trained_is_said_beside_the_button(play):
    play.train(SHORT, show=bool)
    controls = play.controls()
    play.fields["model"].value, play.fields["p_drop"].value = "face9k", 0.5
    button = named(controls, "Train")
    button.click()
    assert "face9k: p_drop drops units" in controls.children[1].children[1].value
    assert not button.disabled


def test_a_slider_changes_the_pictures(tiny_faces):
    controls = lab.sliders(tiny_faces, {"noise": 0.1})
    picture = controls.children[1]
    slider = named(controls, "noise")
    first = picture.value
    slider.value = 0.2
    second = picture.value
    slider.value = 0.1
    assert slider.max == pytest.approx(0.24)
    assert first != second
    assert first == picture.value  # the same draws


def test_without_ipywidgets_one_line_says_what_is_needed(play, tiny_faces, monkeypatch, capsys):
    monkeypatch.setattr(lab, "widgets", None)
    assert play.controls() is None
    assert lab.sliders(tiny_faces, {}) is None
    assert capsys.readouterr().out == 2 * "The controls need ipywidgets: pip install '.[lab]'\n"
