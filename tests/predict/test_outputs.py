import os
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sglib import SglibError
from sglib.predict.outputs import Output
from sglib.predict.writers import Rows

ROWS = Rows(["1.jpg"], ["open"], np.array([0.25]), ["ok"])


@pytest.mark.parametrize(
    ("name", "format", "expected"),
    [
        ("a.csv", None, "csv"),
        ("a.json", None, "json"),
        ("a.jsonl", None, "json"),
        ("a.parquet", None, "parquet"),
        ("a.txt", None, "table"),
        ("a", None, "csv"),
        ("a.csv", "course", "course"),
        ("new/folder/a.csv", "json", "json"),
    ],
)
def test_format_by_ending(tmp_path: Path, name: str, format: str | None, expected: str) -> None:
    output = Output(str(tmp_path / name), format=format)
    assert output.format == expected
    output.write(ROWS)
    assert not (tmp_path / name).exists()  # not before it is finished
    output.close()
    assert (tmp_path / name).stat().st_size > 0
    assert len(os.listdir((tmp_path / name).parent)) == 1


def test_parts_in_a_folder(tmp_path: Path) -> None:
    for i in (1, 2):
        output = Output(f"{tmp_path}/parts/", format="parquet", shard=(i, 2))
        output.write(ROWS)
        output.close()
    assert sorted(os.listdir(tmp_path / "parts")) == [
        "part-00001-of-00002.parquet",
        "part-00002-of-00002.parquet",
    ]
    assert len(pd.read_parquet(tmp_path / "parts")) == 2
    Output(str(tmp_path), format="table").close()
    assert (tmp_path / "part-00001-of-00001.txt").exists()
    with pytest.raises(SglibError, match="the course format is one file"):
        Output(str(tmp_path), format="course")


def test_stdout(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    for path in (None, "-"):
        output = Output(path)
        output.write(ROWS)
        output.close()
        assert capsysbinary.readouterr().out == (
            b"file,label,probability,status\n1.jpg,open,0.25,ok\n"
        )


def test_failure_keeps_the_old_file_and_the_finished_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")
    output = Output(str(path))
    output.write(ROWS)
    assert output.abandon() == f"{path}.partial"
    assert path.read_text() == "old"
    assert "1.jpg,open" in (tmp_path / "a.csv.partial").read_text()
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "a.csv.partial"]


def test_devices_are_written_to_not_replaced() -> None:
    output = Output("/dev/null", format="csv")
    output.write(ROWS)
    output.close()
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_refusals(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SglibError, match=r"file/a\.csv: cannot write"):
        Output(str(tmp_path / "file" / "a.csv"))
    with pytest.raises(SglibError, match="format must be one of table, csv"):
        Output(None, format="xls")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_full_disk_is_said() -> None:
    output = Output("/dev/full", format="csv")
    with pytest.raises(SglibError, match=r"/dev/full: cannot write \(No space"):
        output.write(ROWS)
    with pytest.raises(OSError, match="No space"):
        output._out.close()
