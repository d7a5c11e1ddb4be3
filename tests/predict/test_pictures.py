import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from model_fakes import random_images
from PIL import Image

from sglib.predict import pictures as images
from sglib.predict.pictures import PictureError, decode, fit, read_bytes, status_of


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with images.quiet():
        yield


GRAY = random_images(1, seed=3)[0]


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format=format, **options)
    return out.getvalue()


def gray_of(data: bytes) -> np.ndarray:
    return decode(data)[0]


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
    gray, size = decode(encoded(Image.fromarray(GRAY), format))
    np.testing.assert_array_equal(gray, GRAY)
    assert size == (32, 30)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    wide = GRAY.astype(np.uint16) * 257
    for format in ("PNG", "TIFF"):
        np.testing.assert_array_equal(gray_of(encoded(Image.fromarray(wide), format)), GRAY)
    pgm = b"P5 32 30 65535\n" + wide.astype(">u2").tobytes()
    np.testing.assert_array_equal(gray_of(pgm), GRAY)


def test_colours_become_luma() -> None:
    red = Image.new("RGB", (32, 30), (255, 0, 0))
    assert (gray_of(encoded(red)) == 76).all()
    assert (gray_of(encoded(red.convert("P"))) == 76).all()
    assert abs(int(gray_of(encoded(red, "JPEG"))[5, 5]) - 76) <= 2
    cmyk = Image.new("CMYK", (32, 30), (0, 0, 0, 255))
    assert gray_of(encoded(cmyk, "TIFF")).max() <= 1
    assert gray_of(encoded(cmyk, "JPEG")).max() <= 3
    assert (gray_of(encoded(Image.new("1", (32, 30), 1))) == 255).all()


def test_transparent_shows_white_paper() -> None:
    half = Image.new("RGBA", (32, 30), (0, 0, 0, 0))
    half.paste((0, 0, 0, 255), (0, 0, 16, 30))
    for image in (half, half.convert("LA"), half.quantize()):
        gray = gray_of(encoded(image))
        assert (gray[:, :16] == 0).all()
        assert (gray[:, 16:] == 255).all()
    opaque = Image.new("P", (32, 30), 0)
    opaque.putpalette([10, 10, 10, 200, 200, 200])
    assert (gray_of(encoded(opaque, transparency=0)) == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation_as_pillow_does_it(orientation: int, format: str) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    tall = np.concatenate([GRAY, GRAY[:10] // 2])
    options = {"lossless": True} if format == "WEBP" else {}
    data = encoded(Image.fromarray(tall).convert("RGB"), format, exif=exif, **options)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("L")
    gray, size = decode(data)
    np.testing.assert_array_equal(gray, np.asarray(expected))
    assert size == expected.size


def test_refused_before_decoding() -> None:
    for width, height in ((10_000, 10_000), (100_000, 100_000), (2**31 - 1, 1)):
        with pytest.raises(PictureError, match="too large"):
            decode(png_header(width, height))
    with pytest.raises(PictureError, match="10000x2501 pixels, at most 25000000"):
        decode(png_header(10_000, 2501))
    with pytest.raises(PictureError, match="damaged"):
        decode(png_header(10_000, 2500))  # within the limits, but without pixels


def test_postscript_is_never_run() -> None:
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nquit\n"
    with pytest.raises(PictureError, match="not a picture"):
        decode(eps)


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
        decode(data)
    assert "\n" not in str(caught.value)


def outcome(data: bytes) -> tuple[int, ...] | str:
    """Return the shape of what was read, or that there is a one-line reason why not."""
    try:
        return fit(gray_of(data)).shape
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
        decode(encoded(Image.fromarray(GRAY.astype(np.float32)), "TIFF"))
    with pytest.raises(PictureError, match="beyond 16 bits"):
        decode(encoded(Image.fromarray(GRAY.astype(np.int32) * 1000), "TIFF"))


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
    assert status_of((32, 30)) == "ok"
    assert status_of((640, 480)) == "ok (resized from 640x480)"
    assert status_of((32, 30), "face") == "ok (face)"


def test_large_jpegs_may_be_decoded_smaller() -> None:
    large = Image.fromarray(GRAY).resize((3200, 3000), Image.Resampling.BICUBIC)
    data = encoded(large, "JPEG", quality=95)
    gray, size = decode(data)
    assert size == (3200, 3000)
    assert gray.shape < (1000, 1000)
    exact = fit(np.asarray(large)).astype(int)
    assert np.abs(fit(gray) - exact).max() <= 3


def test_reading_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object, message: str) -> None:
        with pytest.raises(PictureError, match=message):
            read_bytes(path)

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
        file.truncate(images.MAX_BYTES + 1)
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
