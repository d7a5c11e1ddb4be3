"""Worker processes for chunks of files: in order, a few ahead, and a crash costs one file.

A decoder that crashes takes its process with it. The chunk is then halved until the file is
found; all others get their results.
"""

import collections
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any, NamedTuple

import numpy as np

from sglib.discover import Found

# Linux starts a copy of this process in a hundredth of a second, whose memory is shared. Elsewhere
# a new process imports all again, which pays for some ten thousand files only.
START = "fork" if sys.platform == "linux" else "spawn"
N_CHUNKS_ALONE = 3 if START == "fork" else 60
_AHEAD = 3  # chunks under way per worker


class Chunk(NamedTuple):
    """Some files in a row; `start` is the number of the first one, from 0."""

    start: int
    files: list[Found]


Result = tuple[list[str], np.ndarray]  # N statuses, and an array (N, ...)
Work = Callable[[Chunk], Result]


def run(
    make: Callable[..., Work],
    args: tuple[Any, ...],
    chunks: Iterable[Chunk],
    n_workers: int,
    crashed: Result,
) -> Iterator[tuple[Chunk, Result]]:
    """Yield each chunk with its result, in order.

    Args:
        make: called once per process with `args`; returns what is called with each chunk.
        chunks: consumed as far as needed.
        n_workers: processes; 1 works in this one, where a crash ends all.
        crashed: result for the one file that crashed its process.
    """
    if n_workers == 1:
        work = make(*args)
        for chunk in chunks:
            yield chunk, work(chunk)
        return
    pool = _Pool(make, args, n_workers)
    waiting: collections.deque[tuple[Chunk, Future[Result] | None]] = collections.deque()
    try:
        for chunk in chunks:
            waiting.append((chunk, pool.submit(chunk)))
            if len(waiting) > _AHEAD * n_workers:
                yield _next(waiting, pool, crashed)
        while waiting:
            yield _next(waiting, pool, crashed)
    finally:
        pool.stop()


def _next(
    waiting: "collections.deque[tuple[Chunk, Future[Result] | None]]",
    pool: "_Pool",
    crashed: Result,
) -> tuple[Chunk, Result]:
    chunk, future = waiting.popleft()
    try:
        if future is not None:
            return chunk, future.result()
    except BrokenProcessPool:
        pass
    # every chunk that was under way is lost with the pool, most of them without fault
    return chunk, _alone(chunk, pool, crashed)


def _alone(chunk: Chunk, pool: "_Pool", crashed: Result) -> Result:
    """Do a chunk in a process of its own, and halve it if that dies."""
    single = _Pool(pool.make, pool.args, 1)
    try:
        return single.executor.submit(_work, chunk).result()
    except BrokenProcessPool:
        n = len(chunk.files)
        if n == 1:
            return crashed
        parts = [
            _alone(part, pool, crashed)
            for part in (
                Chunk(chunk.start, chunk.files[: n // 2]),
                Chunk(chunk.start + n // 2, chunk.files[n // 2 :]),
            )
        ]
        return parts[0][0] + parts[1][0], np.concatenate([values for _, values in parts])
    finally:
        single.stop()


class _Pool:
    """A process pool that is made anew when one of its processes has died."""

    def __init__(self, make: Callable[..., Work], args: tuple[Any, ...], n_workers: int) -> None:
        self.make, self.args, self.n_workers = make, args, n_workers
        self.executor = self._new()

    def _new(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self.n_workers,
            mp_context=multiprocessing.get_context(START),
            initializer=_start,
            initargs=(self.make, self.args),
        )

    def submit(self, chunk: Chunk) -> Future[Result] | None:
        """Hand a chunk to a worker; None if that fails twice."""
        for _ in range(2):
            try:
                with warnings.catch_warnings():
                    # Python 3.12 warns of forking beside threads: ours only ever wait or compute,
                    # and the copies use none of their locks
                    warnings.filterwarnings("ignore", "This process .* is multi-threaded")
                    return self.executor.submit(_work, chunk)
            except BrokenProcessPool:
                self.stop()
                self.executor = self._new()
        return None

    def stop(self) -> None:
        """End the processes; what they have under way is dropped."""
        self.executor.shutdown(wait=False, cancel_futures=True)


_current: Work | None = None  # of a worker process


def _start(make: Callable[..., Work], args: tuple[Any, ...]) -> None:
    """Prepare a worker process."""
    import torch

    global _current
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    _current = make(*args)


def _end_with(sentinel: int) -> None:
    """End this process when its parent is gone: else it would wait for work forever."""
    wait([sentinel])
    os._exit(1)


def _work(chunk: Chunk) -> Result:
    assert _current is not None
    return _current(chunk)
