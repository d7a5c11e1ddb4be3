"""What people hand to a classifier, other than files: arrays, tensors and Pillow images.

Shapes say what is meant, values never do:

- one picture: (H, W) grey, (H, W, 3) or (H, W, 4) colour, (1, H, W) or (3, H, W) as PyTorch has
  it, or a Pillow image;
- several: a list of these, or one array (N, H, W), (N, H, W, C) or (N, C, H, W).

Types: uint8 0 to 255, uint16 0 to 65,535, bool, or floats in [0, 1].
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from sglib import SglibError
from sglib.data.faces import HEIGHT, WIDTH
from sglib.predict import pictures as images

_SHAPES = "(N, H, W), (N, H, W, 3 or 4), (N, 1 or 3, H, W), one picture, or a list of pictures"


def as_pictures(given: Any) -> tuple[np.ndarray, list[str]]:
    """Bring pictures to the size of the networks.

    Args:
        given: see the module.

    Returns:
        uint8 (N, 30, 32), and N statuses (`ok`, or `ok (resized from 640x480)`).

    Raises:
        SglibError: neither of these, or a value out of range; the message names the picture.
    """
    one_by_one = [_one(one, i) for i, one in enumerate(_separate(given))]
    if not one_by_one:
        return np.zeros((0, HEIGHT, WIDTH), np.uint8), []
    statuses = [images.status_of(gray.shape[::-1]) for gray in one_by_one]
    return np.stack([images.fit(gray) for gray in one_by_one]), statuses


def _separate(given: Any) -> Sequence[Any]:
    """Return the single pictures."""
    if isinstance(given, Image.Image):
        return [given]
    if isinstance(given, list | tuple):
        return given
    array = _array(given)
    if array.ndim == 2:
        return [array]
    if array.ndim == 3 and array.shape[2] in (3, 4) and array.shape[1] != WIDTH:
        return [array]
    if array.ndim in (3, 4):
        return array
    raise SglibError(f"expected pictures as {_SHAPES}; got an array {array.shape}")


def _array(given: Any) -> np.ndarray:
    detach = getattr(given, "detach", None)  # a tensor, maybe on another device
    array = np.asarray(given if detach is None else detach().cpu())
    if array.dtype == object or array.dtype.kind not in "bufi":
        raise SglibError(f"expected pictures as {_SHAPES}; got {type(given).__name__}")
    return array


def _one(given: Any, i: int) -> np.ndarray:
    """Return one picture as uint8 (H, W)."""
    if isinstance(given, Image.Image):
        try:
            return images.to_gray(given)
        except images.PictureError as error:
            raise SglibError(f"picture {i}: {error}") from error
    array = _eight_bits(_array(given), i)
    if array.ndim == 3:
        if array.shape[0] in (1, 3) and array.shape[2] not in (3, 4):
            array = np.moveaxis(array, 0, 2)  # (C, H, W) → (H, W, C)
        if array.shape[2] == 1:
            array = array[:, :, 0]
    if array.size == 0 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise SglibError(f"picture {i}: expected (H, W) or a colour picture, got {array.shape}")
    if array.shape[0] * array.shape[1] > images.MAX_PIXELS:
        raise SglibError(f"picture {i}: more than {images.MAX_PIXELS} pixels")
    if array.ndim == 2:
        return np.ascontiguousarray(array)
    return images.to_gray(Image.fromarray(np.ascontiguousarray(array)))


def _eight_bits(array: np.ndarray, i: int) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if array.dtype.kind == "f":
        if not ((array >= 0) & (array <= 1)).all():  # NaN is not
            low, high = array.min(), array.max()
            raise SglibError(f"picture {i}: floats must be in [0, 1], got {low:g} to {high:g}")
        return np.rint(array.astype(np.float64) * 255).astype(np.uint8)
    raise SglibError(f"picture {i}: expected uint8, uint16, bool or floats, got {array.dtype}")
