"""`sglib.data.load`: sets by name, and a cache that is never trusted more than the files."""

import logging
import os
import subprocess
import sys

import numpy as np
import pytest
from course_fakes import fake_spec, jpeg, write_folder

from sglib import SglibError
from sglib.data import course
from sglib.data import faces as faceset
from sglib.data import load as data
from sglib.data.faces import FaceData, FaceSet


def tiny(n: int, name: str) -> FaceSet:
    images = np.random.default_rng(n).integers(0, 256, (n, 30, 32), dtype=np.uint8)
    return FaceSet(
        name=name,
        images=images,
        ids=np.array([f"{i}" for i in range(n)]),
        labels=np.arange(n) % 2,
        subjects=np.array(["p"] * n),
    )


@pytest.fixture
def root(tmp_path):
    return write_folder(tmp_path / "data" / "course")


@pytest.fixture
def load(root, tmp_path):
    return lambda: data.load_course(root, spec=fake_spec(), cache=tmp_path / "cache")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty checkout whose synthetic set is rendered at once."""
    monkeypatch.setenv("SGLIB_ROOT", str(tmp_path))
    made = []

    def make_synthetic():
        made.append(1)
        return tiny(4, "synthetic-train"), tiny(6, "synthetic-test")

    monkeypatch.setattr("sglib.data.synthetic.make_synthetic", make_synthetic)
    return made


def same(a: FaceData, b: FaceData) -> bool:
    return [s.digest for s in a[1:]] == [s.digest for s in b[1:]] and [s.name for s in a[1:]] == [
        s.name for s in b[1:]
    ]


def no_decoding(monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("decoded again")

    monkeypatch.setattr(course, "load", fail)


def test_reexports():
    assert data.FaceSet is faceset.FaceSet
    assert data.FaceData is faceset.FaceData


def test_second_load_comes_from_the_cache(load, monkeypatch):
    first = load()
    no_decoding(monkeypatch)
    second = load()
    assert same(first, second)
    assert second.test.labels is None
    assert second.train.images.dtype == np.uint8
    assert second.train.labels.dtype == np.int64


def test_changed_file_is_noticed(load, root):
    load()
    (root / "test" / "3.jpg").write_bytes(jpeg(77))
    with pytest.raises(SglibError, match=r"found test/3.jpg; run `sglib data fetch`"):
        load()


def test_touched_file_is_verified_and_cached_again(load, root, monkeypatch):
    first = load()
    os.utime(root / "test" / "3.jpg", ns=(1, 1))
    assert same(load(), first)
    no_decoding(monkeypatch)
    assert same(load(), first)


@pytest.mark.parametrize("damage", ["flip", "header", "cut", "empty", "text"])
def test_damaged_cache_is_made_again(load, tmp_path, caplog, damage, monkeypatch):
    first = load()
    (path,) = (tmp_path / "cache").iterdir()
    good = path.read_bytes()
    at = len(good) // 2
    bad = {
        "flip": good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :],
        "header": good.replace(b"{'descr'", b"{(descr'"),
        "cut": good[:at],
        "empty": b"",
        "text": b"hello",
    }[damage]
    path.write_bytes(bad)
    assert same(load(), first)
    assert "damaged cache, making it again" in caplog.text
    no_decoding(monkeypatch)
    assert same(load(), first)


def test_interrupted_write_leaves_no_cache(load, tmp_path, monkeypatch):
    def stop(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", stop)
        with pytest.raises(KeyboardInterrupt):
            load()
    assert list((tmp_path / "cache").iterdir()) == []
    assert len(load().train) == 6


def test_cache_that_cannot_be_written_is_no_error(root, tmp_path, caplog):
    blocked = tmp_path / "cache"
    blocked.write_text("a file where the folder should be")
    loaded = data.load_course(root, spec=fake_spec(), cache=blocked)
    assert len(loaded.test) == 9
    assert "cannot write the cache" in caplog.text


def test_unknown_name():
    with pytest.raises(SglibError, match=r"^data 'Course': expected auto, course, synthetic$"):
        data.load_data("Course")


def test_auto_without_the_course_set_is_synthetic_and_says_so(home, caplog):
    with caplog.at_level(logging.WARNING, logger="sglib"):
        loaded = data.load_data()
    assert loaded.name == "synthetic"
    assert loaded.test.name == "synthetic-test"
    assert "COURSE SET NOT FOUND" in caplog.text
    assert "sglib data fetch" in caplog.text


def test_synthetic_is_rendered_once_and_quietly(home, caplog):
    assert same(data.load_data("synthetic"), data.load_data("synthetic"))
    assert len(home) == 1
    assert caplog.text == ""


def test_other_renderer_other_cache(home, monkeypatch):
    data.load_data("synthetic")
    monkeypatch.setattr(data, "renderer_digest", lambda: "0" * 64)
    data.load_data("synthetic")
    assert len(home) == 2


def test_course_without_the_set(home):
    with pytest.raises(SglibError, match=r"no course set in .*: run `sglib data fetch`"):
        data.load_data("course")


@pytest.mark.parametrize("name", ["auto", "course"])
def test_course_where_it_is_imported(home, tmp_path, monkeypatch, name, caplog):
    write_folder(tmp_path / "data" / "course")
    monkeypatch.setattr(data, "course_spec", fake_spec)
    loaded = data.load_data(name)
    assert (loaded.name, len(loaded.train), len(loaded.test)) == ("course", 6, 9)
    assert home == []
    assert caplog.text == ""


def test_cached_load_needs_no_torch(load, root, tmp_path):
    load()
    code = f"""
import sys
from pathlib import Path
from course_fakes import fake_spec
from sglib.data import load as data
data.load_course(Path({str(root)!r}), spec=fake_spec(), cache=Path({str(tmp_path / "cache")!r}))
assert not {{"torch", "torchvision"}} & set(sys.modules)
"""
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
