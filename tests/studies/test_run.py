"""run: same rows however they are made; a finished run is never made again, a changed one is."""

import dataclasses
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from sglib import SglibError
from sglib.data import load_data
from sglib.models import networks
from sglib.studies import run as study_module
from sglib.studies.profiles import PROFILES, Config
from sglib.studies.run import Run, do, plan, run, run_study
from sglib.studies.store import N_ASKED, RunStore
from sglib.studies.tables import BASELINE, Study, study
from sglib.training.settings import Experiment

ROWS = tuple(
    dataclasses.replace(BASELINE, name=name, n_epochs=2, p_drop=p)
    for name, p in (("baseline_x", 0.0), ("dropout50_x", 0.5))
)
SMALL = Study("small", "?", ("p_drop",), ROWS)
OPTIONS = {"max_folds": 2, "engine": "reference"}
SAME = ["name", "fold", "seed", "train_loss", "train_acc", "val_loss", "val_acc", "val_probs"]


def results(frame: pd.DataFrame) -> list[list[object]]:
    """Return what must not depend on how the runs were made."""
    return [
        [value.tolist() if hasattr(value, "tolist") else value for value in row]
        for row in frame[SAME].itertuples(index=False)
    ]


@pytest.fixture
def runs(tiny_faces):
    return plan(SMALL, tiny_faces, **OPTIONS)


@pytest.fixture(scope="module")
def expected(tiny_faces, tmp_path_factory):
    store = RunStore(tmp_path_factory.mktemp("expected"))
    return run_study(plan(SMALL, tiny_faces, **OPTIONS), tiny_faces, store=store)


# Plans and keys


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": dataclasses.replace(ROWS[0], lr=0.001).settings()},
        {"scheme": "person"},
        {"fold": 1},
        {"seed": 1},
        {"engine": "compiled"},
        {"digest": "d2"},
        {"fingerprint": "12345678"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_changes_the_result_changes_the_key(runs, changes):
    other = dataclasses.replace(runs[0], **changes)
    assert other.key != runs[0].key
    assert (other.key[:N_ASKED] == runs[0].key[:N_ASKED]) == ("fingerprint" in changes)


def test_names_do_not_change_the_key(runs):
    row = dataclasses.replace(ROWS[0], name="other", section="9", augment_fraction=0.1)
    other = dataclasses.replace(runs[0], name="other", data="x", settings=row.settings())
    assert other.key == runs[0].key


def test_whole_numbers_and_fractions_of_the_same_value_are_one_setting():
    assert str(Experiment(l2=0, p_drop=0).settings()) == str(Experiment().settings())


def test_plan_lists_every_row_fold_and_seed_once(tiny_faces):
    planned = plan(study("baseline"), tiny_faces, n_seeds=2, engine="reference")
    assert len({(run.name, run.fold, run.seed) for run in planned}) == 2 * 5 * 2
    assert len({run.key for run in planned}) == 20
    assert {run.engine for run in planned} == {"reference-cpu"}
    limited = plan(study("baseline"), tiny_faces, scheme="person", **OPTIONS)
    assert {(run.scheme, run.fold) for run in limited} == {("person", 0), ("person", 1)}


# One run


def small_run(faces) -> Run:
    row = Study("one", "?", (), ROWS[:1])
    return dataclasses.replace(plan(row, faces, **OPTIONS)[1], seed=3)


def test_a_run_does_not_depend_on_the_number_of_threads(tiny_faces):
    before = torch.get_num_threads()
    rows = []
    for n_threads in (1, 2):
        torch.set_num_threads(n_threads)
        rows.append(do(small_run(tiny_faces), tiny_faces))
        assert torch.get_num_threads() == n_threads
    torch.set_num_threads(before)
    assert rows[0]["val_loss"] == rows[1]["val_loss"]
    assert rows[0]["val_probs"] == rows[1]["val_probs"]


def test_each_engine_does_its_own_runs(tiny_faces, tmp_path):
    engines = ("reference", "compiled", "compiled-shuffled")
    runs = [plan(SMALL, tiny_faces, engine=engine)[0] for engine in engines]
    frame = run_study(runs, tiny_faces, store=RunStore(tmp_path), progress=False)
    assert frame["engine"].tolist() == ["reference-cpu", "compiled", "compiled-shuffled"]
    plain, shuffled = np.stack(frame["train_loss"])[1:]
    assert (plain != shuffled).any()  # the last bits
    np.testing.assert_allclose(plain, shuffled, rtol=1e-4)


def test_a_row_says_everything(tiny_faces):
    found = do(small_run(tiny_faces), tiny_faces)
    assert (found["digest"], found["seed"], found["fold"]) == (tiny_faces.digest, 3, 1)
    assert len(found["val_ids"]) == len(found["val_probs"]) == found["n_val"]
    assert found["n_train"] + found["n_val"] == len(tiny_faces)
    assert {"processor", "versions", "commit", "seconds", "l2"} <= set(found)
    preds = np.array(found["val_probs"]) > 0.5
    place = {name: i for i, name in enumerate(tiny_faces.ids.tolist())}
    labels = tiny_faces.labels[[place[name] for name in found["val_ids"]]]
    assert (preds == labels).mean() == pytest.approx(found["val_acc"][-1])


def test_other_data_than_planned_is_refused(tiny_faces):
    other = dataclasses.replace(small_run(tiny_faces), digest="0" * 64)
    with pytest.raises(SglibError, match="other data"):
        do(other, tiny_faces)


# Many runs


def test_rows_come_in_the_order_of_the_runs(runs, expected):
    assert expected["key"].tolist() == [run.key for run in runs]
    assert expected["name"].tolist() == [run.name for run in runs]


def test_a_second_launch_starts_nothing(runs, tiny_faces, tmp_path, monkeypatch):
    store = RunStore(tmp_path)
    first = run_study(runs, tiny_faces, store=store)
    monkeypatch.setattr(study_module, "do", None)
    pd.testing.assert_frame_equal(first, run_study(runs, tiny_faces, store=store))


def test_shards_merged_give_the_same_rows(runs, tiny_faces, tmp_path, expected):
    stores = [RunStore(tmp_path / name) for name in "ab"]
    for start, store in enumerate(stores):
        run_study(runs[start::2], tiny_faces, store=store)
    whole = RunStore(tmp_path / "whole")
    assert [whole.take_from(store) for store in stores] == [2, 2]
    assert results(run_study(runs, tiny_faces, store=whole)) == results(expected)


def test_equal_procedures_under_two_names_share_a_run(tiny_faces, tmp_path):
    twin = dataclasses.replace(ROWS[0], name="twin", section="")
    both = plan(dataclasses.replace(SMALL, rows=(ROWS[0], twin)), tiny_faces, **OPTIONS)[:2]
    store = RunStore(tmp_path)
    frame = run_study(both, tiny_faces, store=store)
    assert frame["name"].tolist() == ["baseline_x", "twin"]
    assert frame["section"].tolist() == ["4.1", ""]
    assert len(store.keys()) == 1


def test_an_interrupted_study_goes_on(runs, tiny_faces, tmp_path, expected, monkeypatch, capsys):
    store, made = RunStore(tmp_path), []

    def third_is_interrupted(one: Run, faces: object) -> dict[str, object]:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(one)
        return do(one, faces)

    with monkeypatch.context() as patch:
        patch.setattr(study_module, "do", third_is_interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_study(runs, tiny_faces, store=store, label="small")
    assert "small: stopped; 2 of 4 runs are stored" in capsys.readouterr().err
    assert len(store.keys()) == 2
    assert results(run_study(runs, tiny_faces, store=store)) == results(expected)


def test_a_store_that_cannot_be_written_is_one_line_before_the_first_run(
    runs, tiny_faces, tmp_path, monkeypatch
):
    monkeypatch.setattr(study_module, "do", None)
    (tmp_path / "file").touch()
    with pytest.raises(SglibError, match="file: cannot store runs"):
        run_study(runs, tiny_faces, store=RunStore(tmp_path / "file"))


def test_runs_of_another_network_are_named_and_made_again(tiny_faces, tmp_path, capsys):
    store, own = RunStore(tmp_path), dataclasses.replace(SMALL, rows=ROWS[1:])
    first = run_study(plan(own, tiny_faces, **OPTIONS), tiny_faces, store=store)
    assert "another network" not in capsys.readouterr().err
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(networks.NETWORKS, "ConvNN_1", networks.NETWORKS["ConvNN_2"])
        second = run_study(plan(own, tiny_faces, **OPTIONS), tiny_faces, store=store)
    assert "2 stored runs of dropout50_x were made by another network" in capsys.readouterr().err
    assert first["val_loss"][0].tolist() != second["val_loss"][0].tolist()


# The face


def test_run_applies_the_profile(tiny_faces, tmp_path):
    store = RunStore(tmp_path)
    frame = run("baseline", tiny_faces, Config("smoke", jobs=1), store=store, engine="reference")
    assert len(frame) == 4
    assert set(frame["n_epochs"]) == {PROFILES["smoke"].max_epochs}
    assert set(frame["name"]) == {"baseline_1", "baseline_2"}


class Linear(nn.Module):
    """A network that has neither dropout nor a mask, nor draws its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Dropout(0.1), nn.Linear(960, 2))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images)


def test_rows_of_your_own_run_in_processes_too(tiny_faces, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(networks.NETWORKS, "Mine", None)  # taken out again after the test
    width = 2

    def builder(**_options: object) -> nn.Module:  # a closure, as in a notebook
        return Linear() if width == 2 else nn.Identity()

    networks.register("Mine", builder)
    rows = [
        Experiment(model="Mine", n_epochs=1),
        Experiment(name="turned", augment="rotation", augment_fraction=1.0, n_epochs=1),
    ]
    one, two = (
        run(rows, tiny_faces, Config("smoke", jobs=jobs), store=RunStore(tmp_path / str(jobs)))
        for jobs in (1, 2)
    )
    assert results(one) == results(two)
    assert one["name"].unique().tolist() == ["model=Mine n_epochs=1", "turned"]
    assert set(one["section"]) == {""}
    assert set(one["engine"]) == {"reference-cpu"}
    first = capsys.readouterr().err.splitlines()[0]
    assert first.startswith("4 runs of own rows on the reference engine, about ")


def test_one_row_needs_no_list_and_gets_a_name(tiny_faces, capsys):
    frame = run(Experiment(p_drop=0.7, l2=3e-4), tiny_faces, Config("smoke", jobs=1))
    assert set(frame["name"]) == {"l2=0.0003 p_drop=0.7"}
    assert "2 runs of l2=0.0003 p_drop=0.7 on the compiled engine, about 1 s" in (
        capsys.readouterr().err
    )


def test_an_empty_shard_has_the_usual_columns(tiny_faces, tmp_path, expected):
    config, store = Config("smoke", jobs=1), RunStore(tmp_path)
    empty = run("baseline", tiny_faces, config, shard=(5, 5), store=store)
    assert len(empty) == 0
    assert set(expected.columns) - set(empty.columns) <= {
        "finished",
        "machine",
        "processor",
        "versions",
        "commit",
    }


def fifteen_runs(folder: str) -> None:
    rows = tuple(Experiment(name=f"r{i}", lr=0.001 * (i + 1), n_epochs=1) for i in range(3))
    faces = load_data("synthetic").train.subset(slice(0, 60))
    runs = plan(Study("s", "?", ("lr",), rows), faces, engine="reference")
    run_study(runs, faces, store=RunStore(folder))


def test_killed_and_started_again_it_repeats_no_finished_run(tmp_path):
    here = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_run"
    command = f"{here}; test_run.fifteen_runs({str(tmp_path)!r})"
    store = RunStore(tmp_path)
    with subprocess.Popen([sys.executable, "-c", command], stderr=subprocess.DEVNULL) as process:
        while len(store.keys()) < 4:
            time.sleep(0.02)
        process.kill()
    before = store.load(store.keys()).set_index("key")["finished"]
    assert 4 <= len(before) < 15
    fifteen_runs(str(tmp_path))
    after = store.load(sorted(store.keys())).set_index("key")
    assert len(after) == 15
    assert after.loc[before.index, "finished"].equals(before)
