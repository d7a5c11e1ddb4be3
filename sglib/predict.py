"""From paths to rows: reads pictures in parallel, in order, with bounded memory.

Files go through in chunks. A chunk is read, decoded and scored by one worker process with one
thread; only a few chunks are under way at a time, and rows come out in the order of the files.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from sglib import images, workers
from sglib.classifier import Classifier
from sglib.discover import Found
from sglib.errors import SglibError
from sglib.faceset import HEIGHT, WIDTH
from sglib.jpegs import JpegJoiner
from sglib.profiles import n_usable_cpus
from sglib.workers import Chunk
from sglib.writers import Rows

CHUNK = 256
CROPS = ("none", "auto")


@dataclasses.dataclass(frozen=True)
class Options:
    """How files are read and labelled.

    Args:
        crop: `none` takes the picture whole; `auto` looks for a face (extra `[faces]`).
        threshold: sunglasses above it, in [0, 1]; None: the model's own.
        explain: folder for pictures of what the answers rest on; None for none.
    """

    crop: str = "none"
    threshold: float | None = None
    explain: str | None = None

    def __post_init__(self) -> None:
        if self.crop not in CROPS:
            raise SglibError(f"crop must be {' or '.join(CROPS)}, got {self.crop!r}")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise SglibError(f"threshold must be in [0, 1], got {self.threshold}")


class Reader:
    """Turns files into pictures of 30×32.

    Args:
        crop: see `Options`.

    Raises:
        SglibError: cropping was asked for and its extra is not installed.
    """

    def __init__(self, crop: str = "none") -> None:
        self._joiner = JpegJoiner()
        self._cropper = None
        if crop == "auto":
            from sglib.crop import FaceCropper

            self._cropper = FaceCropper()

    def read(self, files: list[Found]) -> tuple[np.ndarray, list[str]]:
        """Read files; one with a problem gives a black picture and a status that says why.

        Returns:
            uint8 (N, 30, 32), and N statuses, which start with `ok` where all is well.
        """
        fast = [found.path if not (found.problem or self._cropper) else "" for found in files]
        pictures, done = self._joiner.read(fast)
        statuses = ["ok"] * len(files)
        for i in np.flatnonzero(~done):
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


class Worker:
    """What is done with a chunk; each process makes its own.

    Args:
        classifier: None leaves the scoring to somebody else.
        options: how.
    """

    def __init__(self, classifier: Classifier | None, options: Options) -> None:
        self._classifier, self._options = classifier, options
        self._reader = Reader(options.crop)

    def __call__(self, chunk: Chunk) -> tuple[list[str], np.ndarray]:
        """Return N statuses, and float64 (N,) probabilities or the uint8 (N, 30, 32) pictures."""
        pictures, statuses = self._reader.read(chunk.files)
        if self._classifier is None:
            return statuses, pictures
        return statuses, score(self._classifier, chunk, pictures, statuses, self._options)


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
        from sglib.explain import write_explanation

        labels = classifier.labels(probs, threshold=options.threshold)
        for i in np.flatnonzero(good).tolist():
            path, answer = chunk.files[i].path, (float(probs[i]), str(labels[i]))
            write_explanation(
                options.explain, chunk.start + i, path, pictures[i], classifier, *answer
            )
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
        classifier: the model. On a device other than the CPU the workers only read.
        options: default: the whole picture, the model's threshold.
        jobs: worker processes; default: one per usable processor, but none for a few files.

    Raises:
        SglibError: an option cannot be carried out.
    """
    options = options or Options()
    if jobs is not None and jobs < 1:
        raise SglibError(f"jobs must be 1 or more, got {jobs}")
    chunks = _chunked(files)
    first = list(itertools.islice(chunks, workers.N_CHUNKS_ALONE))
    n_workers = n_usable_cpus() if jobs is None else jobs
    if len(first) < workers.N_CHUNKS_ALONE:
        n_workers = 1
    on_cpu = classifier.device.type == "cpu"
    # a worker's answer for a file on which it crashed: no probability, or a black picture
    nothing = np.full(1, np.nan) if on_cpu else np.zeros((1, HEIGHT, WIDTH), np.uint8)
    crashed = (["damaged picture (its decoder crashed)"], nothing)
    chunks = itertools.chain(first, chunks)
    worker_args = (classifier if on_cpu else None, options)
    for chunk, (statuses, values) in workers.run(Worker, worker_args, chunks, n_workers, crashed):
        probs = values if on_cpu else score(classifier, chunk, values, statuses, options)
        labels = classifier.labels(probs, threshold=options.threshold).tolist()
        for i in np.flatnonzero(np.isnan(probs)):
            labels[i] = ""
        yield Rows([found.path for found in chunk.files], labels, probs, statuses)


def _chunked(files: Iterable[Found]) -> Iterator[Chunk]:
    files, start = iter(files), 0
    while part := list(itertools.islice(files, CHUNK)):
        yield Chunk(start, part)
        start += len(part)
