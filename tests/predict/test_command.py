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
from PIL import Image
from predict_fakes import save_onnx, write_jpegs

from sglib import SglibError
from sglib.predict import command
from sglib.predict.classifier import HINT, Classifier, load
from sglib.predict.command import predict

PROCESS = [sys.executable, "-m", "sglib", "predict"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_onnx(tmp_path_factory.mktemp("model")))


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
    assert [row[:2] for row in rows[1:]] == [[one.file, one.label] for one in expected]
    probs = [float(row[2]) for row in rows[1:]]
    np.testing.assert_allclose(probs, [one.probability for one in expected], rtol=1e-7)
    assert result.stderr.startswith("fake: 3 answers: ")
    assert result.stderr.count("\n") == 1


def test_a_bad_file_costs_one_row_and_status_one(tmp_path: Path, model: str) -> None:
    (good,) = write_jpegs(tmp_path, 1)
    (tmp_path / "bad.jpg").write_text("no")
    (tmp_path / "notes.txt").write_text("no")
    result = call(model, tmp_path)
    assert result.exit_code == 1
    rows = rows_of(result.stdout)[1:]
    assert [row[3].removesuffix(HINT) for row in rows] == ["ok", "not a picture that can be read"]
    assert rows[1][:3] == [str(tmp_path / "bad.jpg"), "", ""]
    assert "1 failed" in result.stderr
    assert "passed over in folders: 1 files" in result.stderr
    assert call(model, good, tmp_path / "gone.jpg").exit_code == 1


def test_a_threshold_above_every_answer_is_noticed(tmp_path: Path, model: str) -> None:
    result = call(model, *write_jpegs(tmp_path, 3), "--threshold", "1")
    highest = max(float(row[2]) for row in rows_of(result.stdout)[1:])
    assert f"0 sunglasses, 3 open (highest probability {highest:.2f})" in result.stderr


def test_an_input_is_not_replaced(tmp_path: Path, model: str) -> None:
    first, second = write_jpegs(tmp_path, 2)
    listed = tmp_path / "list.csv"
    listed.write_text("old")
    before = Path(first).read_bytes()
    for inputs, output in (([first, second], first), ([second], first), ([listed], listed)):
        with pytest.raises(SglibError, match="exists and is a picture or an input"):
            command.run(tuple(map(str, inputs)), model=model, output=str(output), format="csv")
    assert Path(first).read_bytes() == before
    assert listed.read_text() == "old"
    assert command.run((second,), model=model, output=str(listed)) == 0  # a table may be
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
        np.testing.assert_allclose(frame["probability"], from_parquet["probability"], rtol=1e-7)
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
    assert "face.jpg: its name is not a number" in result.stderr


def test_list_on_stdin_and_shards(tmp_path: Path, model: str) -> None:
    paths = write_jpegs(tmp_path / "in", 5)
    result = call(model, "-", stdin="\n".join(paths).encode())
    assert [row[0] for row in rows_of(result.stdout)[1:]] == paths
    for i in (1, 2):
        output = tmp_path / "parts" / f"{i}.parquet"
        assert call(model, tmp_path / "in", "--shard", f"{i}/2", "-o", output).exit_code == 0
    assert pd.read_parquet(tmp_path / "parts" / "1.parquet")["file"].tolist() == paths[::2]
    assert sorted(pd.read_parquet(tmp_path / "parts")["file"]) == sorted(paths)
    assert len(rows_of(call(model, *paths, "--shard", "9/9").stdout)) == 1


def test_usage_errors_end_with_two(tmp_path: Path, model: str) -> None:
    assert call(model).exit_code == 2
    assert call(model, "x", "--threshold", "2").exit_code == 2
    assert call(model, "x", "--format", "xls").exit_code == 2
    assert call(str(tmp_path / "gone.onnx"), "x").exit_code == 2
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

    whole = Classifier.stream
    monkeypatch.setattr(Classifier, "stream", broken)
    out = tmp_path / "out.csv"
    out.write_text("old")
    paths = write_jpegs(tmp_path / "in", 2)
    with pytest.raises(RuntimeError, match="a defect"):
        command.run(tuple(paths), model=model, output=str(out))
    assert out.read_text() == "old"
    assert len((tmp_path / "out.csv.partial").read_text().splitlines()) == 3
    assert f"are in {out}.partial" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("signum", "name", "kept", "status", "said"),
    [
        (signal.SIGINT, "out.csv", "out.csv", 130, "interrupted: "),
        # what a batch system ends is not to be taken for a whole part
        (signal.SIGTERM, "out.parquet", "out.parquet.partial", 143, "ended by SIGTERM: "),
        (signal.SIGKILL, "out.csv", "out.csv.partial", -9, ""),
    ],
)
def test_interrupt_leaves_what_was_finished(
    tmp_path: Path, model: str, signum: int, name: str, kept: str, status: int, said: str
) -> None:
    """The list on stdin stays open, so the run is surely under way when the signal comes."""
    paths = write_jpegs(tmp_path / "in", 40)
    out, partial = tmp_path / name, tmp_path / f"{name}.partial"
    # A shell's background job ignores interrupts, and so would what the tests start in one.
    main = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); " + (
        "from sglib.cli import main; main()"
    )
    words = [sys.executable, "-c", main, "predict", "-", "--model", model, "-o", str(out)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdin.write(("\n".join(paths * 200) + "\n").encode())
        process.stdin.flush()
        wait_for(lambda: partial.exists() and partial.stat().st_size > 100)
        process.send_signal(signum)
        stderr = process.stderr.read().decode()
        assert process.wait(30) == status
    assert said in stderr
    assert "Traceback" not in stderr
    read = pd.read_csv if name == "out.csv" else pd.read_parquet
    frame = read(tmp_path / kept)
    assert 1 <= len(frame) <= len(paths) * 200
    assert frame["file"].tolist() == (paths * 200)[: len(frame)]
    assert frame["status"].str.startswith("ok").all()
    assert sorted(os.listdir(tmp_path)) == ["in", kept]


def wait_for(happens: Callable[[], bool], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_the_process_stays_light(tmp_path: Path, model: str, name: str) -> None:
    """None of the study's large packages is imported, and memory stays small."""
    write_jpegs(tmp_path / "in", 100)
    words = ["predict", str(tmp_path / "in"), "--model", model, "-o", str(tmp_path / name)]
    look = f"""
import sys
from sglib.cli import main
try:
    main({words})
except SystemExit:
    print(*sys.modules)
with open("/proc/self/status") as file:  # the process's own peak, which starts with it
    print(*(line for line in file if line.startswith("VmHWM")))
"""
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    modules, peak = done.stdout.splitlines()[:2]
    heavy = {"torch", "torchvision", "numba", "pandas", "matplotlib", "scipy", "sklearn", "cv2"}
    assert heavy & set(modules.split()) == set()
    assert "onnxruntime" in modules.split()
    assert int(peak.split()[1]) < 150_000  # kB


def test_cold_start_into_a_pipe(tmp_path: Path, model: str) -> None:
    paths = write_jpegs(tmp_path, 2)
    done = subprocess.run([*PROCESS, *paths, "--model", model], capture_output=True, check=True)
    assert [row[0] for row in rows_of(done.stdout.decode())[1:]] == paths


def test_a_reader_that_has_seen_enough(tmp_path: Path, model: str) -> None:
    read, write = os.pipe()
    os.close(read)
    words = [*PROCESS, *write_jpegs(tmp_path, 2), "--model", model]
    closed = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, timeout=60)
    os.close(write)
    assert closed.stderr == b""
    assert closed.returncode == 1
