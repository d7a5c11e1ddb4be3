import threading
import time
from collections.abc import Callable, Iterator

import pytest
import torch

from sglib.predict.workers import Stopped, run


def make_square(log: list[str]) -> Callable[[threading.Event], Callable[[int], int]]:
    def make(stop: threading.Event) -> Callable[[int], int]:
        log.append(threading.current_thread().name)

        def square(n: int) -> int:
            time.sleep(0.003 * (n % 3))  # so that later ones overtake
            assert torch.get_num_threads() == 1
            if n == 13:
                raise ValueError("thirteen")
            return n * n

        return square

    return make


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_results_come_in_order_and_each_thread_makes_its_own(n_threads: int) -> None:
    log: list[str] = []
    results = list(run(make_square(log), range(12), n_threads))
    assert results == [(n, n * n) for n in range(12)]
    assert 1 <= len(log) <= n_threads
    assert len(set(log)) == len(log)
    assert (threading.current_thread().name in log) == (n_threads == 1)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_errors_reach_the_caller_after_the_results_before_them(n_threads: int) -> None:
    running = run(make_square([]), range(30), n_threads)
    assert [next(running)[0] for _ in range(13)] == list(range(13))
    with pytest.raises(ValueError, match="thirteen"):
        next(running)


def test_only_a_few_are_ahead_and_the_rest_is_dropped() -> None:
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield 2

    before = threading.active_count()
    results = run(make_square([]), endless(), 2)
    for _ in range(20):
        next(results)
    assert taken < 30
    results.close()
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_work_under_way_is_told_to_stop() -> None:
    stops: list[threading.Event] = []
    told = threading.Event()

    def make(stop: threading.Event) -> Callable[[int], int]:
        stops.append(stop)

        def work(n: int) -> int:
            if n > 1:
                assert stop.wait(20)
                told.set()
                raise Stopped
            return n

        return work

    running = run(make, range(9), 2)
    assert next(running) == (0, 0)
    assert not stops[0].is_set()
    running.close()
    assert told.wait(20)


def test_pytorch_gets_its_threads_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for n_threads in (1, 2):
            list(run(make_square([]), range(4), n_threads))
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
