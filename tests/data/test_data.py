"""`load_data`: sets by name, and a cache that is never trusted more than the files."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from course_fakes import FILES, jpeg, use_small_course, write_folder

from sglib import SglibError
from sglib.data import course, load_data, synthetic
from sglib.data.faces import FaceData, FaceSet


def tiny(n: int, name: str) -> FaceSet:
    images = np.random.default_rng(n).integers(0, 256, (n, 30, 32), dtype=np.uint8)
    return FaceSet(name, images, np.arange(n).astype(str), np.arange(n) % 2)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty checkout; counts how often its synthetic set is drawn."""
    monkeypatch.setenv("SGLIB_ROOT", str(tmp_path))
    use_small_course(monkeypatch, tmp_path / "resources")
    drawn = []

    def make_synthetic():
        drawn.append(1)
        return tiny(4, "synthetic-train"), tiny(6, "synthetic-test")

    monkeypatch.setattr(synthetic, "make_synthetic", make_synthetic)
    return drawn


@pytest.fixture
def root(home, tmp_path):
    return write_folder(tmp_path / "data" / "course")


def same(a: FaceData, b: FaceData) -> bool:
    return all(x.digest == y.digest and x.name == y.name for x, y in zip(a[1:], b[1:], strict=True))


def no_decoding(monkeypatch):
    def fail():
        raise AssertionError("decoded again")

    monkeypatch.setattr(course, "load", fail)


def test_the_second_load_comes_from_the_cache(root, monkeypatch):
    first = load_data("course")
    no_decoding(monkeypatch)
    second = load_data("course")
    assert same(first, second)
    assert second.test.labels is None
    assert second.train.labels.dtype == np.int64


def test_a_changed_file_is_noticed(root):
    load_data("course")
    (root / "test" / "3.jpg").write_bytes(jpeg(77))
    with pytest.raises(SglibError, match=r"found test/3.jpg; run `sglib data fetch`"):
        load_data("course")


def test_a_touched_file_is_verified_and_cached_again(root, monkeypatch):
    first = load_data("course")
    os.utime(root / "test" / "3.jpg", ns=(1, 1))
    assert same(load_data("course"), first)
    no_decoding(monkeypatch)
    assert same(load_data("course"), first)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "text"])
def test_a_damaged_cache_is_made_again(root, tmp_path, damage, monkeypatch):
    first = load_data("course")
    (path,) = (tmp_path / "data" / "cache").iterdir()
    good, at = path.read_bytes(), path.stat().st_size // 2
    flipped = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
    bad = {"flip": flipped, "cut": good[:at], "empty": b"", "text": b"hello"}
    path.write_bytes(bad[damage])
    assert same(load_data("course"), first)
    no_decoding(monkeypatch)
    assert same(load_data("course"), first)


def test_a_cache_that_cannot_be_written_is_no_error(root, tmp_path, caplog):
    (tmp_path / "data" / "cache").write_text("a file where the folder should be")
    assert len(load_data("course").test) == 9
    assert "cannot write the cache" in caplog.text


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(SglibError, match=r"^data 'Course': expected auto, course, synthetic"):
        load_data("Course")


def test_auto_without_the_course_set_is_synthetic_and_says_so(home, caplog):
    with caplog.at_level(logging.WARNING, logger="sglib"):
        loaded = load_data()
    assert (loaded.name, loaded.test.name) == ("synthetic", "synthetic-test")
    assert "COURSE SET NOT FOUND" in caplog.text
    assert "sglib data fetch" in caplog.text


def test_the_synthetic_set_is_drawn_once_per_renderer_and_numpy(home, caplog, monkeypatch):
    assert same(load_data("synthetic"), load_data("synthetic"))
    assert len(home) == 1
    monkeypatch.setattr(synthetic, "renderer_digest", lambda: "another")
    load_data("synthetic")
    assert len(home) == 2
    monkeypatch.setattr(np, "__version__", "another")
    load_data("synthetic")
    assert len(home) == 3
    assert caplog.text == ""


def test_without_the_course_set_its_name_is_refused(home):
    with pytest.raises(SglibError, match=r"no course set in .*: run `sglib data fetch`"):
        load_data("course")


def test_auto_takes_the_course_set_where_it_is(root, home, caplog):
    loaded = load_data()
    assert (loaded.name, len(loaded.train), len(loaded.test)) == ("course", 6, 9)
    assert home == []
    assert caplog.text == ""
    assert len(FILES) == 16


def test_a_cached_load_needs_no_torch(root, tmp_path):
    load_data("course")
    code = f"""
import sys, pathlib, pytest
from course_fakes import use_small_course
from sglib.data import load_data
use_small_course(pytest.MonkeyPatch(), pathlib.Path({str(tmp_path / "tables")!r}))
assert len(load_data("course").test) == 9
assert not {{"torch", "torchvision"}} & set(sys.modules)
"""
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    env = os.environ | {"PYTHONPATH": path}
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, env=env)
