"""cli: what goes where, with which exit status."""

import dataclasses
import subprocess
import sys

import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from sglib import SglibError, cli
from sglib.cli import main
from sglib.data import cmu, course
from sglib.data.synthetic import render_faces
from sglib.predict.classifier import load
from sglib.report import build as report
from sglib.studies import run as study_module
from sglib.studies.profiles import Config
from sglib.studies.store import RunStore
from sglib.training.fit import ENGINES


@pytest.fixture
def sglib():
    return lambda *words: CliRunner().invoke(main, list(words))


@pytest.mark.parametrize("command", ["", "data", "study", "report", "publish", "study paper"])
def test_every_command_has_help(sglib, command):
    found = sglib(*command.split(), "--help")
    assert found.exit_code == 0
    assert "Usage:" in found.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("stduy",),
        ("study", "no-such"),
        ("study", "paper", "--backend", "dask"),
        ("study", "paper", "--profile", "huge"),
        ("study", "paper", "--shard", "9/8"),
        ("study", "paper", "--seeds", "0"),
        ("study", "paper", "--scheme", "people0"),
        ("study", "paper", "--device", "no-such-device"),
        ("report", "--data", "real"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2_on_stderr(sglib, words):
    found = sglib(*words)
    assert found.exit_code == 2
    assert found.stdout == ""
    assert "rror: " in found.stderr.splitlines()[-1]


def test_study_prints_its_summary_as_csv(sglib, tmp_path, monkeypatch):
    words = ("study", "baseline", "--profile", "smoke", "--data", "synthetic", "--jobs", "1")
    found = sglib(*words, "--store", str(tmp_path))
    assert found.exit_code == 0, found.output
    table = pd.read_csv(pd.io.common.StringIO(found.stdout), index_col="name")
    assert table.index.tolist() == ["baseline_1", "baseline_2"]
    assert table["val_acc_all_mean"].between(0.3, 1).all()
    assert table["n_runs"].eq(2).all()
    assert f"{table['n_failed'].sum()} failed to learn" in found.stderr
    monkeypatch.setattr(study_module, "do", None)  # a second call runs nothing
    assert sglib(*words, "--store", str(tmp_path)).stdout == found.stdout


@pytest.mark.parametrize(("scheme", "n_val"), [("person", 31), ("people2", 94)])
def test_study_of_the_originals_is_their_own(sglib, tmp_path, monkeypatch, scheme, n_val):
    people = render_faces(n_subjects=5)
    monkeypatch.setattr(cmu, "load_cmu", lambda: dataclasses.replace(people, name="cmu"))
    words = ("study", "baseline", "--profile", "smoke", "--data", "cmu", "--scheme", scheme)
    found = sglib(*words, "--jobs", "1", "--store", str(tmp_path))
    assert found.exit_code == 0, found.output
    assert f"4 runs on cmu {people.digest[:12]}" in found.stderr
    store = RunStore(tmp_path)
    rows = store.load(store.keys())
    assert set(rows["digest"]) == {people.digest}
    assert set(rows["scheme"]) == {scheme}
    assert min(abs(rows["n_val"] - n_val)) <= 1


def test_study_shards_are_merged(sglib, tmp_path):
    words = ("study", "baseline", "--profile", "smoke", "--data", "synthetic", "--jobs", "1")
    for i in (1, 2):
        shard = sglib(*words, "--shard", f"{i}/2", "--store", str(tmp_path / str(i)))
        assert shard.exit_code == 0, shard.output
    merged = sglib(
        "study", "merge", str(tmp_path / "1"), str(tmp_path / "2"), "--into", str(tmp_path / "all")
    )
    assert merged.exit_code == 0
    assert [line.split(": ")[1] for line in merged.stderr.splitlines()] == ["2 new runs"] * 2
    missing = sglib("study", "merge", str(tmp_path / "3"))
    assert missing.exit_code == 1
    assert "no run store there" in missing.stderr


def test_course_set_missing_is_one_line(sglib, tmp_path, monkeypatch):
    monkeypatch.setenv("SGLIB_ROOT", str(tmp_path))
    found = sglib("data", "check")
    assert found.exit_code == 1
    assert found.stderr.startswith("error: ")
    assert len(found.stderr.splitlines()) == 1
    assert "sglib data fetch" in found.stderr


def test_check_has_status_1_where_something_is_off(sglib, monkeypatch):
    for ok in (True, False):
        table = pd.DataFrame({"check": ["x"], "expected": ["1"], "found": ["1"], "ok": [ok]})
        monkeypatch.setattr(course, "check", lambda table=table: table)
        found = sglib("data", "check")
        assert found.exit_code == (0 if ok else 1)
        assert "expected" in found.stdout


def test_a_failing_report_is_status_1(sglib, monkeypatch):
    def fail(*_values: object, **_options: object) -> None:
        raise SglibError("01_baseline.ipynb, cell 3: NameError: name 'x' is not defined")

    monkeypatch.setattr(report, "build_reports", fail)
    found = sglib("report", "--profile", "smoke", "--data", "synthetic")
    assert found.exit_code == 1
    assert "cell 3: NameError" in found.stderr


def test_a_misspelt_study_is_answered_with_the_name_that_was_meant(sglib):
    assert "no study 'dropuot'; did you mean dropout?" in sglib("study", "dropuot").stderr


def test_an_interrupted_study_has_status_130(sglib, tmp_path, monkeypatch):
    def interrupt(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(study_module, "do", interrupt)
    words = ("study", "baseline", "--profile", "smoke", "--data", "synthetic", "--jobs", "1")
    found = sglib(*words, "--store", str(tmp_path))
    assert found.exit_code == 130
    assert "baseline: stopped; 0 of 4 runs are stored" in found.stderr


def test_a_full_disk_is_one_line_and_status_1(sglib, tmp_path, monkeypatch):
    def full(*_args: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    words = ("study", "baseline", "--profile", "smoke", "--data", "synthetic", "--jobs", "1")
    found = sglib(*words, "--store", str(tmp_path))
    assert found.exit_code == 1
    assert found.stderr.splitlines()[-1].endswith("cannot be written (No space left on device)")


def test_an_empty_shard_prints_the_usual_columns(sglib, tmp_path):
    words = ("study", "baseline", "--profile", "smoke", "--data", "synthetic", "--jobs", "1")
    found = sglib(*words, "--shard", "5/5", "--store", str(tmp_path))
    assert found.exit_code == 0, found.output
    assert found.stdout.startswith("name,n_runs,n_failed,train_loss_all_mean,")
    assert found.stdout.count("\n") == 1


def test_nothing_is_published_of_the_synthetic_set_unless_asked(sglib, tmp_path, monkeypatch):
    monkeypatch.setenv("SGLIB_ROOT", str(tmp_path))
    found = sglib("publish")
    assert found.exit_code == 1
    assert "sglib data fetch" in found.stderr
    assert list(tmp_path.iterdir()) == []


def test_report_hands_on_what_it_is_told(sglib, monkeypatch):
    told = {}

    def build(config: object, **options: object) -> str:
        told.update(options, config=config)
        return "index.html"

    monkeypatch.setattr(report, "build_reports", build)
    found = sglib("report", "--seeds", "3", "--only", "03", "-p", "l2", "3e-4", "-p", "name", "x")
    assert found.stdout == "index.html\n"
    assert told["parameters"] == {"l2": 3e-4, "name": "x"}
    assert (told["only"], told["config"]) == (("03",), Config("paper", seeds=3))


def test_export_writes_what_predict_reads(sglib, tmp_path):
    done = sglib("export", "paper_2", "-o", str(tmp_path / "mine.onnx"))
    assert done.exit_code == 0, done.stderr
    assert load(tmp_path / "mine.onnx").name == "paper_2"
    copy = sglib("export", "paper_2", "-o", str(tmp_path / "copy.safetensors"))
    assert sglib("export", copy.stdout.strip(), "-o", str(tmp_path / "b.onnx")).exit_code == 0
    wrong = sglib("export", "paper_3")
    assert wrong.exit_code == 1
    assert "paper_3" in wrong.stderr


def test_every_engine_can_be_asked_for():
    options = {option.name: option for option in cli._study.params}
    assert tuple(options["engine"].type.choices) == ENGINES


def test_python_m_sglib_is_the_same_command():
    done = subprocess.run(
        [sys.executable, "-m", "sglib", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("sglib, version ")
