"""Contestants in processes of their own that train in turn when they are told to.

    python benchmarks/_contest.py NAME FOLDER N_STEPS CORE    (started by `Process`)

A contestant must have the reference's weights after 20 steps. Then it takes one round of N_STEPS
to warm up, and one for each line "go" it reads.
"""

import contextlib
import dataclasses
import importlib.util
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _common import pin

PEERS = {  # name → module, class, packages that it needs
    "ours": ("_peers_own", "Compiled", ()),
    "ours_epoch1": ("_peers_own", "Compiled", ()),
    "reference": ("_peers_own", "Reference", ()),
    "paper": ("_peers_torch", "Paper", ()),
    "eager": ("_peers_torch", "Eager", ()),
    "compile": ("_peers_torch", "Compile", ()),
    "skorch": ("_peers_torch", "Skorch", ("skorch",)),
    "lightning": ("_peers_torch", "Lightning", ("lightning",)),
    "keras": ("_peers_jax", "Keras", ("keras", "jax")),
    "jax": ("_peers_jax", "Jax", ("jax",)),
    "jax_products": ("_peers_jax", "JaxProducts", ("jax",)),
}
TOLERANCE = 0.02  # of the way that the weights go in the first steps


class Round(NamedTuple):
    """What one round took."""

    us: float  # wall time per step
    busy: float  # share of it that this process had the processor

    @property
    def cpu_us(self) -> float:
        """Return the processor time per step: on an idle machine, the wall time."""
        return self.us * self.busy


class Process:
    """A contestant's process, seen from outside.

    Args:
        name: of `PEERS`.
        folder: from `write_task`.
        n_steps: of one round.
        core: processor to hold it to; None: any.
    """

    def __init__(self, name: str, folder: Path, n_steps: int, core: int | None) -> None:
        self.name, self.reason = name, ""
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed in `end`
        words = [name, str(folder), str(n_steps), "" if core is None else str(core)]
        self.process = subprocess.Popen(
            [sys.executable, __file__, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=os.environ | {"PYTHONWARNINGS": "ignore", "TORCHINDUCTOR_CACHE_DIR": str(folder)},
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")

    def _answer(self, timeout: float) -> dict[str, object] | None:
        """Return the next answer; None, with `reason` set, if there is none."""
        if self.reason:
            return None
        try:
            line = self.lines.get(timeout=timeout)
            answer = json.loads(line) if line else {"error": self._last_words()}
        except queue.Empty:
            answer = {"error": f"no answer within {timeout:.0f} s"}
        if "error" in answer:
            self.reason = str(answer["error"])
            return None
        return answer

    def _last_words(self) -> str:
        self.log.seek(0)
        lines = [line.strip() for line in self.log if line.strip()]
        return lines[-1][:200] if lines else f"ended with status {self.process.poll()}"

    def ready(self, timeout: float) -> bool:
        """Wait until it has passed the check and is warm."""
        return self._answer(timeout) is not None

    def go(self, timeout: float = 120) -> Round | None:
        """Let it train for one round."""
        if self.reason:
            return None
        self._tell("go")
        answer = self._answer(timeout)
        return None if answer is None else Round(**answer)

    def end(self, timeout: float = 60) -> dict[str, object] | None:
        """Let it evaluate what it has learnt, and end it."""
        self._tell("end")
        answer = self._answer(timeout)
        self.process.kill()
        self.process.wait()
        self.reader.join()
        for file in (self.process.stdin, self.process.stdout, self.log):
            with contextlib.suppress(BrokenPipeError):
                file.close()
        return answer

    def _tell(self, word: str) -> None:
        with contextlib.suppress(BrokenPipeError):
            print(word, file=self.process.stdin, flush=True)


def _contest(name: str, folder: Path, n_steps: int, core: int | None) -> None:
    """Be a contestant: answer on stdout, one JSON object a line; all other output is a log."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**values: object) -> None:
        print(json.dumps(values), file=answers, flush=True)

    # Compilers may use every processor; of the others also threads started early must stay put.
    if name != "compile":
        pin(core)
    module, kind, packages = PEERS[name]
    without = os.environ.get("SGLIB_BENCH_WITHOUT", "").split(",")  # for tests
    for package in packages:
        if package in without or importlib.util.find_spec(package) is None:
            answer(error=f"not installed: {package}")
            return
    peers = importlib.import_module(module)
    import torch
    from _task import N_CHECK, distance, read_task

    from sglib.models.networks import build
    from sglib.studies.tables import BASELINE
    from sglib.training.reference import evaluate, fit_reference

    torch.set_num_threads(1)
    task = read_task(folder)
    order = task.order.ravel()
    contestant = getattr(peers, kind)(task)
    contestant.train(order[:N_CHECK])
    one_epoch = dataclasses.replace(BASELINE, n_epochs=1)
    expected = fit_reference(one_epoch, *task.one_epoch(order[:N_CHECK])).weights
    off = distance(contestant.weights(), expected, task.initial)
    if not off < TOLERANCE:
        answer(error=f"trains something else: its weights are {off:.1%} off after {N_CHECK} steps")
        return
    pin(core)
    place = N_CHECK

    def one_round() -> tuple[float, float]:
        nonlocal place
        rows = order[(place + np.arange(n_steps)) % len(order)]
        if peers.__name__ == "_peers_own":  # they start from the beginning each time
            rows = order[np.arange(n_steps) % len(order)]
        place += n_steps
        wall, cpu = time.perf_counter(), time.process_time()
        seconds = contestant.train(rows)
        share = (time.process_time() - cpu) / (time.perf_counter() - wall)
        return seconds / n_steps * 1e6, share

    one_round()
    answer(off=off)
    for line in sys.stdin:
        if line.strip() != "go":
            break
        us, busy = one_round()
        answer(us=us, busy=busy)
    model = build("ConvNN_1")
    model.load_state_dict({k: torch.from_numpy(w) for k, w in contestant.weights().items()})
    images = torch.from_numpy(task.scaled()).unsqueeze(1)
    loss, accuracy, _ = evaluate(model, images, torch.from_numpy(task.labels))
    answer(loss=loss, accuracy=accuracy, off=off)


if __name__ == "__main__":
    _name, _folder, _n_steps, _core = sys.argv[1:]
    _contest(_name, Path(_folder), int(_n_steps), int(_core) if _core else None)
