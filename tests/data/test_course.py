"""`sglib.data.course`: one way in for files, folders and addresses; all of the set or nothing."""

import http.server
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from course_fakes import FILES, TOP, jpeg, use_small_course, write_folder, write_zip

from sglib import SglibError
from sglib.data import course


@pytest.fixture
def dest(tmp_path, monkeypatch):
    monkeypatch.delenv("SGLIB_COURSE_ARCHIVE", raising=False)
    use_small_course(monkeypatch, tmp_path / "resources")
    return tmp_path / "data" / "course"


@pytest.fixture
def archive(tmp_path):
    return write_zip(tmp_path / "course.zip")


def content(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def left_behind(dest: Path) -> set[str]:
    return {path.name for path in dest.parent.iterdir()} - {"course", ".course.lock"}


@pytest.fixture
def site(archive, monkeypatch):
    """Serve the archive's folder on this machine, which has no certificate."""
    monkeypatch.setattr(course, "SCHEME", "http://127.0.0.1")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(archive.parent))

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_zip_archive_becomes_the_set(archive, dest):
    assert not course.is_imported(dest)
    assert course.fetch(archive, dest=dest) == dest
    assert content(dest) == FILES
    assert left_behind(dest) == set()
    assert course.is_imported(dest)
    assert course.check(dest)["ok"].all()


@pytest.mark.parametrize("below", ["", "resource", course.LAYOUT, TOP])
def test_a_folder_becomes_the_set(tmp_path, dest, below):
    write_folder(tmp_path / "source" / below)
    course.fetch(str(tmp_path / "source"), dest=dest)
    assert content(dest) == FILES


def test_an_address_becomes_the_set(site, dest):
    course.fetch(f"{site}/course.zip?token=secret", dest=dest)
    assert content(dest) == FILES


def test_what_an_address_cannot_give_is_one_line_without_its_query(site, dest, tmp_path):
    with pytest.raises(SglibError, match=rf"^{site}/none.zip: cannot download \(HTTP 404\)$"):
        course.fetch(f"{site}/none.zip?token=secret", dest=dest)
    (tmp_path / "page.zip").write_text("<html>sign in first</html>")
    with pytest.raises(SglibError, match=f"^{site}/page.zip: cannot be read"):
        course.fetch(f"{site}/page.zip", dest=dest)
    with pytest.raises(SglibError, match="cannot download"):
        course.fetch("http://127.0.0.1:1/course.zip", dest=dest)
    assert not dest.exists()


@pytest.mark.parametrize("scheme", ["http", "ftp", "file"])
def test_only_https_is_asked(dest, scheme):
    with pytest.raises(SglibError, match="expected an address that starts with https://"):
        course.fetch(f"{scheme}://example.org/course.zip", dest=dest)


def test_the_default_is_the_environments_archive_then_the_pinned_one(archive, dest, monkeypatch):
    asked = []
    monkeypatch.setattr(course, "download", lambda url: asked.append(url) or archive.read_bytes())
    course.fetch(dest=dest)
    commit = "8829e9254905fbfb5be35650f7115f1d0dbc7ee8"
    assert asked == [f"https://github.com/lhl4971/tenser_2024/archive/{commit}.zip"]
    (dest / "train_tags.csv").unlink()
    monkeypatch.setenv("SGLIB_COURSE_ARCHIVE", str(archive))
    course.fetch(dest=dest)
    assert content(dest) == FILES
    assert len(asked) == 1


def test_a_whole_set_is_left_as_it_is_but_a_missing_source_is_said(dest):
    write_folder(dest)
    assert course.fetch("https://example.org/none.zip", dest=dest) == dest
    with pytest.raises(SglibError, match=r"^none.zip: no such file; expected the course archive"):
        course.fetch("none.zip", dest=dest)


def test_a_damaged_set_is_replaced(archive, dest):
    write_folder(dest, FILES | {"train/1.jpg": b"", ".DS_Store": b"", "test/9.jpg": b"one more"})
    (dest / "test" / "2.jpg").unlink()
    course.fetch(archive, dest=dest)
    assert content(dest) == FILES
    assert left_behind(dest) == set()


@pytest.mark.parametrize("name", ["thesis.odt", ".git/config", "train/thesis.odt"])
def test_foreign_files_are_never_removed(archive, dest, name):
    write_folder(dest, {name: b"mine"})
    with pytest.raises(SglibError, match=r"holds .*, which is no part of the set; move it away"):
        course.fetch(archive, dest=dest)
    assert content(dest) == {name: b"mine"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test/3.jpg": jpeg(999)}, "test files damaged: expected none, found test/3.jpg"),
        ({"train/4.jpg": None}, "train files missing: expected none, found train/4.jpg"),
        ({"train/6.jpg": b"", "train/7.jpg": b""}, "too many: .* train/6.jpg and 1 more"),
        ({"train_tags.csv": b"id,tag\n0,open\n"}, "train_tags.csv sha256: expected"),
        ({"train_tags.csv": None}, "no course set; expected 01_BinaryImageClassification"),
    ],
)
def test_a_wrong_archive_is_named_and_nothing_is_written(tmp_path, dest, change, message):
    files = {name: data for name, data in (FILES | change).items() if data is not None}
    with pytest.raises(SglibError, match=rf"wrong.zip: .*{message}"):
        course.fetch(write_zip(tmp_path / "wrong.zip", files), dest=dest)
    assert not dest.exists()
    assert left_behind(dest) == set()


def test_tags_may_have_windows_lines_and_any_order(tmp_path, dest):
    lines = FILES["train_tags.csv"].split()
    tags = b"\xef\xbb\xbf" + b"\r\n".join([lines[0], *lines[:0:-1]])
    course.fetch(write_zip(tmp_path / "a.zip", FILES | {"train_tags.csv": tags}), dest=dest)
    assert course.check(dest)["ok"].all()


def test_hostile_archives_are_refused_or_ignored(tmp_path, dest, monkeypatch):
    bomb = write_zip(tmp_path / "bomb.zip", FILES | {"test/10.jpg": bytes(course.MAX_BYTES)})
    with pytest.raises(SglibError, match="all in all more than 67,108,864 bytes"):
        course.fetch(bomb, dest=dest)
    damaged = bytearray(write_zip(tmp_path / "b.zip").read_bytes())
    damaged[damaged.index(b"test/0.jpg") + 60] ^= 1
    (tmp_path / "b.zip").write_bytes(damaged)
    with pytest.raises(SglibError, match="cannot be read"):
        course.fetch(tmp_path / "b.zip", dest=dest)
    with zipfile.ZipFile(write_zip(tmp_path / "c.zip"), "a") as archive:
        for name in ("../../escaped.jpg", "/escaped.jpg", f"{TOP}/train/../../escaped.jpg"):
            archive.writestr(name, b"out")
    course.fetch(tmp_path / "c.zip", dest=dest)
    assert content(dest) == FILES
    assert not list(tmp_path.rglob("escaped.jpg"))


def test_a_full_disk_leaves_nothing(archive, dest, monkeypatch):
    write = Path.write_bytes

    def stop(path, data):
        if path.name == "4.jpg":
            raise OSError(28, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", stop)
    with pytest.raises(SglibError, match=r"course: cannot import \(No space left on device\)$"):
        course.fetch(archive, dest=dest)
    assert not dest.exists()
    assert left_behind(dest) == set()


@pytest.mark.parametrize("moment", ["write_bytes", "rename"])
def test_a_killed_import_leaves_no_half_set_and_the_next_one_cleans_up(archive, dest, moment):
    write_folder(dest, FILES | {"train/1.jpg": b"damaged"})
    code = f"""
import os, signal, pathlib, pytest
from course_fakes import use_small_course
from sglib.data import course
use_small_course(pytest.MonkeyPatch(), pathlib.Path({str(dest.parent / "tables")!r}))
act, calls = pathlib.Path.{moment}, []
def kill(path, *args):
    act(path, *args)
    calls.append(path)
    if path.name in ("4.jpg", "course"):
        os.kill(os.getpid(), signal.SIGKILL)
pathlib.Path.{moment} = kill
course.fetch({str(archive)!r}, dest=pathlib.Path({str(dest)!r}))
"""
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    run = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path})
    assert run.returncode == -signal.SIGKILL
    assert left_behind(dest) == {".course.new", "tables"}
    assert not dest.exists() or content(dest)["train/1.jpg"] == b"damaged"
    course.fetch(archive, dest=dest)
    assert content(dest) == FILES
    assert left_behind(dest) == {"tables"}


def test_leftovers_go_even_if_the_set_is_whole(archive, dest):
    write_folder(dest)
    write_folder(dest.with_name(".course.old"))
    course.fetch(archive, dest=dest)
    assert left_behind(dest) == set()


def test_of_three_imports_at_once_one_does_the_work(archive, dest, monkeypatch):
    read, calls = course._read_source, []

    def read_slowly(source):
        calls.append(source)
        time.sleep(0.2)
        return read(source)

    monkeypatch.setattr(course, "_read_source", read_slowly)
    threads = [
        threading.Thread(target=course.fetch, args=(archive,), kwargs={"dest": dest})
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert content(dest) == FILES
    assert left_behind(dest) == set()


def test_the_check_names_what_is_damaged(dest):
    write_folder(dest, FILES | {"train/1.jpg": b"", "test/3.jpg": b"", "test/4.jpg": b""})
    (dest / "train_tags.csv").unlink()
    table = course.check(dest).set_index("check")
    assert list(table.columns) == ["expected", "found", "ok"]
    assert table.loc["train files damaged", "found"] == "train/1.jpg"
    assert table.loc["test files damaged", "found"] == "test/3.jpg and 1 more"
    assert table.loc["train_tags.csv sha256", "found"] == "no such file"
    assert (~table["ok"]).sum() == 5


def test_where_there_is_no_set_it_says_how_to_get_one(dest):
    for call in (course.check, course.load):
        with pytest.raises(SglibError, match=r"no course set in .*: run `sglib data fetch`"):
            call(dest)


def test_the_set_is_decoded_with_its_people(dest):
    name, train, test = course.load(write_folder(dest))
    assert (name, train.name, test.name) == ("course", "course-train", "course-test")
    assert train.ids.tolist() == ["0", "1", "2", "3", "4", "5"]
    assert train.labels.tolist() == [1, 0, 1, 0, 0, 1]
    assert train.subjects.tolist() == ["s01", "s01", "s02", "s02", "s03", "s03"]
    assert (train.pose[0], train.expression[5]) == ("up", "happy")
    assert len(test) == 9
    assert (test.labels, test.subjects, test.pose, test.expression) == (None,) * 4


def test_a_damaged_set_is_not_decoded(dest):
    write_folder(dest, FILES | {"test/8.jpg": jpeg(1)})
    with pytest.raises(SglibError, match=r"found test/8.jpg; run `sglib data fetch`"):
        course.load(dest)


REAL = os.environ.get("SGLIB_COURSE_ARCHIVE", "")


@pytest.mark.skipif(not Path(REAL).is_file(), reason="SGLIB_COURSE_ARCHIVE names no file")
def test_the_real_set_has_its_digests(tmp_path):
    root = course.fetch(REAL, dest=tmp_path / "course")
    _, train, test = course.load(root)
    assert (len(train), len(test)) == (378, 22_140)
    assert np.bincount(train.labels).tolist() == [189, 189]
    assert len(set(train.subjects)) == 12
    assert test.labels is None
    # the digests that every result row carries: the same on every machine
    assert train.digest.startswith("8fad68dd5cbdba76")
    assert test.digest.startswith("c4724af27ff7b57e")
