import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from model_fakes import save_model, write_jpegs
from PIL import Image

from sglib import SglibError
from sglib.cli_predict import predict
from sglib.predict import command as run_predict
from sglib.predict.classifier import load


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_model(tmp_path_factory.mktemp("model")))


def call(model: str, *args: object, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(
        predict, ["--model", model, *map(str, args)], input=stdin, catch_exceptions=False
    )


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def test_csv_on_stdout_and_messages_on_stderr(tmp_path: Path, model: str) -> None:
    paths = write_jpegs(tmp_path, 3)
    result = call(model, *paths)
    assert result.exit_code == 0
    rows = rows_of(result.stdout)
    assert rows[0] == ["file", "label", "probability", "status"]
    expected = load(model).predict(paths)
    assert [row[0] for row in rows[1:]] == paths
    assert [row[1] for row in rows[1:]] == expected["label"].tolist()
    np.testing.assert_allclose(
        [float(row[2]) for row in rows[1:]], expected["probability"], rtol=1e-5
    )
    assert result.stderr.startswith("fake: 3 files: ")
    assert result.stderr.count("\n") == 1


def test_a_bad_file_costs_one_row_and_status_one(tmp_path: Path, model: str) -> None:
    (good,) = write_jpegs(tmp_path, 1)
    (tmp_path / "bad.jpg").write_text("no")
    (tmp_path / "notes.txt").write_text("no")
    result = call(model, tmp_path)
    assert result.exit_code == 1
    rows = rows_of(result.stdout)[1:]
    assert [row[3] for row in rows] == ["ok", "not a picture that can be read"]
    assert rows[1][:3] == [str(tmp_path / "bad.jpg"), "", ""]
    assert "1 failed" in result.stderr
    assert "1 files in folders passed over" in result.stderr
    assert call(model, good, tmp_path / "gone.jpg").exit_code == 1


def test_an_input_is_not_replaced(tmp_path: Path, model: str) -> None:
    first, second = write_jpegs(tmp_path, 2)
    listed = tmp_path / "list.csv"
    listed.write_text("old")
    before = Path(first).read_bytes()
    for inputs, output in (([first, second], first), ([second], first), ([listed], listed)):
        with pytest.raises(SglibError, match="exists and is a picture or an input"):
            run_predict.run(list(map(str, inputs)), model=model, output=str(output), format="csv")
    assert Path(first).read_bytes() == before
    assert listed.read_text() == "old"
    assert run_predict.run([second], model=model, output=str(listed)) == 0  # a table may be
    assert listed.read_text() != "old"


def test_every_format(tmp_path: Path, model: str) -> None:
    paths = write_jpegs(tmp_path / "in", 12)
    for name in ("a.csv", "a.json", "a.parquet", "a.txt"):
        assert call(model, *paths, "-o", tmp_path / name).exit_code == 0
    from_csv = pd.read_csv(tmp_path / "a.csv")
    lines = (tmp_path / "a.json").read_text().splitlines()
    from_json = pd.DataFrame([json.loads(line) for line in lines])
    from_parquet = pd.read_parquet(tmp_path / "a.parquet")
    for frame in (from_csv, from_json, from_parquet):
        assert frame["file"].tolist() == paths
        np.testing.assert_allclose(frame["probability"], from_parquet["probability"], rtol=1e-5)
    assert (tmp_path / "a.txt").read_text().count("\n") == 13
    result = call(model, tmp_path / "in", "--format", "course", "-o", tmp_path / "c.csv")
    assert result.exit_code == 0
    course = pd.read_csv(tmp_path / "c.csv")
    assert course.columns.tolist() == ["id", "result"]
    assert course["id"].tolist() == list(range(12))
    by_id = from_csv.set_index(from_csv["file"].map(lambda path: int(Path(path).stem)))
    assert (course["result"] == (by_id["label"] == "sunglasses").loc[course["id"]].values).all()


def test_course_says_what_has_no_row(tmp_path: Path, model: str) -> None:
    write_jpegs(tmp_path, 2)
    os.rename(tmp_path / "1.jpg", tmp_path / "face.jpg")
    result = call(model, tmp_path, "--format", "course")
    assert result.exit_code == 1
    assert result.stdout.startswith("id,result\n0,")
    assert "face.jpg: the name is not a number" in result.stderr


def test_list_on_stdin_and_shards(tmp_path: Path, model: str) -> None:
    paths = write_jpegs(tmp_path / "in", 5)
    result = call(model, "-", stdin="\n".join(paths).encode())
    assert [row[0] for row in rows_of(result.stdout)[1:]] == paths
    for i in (1, 2):
        args = ("--shard", f"{i}/2", "--format", "parquet", "-o", f"{tmp_path}/parts/")
        assert call(model, tmp_path / "in", *args).exit_code == 0
    assert sorted(pd.read_parquet(tmp_path / "parts")["file"]) == sorted(paths)


def test_usage_errors_end_with_two(tmp_path: Path, model: str) -> None:
    assert call(model).exit_code == 2
    assert call(model, "x", "--threshold", "2").exit_code == 2
    assert call(model, "x", "--format", "xls").exit_code == 2
    for shard in ("3", "0/2", "3/2", "a/b"):
        result = call(model, "x", "--shard", shard)
        assert result.exit_code == 2
        assert "expected i/N" in result.stderr


def test_explain_writes_a_picture_per_file(tmp_path: Path, model: str) -> None:
    paths = write_jpegs(tmp_path / "in", 2)
    assert call(model, *paths, "gone.jpg", "--explain", tmp_path / "why").exit_code == 1
    names = sorted(os.listdir(tmp_path / "why"))
    assert names == ["000000-0.png", "000001-1.png"]
    with Image.open(tmp_path / "why" / names[0]) as sheet:
        assert sheet.width > 2 * 320


def test_failure_keeps_rows_and_the_old_file(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*args: object, **options: object) -> object:
        yield from whole(*args, **options)
        raise RuntimeError("a defect")

    whole = run_predict.predict_files
    monkeypatch.setattr(run_predict, "predict_files", broken)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    out = tmp_path / "out.csv"
    out.write_text("old")
    paths = write_jpegs(tmp_path / "in", 2)
    with pytest.raises(RuntimeError, match="a defect"):
        run_predict.run(paths, model=model, output=str(out))
    assert out.read_text() == "old"
    assert len((tmp_path / "out.csv.partial").read_text().splitlines()) == 3
    assert f"are in {out}.partial" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("signum", "name", "kept", "status", "said"),
    [
        (signal.SIGINT, "out.csv", "out.csv", 130, "interrupted: "),
        # what a batch system ends is not to be taken for a whole part
        (signal.SIGTERM, "out.parquet", "out.parquet.partial", 143, "ended by SIGTERM: "),
    ],
)
def test_interrupt_leaves_what_was_finished(
    tmp_path: Path, model: str, signum: int, name: str, kept: str, status: int, said: str
) -> None:
    """The list on stdin stays open, so the run is surely under way when the signal comes."""
    paths = write_jpegs(tmp_path / "in", 40)
    out = tmp_path / name
    # A shell's background job ignores interrupts, and so would what the tests start in one.
    main = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {_MAIN}"
    command = [sys.executable, "-c", main, "-", "--model", model, "--jobs", "2", "-o", str(out)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    many = ("\n".join(paths * 200) + "\n").encode()
    process.stdin.write(many)
    process.stdin.flush()
    temp = tmp_path / f".{name}.{process.pid}.tmp"
    wait_for(lambda: temp.exists() and (name == "out.parquet" or temp.stat().st_size > 100))
    time.sleep(1)  # Parquet shows nothing until its first row group is full
    process.send_signal(signum)
    stderr = process.stderr.read().decode()
    assert process.wait(30) == status
    process.stdin.close()
    process.stderr.close()
    assert said in stderr
    assert "Traceback" not in stderr
    read = pd.read_csv if name == "out.csv" else pd.read_parquet
    frame = read(tmp_path / kept)
    assert (0 if name == "out.parquet" else 1) <= len(frame) <= len(paths) * 200
    assert frame["file"].tolist() == (paths * 200)[: len(frame)]
    assert frame["status"].eq("ok").all()
    assert sorted(os.listdir(tmp_path)) == ["in", kept]
    assert not temp.exists()


_MAIN = "from sglib.cli_predict import predict; predict()"


def wait_for(happens: Callable[[], bool], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_cold_start_into_a_pipe(tmp_path: Path, model: str) -> None:
    paths = write_jpegs(tmp_path, 2)
    command = [sys.executable, "-c", _MAIN, *paths, "--model", model, "--format", "parquet"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    frame = pd.read_parquet(io.BytesIO(done.stdout))
    assert frame["file"].tolist() == paths
    np.testing.assert_allclose(frame["probability"], load(model).predict(paths).probability)


def test_a_reader_that_has_seen_enough(tmp_path: Path, model: str) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-c", _MAIN, *write_jpegs(tmp_path, 2), "--model", model]
    closed = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, timeout=60)
    os.close(write)
    assert closed.stderr == b""
    assert closed.returncode == 1
