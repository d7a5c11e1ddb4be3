"""`course_verify`: the first bad file of a kind is named, and nothing passes by accident."""

import pytest
from course_fakes import fake_spec, files, jpeg, write_folder

from sglib import SglibError
from sglib.data.course_archive import read_folder
from sglib.data.course_verify import course_spec, findings, images_sha256, require_whole


def failing(folder) -> dict[str, str]:
    return {f.check: f.found for f in findings(read_folder(folder), fake_spec()) if not f.ok}


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path)


def test_whole_set_passes(folder):
    assert failing(folder) == {}
    require_whole(read_folder(folder), fake_spec())


def test_missing(folder):
    (folder / "train" / "2.jpg").unlink()
    (folder / "test" / "7.jpg").unlink()
    (folder / "test" / "8.jpg").unlink()
    bad = failing(folder)
    assert bad["train files missing"] == "train/2.jpg"
    assert bad["test files missing"] == "test/7.jpg and 1 more"
    assert bad["train images"] == "5"
    assert {"train sha256", "test sha256"} < set(bad)


def test_extra(folder):
    (folder / "train" / "6.jpg").write_bytes(jpeg(6))
    (folder / "test" / "notes.txt").write_bytes(b"x")
    bad = failing(folder)
    assert bad["train files too many"] == "train/6.jpg"
    assert bad["test files too many"] == "test/notes.txt"


def test_damaged(folder):
    path = folder / "test" / "4.jpg"
    data = path.read_bytes()
    path.write_bytes(data[:-30] + bytes(20) + data[-10:])  # decodes without complaint
    bad = failing(folder)
    assert set(bad) == {"test files damaged", "test sha256"}
    assert bad["test files damaged"] == "test/4.jpg"
    with pytest.raises(
        SglibError, match=r"test files damaged: expected none, found test/4.jpg; x$"
    ):
        require_whole(read_folder(folder), fake_spec(), advice="x")


def test_swapped_files_are_damaged_files(folder):
    for name in ("1.jpg", "2.jpg"):
        (folder / "train" / name).write_bytes(files()[f"train/{3 - int(name[0])}.jpg"])
    assert failing(folder)["train files damaged"] == "train/1.jpg and 1 more"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (jpeg(0, size=(30, 32)), "train/0.jpg (32 × 30, 1 channels)"),
        (jpeg(0, mode="RGB"), "train/0.jpg (30 × 32, 3 channels)"),
        (b"GIF89a", "train/0.jpg (not a JPEG)"),
        (b"", "train/0.jpg (not a JPEG)"),
    ],
)
def test_sizes(folder, data, found):
    (folder / "train" / "0.jpg").write_bytes(data)
    assert failing(folder)["train sizes"] == found


def test_tags(folder):
    path = folder / "train_tags.csv"
    tags = path.read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + tags.replace(b"\n", b"\r\n"))
    assert failing(folder) == {}
    path.write_bytes(tags.replace(b"1,open", b"1,sunglasses"))
    bad = failing(folder)
    assert bad["tags"] == "4 sunglasses, 2 open"
    assert bad["people's tags"] == "id 1: sunglasses is open"
    assert "tags sha256" in bad
    path.write_bytes(tags.replace(b"1,open", b"1,OPEN"))
    assert "train_tags.csv:3: tag 'OPEN'" in failing(folder)["tags"]
    path.unlink()
    assert failing(folder)["tags"] == "no train_tags.csv"


def test_unreadable(folder):
    (folder / "train" / "3.jpg").unlink()
    (folder / "train" / "3.jpg").mkdir()
    assert failing(folder)["unreadable files"] == "train/3.jpg (Is a directory)"


def test_digest_depends_on_ids_and_bounds():
    digests = {images_sha256(x) for x in ({0: b"ab", 1: b"c"}, {0: b"a", 1: b"bc"}, {0: b"abc"})}
    digests |= {images_sha256({0: b"ab", 2: b"c"})}
    assert len(digests) == 4
    assert images_sha256({1: b"c", 0: b"ab"}) in digests  # order of insertion is no content


def test_real_spec_is_complete():
    spec = course_spec()
    assert spec.crc32.shape == (378 + 22_140,)
    assert len(spec.subjects.splitlines()) == 379
    assert len(spec.digest) == 64
