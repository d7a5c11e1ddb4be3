"""plots.ours: steps, people, bins, distortions and maps of our own models."""

import numpy as np
import pytest
from plot_fakes import BEARING, BINS, BY_PERSON, CHANGES, MAPS, STEPS

from sglib.analysis.plots import ours

pytestmark = pytest.mark.usefixtures("plot_style")


def test_the_staircase_tells_each_step_and_the_largest():
    ax = ours.staircase(STEPS)
    told = [text.get_text() for text in ax.get_yticklabels()]
    assert told == ["paper", "+ ours  +11.0", "+ flips  +6.0"]
    assert ax.figure.get_suptitle() == "The largest step: + ours"
    _, _, (ends,) = ax.containers[0]
    assert ends.get_segments()[0][:, 0] == pytest.approx([0.8, 0.85])


def test_changes_are_sorted_and_leave_out_what_they_are_compared_with():
    ax = ours.changes(CHANGES)
    assert [text.get_text() for text in ax.texts] == ["three networks", "one view"]
    assert ax.get_title("left") == "Best: three networks (+1.0)"


def test_people_with_most_errors_stand_on_top():
    ax = ours.per_person(BY_PERSON)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["s04", "s03", "s02", "s01"]
    assert ax.figure.legends[0].get_title().get_text() == "Most errors: s04"


def test_models_keep_their_colour_in_every_figure():
    palette = ours._look(["new", "base", "paper"])["palette"]
    assert palette["base"] == ours._look(["base"])["palette"]["base"]
    assert len(set(palette.values())) == 3


def test_reliability_draws_the_bins_and_says_how_far_they_lie_from_the_diagonal():
    ax = ours.reliability(BINS)
    assert ax.lines[0].get_ydata() == pytest.approx([0.15, 0.9])
    assert "5.0 points" in ax.figure.legends[0].get_title().get_text()


def test_every_distortion_has_a_panel_with_one_scale_of_accuracy():
    fig = ours.robustness(BEARING)
    shown = [ax for ax in fig.axes if ax.get_visible()]
    assert [ax.get_title("left") for ax in shown] == ["rotation", "noise injection", "flip"]
    assert len({ax.get_ylim() for ax in shown}) == 1


def test_maps_share_a_scale_within_a_model_only():
    fig = ours.maps(MAPS, unit="fall of the probability")
    limits = [ax.images[0].get_clim() for ax in fig.axes]
    assert limits == [(-0.1, 0.1)] * 4 + [(-2, 2)] * 4
    assert "base ±2, paper ±0.1" in fig.get_supxlabel()


def test_explained_pictures_share_one_scale_of_colour():
    maps = np.zeros((2, 30, 32))
    maps[1, 5, 5] = -0.25
    fig = ours.explained(np.full((2, 30, 32), 9, np.uint8), maps, ["open\n0.10", "open\n0.90"])
    above, below = np.array(fig.axes).reshape(2, 2)
    assert [ax.get_title("center") for ax in above] == ["open\n0.10", "open\n0.90"]
    assert all(ax.images[-1].get_clim() == (-0.25, 0.25) for ax in below)
    assert fig.get_supxlabel() == "blue to red: ±0.25 of the probability"
