"""`sglib.data.course_tags`: every bad line of a table is named."""

import pytest
from course_fakes import N_TRAIN, SUBJECTS, TAGS

from sglib import SglibError
from sglib.data.course_tags import canonical_tags, read_subjects, read_tags

EXPECTED = ["sunglasses", "open", "sunglasses", "open", "open", "sunglasses"]


def read(data: bytes) -> list[str]:
    return read_tags(data, name="tags.csv", n_ids=N_TRAIN)


@pytest.mark.parametrize(
    "data",
    [
        TAGS,
        b"\xef\xbb\xbf" + TAGS,
        TAGS.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + TAGS.replace(b"\n", b"\r\n") + b"\r\n\r\n",
        TAGS.removesuffix(b"\n"),
        b"".join([TAGS.splitlines(True)[0], *reversed(TAGS.splitlines(True)[1:])]),
        TAGS.replace(b"open", b'"open"'),
    ],
)
def test_reads_what_editors_write(data):
    assert read(data) == EXPECTED
    assert canonical_tags(read(data)) == TAGS


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            b"3,open",
            b"3,Open",
            r"^tags.csv:5: tag 'Open': expected lower case.* open or sunglasses",
        ),
        (b"3,open", b"3, open", r"^tags.csv:5: tag ' open': expected lower case"),
        (b"3,open", b"3,glasses", r"^tags.csv:5: unknown tag 'glasses': expected open or sung"),
        (b"3,open", b"3,", r"^tags.csv:5: no tag$"),
        (b"3,open", b"3", r"^tags.csv:5: no tag for id 3"),
        (b"3,open", b"3,open,x", r"^tags.csv:5: 3 fields for id 3"),
        (b"3,open", b"2,open", r"^tags.csv:5: id 2 again; first on line 4$"),
        (b"3,open", b",open", r"^tags.csv:5: id '' is no training image; expected 0 to 5$"),
        (b"3,open", b"003,open", r"^tags.csv:5: id '003' is no"),
        (b"3,open", b"3.0,open", r"^tags.csv:5: id '3.0' is no"),
        (b"3,open", "³,open".encode(), r"^tags.csv:5: id '³' is no"),
        (b"3,open", b"6,open", r"^tags.csv:5: id '6' is no"),
        (b"3,open\n", b"", r"^tags.csv:6: ends without a row for id 3$"),
        (b"3,open\n4,open\n", b"", r"ends without a row for id 3 and 1 more$"),
        (b"id,tag", b"ID,tag", r"^tags.csv:1: header 'ID,tag'; expected 'id,tag'"),
        (b"3,open", b"3,\xff", r"^tags.csv:5: not UTF-8 text"),
        (b"3,open", b'3,"open"x', r"^tags.csv:5: not CSV"),
    ],
)
def test_names_the_bad_line(old, new, message):
    with pytest.raises(SglibError, match=message):
        read(TAGS.replace(old, new))


def test_empty_file():
    with pytest.raises(SglibError, match=r"^tags.csv:1: header ''"):
        read(b"")


def test_subjects():
    rows = read_subjects(SUBJECTS, name="people.csv", n_ids=N_TRAIN)
    assert [row["tag"] for row in rows] == EXPECTED
    assert rows[3] == {
        "id": "3",
        "tag": "open",
        "subject": "s02",
        "pose": "straight",
        "expression": "neutral",
    }
    with pytest.raises(SglibError, match=r"^people.csv:4: unknown pose 'down': expected straight"):
        read_subjects(SUBJECTS.replace(b"right", b"down"), name="people.csv", n_ids=N_TRAIN)
    with pytest.raises(SglibError, match=r"^people.csv:2: no subject"):
        read_subjects(SUBJECTS.replace(b"s01", b"", 1), name="people.csv", n_ids=N_TRAIN)
