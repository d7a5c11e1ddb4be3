import multiprocessing
import os
import signal
import time
from collections.abc import Iterator

import numpy as np
import pytest

from sglib import workers
from sglib.discover import Found
from sglib.workers import Chunk, Result, run

CRASHED: Result = (["crashed"], np.full(1, -1.0))


class Measure:
    """Returns name lengths, and the process; a file called `crash` ends the process."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, chunk: Chunk) -> Result:
        names = [found.path for found in chunk.files]
        if "crash" in names:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.002 * (chunk.start % 3))  # so that later chunks overtake
        return [str(os.getpid())] * len(names), np.array([self.factor * len(n) for n in names])


def chunks_of(names: list[str], size: int) -> list[Chunk]:
    return [
        Chunk(start, [Found(name) for name in names[start : start + size]])
        for start in range(0, len(names), size)
    ]


@pytest.fixture(autouse=True)
def _ends_its_processes() -> Iterator[None]:
    yield
    deadline = time.monotonic() + 20
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("n_workers", [1, 2, 3])
def test_results_come_in_order(n_workers: int) -> None:
    chunks = chunks_of(["x" * (i % 11) for i in range(100)], 7)
    results = list(run(Measure, (2,), chunks, n_workers, CRASHED))
    assert [chunk for chunk, _ in results] == chunks
    values = np.concatenate([values for _, (_, values) in results])
    assert values.tolist() == [2 * (i % 11) for i in range(100)]
    processes = {status for _, (statuses, _) in results for status in statuses}
    assert (str(os.getpid()) in processes) == (n_workers == 1)


def test_only_a_few_chunks_are_ahead() -> None:
    taken = 0

    def endless() -> Iterator[Chunk]:
        nonlocal taken
        while True:
            taken += 1
            yield Chunk(taken, [Found("x")])

    results = run(Measure, (1,), endless(), 2, CRASHED)
    for _ in range(20):
        next(results)
    assert taken < 30
    results.close()


def test_a_crash_costs_one_file() -> None:
    names = [f"name{i}" for i in range(60)]
    names[3] = names[41] = names[42] = "crash"
    results = list(run(Measure, (1,), chunks_of(names, 8), 2, CRASHED))
    statuses = [status for _, (statuses, _) in results for status in statuses]
    values = np.concatenate([values for _, (_, values) in results])
    assert [i for i, status in enumerate(statuses) if status == "crashed"] == [3, 41, 42]
    expected = [-1 if name == "crash" else len(name) for name in names]
    assert values.tolist() == expected


def test_workers_end_with_their_parent() -> None:
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()

    def parent() -> None:
        results = run(Measure, (1,), chunks_of(["x"] * 40, 1), 2, CRASHED)
        pids = {next(results)[1][0][0] for _ in range(30)}
        there.send(pids)
        time.sleep(60)

    process = context.Process(target=parent)
    process.start()
    pids = [int(pid) for pid in here.recv()]
    process.kill()
    process.join()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(map(is_alive, pids)):
        time.sleep(0.02)
    assert not any(map(is_alive, pids))


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_spawned_workers_do_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "START", "spawn")
    results = list(run(Measure, (3,), chunks_of(["ab"] * 6, 2), 2, CRASHED))
    assert np.concatenate([values for _, (_, values) in results]).tolist() == [6] * 6
