"""plots.compare: words and their colours, δ, the A/A row, people, heat map, variance."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from plot_fakes import BOTH, DESIGNS, DRAWS, HEAT, SPLIT, VERDICTS

from sglib.analysis.phrases import short
from sglib.analysis.plots import compare
from sglib.analysis.plots.style import PALETTE

pytestmark = pytest.mark.usefixtures("plot_style")


def shaded(ax) -> tuple[float, float]:
    [band] = ax.patches
    return band.get_x(), band.get_x() + band.get_width()


def test_a_forest_draws_each_interval_in_points_in_the_look_of_its_word():
    ax = compare.forest(VERDICTS)
    for row, bars in zip(VERDICTS.itertuples(), ax.containers, strict=True):
        dot, _, (ends,) = bars
        assert dot.get_xdata()[0] == pytest.approx(100 * row.effect)
        [segment] = ends.get_segments()
        assert segment[:, 0] == pytest.approx([100 * row.low, 100 * row.high])
        assert (dot.get_color(), dot.get_marker()) == compare.WORDS.get(row.word, ("black", "D"))
    assert shaded(ax) == pytest.approx((-1.33, 1.33))
    assert [text.get_text() for text in ax.texts] == VERDICTS["comparison"].map(short).tolist()
    top = [bars[0].get_ydata()[0] for bars in ax.containers]
    assert top == [0, 1, 2, 3]
    assert ax.yaxis_inverted()  # the A/A row on top


def test_the_two_questions_stand_side_by_side_each_with_its_own_delta():
    left, right = compare.forests(BOTH).axes
    assert (left.get_title("left"), right.get_title("left")) == (
        "these photographs",
        "other people",
    )
    assert (shaded(left)[1], shaded(right)[1]) == pytest.approx((1.33, 2))
    assert not right.texts
    [legend] = left.figure.legends
    assert [text.get_text() for text in legend.texts] == ["better", "equivalent", "open"]


def test_differences_take_the_technique_s_colour_and_tell_the_spread_of_rounding():
    ax = compare.differences(DRAWS, VERDICTS)
    colours = [bars[0].get_color() for bars in ax.containers]
    assert colours == [PALETTE[name] for name in ("baseline", "flip", "dropout50", "final")]
    # sd of two values 4 points apart
    assert ax.get_title("left") == "sd of a run: rounding alone 2.8, techniques 2.8 to 2.8"


def test_an_effect_far_beyond_delta_is_written_at_the_edge_and_leaves_the_scale_alone():
    far = VERDICTS.assign(effect=[0.001, 0.15, 0.0, -0.02], low=-0.03, high=0.2)
    ax = compare.forest(far)
    assert "+15.0 →" in [text.get_text() for text in ax.texts]
    assert len(ax.containers) == 3


def test_without_an_a_a_row_nothing_is_said_of_rounding():
    ax = compare.differences(DRAWS, VERDICTS[1:])
    assert ax.get_title("left") == "sd of a run: techniques 2.8 to 2.8"


def test_people_are_joined_and_the_loss_is_said_in_points():
    ax = compare.people(DESIGNS, {"nearest photograph": (0.9, 0.6)})
    lines = {line.get_label(): line.get_ydata() for line in ax.lines}
    assert lines["mean of the people"] == pytest.approx([0.9, 0.75])
    assert lines["nearest photograph"] == pytest.approx([0.9, 0.6])
    assert len(ax.lines) == 4 + 2
    assert [text.get_text() for text in ax.texts] == ["s04", "s01"]  # worst and best
    assert ax.figure.legends[0].get_title().get_text() == "People not seen: -15.0 points"


def test_the_heat_map_sorts_people_by_their_mean_and_says_who_differs_more():
    ax = compare.heat(HEAT)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["s04", "s03", "s02", "s01"]
    drawn = np.asarray(ax.collections[0].get_array()).reshape(4, 2)
    assert drawn[0] == pytest.approx([0.6, 0.61])
    assert ax.get_title("left") == "People differ by 30 points, experiments by 1"


def test_the_parts_of_the_variance_fill_the_bar():
    ax = compare.variance(SPLIT)
    widths = [bar.get_width() for bar in ax.patches]
    assert widths == pytest.approx([0.9, 0.02, 0.08])
    assert len({to_hex(bar.get_facecolor()) for bar in ax.patches}) == 3
    assert ax.figure.legends[0].get_title().get_text() == "Person: 90% of the variance"
