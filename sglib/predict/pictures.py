"""Reading a picture of any kind, and bringing it to the 30×32 grey pixels of the networks.

The rule, in this order:

1. Refused before any pixel is decoded: what is not a regular file, more than 20 MB, more than
   25 million pixels, formats that Pillow would hand to another program.
2. Turned as its EXIF orientation says; of an animation, the first frame.
3. Grey: 16-bit values are divided by 257; colours become ITU-R 601 luma; what is transparent
   shows white paper behind it.
4. Size: proportions are kept. A larger picture is averaged over areas, a smaller one is
   interpolated linearly, until it just fits into 30×32; the rest is filled by repeating its edge.
"""

import contextlib
import io
import os
import stat
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import Image, UnidentifiedImageError

from sglib import SglibError
from sglib.data.faces import HEIGHT, WIDTH

MAX_BYTES = 20_000_000
MAX_PIXELS = 25_000_000

# EPS and WMF start another program, the next three only know that they cannot read, MPEG is film.
_REFUSED_FORMATS = {"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"}
_READ_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_ORIENTATION = 0x0112  # EXIF tag
# EXIF orientation → (transpose, mirror top and bottom, mirror left and right), in this order
_TURNS = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


class PictureError(SglibError):
    """A picture that cannot be used; the message is the reason, without the file's name."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence Pillow's warnings of odd files, each of which gets a status that says more.

    For a whole run, from its main thread: filters of warnings belong to the process.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.|sglib\.images")
        yield


def read_bytes(path: str | os.PathLike) -> bytes:
    """Return a picture file's content.

    Raises:
        PictureError: not a regular file, empty, too large, or not readable.
    """
    try:
        fd = os.open(path, _READ_FLAGS)  # without waiting: a pipe must not block the run
        try:
            info = os.fstat(fd)
            if not stat.S_ISREG(info.st_mode):
                raise PictureError("not a regular file")
            if info.st_size > MAX_BYTES:
                raise PictureError(f"too large: {info.st_size} bytes, at most {MAX_BYTES}")
            with open(fd, "rb", closefd=False) as file:
                data = file.read(MAX_BYTES + 1)
        finally:
            os.close(fd)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise PictureError(f"cannot read ({reason})") from error
    if not data:
        raise PictureError("empty file")
    if len(data) > MAX_BYTES:
        raise PictureError(f"too large: more than {MAX_BYTES} bytes")
    return data


def decode(data: bytes, *, min_side: int = 8 * WIDTH) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode a picture file's content to grey.

    Args:
        data: the content.
        min_side: a JPEG with sides above this may be decoded at 1/2, 1/4 or 1/8 of its size,
            which averages as the later resize does, while both sides stay at least this long.

    Returns:
        uint8 (H, W), and the (width, height) of the upright picture in the file.

    Raises:
        PictureError: not a picture, damaged, or beyond the limits.
    """
    try:
        return _decode(data, min_side)
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


def _decode(data: bytes, min_side: int) -> tuple[np.ndarray, tuple[int, int]]:
    with Image.open(io.BytesIO(data), formats=_formats()) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise PictureError(f"too large: {width}x{height} pixels, at most {MAX_PIXELS}")
        if width == 0 or height == 0:
            raise PictureError("a picture without pixels")
        image.draft("L", (min(width, min_side), min(height, min_side)))
        image.load()
        gray = to_gray(image)
        turn = _TURNS.get(image.getexif().get(_ORIENTATION))
    if turn:
        transpose, flip_rows, flip_columns = turn
        if transpose:
            gray, width, height = gray.T, height, width
        gray = gray[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
    return np.ascontiguousarray(gray), (width, height)


def _formats() -> list[str]:
    Image.init()
    return [name for name in Image.ID if name not in _REFUSED_FORMATS]


def to_gray(image: Image.Image) -> np.ndarray:
    """Return the grey values of a picture of any mode, uint8 (H, W), as the module's rule 3 says.

    Raises:
        PictureError: the values cannot be brought to 8 bits without guessing their range.
    """
    mode = image.mode
    if mode.startswith("I"):  # I;16 and its byte orders, or 16 bits in 32
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise PictureError("pixels beyond 16 bits: save it with 8 or 16")
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if mode == "F":
        raise PictureError("pixels are floating-point numbers: save it with 8 or 16 bits")
    if mode == "LAB":
        return np.asarray(image.getchannel(0))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        paper = Image.new("L", image.size, 255)
        return np.asarray(Image.composite(image.convert("L"), paper, image.getchannel("A")))
    return np.asarray(image if mode == "L" else image.convert("L"))


def fit(gray: np.ndarray) -> np.ndarray:
    """Bring a grey picture to the size of the networks, as the module's rule 4 says.

    Args:
        gray: uint8 (H, W).

    Returns:
        uint8 (30, 32).
    """
    height, width = gray.shape
    if (height, width) == (HEIGHT, WIDTH):
        return gray
    scale = min(HEIGHT / height, WIDTH / width)
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    if scale > 1:
        resized = np.asarray(Image.fromarray(gray).resize((w, h), Image.Resampling.BILINEAR))
    else:
        # the longer axis first: less is left for the other
        values = gray
        for axis in sorted((0, 1), key=lambda axis: -gray.shape[axis]):
            values = _area_average(values, (h, w)[axis], axis)
        resized = np.rint(values).astype(np.uint8)
    top, left = (HEIGHT - h) // 2, (WIDTH - w) // 2
    return np.pad(resized, ((top, HEIGHT - h - top), (left, WIDTH - w - left)), mode="edge")


def _area_average(values: np.ndarray, n_out: int, axis: int) -> np.ndarray:
    """Return the means over `n_out` equal stretches of an axis; parts of pixels count as such."""
    n_in = values.shape[axis]
    if n_in == n_out:
        return values
    edges = np.arange(n_out + 1) * (n_in / n_out)
    whole = np.minimum(edges.astype(np.int64), n_in - 1)  # the pixel that each edge falls in
    part = edges - whole  # how far into it
    shape = (-1, 1) if axis == 0 else (1, -1)
    at_edge = np.take(values, whole, axis=axis) * part.reshape(shape)
    sums = np.add.reduceat(values, whole[:-1], axis=axis, dtype=np.float64)
    # the last stretch ends with the last pixel, whose sum reduceat has taken already
    after = np.take(at_edge, range(1, n_out + 1), axis=axis)
    last = [slice(None)] * 2
    last[axis] = slice(n_out - 1, n_out)
    after[tuple(last)] = 0
    before = np.take(at_edge, range(n_out), axis=axis)
    return (sums - before + after) / (n_in / n_out)


def status_of(size: tuple[int, int], detail: str = "") -> str:
    """Return the status of a picture that was read: `ok`, and in brackets what was done to it.

    Args:
        size: (width, height) of the upright picture in the file.
        detail: what else there is to say.
    """
    resized = "" if size == (WIDTH, HEIGHT) else f"resized from {size[0]}x{size[1]}"
    details = ", ".join(filter(None, (detail, resized)))
    return f"ok ({details})" if details else "ok"
