"""study: same rows however they are run; finished runs are never run again."""

import dataclasses
import subprocess
import sys
import time

import pandas as pd
import pytest
from sglib.studies.units import plan

from sglib import SglibError
from sglib.studies import run as study_module
from sglib.studies.profiles import PROFILES, Config
from sglib.studies.run import run, run_study
from sglib.studies.store import RunStore
from sglib.studies.tables import BASELINE, Study

ROWS = tuple(
    dataclasses.replace(BASELINE, name=name, n_epochs=2, p_drop=p)
    for name, p in (("baseline_x", 0.0), ("dropout50_x", 0.5))
)
SMALL = Study("small", "?", ("p_drop",), ROWS)
SAME = ["name", "fold", "seed", "train_loss", "train_acc", "val_loss", "val_acc", "val_probs"]


def results(frame: pd.DataFrame) -> list[list[object]]:
    """Return what must not depend on how the runs were made."""
    return [
        [value.tolist() if hasattr(value, "tolist") else value for value in row]
        for row in frame[SAME].itertuples(index=False)
    ]


@pytest.fixture
def units(tiny_faces):
    return plan(SMALL, tiny_faces, max_folds=2, engine="reference")


@pytest.fixture(scope="module")
def expected(tiny_faces, tmp_path_factory):
    planned = plan(SMALL, tiny_faces, max_folds=2, engine="reference")
    return run_study(planned, tiny_faces, store=RunStore(tmp_path_factory.mktemp("expected")))


def test_rows_come_in_the_order_of_the_units(units, expected):
    assert expected["key"].tolist() == [unit.key for unit in units]
    assert expected["name"].tolist() == [unit.experiment.name for unit in units]


def test_a_second_launch_starts_nothing(units, tiny_faces, tmp_path, monkeypatch):
    store = RunStore(tmp_path)
    first = run_study(units, tiny_faces, store=store)

    def never(*_args: object) -> None:
        raise AssertionError("a stored run was run again")

    monkeypatch.setattr(study_module, "run_unit", never)
    again = run_study(units, tiny_faces, store=store)
    pd.testing.assert_frame_equal(first, again)


def test_worker_processes_give_the_same_rows(units, tiny_faces, tmp_path, expected):
    found = run_study(units, tiny_faces, store=RunStore(tmp_path), jobs=2)
    assert results(found) == results(expected)


def test_shards_merged_give_the_same_rows(units, tiny_faces, tmp_path, expected):
    stores = [RunStore(tmp_path / name) for name in "ab"]
    for start, store in enumerate(stores):
        run_study(units[start::2], tiny_faces, store=store)
    whole = RunStore(tmp_path / "whole")
    assert [whole.take_from(store) for store in stores] == [2, 2]
    assert results(run_study(units, tiny_faces, store=whole)) == results(expected)


def test_equal_procedures_under_two_names_share_a_run(tiny_faces, tmp_path):
    twin = dataclasses.replace(ROWS[0], name="twin")
    planned = plan(
        dataclasses.replace(SMALL, rows=(ROWS[0], twin)),
        tiny_faces,
        max_folds=1,
        engine="reference",
    )
    store = RunStore(tmp_path)
    frame = run_study(planned, tiny_faces, store=store)
    assert frame["name"].tolist() == ["baseline_x", "twin"]
    assert len(store.keys()) == 1


def test_an_interrupted_study_goes_on(units, tiny_faces, tmp_path, expected, monkeypatch):
    store, count = RunStore(tmp_path), 0
    real = study_module.run_unit

    def third_is_interrupted(*args: object) -> dict[str, object]:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(study_module, "run_unit", third_is_interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_study(units, tiny_faces, store=store)
    assert len(store.keys()) == 2
    assert results(run_study(units, tiny_faces, store=store)) == results(expected)
    assert count == 5


def test_progress_lines_are_plain_where_there_is_no_terminal(capsys, monkeypatch):
    clock = iter(range(0, 1000, 11))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    list(study_module._with_progress(iter([{}] * 3), 3, "paper", None))
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["paper: 1/3 runs, 22 s left", "paper: 2/3 runs, 11 s left"]


def test_run_applies_the_profile(tiny_faces, tmp_path):
    frame = run(
        "baseline",
        tiny_faces,
        Config("smoke", jobs=1),
        store=RunStore(tmp_path),
        engine="reference",
    )
    assert len(frame) == 4
    assert set(frame["n_epochs"]) == {PROFILES["smoke"].max_epochs}
    assert set(frame["name"]) == {"baseline_1", "baseline_2"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "slurm"}, "backend must be one of local, dask, got 'slurm'"),
        ({"backend": "dask"}, "needs the address of a scheduler"),
    ],
)
def test_wrong_options_are_refused(units, tiny_faces, tmp_path, options, message):
    with pytest.raises(SglibError, match=message):
        run_study(units, tiny_faces, store=RunStore(tmp_path), **options)


KILLED = """
import dataclasses, sys
from sglib.data import load_data
from sglib.studies.tables import BASELINE, Study
from sglib.studies.store import RunStore
from sglib.studies.run import run_study
from sglib.studies.units import plan
rows = tuple(dataclasses.replace(BASELINE, name=f"r{i}", lr=0.001 * (i + 1), n_epochs=1)
             for i in range(3))
faces = load_data("synthetic").train.subset(slice(0, 60))
units = plan(Study("s", "?", ("lr",), rows), faces, engine="reference")
print("go", flush=True)
run_study(units, faces, store=RunStore(sys.argv[1]), jobs=int(sys.argv[2]))
print("done", flush=True)
"""


def test_killed_and_started_again_it_repeats_no_finished_run(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path / "a")]
    with subprocess.Popen([*command, "1"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "go\n"
        store = RunStore(tmp_path / "a")
        while len(store.keys()) < 4:
            time.sleep(0.02)
        process.kill()
    before = store.load(store.keys()).set_index("key")["finished"]
    assert 4 <= len(before) < 15
    subprocess.run([*command, "1"], check=True, stdout=subprocess.DEVNULL)
    after = store.load(sorted(store.keys())).set_index("key")
    assert len(after) == 15
    assert after.loc[before.index, "finished"].equals(before)
    subprocess.run([*command[:-1], str(tmp_path / "b"), "1"], check=True, stdout=subprocess.DEVNULL)
    whole = RunStore(tmp_path / "b").load(after.index)
    assert results(whole) == results(after.reset_index())
