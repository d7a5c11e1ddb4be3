"""benchmarks: every script runs on tiny settings, and its contestants train the same thing.

Nothing here looks at a time. What is not installed is skipped.
"""

import csv
import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from sglib.studies.tables import BASELINE
from sglib.training.compiled.layout import SIZES
from sglib.training.reference import fit_reference
from sglib.training.settings import FitData

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def bench(monkeypatch):
    """Return a function that imports a script or a part of one."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == BENCHMARKS:
            del sys.modules[name]


@pytest.fixture
def task(bench, tiny_faces, tmp_path):
    module = bench("_task")
    module.write_task(tmp_path, tiny_faces.images, tiny_faces.labels)
    return module.read_task(tmp_path)


def lines(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_results_replace_the_earlier_ones_of_the_same_benchmark_only(bench, tmp_path):
    common, table = bench("_common"), tmp_path / "tables" / "b.csv"
    row = common.Row
    common.write_results("one", [row("a", 1.0, "s"), row("b", 2.0, "s")], ["numpy"], table=table)
    common.write_results("two", [row("c", 3.14159, "s", 2.0, 5)], ["numpy"], table=table)
    common.write_results("one", [row("d", None, "not installed")], ["nothing"], table=table)
    found = lines(table)
    assert [(r["benchmark"], r["what"], r["value"]) for r in found] == [
        ("one", "d", ""),
        ("two", "c", "3.142"),
    ]
    assert found[1]["ratio"] == "2"
    assert found[1]["n"] == "5"
    assert f"numpy {np.__version__}" in found[1]["versions"]
    assert "processors" in found[0]["machine"]
    assert list(found[0]) == list(common.COLUMNS)


@pytest.mark.parametrize("name", ["Paper", "Eager"])
def test_a_contestant_trains_as_the_reference_and_goes_on(bench, task, name):
    helper, own = bench("_task"), bench("_peers_own")
    contestant = getattr(bench("_peers_torch"), name)(task)
    order = task.order.ravel()
    assert contestant.train(order[:12]) > 0
    contestant.train(order[12:20])
    expected = fit_reference(own.ONE_EPOCH, *task.one_epoch(order[:20])).weights
    assert helper.distance(contestant.weights(), expected, task.initial) < 0.01
    assert helper.distance(task.initial, expected, task.initial) == pytest.approx(1)


def test_the_check_finds_another_learning_rate(bench, task, monkeypatch):
    helper, own, torch_peers = bench("_task"), bench("_peers_own"), bench("_peers_torch")
    monkeypatch.setattr(torch_peers, "LR", 0.0018)
    contestant = torch_peers.Eager(task)
    order = task.order.ravel()[:20]
    contestant.train(order)
    expected = fit_reference(own.ONE_EPOCH, *task.one_epoch(order)).weights
    assert (
        helper.distance(contestant.weights(), expected, task.initial) > bench("_contest").TOLERANCE
    )


def test_train_step_times_who_is_there_and_gives_a_reason_for_who_is_not(
    bench, tmp_path, monkeypatch, capfd
):
    pytest.importorskip("skorch")
    monkeypatch.setenv("SGLIB_BENCH_WITHOUT", "jax")
    out, table = tmp_path / "out.json", tmp_path / "table.csv"
    words = ["--only", "paper,skorch,jax", "--rounds", "2", "--steps", "10"]
    bench("train_step").main([*words, "--json", str(out), "--table", str(table)])
    found = json.loads(out.read_text())
    assert found["ours_us"] > 0
    assert found["paper_us"] > 0
    assert found["skorch_us"] > 0
    assert found["best_of_rest"] == "skorch"
    assert found["jax_us"] is None
    assert found["reasons"] == {"jax": "not installed: jax"}
    assert found["keras_us"] is None  # did not take part
    assert found["versions"]["torch"]
    assert [row["benchmark"] for row in lines(table)] == ["train_step"] * 4
    assert "best of the rest: skorch" in capfd.readouterr().out


def test_train_step_refuses_an_unknown_name(bench, capsys):
    with pytest.raises(SystemExit) as stop:
        bench("train_step").main(["--only", "tensorflow"])
    assert stop.value.code == 2
    assert "no contestant 'tensorflow'" in capsys.readouterr().err


def test_study_counts_the_papers_steps_and_extrapolates(bench, tmp_path, capsys):
    out = tmp_path / "out.json"
    words = ["--rounds", "1", "--max-epochs", "1", "--folds", "1", "--paper-epochs", "1"]
    bench("study").main([*words, "--json", str(out), "--table", str(tmp_path / "t.csv")])
    found = json.loads(out.read_text())
    assert found["runs"] == 12
    assert found["steps"] == 10 * 302 + 2 * (302 + 75)  # two add a quarter of mirrored images
    assert found["paper_us"].keys() == {"ConvNN_1", "ConvNN_2"}
    by_hand = (sum(found["paper_us"].values()) / 2) * 1e-6 * found["steps"]
    assert found["paper_seconds_extrapolated"] == pytest.approx(by_hand)
    assert "extrapolated from" in capsys.readouterr().out


def test_stages_know_the_work_of_every_stage(bench, tiny_faces, tmp_path, monkeypatch, capsys):
    stages = bench("stages")
    data = FitData(
        tiny_faces.images, tiny_faces.labels, tiny_faces.images[:0], tiny_faces.labels[:0]
    )
    calls = bench("_stages").stage_calls(BASELINE, data)  # made, not called: each would be compiled
    table = stages.work(SIZES["ConvNN_1"], 32_730, (8, 40, 784))
    assert set(calls) - set(table) == {"forward", "evaluation"}
    assert table["conv1, maxpool1, relu"].flop == 2 * 9 * 8 * 32 * 32 + 16 * 16 * 8 * 5
    assert table["conv2, maxpool2, relu"].flop == 2 * 72 * 16 * 14 * 14 + 784 * 5
    assert table["Adam"].n_bytes == 32_730 * 6 * 4

    def nothing(*_args: object) -> dict[str, object]:
        return {name: lambda n: None for name in calls}

    monkeypatch.setattr(stages, "stage_calls", nothing)
    monkeypatch.setattr(stages, "core_peak", lambda: 1e11)
    out = tmp_path / "out.json"
    words = ["--rounds", "1", "--repeat", "1", "--json", str(out)]
    stages.main([*words, "--table", str(tmp_path / "t.csv")])
    found = json.loads(out.read_text())
    assert found["stages"].keys() == table.keys()
    limit = found["stages"]["conv1, maxpool1, relu"]["arithmetic_limit_us"]
    assert limit == pytest.approx(157_696 / 1e11 * 1e6)
    assert "Adam" in capsys.readouterr().out


def test_store_fills_merges_and_loads(bench, tmp_path, capsys):
    table = tmp_path / "b.csv"
    options = ["--runs", "50", "--stores", "3", "--profile", "smoke", "--table", str(table)]
    bench("store").main(options)
    found = {row["what"]: float(row["value"]) for row in lines(table)}
    assert found["files"] == 3
    assert 200 < found["stored per run"] < 20_000
    assert all(value > 0 for value in found.values())
    assert "merging 3 stores" in capsys.readouterr().out


def test_predict_compares_with_the_papers_loop(bench, tmp_path, monkeypatch, capsys):
    predict = bench("predict")
    monkeypatch.setattr(predict, "N_TEST", 40)
    monkeypatch.setattr(predict, "MODELS", ("paper_1",))
    table = tmp_path / "b.csv"
    predict.main(["--files", "30", "--rounds", "1", "--table", str(table)])
    said = capsys.readouterr().out.splitlines()
    counts = {line.rsplit(", ", 1)[1] for line in said[:2]}
    assert len(counts) == 1  # both ways call the same pictures sunglasses
    assert "of 40 sunglasses" in counts.pop()
    found = lines(table)
    assert [row["what"] for row in found][:4] == [
        "paper's loop, ConvNN_1",
        "sglib predict, paper_1",
        "base, one picture",
        "base, 30 files to csv",
    ]
    assert float(found[0]["ratio"]) == 1
    assert all(float(row["value"]) > 0 for row in found)


def test_parts_of_scripts_are_not_run_by_make_bench():
    scripts = {path.name for path in BENCHMARKS.glob("[a-z]*.py")}
    assert {"stages.py", "study.py", "train_step.py"} <= scripts
    for path in BENCHMARKS.glob("*.py"):
        assert (path.name in scripts) != path.name.startswith("_")
    readme = (BENCHMARKS / "README.md").read_text(encoding="utf-8")
    for name in scripts:
        assert f"`{name}`" in readme, f"benchmarks/README.md does not name {name}"


@pytest.fixture(autouse=True)
def _same_processors():
    """Give back the processors that a script held itself to."""
    import os

    import torch

    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    yield
    torch.set_num_threads(1)
    if before is not None:
        os.sched_setaffinity(0, before)


def test_outside_counts_what_is_called_sunglasses(bench, tmp_path):
    pytest.importorskip("skimage")
    outside, table = bench("outside"), tmp_path / "outside.csv"
    face = np.arange(625, dtype=np.uint8).reshape(25, 25)
    assert outside.framed(face, 25, "edge").shape == (30, 32)
    assert outside.framed(face, 13, "white")[0, 0] == 255
    outside.main(["--table", str(table)])
    found = lines(table)
    assert {row["n"] for row in found} == {"100"}
    assert len({row["model"] for row in found}) * 21 == len(found)
    assert all(0 <= float(row["called_sunglasses"]) <= 1 for row in found)
