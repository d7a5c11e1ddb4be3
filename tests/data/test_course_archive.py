"""`sglib.data.course_archive`: what is read from an archive, and what is refused."""

import os
import stat
import zipfile

import pytest
from course_fakes import N_TEST, N_TRAIN, TAGS, TOP, files, jpeg, write_folder, write_zip

from sglib import SglibError
from sglib.data import course_archive
from sglib.data.course_archive import LAYOUT, jpeg_shape, read_folder, read_source, stamp


def add(path, name, data=b"x", **attributes):
    """Append a member to a zip."""
    member = zipfile.ZipInfo(name)
    for key, value in attributes.items():
        setattr(member, key, value)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(member, data)


@pytest.fixture
def archive(tmp_path):
    return write_zip(tmp_path / "course.zip")


@pytest.mark.parametrize("top", [TOP, LAYOUT, f"a/b/{LAYOUT}"])
def test_reads_zip(tmp_path, top):
    raw = read_source(write_zip(tmp_path / "course.zip", top=top))
    assert {p: len(images) for p, images in raw.images.items()} == {
        "train": N_TRAIN,
        "test": N_TEST,
    }
    assert raw.images["test"][2] == files()["test/2.jpg"]
    assert raw.tags == TAGS
    assert raw.extras == []
    assert raw.unreadable == {}


@pytest.mark.parametrize("below", ["", "resource", LAYOUT, f"repo-1/{LAYOUT}"])
def test_reads_folder(tmp_path, below):
    write_folder(tmp_path / below)
    assert read_source(tmp_path).images == read_folder(tmp_path / below).images
    assert read_source(tmp_path).images["train"][5] == files()["train/5.jpg"]


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", f"{TOP}/train/../../../evil", "a\\..\\evil", "C:/evil"]
)
def test_refuses_a_member_that_leaves_the_folder(archive, name):
    add(archive, name)
    with pytest.raises(SglibError, match="unsafe member name"):
        read_source(archive)


def test_refuses_a_link(archive):
    add(archive, f"{TOP}/train/6.jpg", b"/etc/passwd", external_attr=(stat.S_IFLNK | 0o777) << 16)
    with pytest.raises(SglibError, match=r"train/6.jpg is a link"):
        read_source(archive)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_refuses_a_duplicate(archive):
    add(archive, f"{TOP}/train/5.jpg", jpeg(5))
    with pytest.raises(SglibError, match=r"member train/5.jpg is there twice"):
        read_source(archive)


def test_refuses_a_bomb(archive, monkeypatch):
    add(archive, f"{TOP}/train/6.jpg", bytes(65_537), compress_type=zipfile.ZIP_DEFLATED)
    with pytest.raises(SglibError, match=r"train/6.jpg has 65537 bytes; expected at most 65536"):
        read_source(archive)
    monkeypatch.setattr(course_archive, "MAX_TOTAL_BYTES", 5000)
    with pytest.raises(SglibError, match="unpacks to more than 5000"):
        read_source(archive)
    monkeypatch.setattr(course_archive, "MAX_MEMBERS", 10)
    with pytest.raises(SglibError, match="members; expected at most 10"):
        read_source(archive)


def test_refuses_unknown_compression(archive):
    add(archive, f"{TOP}/train/6.jpg", compress_type=zipfile.ZIP_BZIP2)
    with pytest.raises(SglibError, match="unknown compression"):
        read_source(archive)


def test_names_a_damaged_member(tmp_path):
    path = tmp_path / "course.zip"
    with zipfile.ZipFile(path, "w") as archive:  # stored, so that the bytes can be found
        for name, data in files().items():
            archive.writestr(f"{TOP}/{name}", data)
    data = files()["test/3.jpg"]
    path.write_bytes(path.read_bytes().replace(data, data[:-9] + bytes(9)))
    with pytest.raises(SglibError, match=r"test/3.jpg is damaged \(Bad CRC"):
        read_source(path)


def test_truncated_zip(archive):
    archive.write_bytes(archive.read_bytes()[:3000])
    with pytest.raises(SglibError, match=r"course.zip: not a whole zip archive"):
        read_source(archive)


def test_no_set_in_the_source(tmp_path):
    with pytest.raises(SglibError, match="no such file; expected the course archive"):
        read_source(tmp_path / "absent.zip")
    with pytest.raises(SglibError, match="no course set in this folder; expected"):
        read_source(tmp_path)
    with pytest.raises(SglibError, match=r"expected one 01_Bin.*, found none"):
        read_source(write_zip(tmp_path / "other.zip", {"readme.md": b"hello"}))
    twice = write_zip(tmp_path / "twice.zip")
    add(twice, f"b/{LAYOUT}/train_tags.csv")
    with pytest.raises(SglibError, match=r"found b/.* and repo-0123abc/"):
        read_source(twice)


def test_junk_of_file_managers_is_no_extra(archive):
    for name in ("train/.DS_Store", "test/Thumbs.db"):
        add(archive, f"{TOP}/{name}")
    add(archive, f"__MACOSX/{TOP}/train_tags.csv")
    add(archive, f"{TOP}/train/007.jpg")
    assert read_source(archive).extras == ["train/007.jpg"]


def test_folder_reports_what_it_cannot_read(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "train" / "3.jpg").unlink()
    (tmp_path / "train" / "3.jpg").mkdir()
    (tmp_path / "test" / "1.jpg").write_bytes(bytes(70_000))
    raw = read_folder(tmp_path)
    assert raw.unreadable == {
        "train/3.jpg": "Is a directory",
        "test/1.jpg": "larger than 65536 bytes",
    }
    assert 3 not in raw.images["train"]


def test_jpeg_shape():
    assert jpeg_shape(jpeg(0)) == (30, 32, 1)
    assert jpeg_shape(jpeg(0, size=(40, 20), mode="RGB")) == (20, 40, 3)
    for bad in (b"", b"\x89PNG", jpeg(0)[:40], b"\xff\xd8" + bytes(30)):
        with pytest.raises(ValueError, match="JPEG"):
            jpeg_shape(bad)


def test_stamp_notices_every_change(tmp_path):
    write_folder(tmp_path)
    stamps = {stamp(tmp_path)}
    assert stamp(tmp_path) in stamps
    os.utime(tmp_path / "test" / "1.jpg", ns=(1, 1))
    stamps.add(stamp(tmp_path))
    (tmp_path / "train" / "6.jpg").write_bytes(b"")
    stamps.add(stamp(tmp_path))
    (tmp_path / "train" / "6.jpg").rename(tmp_path / "train" / "7.jpg")
    stamps.add(stamp(tmp_path))
    (tmp_path / "train_tags.csv").write_bytes(b"")
    stamps.add(stamp(tmp_path))
    assert len(stamps) == 5
    (tmp_path / "manifest.json").write_bytes(b"")  # no part of the set
    assert stamp(tmp_path) in stamps
