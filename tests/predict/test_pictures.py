import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from predict_fakes import random_images, write_jpegs

from sglib import SglibError
from sglib.predict import pictures
from sglib.predict.pictures import PictureError, fit, read, separate, small_jpeg


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with pictures.quiet():
        yield


GRAY = random_images(1, seed=3)[0]


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format=format, **options)
    return out.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that says what size it is and has no pixels."""
    ihdr = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    idat = b"IDAT" + zlib.compress(b"")
    chunks = [
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (ihdr, idat)
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "GIF", "PPM", "TGA"])
def test_lossless_formats_keep_gray(format: str) -> None:
    np.testing.assert_array_equal(read(encoded(Image.fromarray(GRAY), format)), GRAY)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    wide = GRAY.astype(np.uint16) * 257
    for format in ("PNG", "TIFF"):
        np.testing.assert_array_equal(read(encoded(Image.fromarray(wide), format)), GRAY)
    pgm = b"P5 32 30 65535\n" + wide.astype(">u2").tobytes()
    np.testing.assert_array_equal(read(pgm), GRAY)


def test_colours_become_luma() -> None:
    red = Image.new("RGB", (32, 30), (255, 0, 0))
    assert (read(encoded(red)) == 76).all()
    assert (read(encoded(red.convert("P"))) == 76).all()
    assert abs(int(read(encoded(red, "JPEG"))[5, 5]) - 76) <= 2
    cmyk = Image.new("CMYK", (32, 30), (0, 0, 0, 255))
    assert read(encoded(cmyk, "TIFF")).max() <= 1
    assert read(encoded(cmyk, "JPEG")).max() <= 3
    assert (read(encoded(Image.new("1", (32, 30), 1))) == 255).all()


def test_transparent_shows_white_paper() -> None:
    half = Image.new("RGBA", (32, 30), (0, 0, 0, 0))
    half.paste((0, 0, 0, 255), (0, 0, 16, 30))
    for image in (half, half.convert("LA"), half.quantize()):
        gray = read(encoded(image))
        assert (gray[:, :16] == 0).all()
        assert (gray[:, 16:] == 255).all()
    opaque = Image.new("P", (32, 30), 0)
    opaque.putpalette([10, 10, 10, 200, 200, 200])
    assert (read(encoded(opaque, transparency=0)) == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation_as_pillow_does_it(orientation: int, format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    tall = np.concatenate([GRAY, GRAY[:10] // 2])
    options = {"lossless": True} if format == "WEBP" else {}
    data = encoded(Image.fromarray(tall).convert("RGB"), format, exif=exif, **options)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("L")
    np.testing.assert_array_equal(read(data), np.asarray(expected))


def test_refused_before_decoding() -> None:
    for width, height in ((10_000, 10_000), (100_000, 100_000), (2**31 - 1, 1)):
        with pytest.raises(PictureError, match="too large"):
            read(png_header(width, height))
    with pytest.raises(PictureError, match="10000x2501 pixels, at most 25000000"):
        read(png_header(10_000, 2501))
    with pytest.raises(PictureError, match="damaged"):
        read(png_header(10_000, 2500))  # within the limits, but without pixels


def test_postscript_is_never_run() -> None:
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nquit\n"
    with pytest.raises(PictureError, match="not a picture"):
        read(eps)


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b"\xff\xd8\xff",
        b"\0" * 1000,
        b"GIF89a",
        b"BM" + b"\xff" * 60,
        encoded(Image.fromarray(GRAY))[:-30],
        encoded(Image.fromarray(GRAY), "JPEG")[:300],
        encoded(Image.fromarray(GRAY), "JPEG")[:-20],
        encoded(Image.fromarray(GRAY), "TIFF")[:-400],
    ],
    ids=lambda data: repr(data[:8]),
)
def test_damaged(data: bytes) -> None:
    with pytest.raises(PictureError) as caught:
        read(data)
    assert "\n" not in str(caught.value)


def outcome(data: bytes) -> tuple[int, ...] | str:
    """Return the shape of what was read, or that there is a one-line reason why not."""
    try:
        return fit(read(data)).shape
    except PictureError as error:
        return "a reason" if str(error) and "\n" not in str(error) else repr(error)


def test_any_flipped_bytes_give_pixels_or_a_reason() -> None:
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    for format in ("JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP"):
        good = np.frombuffer(encoded(Image.fromarray(GRAY), format, exif=exif), np.uint8)
        for _ in range(40):
            bad = good.copy()
            bad[rng.integers(0, len(bad), 4)] = rng.integers(0, 256, 4)
            assert outcome(bad.tobytes()) in ((30, 32), "a reason")


def test_floats_and_wide_integers_are_not_guessed() -> None:
    with pytest.raises(PictureError, match="floating-point"):
        read(encoded(Image.fromarray(GRAY.astype(np.float32)), "TIFF"))
    with pytest.raises(PictureError, match="beyond 16 bits"):
        read(encoded(Image.fromarray(GRAY.astype(np.int32) * 1000), "TIFF"))


def area_by_hand(gray: np.ndarray, height: int, width: int) -> np.ndarray:
    """Weights as a matrix: how much of each pixel lies in each stretch."""

    def weights(n_in: int, n_out: int) -> np.ndarray:
        step = n_in / n_out
        rows = np.arange(n_out)[:, None] * step
        pixels = np.arange(n_in)[None]
        overlap = np.minimum(rows + step, pixels + 1) - np.maximum(rows, pixels)
        return np.clip(overlap, 0, None) / step

    return weights(gray.shape[0], height) @ gray @ weights(gray.shape[1], width).T


@pytest.mark.parametrize("shape", [(120, 128), (45, 48), (31, 33), (301, 320), (1000, 1067)])
def test_larger_ones_are_averaged_over_areas(shape: tuple[int, int]) -> None:
    gray = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_allclose(fit(gray), area_by_hand(gray, 30, 32), atol=0.5 + 1e-6)


def test_proportions_are_kept_and_edges_repeated() -> None:
    tall = np.tile(np.array([0, 255], np.uint8).repeat(32), (120, 1))  # (120, 64)
    small = fit(tall)
    assert small.shape == (30, 32)
    np.testing.assert_array_equal(small[0], [0] * 16 + [255] * 16)
    left, right = fit(tall[:, :32]), fit(tall[:, 32:])
    assert (left == 0).all()
    assert (right == 255).all()
    wide = np.tile(np.array([0, 255], np.uint8).repeat(25)[:, None], (1, 400))
    assert (fit(wide)[:15] == 0).all()
    assert (fit(wide)[15:] == 255).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (2, 3), (15, 16), (1, 3_000_000)])
def test_any_shape_fits(shape: tuple[int, int]) -> None:
    small = fit(np.full(shape, 77, np.uint8))
    assert small.shape == (30, 32)
    assert small.dtype == np.uint8
    assert (small == 77).all()


def test_right_size_is_untouched() -> None:
    assert fit(GRAY) is GRAY


def test_small_jpegs_have_pillows_pixels_or_take_the_long_way(tmp_path: Path) -> None:
    for path in write_jpegs(tmp_path, 5):
        np.testing.assert_array_equal(small_jpeg(path), np.asarray(Image.open(path)))
        np.testing.assert_array_equal(small_jpeg(path), read(path))
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(GRAY)
    others = {
        "turned.jpg": encoded(image, "JPEG", exif=exif),
        "colour.jpg": encoded(image.convert("RGB"), "JPEG"),
        "larger.jpg": encoded(image.resize((33, 30)), "JPEG"),
        "cut.jpg": encoded(image, "JPEG")[:-40],
        "long.jpg": encoded(image, "JPEG", comment=b"x" * 9000),
        "other.jpg": encoded(image, "PNG"),
    }
    for name, data in others.items():
        (tmp_path / name).write_bytes(data)
        assert small_jpeg(str(tmp_path / name)) is None, name
    assert small_jpeg(str(tmp_path / "gone.jpg")) is None


def test_reading_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object, message: str) -> None:
        with pytest.raises(PictureError, match=message):
            read(path)

    (tmp_path / "empty").touch()
    refuse(tmp_path / "empty", "empty file")
    refuse(tmp_path / "gone", r"cannot read \(No such file")
    refuse(tmp_path, "regular|Is a directory")
    refuse("a\0b", "cannot read")
    (tmp_path / "loop").symlink_to("loop")
    refuse(tmp_path / "loop", "cannot read")
    os.mkfifo(tmp_path / "pipe")
    refuse(tmp_path / "pipe", "not a regular file")
    refuse("/dev/zero", "not a regular file")
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(pictures.MAX_BYTES + 1)
    refuse(tmp_path / "sparse", "too large: 20000001 bytes")


def test_no_format_raises_anything_else(tmp_path: Path) -> None:
    """A few bytes that start like each format Pillow knows."""
    Image.init()
    starts: list[Callable[[int], bytes]] = [
        lambda n: b"\x00" * n,
        lambda n: b"\xff" * n,
        lambda n: b"8BPS\x00\x01" + b"\x00" * n,
        lambda n: b"icns" + struct.pack(">I", n) + b"\x00" * n,
        lambda n: b"\x00\x00\x01\x00\x01\x00" + b"\x10" * n,
        lambda n: b"P6 2 2 255\n" + b"\x00" * n,
        lambda n: b"%PDF-1.4" + b"\x00" * n,
        lambda n: b"\xd7\xcd\xc6\x9a" + b"\x00" * n,
    ]
    for start in starts:
        for n in (0, 10, 600):
            assert outcome(start(n) or b"x") in ((30, 32), "a reason")


H, W, RGB = 40, 50, (40, 50, 3)


@pytest.mark.parametrize(
    ("shape", "n"),
    [
        ((30, 32), 1),
        ((H, W), 1),
        ((30, 32, 3), 1),
        (RGB, 1),
        ((H, W, 4), 1),
        ((H, W, 1), 1),
        ((480, 32, 3), 1),
        ((3, H, W), 1),
        ((1, 30, 32), 1),
        ((4, 30, 32), 4),
        ((5, H, W), 5),
        ((0, 30, 32), 0),
        ((2, 30, 32, 3), 2),
        ((2, *RGB), 2),
        ((1, 3, 30, 32), 1),
        ((2, 3, H, W), 2),
        ((2, 1, H, W), 2),
        ((3, 30, 32, 1), 3),
    ],
)
@pytest.mark.parametrize("kind", [np.zeros, torch.zeros])
def test_shapes_say_what_is_meant(shape: tuple[int, ...], n: int, kind: Callable) -> None:
    given = kind(shape, dtype=np.uint8 if kind is np.zeros else torch.uint8)
    apart = list(separate(given))
    assert len(apart) == n
    for one in apart:  # its sides are of the shape, and none of them is the colours
        assert set(read(one).shape) <= set(shape) - {1, 3, 4}


@pytest.mark.parametrize(
    "given",
    [
        np.zeros((3, 30, 32), np.uint8),  # three grey ones, or one in colour
        np.zeros((3, 40, 3), np.uint8),
        np.zeros((2, 3, 40, 3), np.uint8),
        np.zeros(960, np.uint8),
        np.zeros((2, 5, 40, 50), np.uint8),
        np.zeros((1, 2, 3, 40, 50), np.uint8),
        np.array(["a"]),
        np.zeros((30, 32), complex),
        7,
        None,
        {"a": 1},
    ],
    ids=lambda given: str(getattr(given, "shape", given)),
)
def test_what_can_mean_several_things_or_nothing_is_refused(given: object) -> None:
    with pytest.raises(SglibError, match=r"\(3, 30, 32\)|expected|can be"):
        list(separate(given))


def test_arrays_are_read_like_files() -> None:
    colour = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(colour).convert("L"))
    floats = colour / 255
    for one in (colour, np.moveaxis(colour, 2, 0), floats, colour.astype(np.uint16) * 257):
        np.testing.assert_array_equal(read(one), expected)
    clear = np.dstack([colour, np.zeros((40, 50), np.uint8)])
    assert (read(clear) == 255).all()
    assert (read(np.ones((5, 6), bool)) == 255).all()
    tensor = torch.from_numpy(floats).requires_grad_()
    np.testing.assert_array_equal(read(tensor), expected)
    for bad, said in (
        (floats * 255, "floats must be in"),
        (np.full((5, 6), np.nan), "floats must be in"),
        (np.zeros((5, 6), np.int64), "expected uint8, uint16, bool or floats"),
        (np.zeros((0, 6), np.uint8), "expected .H, W."),
        (np.zeros((5, 6, 7), np.uint8), "expected .H, W."),
    ):
        with pytest.raises(PictureError, match=said):
            read(bad)
    with pytest.raises(SglibError, match="got list"):
        read([[1, 2], [3, 4]])


def test_an_opened_picture_is_turned_and_left_as_it_is() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.fromarray(GRAY), "PNG", exif=exif)
    image = Image.open(io.BytesIO(data))
    assert read(image).shape == (32, 30)
    assert image.size == (32, 30)
    np.testing.assert_array_equal(read(image), read(data))
