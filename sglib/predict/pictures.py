"""Any picture as the 30×32 grey pixels of the networks.

The rule, in this order, is the same for a file, its bytes, a Pillow image and an array:

1. Refused before any pixel is decoded: what is not a regular file, more than 20 MB, more than
   25 million pixels, formats that Pillow would hand to another program.
2. Turned as its EXIF orientation says; of an animation, the first frame.
3. Grey: 16-bit values are divided by 257; colours become ITU-R 601 luma of their 8-bit RGB values;
   what is transparent shows white paper behind it.
4. Size: proportions are kept. A larger picture is averaged over areas, a smaller one is
   interpolated linearly, until it just fits into 30×32; the rest is filled by repeating its edge.
"""

import contextlib
import io
import os
import stat
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import simplejpeg
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from sglib import SglibError

# As in `sglib.data.faces`, which is part of the study and not needed to predict.
HEIGHT, WIDTH = 30, 32
CLASSES = ("open", "sunglasses")

MAX_BYTES = 20_000_000
MAX_PIXELS = 25_000_000
# EPS and WMF start another program, the next three only know that they cannot read, MPEG is film.
_REFUSED_FORMATS = {"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"}
_SHAPES = (
    "(H, W), (H, W, 3), (3, H, W), a batch (N, H, W), (N, H, W, 3) or (N, 3, H, W), "
    "a Pillow image, a path, bytes, or a list of pictures"
)


class PictureError(SglibError):
    """A picture that cannot be used; the message is the reason, without the file's name."""


class Picture(NamedTuple):
    """A picture to look at: its name in the answer, and a path, bytes, Pillow image or array."""

    name: str
    source: Any
    problem: str = ""  # why there is nothing to look at


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence Pillow's warnings of odd files, each of which gets a status that says more."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.|sglib\.predict")
        yield


def small_jpeg(source: Any) -> np.ndarray | None:
    """Return the pixels of a 30×32 grey JPEG file, uint8 (30, 32); None for anything else.

    The fast path of `read` for files like those of the course set: the same pixels as Pillow's, in
    a tenth of the time.
    """
    if not isinstance(source, str):
        return None
    try:
        with open(source, "rb", buffering=0) as file:
            data = file.read(8192)
        if simplejpeg.decode_jpeg_header(data)[:3] != (HEIGHT, WIDTH, "Gray") or b"Exif" in data:
            return None
        return simplejpeg.decode_jpeg(data, colorspace="GRAY")[:, :, 0]
    except (OSError, ValueError):
        return None


def read(source: Any) -> np.ndarray:
    """Return the grey values of a picture, upright, uint8 (H, W), by rules 1 to 3 of the module.

    Args:
        source: a path, bytes, a Pillow image, or an array as `separate` gives it.

    Raises:
        PictureError: the reason why not.
    """
    if isinstance(source, str | os.PathLike):
        source = _content(source)
    try:
        if isinstance(source, bytes):
            if len(source) > MAX_BYTES:
                raise PictureError(f"too large: {len(source)} bytes, at most {MAX_BYTES}")
            with Image.open(io.BytesIO(source), formats=_formats()) as image:
                return _from_pillow(image)
        if isinstance(source, Image.Image):
            return _from_pillow(source)
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        raise PictureError(f"too large: at most {MAX_PIXELS} pixels") from error
    except UnidentifiedImageError as error:
        raise PictureError("not a picture that can be read") from error
    except MemoryError as error:
        raise PictureError("not enough memory to decode it") from error
    except Exception as error:  # decoders raise nearly anything on damaged input
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PictureError(f"damaged picture ({reason[:120]})") from error
    return _from_array(_array(source))


def _content(path: str | os.PathLike) -> bytes:
    try:
        info = os.stat(path)
        if not stat.S_ISREG(info.st_mode):  # a pipe would block the run
            raise PictureError("not a regular file")
        if info.st_size > MAX_BYTES:
            raise PictureError(f"too large: {info.st_size} bytes, at most {MAX_BYTES}")
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise PictureError(f"cannot read ({reason})") from error
    if not data:
        raise PictureError("empty file")
    return data


def _formats() -> list[str]:
    Image.init()
    return [name for name in Image.ID if name not in _REFUSED_FORMATS]


def _from_pillow(image: Image.Image) -> np.ndarray:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise PictureError(f"too large: {width}x{height} pixels, at most {MAX_PIXELS}")
    if width * height == 0:
        raise PictureError("a picture without pixels")
    image.load()
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
    mode = image.mode
    if mode.startswith("I"):  # I;16 and its byte orders, or 16 bits in 32
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise PictureError("pixels beyond 16 bits: save it with 8 or 16")
        return _from_16_bits(values)
    if mode == "F":
        raise PictureError("pixels are floating-point numbers: save it with 8 or 16 bits")
    if mode == "LAB":
        return np.asarray(image.getchannel(0))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        paper = Image.new("L", image.size, 255)
        return np.asarray(Image.composite(image.convert("L"), paper, image.getchannel("A")))
    return np.asarray(image.convert("L"))


def _from_16_bits(values: np.ndarray) -> np.ndarray:
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def separate(given: Any) -> Iterable[Any]:
    """Return the single pictures of what `Classifier.predict` was given.

    Shapes say what is meant, values never do. An array of three dimensions is one picture if its
    last axis has 1, 3 or 4 colours or its first 1 or 3, else a batch of grey ones; where both can
    be meant it is refused.

    Raises:
        SglibError: it can mean several things, or none; the message says what was expected.
    """
    if isinstance(given, str | bytes | os.PathLike | Image.Image):
        return [given]
    if isinstance(given, list | tuple):
        return given
    array = _array(given)
    if array.ndim == 2:
        return [array]
    if array.ndim == 4 and _channels(array.shape[1:]) is not None:
        return array
    if array.ndim == 3:
        if array.shape == (3, HEIGHT, WIDTH):
            raise SglibError(
                f"an array (3, {HEIGHT}, {WIDTH}) can be three grey pictures or one in colour: "
                f"give (3, {HEIGHT}, {WIDTH}, 1) or (1, 3, {HEIGHT}, {WIDTH})"
            )
        return array if _channels(array.shape) is None else [array]
    raise SglibError(f"expected {_SHAPES}; got an array {array.shape}")


def _channels(shape: tuple[int, ...]) -> int | None:
    """Return which axis of one picture holds its colours, 0 or 2, or None."""
    first, last = shape[0] in (1, 3), shape[2] in (1, 3, 4)
    if first and last:
        raise SglibError(f"expected {_SHAPES}; {shape} can be read with its colours first or last")
    return 0 if first else 2 if last else None


def _array(given: Any) -> np.ndarray:
    detach = getattr(given, "detach", None)  # a tensor, maybe on another device
    given = given if detach is None else detach().cpu()
    array = np.asarray(given) if hasattr(given, "__array__") else None
    if array is None or array.dtype.kind not in "bufi":
        raise SglibError(f"expected {_SHAPES}; got {type(given).__name__}")
    return array


def _from_array(array: np.ndarray) -> np.ndarray:
    array = _eight_bits(array)
    axis = _channels(array.shape) if array.ndim == 3 else None
    if array.size == 0 or (array.ndim != 2 and axis is None):
        raise PictureError(f"expected (H, W), (H, W, 3) or (3, H, W), got {array.shape}")
    if axis is not None:
        array = np.moveaxis(array, axis, 2)  # (H, W, C)
    if array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise PictureError(f"too large: at most {MAX_PIXELS} pixels")
    if array.ndim == 3 and array.shape[2] != 1:
        return _from_pillow(Image.fromarray(np.ascontiguousarray(array)))
    return np.ascontiguousarray(array.reshape(array.shape[:2]))


def _eight_bits(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return _from_16_bits(array)
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if array.dtype.kind == "f" and array.size:
        if not ((array >= 0) & (array <= 1)).all():  # NaN is not
            low, high = array.min(), array.max()
            raise PictureError(f"floats must be in [0, 1], got {low:g} to {high:g}")
        return np.rint(array.astype(np.float64) * 255).astype(np.uint8)
    raise PictureError(f"expected uint8, uint16, bool or floats in [0, 1], got {array.dtype}")


def fit(gray: np.ndarray) -> np.ndarray:
    """Bring a grey picture, uint8 (H, W), to the networks' size, uint8 (30, 32), by rule 4."""
    height, width = gray.shape
    if (height, width) == (HEIGHT, WIDTH):
        return gray
    scale = min(HEIGHT / height, WIDTH / width)
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    if scale > 1:
        resized = np.asarray(Image.fromarray(gray).resize((w, h), Image.Resampling.BILINEAR))
    else:
        means = _area_weights(height, h) @ gray.astype(np.float32) @ _area_weights(width, w).T
        resized = np.rint(means).astype(np.uint8)
    top, left = (HEIGHT - h) // 2, (WIDTH - w) // 2
    return np.pad(resized, ((top, HEIGHT - h - top), (left, WIDTH - w - left)), mode="edge")


def _area_weights(n_in: int, n_out: int) -> np.ndarray:
    """Return float32 (n_out, n_in): the share of each old pixel in each of the new ones."""
    edges = np.linspace(0, n_in, n_out + 1)
    pixels = np.arange(n_in)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (np.clip(overlap, 0, None) * (n_out / n_in)).astype(np.float32)
