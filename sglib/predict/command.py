"""The commands `sglib predict` and `sglib evaluate`: parse, run, say what came of it.

ONNX Runtime, Pillow and NumPy are imported when the command runs, so that `sglib --help` answers
at once.
"""

import itertools
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click

from sglib import SglibError

FORMATS = ("table", "csv", "json", "parquet", "course")
DONE, SOME_FAILED, USAGE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143


class Shard(click.ParamType):
    """A part of a job array, such as 3/16."""

    name = "i/N"

    def convert(
        self, value: str | tuple[int, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return (i, N) of a text such as 3/16."""
        if isinstance(value, tuple):
            return value
        which, _, count = value.partition("/")
        if not (which.isdecimal() and count.isdecimal() and 1 <= int(which) <= int(count)):
            self.fail(f"expected i/N with 1 <= i <= N, such as 3/16, got {value!r}", param, ctx)
        return int(which), int(count)


class Command(click.Command):
    """A command that returns its exit status; its `SglibError` is one line and status 2."""

    def invoke(self, ctx: click.Context) -> None:
        """Call it and exit."""
        try:
            status = super().invoke(ctx)
        except SglibError as error:  # not 1: that is a run with some bad pictures
            click.echo(f"error: {error}", err=True)
            status = USAGE
        sys.exit(status)


model_option = click.option(
    "--model",
    default="base",
    show_default=True,
    metavar="NAME|FILE",
    help="A model that ships with the package, or an .onnx file.",
)
jobs_option = click.option(
    "--jobs", type=click.IntRange(1, 1000), help="Threads; default: one per processor."
)
threshold_option = click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    help="Sunglasses above this probability; default: the model's own.",
)
crop_option = click.option(
    "--crop",
    type=click.Choice(("none", "auto")),
    default="none",
    show_default=True,
    help="auto finds the faces and frames head and shoulders (extra [faces]).",
)


@click.command(cls=Command)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("-o", "--output", metavar="FILE", help="Default: stdout.")
@click.option(
    "--format",
    type=click.Choice(FORMATS),
    help="Default: by the ending of FILE; else a table on a terminal, CSV elsewhere.",
)
@threshold_option
@model_option
@jobs_option
@crop_option
@click.option(
    "--explain",
    metavar="DIR",
    help="Write a PNG per picture that shows what the answer rests on.",
)
@click.option(
    "--shard",
    type=Shard(),
    default="1/1",
    help="Only every N-th file from the i-th on, as in a job array.",
)
def predict(paths: tuple[str, ...], **options: object) -> int:
    """Tell of pictures whether the person wears sunglasses.

    PATH is a file, a folder (with the folders in it), a pattern in quotes, or - for a list of
    files on stdin. Exit status 0: done; 1: some files had no prediction (their rows say why); 2:
    the command cannot be carried out; 130: interrupted, what was finished is written; 143: ended
    by SIGTERM, what was finished is in FILE.partial.
    """
    return run(paths, **options)  # type: ignore[arg-type]


@click.command(cls=Command)
@click.argument("folder", metavar="DIR")
@click.option("--labels", "table", required=True, metavar="FILE", help="CSV: file, label.")
@click.option("--group", metavar="COLUMN", help="Of FILE: what pictures share, such as person.")
@click.option("--fpr", type=click.FloatRange(0, 1), default=0.01, show_default=True)
@threshold_option
@click.option("-o", "--output", metavar="FILE", help="Also write a page with the worst mistakes.")
@model_option
@crop_option
def evaluate(folder: str, table: str, **options: object) -> int:
    """Tell how right a model is on the pictures in DIR, whose answers are in a CSV file.

    FILE has the columns file (a name below DIR) and label (0, 1, open or sunglasses), or the
    paper's id and tag. Printed are accuracy, TPR, FPR with 95 % intervals (over groups, if --group
    names them), calibration, and the threshold for the FPR of --fpr. Exit status 0: done; 1: some
    labels or pictures could not be used; 2: the command cannot be carried out.
    """
    from sglib.predict import evaluate as work

    _keep_inputs((table,), options["output"])  # type: ignore[arg-type]
    return work.run(folder, table, **options)  # type: ignore[arg-type]


def run(
    paths: tuple[str, ...],
    *,
    output: str | None = None,
    format: str | None = None,
    threshold: float | None = None,
    model: str = "base",
    jobs: int | None = None,
    crop: str = "none",
    explain: str | None = None,
    shard: tuple[int, int] = (1, 1),
) -> int:
    """Predict files and write their rows; messages go to stderr.

    Args: as the options of the command.

    Returns:
        the exit status.

    Raises:
        SglibError: an option cannot be carried out, or the output cannot be written.
    """
    from tqdm import tqdm

    from sglib.predict.classifier import load
    from sglib.predict.files import Search
    from sglib.predict.writers import Output

    _keep_inputs(paths, output)
    classifier = load(model)
    files = Search(paths, stdin=getattr(sys.stdin, "buffer", None))
    mine = itertools.islice(files, shard[0] - 1, None, shard[1])
    out, count, status = Output(output, format=format), _Count(), DONE
    try:
        with _sigterm_raises(), tqdm(unit=" pictures", disable=not sys.stderr.isatty()) as bar:
            for answers, seen in classifier.stream(mine, threshold=threshold, crop=crop, jobs=jobs):
                if explain is not None:
                    from sglib.predict.explain import write_explanations

                    write_explanations(explain, count.n, answers, seen, classifier)
                out.write(answers)
                count.add(answers)
                bar.update(len(answers))
    except BrokenPipeError:  # whoever reads our stdout has seen enough
        sys.stdout = None
        return SOME_FAILED
    except _Terminated:
        kept = out.close(whole=False)
        return _end(TERMINATED, f"ended by SIGTERM: {count}" + (f" in {kept}" if kept else ""))
    except KeyboardInterrupt:
        status = INTERRUPTED
    except BaseException:
        with suppress(SglibError):  # what went wrong first is said
            if kept := out.close(whole=False):
                _end(USAGE, f"failed; the rows that were finished are in {kept}")
        raise
    out.close()
    for problem in out.problems:
        _end(SOME_FAILED, f"no row: {problem}")
    if status == INTERRUPTED:
        return _end(status, f"interrupted: {count} written")
    if files.n_passed_over:
        _end(DONE, f"passed over in folders: {files.n_passed_over} files that are no pictures")
    return _end(
        SOME_FAILED if count.n_failed or out.problems else DONE, f"{classifier.name}: {count}"
    )


def _keep_inputs(paths: tuple[str, ...], output: str | None) -> None:
    """Raise if the output would take the place of a picture, or of what is named as input."""
    from sglib.predict.files import picture_endings

    if output in (None, "-") or not os.path.isfile(output := os.path.expanduser(output)):
        return
    named = any(os.path.isfile(path) and os.path.samefile(path, output) for path in paths)
    if named or output.rpartition(".")[2].lower() in picture_endings():
        raise SglibError(f"{output}: exists and is a picture or an input; it would be replaced")


class _Count:
    """What came out so far."""

    def __init__(self) -> None:
        self.n = self.n_sunglasses = self.n_failed = 0
        self.highest = 0.0

    def add(self, answers: list) -> None:
        for answer in answers:
            self.n += 1
            self.n_sunglasses += answer.label == "sunglasses"
            self.n_failed += answer.label is None
            self.highest = max(self.highest, answer.probability or 0.0)

    def __str__(self) -> str:
        n_open = self.n - self.n_sunglasses - self.n_failed
        text = f"{self.n} answers: {self.n_sunglasses} sunglasses, {n_open} open"
        # a threshold above all that a model ever says would go unnoticed
        highest = "" if self.n_sunglasses else f" (highest probability {self.highest:.2f})"
        return f"{text}{highest}, {self.n_failed} failed"


def _end(status: int, message: str) -> int:
    print(message, file=sys.stderr)
    return status


class _Terminated(KeyboardInterrupt):
    """SIGTERM: the end of a batch job's time, a scheduler that wants the machine."""


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
