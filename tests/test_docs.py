"""docs: the commands of docs/scaling.md run as they stand, on a small study.

A code block is run if a comment `<!-- tested -->` or `<!-- tested: NAME -->` precedes it.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"<!-- tested(?:: (\w+))? -->\n((?:```sh\n.*?```\n)+)", re.DOTALL)
BLOCKS = {
    name or "local": re.findall(r"```sh\n(.*?)```\n", fences, re.DOTALL)
    for name, fences in BLOCK.findall(TEXT)
}
# What makes the commands quick; all else stays as it is printed.
SMALL = {
    "study paper --profile full --data course": "study baseline --profile smoke --data synthetic",
    '/25"': '/2"',
    "--nworkers 2": "--nworkers 1",
}
KEYS = ["name", "fold", "seed"]
pytestmark = pytest.mark.timeout(240)


def small(script: str) -> str:
    for printed, tried in SMALL.items():
        script = script.replace(printed, tried)
    return script


def start(script: str, folder: Path, **more: str) -> subprocess.Popen:
    """Start a block in a shell that finds the environment's commands first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        ["sh", "-e", "-c", small(script)],
        cwd=folder,
        env=os.environ | {"PATH": path, "SGLIB_RUNS": str(folder / "runs")} | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen) -> str:
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    return out


@contextlib.contextmanager
def running(script: str, folder: Path) -> Iterator[None]:
    process = start(f"exec {script}", folder)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)  # a worker takes its children along
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def wait_for(port: int) -> None:
    """Return as soon as somebody listens."""
    for _ in range(600):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise AssertionError("no scheduler after a minute")


def numbers(summary: str) -> list[str]:
    """Return the lines of a summary without their last column, the seconds."""
    return [line.rpartition(",")[0] for line in summary.splitlines()]


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """Return what the command for one machine prints."""
    (script,) = BLOCKS["local"]
    return finish(start(script, tmp_path_factory.mktemp("local")))


def test_every_study_is_made_small():
    scripts = "\n".join(script for scripts in BLOCKS.values() for script in scripts)
    studies = re.findall(r"sglib study (?!merge).*", scripts)
    assert len(studies) >= 4
    for line in studies:
        assert small(line) != line, line


def test_one_machine(local):
    assert local.startswith("name,")
    assert local.count("\n") == 3  # a header and two rows


def test_a_job_array_merged_prints_the_same(local, tmp_path):
    (script,) = BLOCKS["array"]
    parts = [
        start(script, tmp_path, SLURM_ARRAY_TASK_ID=str(i), SLURM_CPUS_PER_TASK="1") for i in (1, 2)
    ]
    for part in parts:
        finish(part)
    (merge,) = BLOCKS["merge"]
    assert numbers(finish(start(merge, tmp_path))) == numbers(local)
    (read,) = BLOCKS["read"]
    assert "baseline_2" in finish(start(read, tmp_path))
    frame = pd.read_parquet(tmp_path / "merged" / "segments")
    assert not frame.duplicated("key").any()
    assert not frame.duplicated(KEYS).any()


def test_a_cluster_prints_the_same(local, tmp_path):
    pytest.importorskip("distributed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])

    def here(script: str) -> str:
        return script.replace("head", "127.0.0.1").replace("8786", port)

    scheduler, worker = map(here, BLOCKS["cluster"])
    (client,) = BLOCKS["client"]
    with running(scheduler, tmp_path), running(worker, tmp_path):
        wait_for(int(port))
        assert numbers(finish(start(here(client), tmp_path))) == numbers(local)
