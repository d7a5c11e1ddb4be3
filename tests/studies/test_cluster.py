"""study on a cluster: a real Dask scheduler and two workers, one of them killed while it works."""

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from sglib.data import load_data
from sglib.studies.run import plan, run_study
from sglib.studies.store import RunStore
from sglib.studies.tables import BASELINE, Study

pytest.importorskip("distributed")

ROWS = tuple(
    dataclasses.replace(BASELINE, name=f"row{i}", lr=0.001 * (i + 1), n_epochs=2) for i in range(4)
)
QUIET = {
    # a dead worker is noticed at once, and nothing is written into the working directory
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "20s",
    "DASK_DISTRIBUTED__ADMIN__LARGE_GRAPH_WARNING_THRESHOLD": "100MB",
}


@contextlib.contextmanager
def process(*words: str, folder: object) -> Iterator[subprocess.Popen]:
    """Run `dask …`; kill it and what it started at the end."""
    started = subprocess.Popen(
        [sys.executable, "-m", "dask", *words],
        cwd=folder,
        env=os.environ | QUIET,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.communicate()


def wait_for(process: subprocess.Popen, pattern: str) -> str:
    """Return the first group of `pattern` in what the process logs; then drain its log."""
    lines = []
    for line in process.stderr:
        lines.append(line)
        if found := re.search(pattern, line):
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return found[1]
    raise AssertionError("".join(lines))


@pytest.fixture
def cluster(tmp_path):
    host = ("--host", "127.0.0.1")
    with process("scheduler", *host, "--port", "0", "--no-dashboard", folder=tmp_path) as scheduler:
        address = wait_for(scheduler, r"Scheduler at:\s+(tcp://\S+)")
        words = ("worker", address, *host, "--nthreads", "1", "--no-nanny", "--no-dashboard")
        with process(*words, folder=tmp_path) as one, process(*words, folder=tmp_path) as two:
            for worker in (one, two):
                wait_for(worker, r"Registered to:\s+(tcp://\S+)")
            yield address, one


@pytest.mark.timeout(300)
def test_a_study_survives_the_death_of_a_worker(cluster, tmp_path):
    address, victim = cluster
    faces = load_data("synthetic").train
    units = plan(Study("s", "?", ("lr",), ROWS), faces, max_folds=3)
    store = RunStore(tmp_path / "cluster")

    def kill_when_at_work() -> None:
        while len(store.keys()) < 2:
            time.sleep(0.01)
        os.kill(victim.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_when_at_work)
    killer.start()
    found = run_study(units, faces, store=store, scheduler=address)
    killer.join()
    assert victim.wait(timeout=10) == -signal.SIGKILL
    local = run_study(units, faces, store=RunStore(tmp_path / "local"), jobs=2)
    for column in ("key", "name", "fold", "engine"):
        assert found[column].tolist() == local[column].tolist()
    for column in ("train_loss", "val_loss", "val_acc", "val_probs"):
        for one, two in zip(found[column], local[column], strict=True):
            assert one.tolist() == two.tolist()
