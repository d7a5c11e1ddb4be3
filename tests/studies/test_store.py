"""store: whole rows only, nothing lost, nothing twice."""

import os
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest

from sglib import SglibError
from sglib.studies import store as store_module
from sglib.studies.store import RunStore


def row(key: str, **more: object) -> dict[str, object]:
    return {"key": key, "name": "baseline_1", "val_acc": [0.5, 0.75], **more}


def test_a_stored_row_comes_back_whole(tmp_path):
    store = RunStore(tmp_path / "runs")
    store.add(row("a", val_ids=["007", "8"]))
    found = RunStore(tmp_path / "runs").load(["a"])
    assert found.loc[0, "val_acc"].tolist() == [0.5, 0.75]
    assert found.loc[0, "val_ids"].tolist() == ["007", "8"]


def test_load_keeps_the_order_asked_for_and_leaves_out_what_is_missing(tmp_path):
    store = RunStore(tmp_path)
    for key in "abc":
        store.add(row(key))
    assert store.load(["c", "x", "a"])["key"].tolist() == ["c", "a"]
    assert store.load([]).empty
    assert RunStore(tmp_path / "none").load(["a"]).empty


def test_merge_moves_all_parts_into_one_segment(tmp_path):
    store = RunStore(tmp_path)
    for key in "abcd":
        store.add(row(key))
    assert store.merge() == 4
    assert not list((tmp_path / "parts").glob("*.parquet"))
    assert len(list((tmp_path / "segments").glob("*.parquet"))) == 1
    store.add(row("e"))
    assert store.keys() == set("abcde")
    assert store.load("ea")["key"].tolist() == ["e", "a"]


def test_a_run_that_stands_in_a_part_and_a_segment_is_read_once(tmp_path):
    store = RunStore(tmp_path)
    for key in "ab":
        store.add(row(key))
    part = next((tmp_path / "parts").glob("a.parquet"))
    content = part.read_bytes()
    store.merge()
    part.write_bytes(content)  # as if killed between writing the segment and deleting the part
    assert store.load(["a", "b"])["key"].tolist() == ["a", "b"]
    assert store.keys() == {"a", "b"}


def test_parts_are_merged_when_there_are_many(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "MERGE_AT", 4)
    store = RunStore(tmp_path)
    for i in range(20):
        store.add(row(f"{i:02d}"))
    assert len(list((tmp_path / "parts").glob("*.parquet"))) < 8
    assert len(store.keys()) == 20


def test_rows_with_more_columns_may_come_later(tmp_path):
    store = RunStore(tmp_path)
    store.add(row("a"))
    store.add(row("b", commit="abc"))
    store.merge()
    assert store.load(["a", "b"])["commit"].isna().tolist() == [True, False]


def test_a_damaged_file_is_named(tmp_path):
    store = RunStore(tmp_path)
    store.add(row("a"))
    (tmp_path / "parts" / "a.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(SglibError, match=r"a\.parquet: not a readable run file"):
        store.load(["a"])


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    store = RunStore(tmp_path)

    def full(*_args: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(SglibError, match=r"a\.parquet: cannot be written \(No space left"):
        store.add(row("a"))
    assert list((tmp_path / "parts").iterdir()) == []


def test_take_from_copies_only_what_is_new(tmp_path):
    one, two = RunStore(tmp_path / "1"), RunStore(tmp_path / "2")
    for key in "ab":
        one.add(row(key))
    for key in "bc":
        two.add(row(key))
    assert one.take_from(two) == 1
    assert one.take_from(two) == 0
    assert one.keys() == set("abc")
    assert one.load("abc")["key"].tolist() == ["a", "b", "c"]  # written in different ways
    one.add(row("d"))
    assert one.merge() == 3
    assert len(one.load("abcd")) == 4
    with pytest.raises(SglibError, match="no run store there"):
        one.take_from(RunStore(tmp_path / "3"))


WRITER = """
import sys
from sglib.studies import store
store.MERGE_AT = 5
s = store.RunStore(sys.argv[1])
for i in range(100_000):
    s.add({"key": f"{i:06d}", "value": list(range(200))})
    print(i, flush=True)
"""


@pytest.mark.parametrize("n_rows", [3, 14, 47])
def test_killed_at_any_moment_no_finished_run_is_lost(tmp_path, n_rows):
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with writer:
        finished = -1
        while finished < n_rows:
            finished = int(writer.stdout.readline())
        time.sleep(0.003 * (n_rows % 7))
        os.kill(writer.pid, signal.SIGKILL)
        finished = max([finished, *(int(line) for line in writer.stdout.read().splitlines())])
    store = RunStore(tmp_path)
    keys = [f"{i:06d}" for i in range(finished + 1)]
    assert store.load(keys)["key"].tolist() == keys
    assert store.load(store.keys())["value"].map(len).eq(200).all()
    store.add({"key": "new", "value": [1]})  # the lock died with its holder
    assert store.merge() >= 0
    assert set(keys) | {"new"} <= store.keys()


def test_two_processes_may_write_and_merge_at_once(tmp_path):
    script = WRITER.replace("100_000", "60").replace("{i:06d}", "{sys.argv[2]}{i:06d}")
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path), name], stdout=subprocess.DEVNULL
        )
        for name in "ab"
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    assert len(RunStore(tmp_path).keys()) == 120
