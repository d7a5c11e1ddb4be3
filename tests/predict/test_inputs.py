import numpy as np
import pytest
import torch
from model_fakes import random_images
from PIL import Image

from sglib import SglibError
from sglib.predict.inputs import as_pictures

GRAY = random_images(3)
COLOUR = np.stack([GRAY] * 3, axis=3)  # (3, 30, 32, 3), and luma of equal channels is the channel


@pytest.mark.parametrize(
    "given",
    [
        GRAY,
        torch.from_numpy(GRAY),
        torch.from_numpy(GRAY)[:, None],
        GRAY.astype(np.uint16) * 257,
        GRAY / 255.0,
        torch.from_numpy(GRAY).float() / 255,
        (torch.from_numpy(GRAY).float() / 255).requires_grad_(),
        COLOUR,
        np.moveaxis(COLOUR, 3, 1),
        np.concatenate([COLOUR, np.full((3, 30, 32, 1), 255, np.uint8)], axis=3),
        list(GRAY),
        tuple(torch.from_numpy(GRAY)[:, None]),
        list(COLOUR),
        [Image.fromarray(one) for one in GRAY],
        [GRAY[0], Image.fromarray(GRAY[1]), torch.from_numpy(COLOUR[2]).permute(2, 0, 1)],
    ],
)
def test_forms_of_the_same_pictures(given: object) -> None:
    pictures, statuses = as_pictures(given)
    np.testing.assert_array_equal(pictures, GRAY)
    assert statuses == ["ok"] * 3


@pytest.mark.parametrize(
    "given", [GRAY[0], GRAY[:1], torch.from_numpy(GRAY[:1]), Image.fromarray(GRAY[0]), [GRAY[0]]]
)
def test_forms_of_one_picture(given: object) -> None:
    np.testing.assert_array_equal(as_pictures(given)[0], GRAY[:1])


def test_other_sizes_are_said() -> None:
    large = np.zeros((2, 60, 80), np.uint8)
    pictures, statuses = as_pictures([*large, GRAY[0]])
    assert pictures.shape == (3, 30, 32)
    assert statuses == ["ok (resized from 80x60)"] * 2 + ["ok"]
    assert as_pictures(np.zeros((60, 80, 3), np.uint8))[0].shape == (1, 30, 32)


def test_nothing() -> None:
    for nothing in ([], np.zeros((0, 30, 32), np.uint8)):
        pictures, statuses = as_pictures(nothing)
        assert pictures.shape == (0, 30, 32)
        assert statuses == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (GRAY.astype(int), "picture 0: expected uint8, uint16, bool or floats, got int64"),
        (GRAY.astype(float), r"picture 0: floats must be in \[0, 1\], got"),
        (np.full((1, 30, 32), np.nan), "floats must be in"),
        (np.zeros((5, 2, 30, 32), np.uint8), "picture 0: expected .H, W. or a colour picture"),
        (np.zeros(960, np.uint8), r"expected pictures as .*; got an array \(960,\)"),
        ([GRAY[0], np.zeros((0, 4), np.uint8)], "picture 1: expected"),
        ([GRAY[0], "b.jpg"], "expected pictures as .*; got str"),
        (None, "got NoneType"),
        ({"a": 1}, "got dict"),
        ([Image.new("F", (4, 4))], "picture 0: pixels are floating-point"),
        (np.broadcast_to(np.uint8(1), (1, 6000, 6000)), "more than 25000000 pixels"),
    ],
)
def test_refusals(given: object, message: str) -> None:
    with pytest.raises(SglibError, match=message):
        as_pictures(given)
