"""One run of `sglib predict`, from its options to its exit status."""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from tqdm import tqdm

from sglib import SglibError
from sglib.predict.classifier import load
from sglib.predict.files import Discovery, is_picture_name
from sglib.predict.outputs import Output
from sglib.predict.resident import release_gpu_code
from sglib.predict.run import Options, predict_files
from sglib.predict.writers import Rows

DONE, SOME_FAILED, INTERRUPTED, TERMINATED = 0, 1, 130, 143


class _Terminated(KeyboardInterrupt):
    """SIGTERM: the end of a batch job's time, a scheduler that wants the machine."""


def run(
    paths: Sequence[str],
    *,
    output: str | None = None,
    format: str | None = None,
    threshold: float | None = None,
    model: str = "base",
    device: str = "cpu",
    jobs: int | None = None,
    crop: str = "none",
    explain: str | None = None,
    shard: tuple[int, int] = (1, 1),
) -> int:
    """Predict files and write their rows; messages go to stderr.

    Args: as the options of the command.

    Returns:
        0: done; 1: some files have no prediction; 130: interrupted, with the finished rows
        written; 143: ended by SIGTERM, with the finished rows in `<output>.partial`, so that what
        a batch system cut short is not taken for a whole part.

    Raises:
        SglibError: an option cannot be carried out, or the output cannot be written.
    """
    options = Options(crop=crop, threshold=threshold, explain=explain, shard=shard)
    _keep_inputs(paths, output)
    if device == "cpu":
        release_gpu_code()
    classifier = load(model, device=device)
    files = Discovery(paths, stdin=getattr(sys.stdin, "buffer", None), shard=shard)
    out = Output(output, format=format, shard=shard)
    count = _Count()
    try:
        with _sigterm_raises(), _progress() as bar:
            for rows in predict_files(files, classifier, options, jobs=jobs):
                out.write(rows)
                count.add(rows)
                bar.update(len(rows))
        status = DONE
    except _Terminated:
        kept = out.abandon()
        _say(f"ended by SIGTERM: {count}" + (f" in {kept}" if kept else ""))
        return TERMINATED
    except KeyboardInterrupt:
        status = INTERRUPTED
    except BrokenPipeError:  # whoever reads our stdout has seen enough
        sys.stdout = None
        return SOME_FAILED
    except BaseException:
        kept = out.abandon()
        if kept:
            _say(f"failed; the rows that were finished are in {kept}")
        raise
    out.close()
    for problem in out.problems:
        _say(f"no row: {problem}")
    if status == INTERRUPTED:
        _say(f"interrupted: {count} written")
        return INTERRUPTED
    _say(f"{classifier.name}: {count}")
    if files.n_passed_over:
        _say(f"{files.n_passed_over} files in folders passed over: no pictures by name or content")
    return SOME_FAILED if count.n_failed or out.problems else DONE


def _keep_inputs(paths: Sequence[str], output: str | None) -> None:
    """Raise if the output would take the place of a picture, or of what is named as input."""
    if output in (None, "-"):
        return
    output = os.path.expanduser(output)
    if not os.path.isfile(output):
        return
    named = [path for path in paths if os.path.isfile(path) and os.path.samefile(path, output)]
    if named or is_picture_name(output):
        raise SglibError(f"{output}: exists and is a picture or an input; it would be replaced")


class _Count:
    """What came out so far."""

    def __init__(self) -> None:
        self.n = self.n_sunglasses = self.n_failed = 0
        self._shown = 0

    def add(self, rows: Rows) -> None:
        self.n += len(rows)
        self.n_sunglasses += rows.labels.count("sunglasses")
        self.n_failed += int(np.isnan(rows.probs).sum())

    def __str__(self) -> str:
        n_open = self.n - self.n_sunglasses - self.n_failed
        return (
            f"{self.n} files: {self.n_sunglasses} sunglasses, {n_open} open, {self.n_failed} failed"
        )


def _say(message: str) -> None:
    print(message, file=sys.stderr)


def _progress() -> tqdm:
    return tqdm(unit=" pictures", disable=not sys.stderr.isatty())


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    def interrupt(*_: object) -> None:
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
