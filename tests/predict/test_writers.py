import csv
import io
import json
import os
import sys
from pathlib import Path

import pandas as pd
import pytest

from sglib import SglibError
from sglib.predict import command
from sglib.predict.writers import FORMATS, Answer, Output, escaped, for_cell, readable

NAMES = [
    "plain.jpg",
    'comma, and "quote".jpg',
    "new\nline.jpg",
    "ünïcode 画.jpg",
    "bytes\udcff.jpg",
    "\x1b[31mred\x1b[0m\u202egpj.exe",
]
FIRST = Answer("a.jpg", "open", 0.25, "ok")
ROWS = [
    Answer(NAMES[0], "open", 0.125, "ok"),
    Answer(NAMES[1], "sunglasses", 0.987654321, "ok (resized from 64x60)"),
    Answer(NAMES[2], None, None, "empty file"),
    Answer(NAMES[3], "open", 1e-9, "ok"),
    Answer(NAMES[4], "sunglasses", 1.0, "ok"),
    Answer(NAMES[5], None, None, "no such file"),
]


def written(path: Path, *batches: list[Answer], **options: object) -> Path:
    output = Output(str(path), **options)
    for rows in batches:
        output.write(rows)
    assert output.close() == path
    assert [one.name for one in path.parent.iterdir()] == [path.name]  # nothing beside it
    return path


def test_the_command_knows_the_formats() -> None:
    assert tuple(FORMATS) == command.FORMATS


def test_csv_survives_any_name(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", [FIRST], ROWS)
    text = path.read_bytes().decode()  # valid UTF-8
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[0] == ["file", "label", "probability", "status"]
    assert rows[1] == ["a.jpg", "open", "0.25", "ok"]
    assert [row[0] for row in rows[2:]] == [*NAMES[:4], r"bytes\xff.jpg", NAMES[5]]
    assert rows[4] == ["new\nline.jpg", "", "", "empty file"]
    assert [row[2] for row in rows[2:]] == ["0.125", "0.98765432", "", "1e-09", "1", ""]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
def test_no_cell_is_a_formula_and_the_name_still_opens_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"{start}1+1.jpg"
    Path(name).touch()
    cell = for_cell(name)
    assert cell[0] == "."
    assert os.path.samefile(cell, name)
    assert for_cell("a\rb") == r"a\x0db"
    assert for_cell("plain=.jpg") == "plain=.jpg"


def test_json_lines(tmp_path: Path) -> None:
    lines = written(tmp_path / "a.jsonl", [FIRST], ROWS).read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert rows[0] == {"file": "a.jpg", "label": "open", "probability": 0.25, "status": "ok"}
    assert rows[2]["probability"] == 0.987654321
    assert rows[3] == {"file": NAMES[2], "label": None, "probability": None, "status": "empty file"}


def test_parquet(tmp_path: Path) -> None:
    frame = pd.read_parquet(written(tmp_path / "a.parquet", [FIRST], ROWS))
    assert frame["file"].tolist()[1:5] == NAMES[:4]
    assert frame["probability"].isna().tolist() == [a.probability is None for a in [FIRST, *ROWS]]
    assert frame["label"].isna().sum() == 2
    assert frame["probability"].dtype == float
    assert len(pd.read_parquet(written(tmp_path / "b" / "empty.parquet"))) == 0
    with pytest.raises(SglibError, match="Parquet needs a file"):
        Output(None, format="parquet")


def test_course_is_sorted_by_number(tmp_path: Path) -> None:
    names = ["x/10.jpg", "x/9.jpg", "x/007.jpg", "y/9.png", "z/face.jpg", "z/3.jpg", "z/٣.jpg"]
    labels = ["open", "sunglasses", "open", "open", "open", None, "open"]
    output = Output(str(tmp_path / "c.csv"), format="course")
    output.write([Answer(*pair, 0.5, "ok") for pair in zip(names, labels, strict=True)])
    output.close()
    assert (tmp_path / "c.csv").read_text() == "id,result\n7,0\n9,1\n10,0\n"
    assert output.problems == [
        "y/9.png: id 9 came before",
        "z/face.jpg: its name is not a number",
        "z/٣.jpg: its name is not a number",
    ]


def test_table_cannot_be_used_against_a_terminal(tmp_path: Path) -> None:
    lines = written(tmp_path / "a.txt", [FIRST], ROWS).read_text().splitlines()
    assert not any(bad in line for line in lines for bad in "\x1b\u202e")
    assert len(lines) == 8
    assert lines[1].split() == ["open", "0.2500", "a.jpg"]
    assert lines[3].endswith('comma, and "quote".jpg  [ok (resized from 64x60)]')
    assert lines[4].split() == ["-", "-", r"new\nline.jpg", "[empty", "file]"]
    assert readable("a\udcff\udc80é") == r"a\xff\x80é"
    assert escaped("a\tb\x7f\x9b\u2028\udcff é 画") == r"a\tb\x7f\x9b\u2028\xff é 画"


def test_an_unfinished_file_is_partial_and_the_old_one_stays(tmp_path: Path) -> None:
    for name in ("a.csv", "a.parquet"):
        (tmp_path / name).write_text("old")
        output = Output(str(tmp_path / name))
        output.write([FIRST])
        kept = output.close(whole=False)
        assert kept == tmp_path / f"{name}.partial"
        assert (tmp_path / name).read_text() == "old"
        frame = pd.read_csv(kept) if name == "a.csv" else pd.read_parquet(kept)
        assert frame["file"].tolist() == ["a.jpg"]


def test_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SglibError, match=r"a\.xls: expected an ending of \.txt, \.csv"):
        Output(str(tmp_path / "a.xls"))
    (tmp_path / "file").touch()
    with pytest.raises(SglibError, match="cannot write"):
        Output(str(tmp_path / "file" / "a.csv"))
    null = Output("/dev/null")
    null.write([FIRST])
    null.close()
    assert not Path("/dev/null").is_file()
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(SglibError, match="no standard output"):
        Output(None)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_full_disk_is_said() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(SglibError, match="/dev/full: cannot write"):
        Output("/dev/full", format="csv").write([FIRST])
