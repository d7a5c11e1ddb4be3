"""plots.curves: medians, bands, failed runs, captions, the floor and the gradients that vanish."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from plot_fakes import FAILURES, MEANS, POINTS, PRINTED, ROWS, SWEEP, bands, draw

from sglib.analysis.plots import curves
from sglib.analysis.plots.style import ONE, QUIET, TWO
from sglib.studies.paper import LOSS_FLOOR

pytestmark = pytest.mark.usefixtures("plot_style")


def line(ax, label):
    [found] = [line for line in ax.lines if line.get_label() == label]
    return found


def test_panels_draw_the_medians_and_bands_of_the_runs_that_learned():
    first, _ = curves.panels(bands(), ROWS).axes
    assert line(first, "training").get_ydata() == pytest.approx([0.7, 0.8, 0.9])
    assert line(first, "validation").get_ydata() == pytest.approx([0.6, 0.7, 0.8])
    assert {to_hex(band.get_facecolor()[0]) for band in first.collections} == {
        ONE.lower(),
        TWO.lower(),
    }
    band = first.collections[0].get_paths()[0].get_extents()
    assert (band.y0, band.y1) == pytest.approx((0.68, 0.91))


def test_failed_runs_stand_apart_and_are_counted_in_the_title():
    first, second = curves.panels(bands(), ROWS).axes
    assert set(line(first, "failed, training").get_ydata()) == {0.5}
    assert first.get_title("left") == "baseline, ConvNN_1\n10.0 points apart; 1 of 4 runs failed"
    assert second.get_title("left").endswith("none learned; 2 of 2 runs failed")


def test_panels_are_told_in_words():
    told = curves.tell(bands(), ["baseline_1"])
    first = "baseline, ConvNN_1, learned, training 0.700 at epoch 1, 0.900 at epoch 3"
    assert told.startswith(f"Accuracy (median): {first}; ")
    assert "failed, training 0.500 at epoch 1" in told


def test_the_loss_has_its_floor_and_says_how_far_it_ends_above_its_best():
    first, _ = curves.panels(bands(), ROWS, measure="loss").axes
    assert set(line(first, "floor").get_ydata()) == {LOSS_FLOOR}
    assert "ends 0.200 above its best" in first.get_title("left")


def test_the_sweep_keeps_a_place_for_settings_where_no_run_learned():
    accuracy, failed = curves.sweep(SWEEP[SWEEP["l2"] < 0.01], FAILURES).axes
    for ax in (accuracy, failed):
        assert [text.get_text() for text in ax.get_xticklabels()] == ["0", "5e-6", "0.01"]
    assert failed.get_title("left") == "Failed to train: up to 100%, at λ = 0.01"
    drawn = failed.lines[0].get_ydata()
    assert drawn == pytest.approx([0.1, 0.2, 1.0])  # the rates themselves, inside their intervals
    assert accuracy.lines[0].get_ydata()[:2] == pytest.approx([0.92, 0.93])  # medians


def test_captions_are_marked_in_their_rows_and_the_nearest_reading_is_named():
    ax = curves.captions(MEANS, PRINTED)
    marks = line(ax, "printed")
    assert list(zip(marks.get_xdata(), marks.get_ydata(), strict=True)) == [(0.976, 0), (0.962, 1)]
    assert [text.get_text() for text in ax.get_yticklabels()] == [
        "baseline,\nConvNN_1",
        "mirrored copies,\nConvNN_2",
    ]
    [legend] = ax.figure.legends
    assert legend.get_title().get_text() == "Nearest: best accuracy; captions -0.1 points off"


def test_the_floor_line_is_the_floor_plus_the_error():
    ax = curves.floor(POINTS, POINTS)
    assert line(ax, "ln(1 + 1/e) + error").get_ydata() == pytest.approx(
        [0.31326, 0.41326], abs=1e-5
    )
    away = abs(np.array([0.3133, 0.4153]) - LOSS_FLOOR - [0, 0.1]).mean()
    assert f"to {away:.3f} nats" in ax.figure.legends[0].get_title().get_text()


def test_the_mechanism_draws_both_heads_over_the_logit():
    loss, gradient = draw("curves.mechanism").axes
    for ax in (loss, gradient):
        assert [len(line.get_xdata()) for line in ax.lines[:2]] == [241, 241]
        assert [line.get_color() for line in ax.lines[:2]] == [TWO, ONE]
    assert loss.lines[0].get_ydata()[0] == pytest.approx(LOSS_FLOOR + 1, abs=1e-4)
    assert gradient.lines[0].get_ydata()[0] == pytest.approx(0, abs=1e-4)
    assert gradient.lines[1].get_ydata()[0] == pytest.approx(2)  # a logit is still pulled


def test_growing_runs_show_how_far_they_are_and_the_last_one_in_colour():
    whole, started = np.full((2, 4, 6), np.nan)
    whole[:, [3, 5]] = 0.9
    started[:2, 3], started[:2, 5] = [0.5, 0.75], [0.5, 0.625]
    ax = curves.growing({"first": whole, "second": started})
    assert ax.figure.legends[0].get_title().get_text() == (
        "second\nepoch 2 of 4: training 0.750, validation 0.625"
    )
    colours = [to_hex(one.get_color()) for one in ax.lines]
    assert colours[:2] == [QUIET.lower()] * 2
    assert [to_hex(colour) for colour in (ONE, TWO)] == colours[2:]
    assert line(ax, "validation").get_ydata()[:2].tolist() == [0.5, 0.625]
    assert ax.get_xlim() == (1, 4)
    nothing = curves.growing({"first": np.full((4, 6), np.nan)})
    assert "epoch 0 of 4" in nothing.figure.legends[0].get_title().get_text()
