import csv
import io
import json

import numpy as np
import pandas as pd
import pytest

from sglib.predict.writers import (
    WRITERS,
    CourseWriter,
    CsvWriter,
    JsonWriter,
    ParquetWriter,
    Rows,
    TableWriter,
    escaped,
    readable,
)

NAMES = [
    "plain.jpg",
    'comma, and "quote".jpg',
    "new\nline.jpg",
    "carriage\rreturn.jpg",
    "=1+1.jpg",
    "ünïcode 画.jpg",
    "bytes\udcff.jpg",
    "\x1b[31mred\x1b[0m\u202egpj.exe",
]
ROWS = Rows(
    files=NAMES,
    labels=["open", "sunglasses", "", "open", "open", "open", "sunglasses", ""],
    probs=np.array([0.125, 0.987654321, np.nan, 0, 1e-9, 0.5, 1, np.nan]),
    statuses=["ok", "ok (resized from 64x60)", "empty file", *["ok"] * 4, "no such file"],
)
FIRST = Rows(["a.jpg"], ["open"], np.array([0.25]), ["ok"])


def written(writer: type, *batches: Rows) -> bytes:
    out = io.BytesIO()
    target = writer(out)
    for rows in batches:
        target.write(rows)
    target.close()
    return out.getvalue()


def test_csv_survives_any_name() -> None:
    text = written(CsvWriter, FIRST, ROWS).decode()  # valid UTF-8
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[0] == ["file", "label", "probability", "status"]
    assert [row[0] for row in rows[2:]] == [*NAMES[:6], r"bytes\xff.jpg", NAMES[7]]
    assert rows[1] == ["a.jpg", "open", "0.25", "ok"]
    assert rows[4] == ["new\nline.jpg", "", "", "empty file"]
    assert [row[2] for row in rows[2:]] == ["0.125", "0.987654", "", "0", "1e-09", "0.5", "1", ""]
    frame = pd.read_csv(io.StringIO(text), dtype={"file": str})
    assert frame["probability"].isna().sum() == 2


def test_json_lines() -> None:
    lines = written(JsonWriter, FIRST, ROWS).decode().split("\n")
    rows = [json.loads(line) for line in lines[:-1]]
    assert lines[-1] == ""
    assert len(rows) == 9
    assert rows[0] == {"file": "a.jpg", "label": "open", "probability": 0.25, "status": "ok"}
    assert rows[3]["label"] is None
    assert rows[3]["probability"] is None
    assert [row["file"] for row in rows[1:7]] == NAMES[:6]


def test_parquet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sglib.predict.writers._ROW_GROUP", 4)
    data = written(ParquetWriter, FIRST, ROWS, FIRST)
    frame = pd.read_parquet(io.BytesIO(data))
    assert frame.columns.tolist() == ["file", "label", "probability", "status"]
    assert frame["file"].tolist()[1:7] == NAMES[:6]
    assert frame["probability"].isna().sum() == frame["label"].isna().sum() == 2
    assert frame["probability"].dtype == np.float64
    assert len(pd.read_parquet(io.BytesIO(written(ParquetWriter)))) == 0


def test_course_is_sorted_by_number(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["x/10.jpg", "x/9.jpg", "x/007.jpg", "y/9.png", "z/face.jpg", "z/3.jpg", "z/٣.jpg"]
    labels = ["open", "sunglasses", "open", "open", "open", "", "open"]
    rows = Rows(names, labels, np.zeros(7), ["ok"] * 7)
    out = io.BytesIO()
    writer = CourseWriter(out)
    writer.write(rows)
    writer.close()
    assert out.getvalue() == b"id,result\n7,0\n9,1\n10,0\n"
    assert writer.problems == [
        "y/9.png: id 9 came before",
        "z/face.jpg: the name is not a number, as an id must be",
        "z/٣.jpg: the name is not a number, as an id must be",
    ]


def test_table_cannot_be_used_against_a_terminal() -> None:
    text = written(TableWriter, FIRST, ROWS).decode()
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert text.count("\n") == 10
    lines = text.splitlines()
    assert lines[1].split() == ["open", "0.2500", "a.jpg"]
    assert lines[3].endswith('comma, and "quote".jpg  [ok (resized from 64x60)]')
    assert lines[4].split() == ["-", "-", r"new\nline.jpg", "[empty", "file]"]
    assert lines[7].endswith("ünïcode 画.jpg")


def test_names_as_text() -> None:
    assert readable("a\udcff\udc80é") == r"a\xff\x80é"
    assert escaped("a\tb\x7f\x9b\u2028\udcff") == r"a\tb\x7f\x9b\u2028\xff"
    assert escaped("plain é 画") == "plain é 画"


def test_every_format_can_be_empty() -> None:
    for writer in WRITERS.values():
        written(writer)
