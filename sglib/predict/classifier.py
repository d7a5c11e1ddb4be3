"""`Classifier`: a trained model, run by ONNX Runtime, that tells who wears sunglasses."""

import collections
import functools
import itertools
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from sglib import SglibError
from sglib.files import n_usable_cpus
from sglib.predict import pictures
from sglib.predict.crop import FaceFinder, likeness
from sglib.predict.files import Search
from sglib.predict.pictures import CLASSES, HEIGHT, WIDTH, Picture
from sglib.predict.writers import Answer

SUFFIX = ".onnx"
BATCH = 16  # pictures at once: what a network makes of more leaves the processor's cache
MAX_BYTES = 500_000_000
WEIGHTS = Path(__file__).resolve().parents[1] / "weights"  # of the models that ship
_FEW, _MANY, _AHEAD = 8, 128, 3  # pictures of a chunk, first and later; chunks ahead per thread
# Reading small files holds Python's lock nearly all the time: threads that take turns are faster
# than threads that fight for it file by file.
_TURNS = threading.Lock()
_METADATA = {  # what a model file says of itself → how it is checked
    "name": lambda x: isinstance(x, str) and x != "",
    "threshold": lambda x: isinstance(x, int | float) and 0 <= x <= 1,
    "height": lambda x: x == HEIGHT,
    "width": lambda x: x == WIDTH,
    "classes": lambda x: x == list(CLASSES),
    "data": lambda x: isinstance(x, str),
    "data_digest": lambda x: isinstance(x, str),
    "sglib_version": lambda x: isinstance(x, str),
}
_IN, _OUT = ("images", "tensor(uint8)"), ("probability", "tensor(float)")

HINT = ", but unlike the training pictures: try --crop auto"
Chunk = tuple[list[Answer], np.ndarray]  # answers, and what the networks saw: uint8 (N, 30, 32)
Framing = Callable[[np.ndarray], list[tuple[np.ndarray, str]]]  # grey picture → frames, notes


class Classifier:
    """Tells of pictures whether the person wears sunglasses.

    Args:
        model: content of an ONNX file as `sglib export` writes it.
        where: the file's name, for messages.

    Attributes:
        name, threshold: a probability above the threshold is called sunglasses.
        classes: the two labels, open and sunglasses.
        metadata: what the file says of itself.

    Raises:
        SglibError: not such a file.
    """

    classes = CLASSES

    def __init__(self, model: bytes, *, where: str = "model") -> None:
        self._model, self._where = model, where
        onnxruntime.set_default_logger_severity(4)  # what fails is said by an exception
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # chunks run side by side
        options.enable_cpu_mem_arena = False  # it would keep each batch's memory
        try:
            self._session = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's own classes share no other base
            reason = " ".join(str(error).split())[:200]
            raise SglibError(f"{where}: not a model that ONNX Runtime reads ({reason})") from error
        self.metadata = self._checked()
        self.name, self.threshold = self.metadata["name"], float(self.metadata["threshold"])

    def _checked(self) -> dict[str, Any]:
        puts = [(x.name, x.type) for x in self._session.get_inputs()]
        gives = [(x.name, x.type) for x in self._session.get_outputs()]
        if puts != [_IN] or gives != [_OUT]:
            raise SglibError(
                f"{self._where}: expected {_IN} in and {_OUT} out, got {puts}, {gives}"
            )
        try:
            text = self._session.get_modelmeta().custom_metadata_map["sglib"]
            metadata = json.loads(text)
            wrong = [key for key, fits in _METADATA.items() if not fits(metadata[key])]
        except KeyError as error:
            raise SglibError(f"{self._where}: no model of sglib: it lacks {error}") from error
        except (TypeError, ValueError) as error:
            raise SglibError(f"{self._where}: damaged metadata ({error})") from error
        if wrong:
            found = ", ".join(f"{key} = {metadata[key]!r:.80}" for key in wrong)
            raise SglibError(f"{self._where}: metadata cannot be used: {found}")
        return metadata

    def __repr__(self) -> str:
        return f"Classifier({self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(Classifier, where=self._where), (self._model,)

    def probabilities(self, images: Any) -> np.ndarray:
        """Return the probability of sunglasses, float64 (N,), of pictures of the right size.

        The networks always get batches of one size, filled up with black: a smaller batch may be
        computed in another order, and an answer's last digits would depend on its neighbours.

        Args:
            images: uint8 (N, 30, 32), an array or a tensor; 0 black to 255 white.

        Raises:
            SglibError: another shape or type, or the model's answer is no probability.
        """
        images = np.asarray(images)
        if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (HEIGHT, WIDTH):
            raise SglibError(
                f"expected uint8 (N, {HEIGHT}, {WIDTH}), got {images.dtype} {images.shape}"
            )
        probs = np.empty(len(images))
        for start in range(0, len(images), BATCH):
            batch = images[start : start + BATCH]
            full = np.pad(batch, ((0, BATCH - len(batch)), (0, 0), (0, 0)))
            (out,) = self._session.run(["probability"], {"images": full})
            if out.shape != (BATCH,):
                raise SglibError(f"{self._where}: {BATCH} pictures in, answers {out.shape} out")
            probs[start : start + BATCH] = out[: len(batch)]
        if not ((probs >= 0) & (probs <= 1)).all():
            raise SglibError(f"{self._where}: its answers are not all in [0, 1]")
        return probs

    def predict(
        self,
        given: Any,
        *,
        threshold: float | None = None,
        crop: str = "none",
        jobs: int | None = None,
    ) -> list[Answer]:
        """Tell of pictures what they show.

        Args:
            given: one picture or several: paths (files, folders, patterns), bytes of a file,
                Pillow images, arrays or tensors of any size; see `pictures.separate`.
            threshold: in [0, 1]; default: the model's own.
            crop: `none`, or `auto` to find the faces (extra `[faces]`), each of which is answered.
            jobs: threads; default: one per processor.

        Returns:
            A row (file, label, probability, status) per picture, also of a single one;
            `pandas.DataFrame(rows)` makes a table of them. A bad file is a row, not an error.

        Raises:
            SglibError: what is no picture, or can mean several things.
        """
        chunks = self.stream(_named(given), threshold=threshold, crop=crop, jobs=jobs)
        return [answer for answers, _ in chunks for answer in answers]

    def stream(
        self,
        found: Iterable[Picture],
        *,
        threshold: float | None = None,
        crop: str = "none",
        jobs: int | None = None,
    ) -> Iterator[Chunk]:
        """Yield answers in the order of the pictures, some at a time, in bounded memory.

        A chunk is read, decoded and scored by one thread; only a few are under way at a time.

        Args:
            found: for example a `files.Search`.
            threshold, crop, jobs: as in `predict`.

        Yields:
            answers, and what the networks saw, uint8 (N, 30, 32); black where there is no answer.
        """
        if threshold is not None and not 0 <= threshold <= 1:
            raise SglibError(f"threshold must be in [0, 1], got {threshold}")
        if jobs is not None and jobs < 1:
            raise SglibError(f"jobs must be 1 or more, got {jobs}")
        limit = self.threshold if threshold is None else threshold
        frames, stop, n_threads = _framing(crop), threading.Event(), jobs or n_usable_cpus()
        executor = ThreadPoolExecutor(n_threads, "sglib")
        waiting: collections.deque = collections.deque()
        with pictures.quiet():
            try:
                for chunk in _chunked(found, most=_FEW if crop == "auto" else _MANY):
                    waiting.append(executor.submit(self._answer, chunk, frames, limit, stop))
                    if len(waiting) > _AHEAD * n_threads:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                stop.set()
                executor.shutdown(wait=False, cancel_futures=True)

    def _answer(
        self, chunk: list[Picture], frames: Framing, limit: float, stop: threading.Event
    ) -> Chunk:
        with _TURNS:
            ready = [pictures.small_jpeg(x.source) if frames is _whole else None for x in chunk]
        names, statuses, images = [], [], []
        for picture, image in zip(chunk, ready, strict=True):
            if stop.is_set():  # nobody waits for the rest
                break
            for pixels, status in [(image, "ok")] if image is not None else _look(picture, frames):
                names.append(picture.name)
                images.append(pixels)
                statuses.append(status)
        good = [i for i, pixels in enumerate(images) if pixels is not None]
        seen = np.zeros((len(images), HEIGHT, WIDTH), np.uint8)
        if good:
            seen[good] = [images[i] for i in good]
        probs: list[float | None] = [None] * len(images)
        labels: list[str | None] = [None] * len(images)
        for i, prob in zip(good, self.probabilities(seen[good]).tolist(), strict=True):
            probs[i], labels[i] = prob, CLASSES[int(prob > limit)]
        for i in np.flatnonzero(likeness(seen) < 0) if frames is _whole else ():
            statuses[i] += HINT if labels[i] else ""
        return list(map(Answer, names, labels, probs, statuses)), seen


def _whole(gray: np.ndarray) -> list[tuple[np.ndarray, str]]:
    return [(gray, "")]


def _framing(crop: str) -> Framing:
    if crop not in ("none", "auto"):
        raise SglibError(f"crop must be none or auto, got {crop!r}")
    return _whole if crop == "none" else FaceFinder()


def _look(picture: Picture, frames: Framing) -> list[tuple[np.ndarray | None, str]]:
    """Return the pixels, uint8 (30, 32), and the status of each frame of a picture."""
    try:
        if picture.problem:
            raise pictures.PictureError(picture.problem)
        gray = pictures.read(picture.source)
        size = "{1}x{0}".format(*gray.shape)
        resized = "" if gray.shape == (HEIGHT, WIDTH) else f"resized from {size}"
        looks = []
        for frame, note in frames(gray):
            details = ", ".join(filter(None, (note, resized)))
            looks.append((pictures.fit(frame), f"ok ({details})" if details else "ok"))
        return looks
    except pictures.PictureError as error:
        if picture.problem or isinstance(picture.source, str | bytes | os.PathLike):
            return [(None, str(error))]
        raise SglibError(f"picture {picture.name}: {error}") from error


def _named(given: Any) -> Iterator[Picture]:
    for i, one in enumerate(pictures.separate(given)):
        if isinstance(one, str | os.PathLike):
            yield from Search([one])
        else:
            yield Picture(str(i), one)


def _chunked(found: Iterable[Picture], *, most: int) -> Iterator[list[Picture]]:
    """Yield a few pictures at first, so that all threads have work, then more and more."""
    found, n = iter(found), _FEW
    while chunk := list(itertools.islice(found, n)):
        yield chunk
        n = min(n + _FEW, most)


def load(name_or_path: str | os.PathLike = "base") -> Classifier:
    """Return a classifier: a shipped one by name, or one from an ONNX file.

    Args:
        name_or_path: a name such as "base", or a path such as "models/mine.onnx".

    Raises:
        SglibError: there is no such model, or its file cannot be used.
    """
    text = os.fspath(name_or_path)
    is_name = isinstance(name_or_path, str) and not (os.path.dirname(text) or "." in text)
    path = WEIGHTS / f"{text}{SUFFIX}" if is_name else Path(text).expanduser()
    if path.suffix == ".safetensors":
        raise SglibError(f"{path}: weights for training; `sglib export {path}` writes the model")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SglibError(f"{path}: larger than a model file may be ({MAX_BYTES} bytes)")
        return Classifier(path.read_bytes(), where=str(path))
    except OSError as error:
        if is_name:
            names = ", ".join(sorted(path.stem for path in WEIGHTS.glob(f"*{SUFFIX}")))
            raise SglibError(
                f"no model {text!r}: shipped are {names or 'none'}; or give an {SUFFIX} file"
            ) from error
        raise SglibError(f"{path}: cannot read the model ({error.strerror})") from error
