"""Worker threads for chunks of files: results in order, only a few chunks ahead.

Threads, not processes: reading many small files holds Python's lock, but decoding and scoring
them, which is most of the work, does not, and each process would need PyTorch's half a gigabyte.
"""

import collections
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

_AHEAD = 3  # chunks under way per thread

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")


class Stopped(Exception):
    """Raised by work that was told to stop; nobody waits for its result."""


def run(
    make: Callable[[threading.Event], Callable[[Chunk], Result]],
    chunks: Iterable[Chunk],
    n_threads: int,
) -> Iterator[tuple[Chunk, Result]]:
    """Yield each chunk with its result, in order.

    PyTorch is held to one thread meanwhile: its own threads would wait for each other more than
    they compute.

    Args:
        make: called once per thread with an event that is set when the caller has had enough and
            work under way should end; returns what is called with each chunk.
        chunks: consumed as far as needed.
        n_threads: 1 works in the caller's thread.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if n_threads == 1:
            work = make(threading.Event())
            for chunk in chunks:
                yield chunk, work(chunk)
        else:
            yield from _threaded(make, chunks, n_threads)
    finally:
        torch.set_num_threads(before)


def _threaded(
    make: Callable[[threading.Event], Callable[[Chunk], Result]],
    chunks: Iterable[Chunk],
    n_threads: int,
) -> Iterator[tuple[Chunk, Result]]:
    own, stop = threading.local(), threading.Event()

    def start() -> None:
        torch.set_num_threads(1)  # PyTorch keeps this per thread
        own.work = make(stop)

    executor = ThreadPoolExecutor(n_threads, "sglib", initializer=start)
    waiting: collections.deque[tuple[Chunk, Future[Result]]] = collections.deque()
    try:
        for chunk in chunks:
            waiting.append((chunk, executor.submit(lambda one: own.work(one), chunk)))
            if len(waiting) > _AHEAD * n_threads:
                yield waiting[0][0], waiting[0][1].result()
                waiting.popleft()
        while waiting:
            yield waiting[0][0], waiting[0][1].result()
            waiting.popleft()
    finally:
        stop.set()
        executor.shutdown(wait=False, cancel_futures=True)
