from pathlib import Path

import numpy as np
import pytest
from model_fakes import random_images, write_jpegs
from PIL import Image

from sglib.predict import jpegs
from sglib.predict.jpegs import JpegJoiner, parse_header
from sglib.predict.pictures import decode


def alone(path: str) -> np.ndarray:
    return np.asarray(Image.open(path).convert("L"))


def test_joined_pixels_are_those_of_each_file(tmp_path: Path) -> None:
    paths = write_jpegs(tmp_path / "a", 40) + write_jpegs(tmp_path / "b", 9, quality=90, seed=1)
    order = np.random.default_rng(0).permutation(len(paths))
    paths = [paths[i] for i in order]
    pictures, done = JpegJoiner().read(paths)
    assert done.all()
    np.testing.assert_array_equal(pictures, np.stack([alone(path) for path in paths]))


def test_more_than_one_join(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpegs, "MAX_JOINED", 3)
    paths = write_jpegs(tmp_path, 8)
    pictures, done = JpegJoiner().read(paths)
    assert done.all()
    np.testing.assert_array_equal(pictures, np.stack([alone(path) for path in paths]))


def test_leaves_other_files_alone(tmp_path: Path) -> None:
    image = Image.fromarray(random_images(1)[0])
    exif = Image.Exif()
    exif[0x0112] = 6
    others = {
        "colour.jpg": lambda p: image.convert("RGB").save(p),
        "large.jpg": lambda p: image.resize((64, 60)).save(p),
        "turned.jpg": lambda p: image.save(p, exif=exif),
        "progressive.jpg": lambda p: image.save(p, progressive=True),
        "restarts.jpg": lambda p: image.save(p, restart_marker_blocks=4),
        "picture.png": lambda p: image.save(p),
        "text.jpg": lambda p: p.write_text("hello"),
        "empty.jpg": lambda p: p.touch(),
        "long.jpg": lambda p: image.save(p, comment=b"x" * 9000),
    }
    for name, write in others.items():
        write(tmp_path / name)
    good = write_jpegs(tmp_path / "good", 2)
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(Path(good[0]).read_bytes()[:-9])
    paths = [str(tmp_path / name) for name in (*others, "cut.jpg", "gone.jpg")]
    joiner = JpegJoiner()
    pictures, done = joiner.read([good[0], *paths, "", good[1]])
    assert done.tolist() == [True] + [False] * (len(paths) + 1) + [True]
    np.testing.assert_array_equal(pictures[[0, -1]], np.stack([alone(path) for path in good]))


def test_damaged_blocks_stay_with_their_file(tmp_path: Path) -> None:
    """What a decoder makes of damage is the same alone and joined, and neighbours are whole."""
    rng = np.random.default_rng(1)
    paths = write_jpegs(tmp_path, 120)
    whole = np.stack([alone(path) for path in paths])
    damaged = rng.random(len(paths)) < 0.5
    for path in np.array(paths)[damaged]:
        data = bytearray(Path(path).read_bytes())
        start = len(parse_header(bytes(data)).content)
        for _ in range(rng.integers(1, 4)):
            data[rng.integers(start, len(data) - 2)] = rng.integers(0, 256)
        if rng.random() < 0.5:  # blocks missing, but an end
            data = data[: rng.integers(start, len(data) - 2)] + b"\xff\xd9"
        Path(path).write_bytes(bytes(data))
    pictures, done = JpegJoiner().read(paths)
    assert done[~damaged].all()
    assert done[damaged].sum() > 20
    np.testing.assert_array_equal(pictures[~damaged], whole[~damaged])
    for i in np.flatnonzero(done):
        np.testing.assert_array_equal(pictures[i], decode(Path(paths[i]).read_bytes())[0])


def test_headers(tmp_path: Path) -> None:
    (path,) = write_jpegs(tmp_path, 1)
    data = Path(path).read_bytes()
    header = parse_header(data)
    assert data.startswith(header.content)
    assert data[header.height_at : header.height_at + 2] == b"\x00\x1e"
    for n in range(len(header.content)):
        assert parse_header(data[:n]) is None


def test_few_headers_are_remembered(tmp_path: Path) -> None:
    joiner = JpegJoiner()
    for quality in range(50, 90):
        _, done = joiner.read(write_jpegs(tmp_path / str(quality), 1, quality=quality))
        assert done.all()
    assert len(joiner._headers) == jpegs._N_HEADERS
