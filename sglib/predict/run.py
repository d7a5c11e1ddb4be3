"""From paths to rows: reads pictures in parallel, in order, with bounded memory.

Files go through in chunks. A chunk is read, decoded and scored by one thread; only a few chunks
are under way at a time, and rows come out in the order of the files.
"""

import contextlib
import dataclasses
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from sglib import SglibError
from sglib.files import n_usable_cpus
from sglib.predict import pictures as images
from sglib.predict import workers
from sglib.predict.classifier import Classifier
from sglib.predict.files import Found
from sglib.predict.jpegs import JpegJoiner
from sglib.predict.writers import Rows

MIN_CHUNK, MAX_CHUNK = 16, 1024  # files
CHUNK_SECONDS = 0.5  # how long a chunk should take: what Ctrl-C loses, and how often rows come
CROPS = ("none", "auto")
# Reading small files holds Python's lock nearly all the time: taking turns is faster than
# fighting for it file by file.
_TURNS = threading.Lock()


class Chunk(NamedTuple):
    """Some files in a row; `start` is the number of the first one, from 0."""

    start: int
    files: list[Found]


@dataclasses.dataclass(frozen=True)
class Options:
    """How files are read and labelled.

    Args:
        crop: `none` takes the picture whole; `auto` looks for a face (extra `[faces]`).
        threshold: sunglasses above it, in [0, 1]; None: the model's own.
        explain: folder for pictures of what the answers rest on; None for none.
        shard: (i, N), which every N-th of all files these are; numbers the pictures in `explain`.
    """

    crop: str = "none"
    threshold: float | None = None
    explain: str | None = None
    shard: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        if self.crop not in CROPS:
            raise SglibError(f"crop must be {' or '.join(CROPS)}, got {self.crop!r}")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise SglibError(f"threshold must be in [0, 1], got {self.threshold}")


class Reader:
    """Turns files into pictures of 30×32.

    Args:
        crop: see `Options`.
        stop: once it is set, reading ends with `workers.Stopped`.

    Raises:
        SglibError: cropping was asked for and its extra is not installed.
    """

    def __init__(self, crop: str = "none", *, stop: threading.Event | None = None) -> None:
        self._joiner = JpegJoiner()
        self._stop = stop or threading.Event()
        self._cropper = None
        if crop == "auto":
            from sglib.predict.crop import FaceCropper

            self._cropper = FaceCropper()

    def read(self, files: list[Found]) -> tuple[np.ndarray, list[str]]:
        """Read files; one with a problem gives a black picture and a status that says why.

        Returns:
            uint8 (N, 30, 32), and N statuses, which start with `ok` where all is well.
        """
        fast = [found.path if not (found.problem or self._cropper) else "" for found in files]
        with _TURNS:
            pictures, done = self._joiner.read(fast)
        statuses = ["ok"] * len(files)
        for i in np.flatnonzero(~done):
            if self._stop.is_set():
                raise workers.Stopped
            try:
                if files[i].problem:
                    raise images.PictureError(files[i].problem)
                pictures[i], statuses[i] = self.read_one(files[i].path)
            except images.PictureError as error:
                statuses[i] = str(error)
        return pictures, statuses

    def read_one(self, path: str) -> tuple[np.ndarray, str]:
        """Read one file of any kind.

        Returns:
            uint8 (30, 32), and a status that starts with `ok`.

        Raises:
            PictureError: the reason why not.
        """
        data = images.read_bytes(path)
        if self._cropper is not None:
            return self._cropper.read(data)
        gray, size = images.decode(data)
        return images.fit(gray), images.status_of(size)


def score(
    classifier: Classifier,
    chunk: Chunk,
    pictures: np.ndarray,
    statuses: list[str],
    options: Options,
) -> np.ndarray:
    """Return the probabilities, float64 (N,), NaN for files that could not be read."""
    good = np.array([is_good(status) for status in statuses], bool)
    probs = np.full(len(statuses), np.nan)
    probs[good] = classifier.probabilities(pictures if good.all() else pictures[good])
    if options.explain is not None:
        from sglib.predict.explain import write_explanation

        labels = classifier.labels(probs, threshold=options.threshold)
        for i in np.flatnonzero(good).tolist():
            path, answer = chunk.files[i].path, (float(probs[i]), str(labels[i]))
            first, step = options.shard
            number = first - 1 + step * (chunk.start + i)  # among the files of all shards
            write_explanation(options.explain, number, path, pictures[i], classifier, *answer)
    return probs


def is_good(status: str) -> bool:
    """Return whether a status is that of a file with a prediction."""
    return status == "ok" or status.startswith("ok (")


def predict_files(
    files: Iterable[Found],
    classifier: Classifier,
    options: Options | None = None,
    *,
    jobs: int | None = None,
) -> Iterator[Rows]:
    """Yield the predictions for files, in their order, as they are finished.

    Args:
        files: as `discover.Discovery` finds them.
        classifier: the model.
        options: default: the whole picture, the model's threshold.
        jobs: threads; default: one per usable processor, but one for a few files.

    Raises:
        SglibError: an option cannot be carried out.
    """
    options = options or Options()
    if jobs is not None and jobs < 1:
        raise SglibError(f"jobs must be 1 or more, got {jobs}")
    Reader(options.crop)  # what is missing for it is said here, not by a thread
    pace = _Pace()
    chunks = _chunked(files, pace)
    first = list(itertools.islice(chunks, 2))
    n_threads = n_usable_cpus() if jobs is None else jobs

    def make(stop: threading.Event) -> Callable[[Chunk], Rows]:
        reader = Reader(options.crop, stop=stop)

        def work(chunk: Chunk) -> Rows:
            with pace.measured(len(chunk.files)):
                return _predict_chunk(chunk, reader, classifier, options)

        return work

    chunks = itertools.chain(first, chunks)
    with images.quiet():
        for _, rows in workers.run(make, chunks, n_threads if len(first) > 1 else 1):
            yield rows


def _predict_chunk(chunk: Chunk, reader: Reader, classifier: Classifier, options: Options) -> Rows:
    pictures, statuses = reader.read(chunk.files)
    probs = score(classifier, chunk, pictures, statuses, options)
    labels = classifier.labels(probs, threshold=options.threshold).tolist()
    for i in np.flatnonzero(np.isnan(probs)):
        labels[i] = ""
    return Rows([found.path for found in chunk.files], labels, probs, statuses)


class _Pace:
    """How many files make a chunk: few of those that take long, such as large photographs."""

    def __init__(self) -> None:
        self.n_files = MIN_CHUNK

    @contextlib.contextmanager
    def measured(self, n_files: int) -> Iterator[None]:
        started = time.perf_counter()
        yield
        per_file = (time.perf_counter() - started) / n_files
        self.n_files = int(min(max(CHUNK_SECONDS / per_file, MIN_CHUNK), MAX_CHUNK))


def _chunked(files: Iterable[Found], pace: _Pace) -> Iterator[Chunk]:
    files, start = iter(files), 0
    while part := list(itertools.islice(files, pace.n_files)):
        yield Chunk(start, part)
        start += len(part)
