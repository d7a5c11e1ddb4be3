"""schedule: every draw comes from the run's own seed, and what two runs can share they share."""

import dataclasses
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from sglib import SglibError
from sglib.models.networks import build
from sglib.studies.tables import BASELINE, BASELINE_2
from sglib.training.schedule import make_schedule

N = 30


def change(row=BASELINE, **changes):
    return dataclasses.replace(row, **{"n_epochs": 3, **changes})


FLIP_ADD, FLIP_EACH = change(augment="flip_add"), change(augment="flip_each")
DROP25, DROP50 = change(p_drop=0.25), change(p_drop=0.5)
EVERYTHING = change(augment="flip_each", p_drop=0.5)


def assert_equal(one, two):
    assert one.initial.keys() == two.initial.keys()
    for name, value in one.initial.items():
        assert np.array_equal(value, two.initial[name]), name
    assert np.array_equal(one.order, two.order)
    assert np.array_equal(one.flips, two.flips)
    assert (one.masks is None) == (two.masks is None)
    assert one.masks is None or np.array_equal(one.masks, two.masks)


@pytest.mark.parametrize("row", [change(), FLIP_ADD, FLIP_EACH, DROP50, EVERYTHING])
def test_a_longer_run_starts_like_a_shorter_one(row):
    short = make_schedule(row, N, 4)
    long = make_schedule(dataclasses.replace(row, n_epochs=7), N, 4)
    masks = None if long.masks is None else long.masks[:3]
    cut = dataclasses.replace(long, order=long.order[:3], flips=long.flips[:3], masks=masks)
    assert_equal(short, cut)
    assert len(long.order) == 7


def test_shapes_and_dtypes():
    found = make_schedule(EVERYTHING, N, 0)
    assert (found.order.shape, found.order.dtype) == ((3, N), np.int32)
    assert (found.flips.shape, found.flips.dtype) == ((3, N), np.bool_)
    assert (found.masks.shape, found.masks.dtype) == ((3, N, 40), np.uint8)
    assert make_schedule(change(BASELINE_2, p_drop=0.5), N, 0).masks.shape == (3, N, 32)


@pytest.mark.parametrize("row", [change(), FLIP_EACH])
def test_every_epoch_shows_every_image_once_in_a_new_order(row):
    order = make_schedule(row, N, 0).order
    assert (np.sort(order, axis=1) == np.arange(N)).all()
    assert len({tuple(epoch) for epoch in order.tolist()}) == 3


def test_a_run_does_not_depend_on_its_neighbours():
    alone = make_schedule(EVERYTHING, N, (5, 2))
    for row in (BASELINE_2, FLIP_ADD, DROP25):
        make_schedule(row, 2 * N, 9)
    np.random.seed(0)
    torch.manual_seed(0)
    torch.rand(100)
    assert_equal(make_schedule(EVERYTHING, N, (5, 2)), alone)


def test_threads_do_not_disturb_each_other():
    rows = [change(p_drop=p) for p in (0.0, 0.5)] * 24
    serial = [make_schedule(row, N, seed) for seed, row in enumerate(rows)]
    with ThreadPoolExecutor(8) as pool:
        parallel = list(pool.map(make_schedule, rows, [N] * len(rows), range(len(rows))))
    for one, two in zip(serial, parallel, strict=True):
        assert_equal(one, two)


def test_the_global_generators_are_left_alone():
    torch.manual_seed(3)
    np.random.seed(3)
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    make_schedule(EVERYTHING, N, 0)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)


def test_seeds_differ_in_every_draw():
    seeds = [(seed, fold) for seed in range(3) for fold in range(3)]
    found = [make_schedule(EVERYTHING, N, seed) for seed in seeds]
    for field in ("order", "flips", "masks"):
        assert len({getattr(one, field).tobytes() for one in found}) == len(seeds), field
    for name in found[0].initial:
        assert len({one.initial[name].tobytes() for one in found}) == len(seeds), name


def test_every_kind_of_draw_has_a_stream_of_its_own(monkeypatch):
    streams, real = [], np.random.SeedSequence

    def record(entropy, *, spawn_key):
        streams.append(spawn_key)
        return real(entropy, spawn_key=spawn_key)

    monkeypatch.setattr(np.random, "SeedSequence", record)
    make_schedule(EVERYTHING, N, 0)
    assert len(streams) == len(set(streams)) == 4  # weights, order, mirroring, dropout


@pytest.mark.parametrize(
    "changes",
    [{"l2": 0.1}, {"lr": 0.1}, {"head": "logit"}, {"scaling": "symmetric"}, {"batch_size": 8}],
    ids=str,
)
def test_what_draws_nothing_changes_no_draw(changes):
    assert_equal(
        make_schedule(dataclasses.replace(EVERYTHING, **changes), N, 1),
        make_schedule(EVERYTHING, N, 1),
    )


def test_techniques_share_the_draws_they_do_not_touch():
    plain = make_schedule(change(), N, 1)
    for row in (DROP25, DROP50, FLIP_EACH):
        other = make_schedule(row, N, 1)
        assert np.array_equal(other.order, plain.order)
        assert np.array_equal(other.initial["fc1.weight"], plain.initial["fc1.weight"])
    added = make_schedule(FLIP_ADD, N, 1)
    assert np.array_equal(added.initial["fc1.weight"], plain.initial["fc1.weight"])
    dropped = make_schedule(dataclasses.replace(DROP50, augment="flip_each"), N, 1)
    assert np.array_equal(dropped.masks, make_schedule(DROP50, N, 1).masks)
    assert np.array_equal(dropped.flips, make_schedule(FLIP_EACH, N, 1).flips)


def test_without_techniques_nothing_is_mirrored_or_masked():
    found = make_schedule(change(), N, 0)
    assert not found.flips.any()
    assert found.masks is None


@pytest.mark.parametrize(("n_train", "n_added"), [(303, 75), (378, 94), (4, 1), (3, 0)])
def test_flip_add_shows_mirrored_copies_of_a_quarter_each_once(n_train, n_added):
    found = make_schedule(FLIP_ADD, n_train, 2)
    assert found.order.shape == (3, n_train + n_added)
    added = []
    for order, flips in zip(found.order, found.flips, strict=True):
        assert sorted(order[~flips].tolist()) == list(range(n_train))
        added.append(sorted(order[flips].tolist()))
    assert len(set(added[0])) == n_added
    assert added[0] == added[1] == added[2]  # the same images join once, before the first epoch


def test_flip_add_picks_at_random_and_shuffles_copies_among_the_rest():
    found = [make_schedule(FLIP_ADD, 100, seed) for seed in range(2)]
    picked = [sorted(one.order[0][one.flips[0]].tolist()) for one in found]
    assert picked[0] != picked[1]
    assert found[0].flips[0, :100].any()
    assert not np.array_equal(found[0].flips[0], found[0].flips[1])


@pytest.mark.parametrize("fraction", [0.25, 0.8])
def test_flip_each_mirrors_with_its_probability_anew_each_epoch(fraction):
    row = dataclasses.replace(FLIP_EACH, n_epochs=40, augment_fraction=fraction)
    found = make_schedule(row, 300, 0)
    error = math.sqrt(fraction * (1 - fraction) / found.flips.size)
    assert abs(found.flips.mean() - fraction) < 4 * error
    share = np.zeros(300)
    np.add.at(share, found.order, found.flips / 40)
    assert share.min() > fraction - 0.4
    assert share.max() < fraction + 0.4
    assert len({tuple(epoch) for epoch in found.flips.tolist()}) == 40


@pytest.mark.parametrize(("fraction", "expected"), [(0.0, False), (1.0, True)])
def test_flip_each_at_its_limits(fraction, expected):
    flips = make_schedule(dataclasses.replace(FLIP_EACH, augment_fraction=fraction), N, 0).flips
    assert (flips == expected).all()


def test_half_dropout_drops_all_that_quarter_dropout_drops():
    quarter, half = (make_schedule(row, N, 0).masks for row in (DROP25, DROP50))
    assert (half <= quarter).all()
    assert (half < quarter).any()


@pytest.mark.parametrize("p_drop", [0.25, 0.5, 0.9])
def test_masks_keep_their_share_anew_for_every_sample(p_drop):
    masks = make_schedule(change(p_drop=p_drop), 200, 0).masks
    assert set(np.unique(masks)) == {0, 1}
    error = math.sqrt(p_drop * (1 - p_drop) / masks.size)
    assert abs(masks.mean() - (1 - p_drop)) < 4 * error
    per_unit = masks.mean(axis=(0, 1))
    assert np.abs(per_unit - (1 - p_drop)).max() < 0.1
    if p_drop < 0.9:
        assert len({mask.tobytes() for mask in masks.reshape(-1, 40)}) == 600


FAN_IN = {
    "ConvNN_1": {"conv1": 9, "conv2": 72, "fc1": 784, "fc2": 40},
    "ConvNN_2": {"conv1": 9, "conv2": 72, "fc1": 256, "fc2": 32},
}


@pytest.mark.parametrize("row", [BASELINE, BASELINE_2], ids=lambda row: row.model)
def test_initial_weights_are_uniform_within_pytorchs_bounds(row):
    many = [make_schedule(change(row, n_epochs=1), 2, seed).initial for seed in range(20)]
    shapes = {name: tuple(p.shape) for name, p in build(row.model).state_dict().items()}
    assert {name: value.shape for name, value in many[0].items()} == shapes
    for name in shapes:
        values = np.concatenate([initial[name].ravel() for initial in many])
        assert values.dtype == np.float32
        # kaiming_uniform_(a=√5) of the weights and the rule for biases: both ±1/√fan_in
        bound = 1 / math.sqrt(FAN_IN[row.model][name.split(".")[0]])
        assert 0.9 * bound < np.abs(values).max() <= bound * (1 + 1e-6), name
        error = bound / math.sqrt(3 * len(values))
        assert abs(values.mean()) < 4 * error, name
        assert values.std() == pytest.approx(bound / math.sqrt(3), rel=0.15), name


def test_initial_weights_can_be_overwritten_without_harm():
    first = make_schedule(change(), N, 0)
    before = first.initial["fc2.bias"].copy()
    first.initial["fc2.bias"][:] = 7
    assert np.array_equal(make_schedule(change(), N, 0).initial["fc2.bias"], before)


def test_dropout_needs_a_layer_whose_units_are_dropped():
    assert make_schedule(change(model="face9k", head="logit"), N, 0).masks is None
    with pytest.raises(SglibError, match="face9k: p_drop drops units of a layer fc1"):
        make_schedule(change(model="face9k", head="logit", p_drop=0.5), N, 0)
