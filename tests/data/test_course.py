"""`sglib.data.course`: one way in for files, folders and addresses; all of the set or nothing."""

import json
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from course_fakes import Site, fake_spec, files, jpeg, serve, write_folder, write_zip

from sglib import SglibError
from sglib.data import course, download
from sglib.data.course_archive import LAYOUT


@pytest.fixture
def spec():
    return fake_spec()


@pytest.fixture
def dest(tmp_path, monkeypatch):
    monkeypatch.delenv("SGLIB_COURSE_ARCHIVE", raising=False)
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    return tmp_path / "data" / "course"


@pytest.fixture
def archive(tmp_path):
    return write_zip(tmp_path / "course.zip")


def content(folder: Path) -> dict[str, bytes]:
    found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    found.pop("manifest.json")
    return found


def left_behind(dest: Path) -> list[str]:
    return sorted(p.name for p in dest.parent.iterdir() if p.name not in ("course", ".course.lock"))


def test_from_file(archive, dest, spec):
    assert course.fetch(archive, dest=dest, spec=spec) == dest
    assert content(dest) == files()
    assert left_behind(dest) == []
    manifest = json.loads((dest / "manifest.json").read_text())
    assert manifest["source"] == "course.zip"
    assert manifest["digest"] == spec.digest
    assert course.check(dest, spec=spec)["ok"].all()


def test_from_folder(tmp_path, dest, spec):
    write_folder(tmp_path / "repo-1" / LAYOUT)
    course.fetch(str(tmp_path), dest=dest, spec=spec)
    assert content(dest) == files()


def test_from_address(archive, dest, spec):
    with serve(Site(archive.read_bytes(), cuts=[2000])) as site:
        course.fetch(site.url + "?token=secret", dest=dest, spec=spec)
    assert site.asked == ["", "bytes=2000-"]
    assert content(dest) == files()
    assert left_behind(dest) == []
    assert json.loads((dest / "manifest.json").read_text())["source"] == site.url


def test_from_environment(archive, dest, spec, monkeypatch):
    monkeypatch.setenv("SGLIB_COURSE_ARCHIVE", str(archive))
    course.fetch(dest=dest, spec=spec)
    assert content(dest) == files()


def test_default_is_the_pinned_public_archive(dest, spec, monkeypatch):
    asked = []

    def refuse(url, part, *, progress):
        asked.append(url)
        raise SglibError("no network")

    monkeypatch.setattr(download, "download", refuse)
    with pytest.raises(SglibError, match="no network"):
        course.fetch(dest=dest, spec=spec)
    assert asked == [
        "https://github.com/lhl4971/tenser_2024/archive/8829e9254905fbfb5be35650f7115f1d0dbc7ee8.zip"
    ]


def test_interrupted_download_is_kept_and_taken_up_again(archive, dest, spec):
    with serve(Site(archive.read_bytes(), cuts=[1000, 1000, 500, 500])) as site:
        with pytest.raises(SglibError, match="download stopped after 3,000 bytes"):
            course.fetch(site.url, dest=dest, spec=spec)
        assert not dest.exists()
        course.fetch(site.url, dest=dest, spec=spec)
    assert site.asked[-1] == "bytes=3000-"
    assert left_behind(dest) == []


def test_wrong_download_is_named_by_its_address_and_not_kept(tmp_path, dest, spec):
    named = files() | {"test/3.jpg": jpeg(999)}
    with serve(Site(write_zip(tmp_path / "bad.zip", named).read_bytes())) as site:
        with pytest.raises(
            SglibError, match=r"test files damaged: expected none, found test/3.jpg"
        ):
            course.fetch(site.url, dest=dest, spec=spec)
        site.payload = b"<html>sign in first</html>"
        with pytest.raises(SglibError, match=f"^{site.url}: not a whole zip archive"):
            course.fetch(site.url, dest=dest, spec=spec)
    assert not dest.exists()
    assert left_behind(dest) == []


def test_other_schemes_are_refused(dest, spec):
    for source in ("ftp://example.org/a.zip", "file:///a.zip", "http://example.org/a.zip"):
        with pytest.raises(SglibError, match="expected an https address"):
            course.fetch(source, dest=dest, spec=spec)


def test_second_fetch_reads_and_asks_nothing(archive, dest, spec, monkeypatch):
    course.fetch(archive, dest=dest, spec=spec)
    monkeypatch.setattr(course.course_archive, "read_folder", None)
    assert course.fetch("https://example.org/none.zip", dest=dest, spec=spec) == dest


def test_set_unpacked_by_hand_is_taken_as_it_is(dest, spec):
    write_folder(dest)
    course.fetch("https://example.org/none.zip", dest=dest, spec=spec)
    assert json.loads((dest / "manifest.json").read_text())["source"] == "found in place"


def test_damaged_set_is_replaced(archive, dest, spec):
    course.fetch(archive, dest=dest, spec=spec)
    (dest / "train" / "1.jpg").write_bytes(b"")
    (dest / "test" / "2.jpg").unlink()
    course.fetch(archive, dest=dest, spec=spec)
    assert content(dest) == files()
    assert left_behind(dest) == []


@pytest.mark.parametrize("name", ["thesis.odt", ".git", "train/thesis.odt"])
def test_foreign_files_are_never_removed(archive, dest, spec, name):
    (dest / name).parent.mkdir(parents=True)
    (dest / name).write_text("mine")
    with pytest.raises(SglibError, match=f"holds {name}, which is no part of the set"):
        course.fetch(archive, dest=dest, spec=spec)
    assert (dest / name).read_text() == "mine"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_interrupted_import_leaves_nothing(archive, dest, spec, monkeypatch, error):
    write = Path.write_bytes

    def stop(path, data):
        if path.name == "4.jpg":
            raise error
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", stop)
    with pytest.raises((KeyboardInterrupt, SglibError)) as caught:
        course.fetch(archive, dest=dest, spec=spec)
    if isinstance(error, OSError):
        assert str(caught.value) == f"{dest}: cannot import (No space left on device)"
    assert not dest.exists()
    assert left_behind(dest) == []
    monkeypatch.setattr(Path, "write_bytes", write)
    course.fetch(archive, dest=dest, spec=spec)
    assert content(dest) == files()


def test_leftovers_of_a_killed_import_are_removed(archive, dest, spec):
    write_folder(dest.parent / ".course.new-abc")
    write_folder(dest.parent / ".course.old")
    course.fetch(archive, dest=dest, spec=spec)
    assert left_behind(dest) == []


def test_two_imports_at_once(archive, dest, spec):
    results = []

    def run():
        results.append(course.fetch(archive, dest=dest, spec=spec))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [dest] * 3
    assert content(dest) == files()
    assert left_behind(dest) == []


def test_check_reports_damage(archive, dest, spec):
    course.fetch(archive, dest=dest, spec=spec)
    (dest / "train" / "1.jpg").write_bytes(b"")
    table = course.check(dest, spec=spec).set_index("check")
    assert list(table.columns) == ["expected", "found", "ok"]
    assert table.loc["train files damaged", "found"] == "train/1.jpg"
    assert table.loc["test sha256", "ok"]
    assert table["ok"].dtype == bool
    assert (~table["ok"]).sum() == 3


def test_no_set_says_how_to_get_it(dest, spec):
    assert not course.is_imported(dest)
    for call in (course.check, course.load):
        with pytest.raises(SglibError, match=r"no course set in .*: run `sglib data fetch`"):
            call(dest, spec=spec)
    dest.mkdir(parents=True)
    assert not course.is_imported(dest)
    (dest / "train").mkdir()
    assert course.is_imported(dest)


def test_load(archive, dest, spec):
    course.fetch(archive, dest=dest, spec=spec)
    name, train, test = course.load(dest, spec=spec)
    assert (name, train.name, test.name) == ("course", "course-train", "course-test")
    assert train.ids.tolist() == ["0", "1", "2", "3", "4", "5"]
    assert train.labels.tolist() == [1, 0, 1, 0, 0, 1]
    assert train.subjects.tolist() == ["s01", "s01", "s02", "s02", "s03", "s03"]
    assert train.pose[0] == "up"
    assert train.expression[5] == "happy"
    assert len(test) == 9
    assert (test.labels, test.subjects, test.pose, test.expression) == (None,) * 4


def test_both_decoders_give_the_same_pixels(archive, dest, spec, monkeypatch):
    course.fetch(archive, dest=dest, spec=spec)
    torchvision = course.load(dest, spec=spec)
    monkeypatch.setitem(sys.modules, "torchvision.io", None)
    pillow = course.load(dest, spec=spec)
    np.testing.assert_array_equal(torchvision.train.images, pillow.train.images)
    np.testing.assert_array_equal(torchvision.test.images, pillow.test.images)


def test_load_refuses_a_damaged_set(archive, dest, spec):
    course.fetch(archive, dest=dest, spec=spec)
    (dest / "test" / "8.jpg").write_bytes(jpeg(1))
    with pytest.raises(SglibError, match=r"found test/8.jpg; run `sglib data fetch`"):
        course.load(dest, spec=spec)


REAL = os.environ.get("SGLIB_COURSE_ARCHIVE", "")


@pytest.mark.skipif(not Path(REAL).is_file(), reason="SGLIB_COURSE_ARCHIVE names no file")
def test_real_set(tmp_path):
    root = course.fetch(REAL, dest=tmp_path / "course")
    table = course.check(root)
    assert table["ok"].all(), table.to_string()
    start = time.perf_counter()
    _, train, test = course.load(root)
    seconds = time.perf_counter() - start
    assert (len(train), len(test)) == (378, 22_140)
    assert np.bincount(train.labels).tolist() == [189, 189]
    assert len(set(train.subjects)) == 12
    assert test.labels is None
    # the digest that every result row carries: the same on every machine
    assert train.digest.startswith("8fad68dd5cbdba76")
    assert test.digest.startswith("c4724af27ff7b57e")
    assert seconds < 10 * 3  # about 2 s; the limit leaves room for a busy machine
