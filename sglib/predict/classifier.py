"""`Classifier`: a trained model that says of pictures whether the person wears sunglasses."""

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sglib import SglibError
from sglib.data.faces import CLASSES, HEIGHT, WIDTH
from sglib.files import check_device
from sglib.models import files as weight_files
from sglib.models.ensemble import BATCH, SECOND_LOOK, Scorer, traced
from sglib.models.files import ModelFile
from sglib.predict.inputs import as_pictures
from sglib.predict.writers import COLUMNS

if TYPE_CHECKING:
    import pandas as pd  # where tables are made: the command line does without


class Classifier:
    """Says of pictures whether the person wears sunglasses.

    Args:
        file: a model, as `weight_files.load` reads it.
        device: a PyTorch device, such as "cpu" or "cuda".

    Attributes:
        classes_: the two labels, in the order of `predict_proba`'s columns.
        threshold: a probability above it is called sunglasses.

    Raises:
        SglibError: the weights do not fit the network, or there is no such device.
    """

    def __init__(self, file: ModelFile, *, device: str = "cpu") -> None:
        self.file, self.name, self.threshold = file, file.name, file.threshold
        self.classes_ = np.array(CLASSES)
        check_device(device)
        self.device = torch.device(device)
        on_cpu = self.device.type == "cpu"
        self.scorer = Scorer(file, fused=on_cpu).to(self.device).requires_grad_(False)
        self._score: Callable[[Tensor], Tensor] = self.scorer
        self._first_look: Callable[[Tensor], tuple[Tensor, Tensor]] = self.scorer.first_look
        if on_cpu:
            once = BATCH if file.doubt is None else SECOND_LOOK
            self._score = traced(self.scorer, once)
            if file.doubt is not None:
                self._first_look = traced(self.scorer.first_look, BATCH)

    def __repr__(self) -> str:
        return f"Classifier({self.name!r}, n_networks={len(self.file.members)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.file, str(self.device)), {"threshold": self.threshold}

    # the optimiser watches the first batches and finds nothing: a tenth of 20,000 files' time
    @torch.jit.optimized_execution(False)
    @torch.inference_mode()
    def probabilities(self, images: np.ndarray | Tensor) -> np.ndarray:
        """Return the probability of sunglasses, float64 (N,), of images of the right size.

        The networks always get batches of one size, filled up with black: a smaller batch is
        computed in another order, and an image's last digits would depend on its neighbours.

        Args:
            images: uint8 (N, 30, 32).

        Raises:
            SglibError: another shape or type.
        """
        images = torch.as_tensor(images)
        if images.dtype != torch.uint8 or images.ndim != 3 or images.shape[1:] != (HEIGHT, WIDTH):
            raise SglibError(
                f"expected uint8 (N, {HEIGHT}, {WIDTH}), "
                f"got {str(images.dtype).removeprefix('torch.')} {tuple(images.shape)}"
            )
        if self.scorer.doubt is None:
            probs = torch.cat([self._score(batch) for batch in self._batches(images)])
        else:
            looks = [self._first_look(batch) for batch in self._batches(images)]
            probs, doubtful = map(torch.cat, zip(*looks, strict=True))
            rows = doubtful[: len(images)].nonzero()[:, 0]
            if len(rows):
                doubted = images[rows.to(images.device)]
                again = [self._score(batch) for batch in self._batches(doubted, SECOND_LOOK)]
                probs[rows] = torch.cat(again)[: len(rows)]
        return probs[: len(images)].double().cpu().numpy()

    def _batches(self, images: Tensor, size: int = BATCH) -> Iterator[Tensor]:
        """Yield the images in batches of one size, the last one filled up; one batch at least."""
        for start in range(0, max(len(images), 1), size):
            batch = images[start : start + size].to(self.device)
            yield F.pad(batch, (0, 0, 0, 0, 0, size - len(batch)))

    def labels(self, probs: np.ndarray, *, threshold: float | None = None) -> np.ndarray:
        """Return str (N,): `sunglasses` where the probability exceeds the threshold."""
        limit = self.threshold if threshold is None else threshold
        return self.classes_[(np.asarray(probs) > limit).astype(np.int64)]

    def predict(
        self,
        pictures: Any,
        *,
        threshold: float | None = None,
        crop: str = "none",
        jobs: int | None = None,
    ) -> "pd.DataFrame":
        """Say of pictures what they show.

        Args:
            pictures: a path or a list of paths (files, folders, patterns); or arrays, tensors or
                Pillow images as in `inputs.py`, of any size.
            threshold: in [0, 1]; default: the model's own.
            crop: `none`, or for files `auto` to find the face (extra `[faces]`).
            jobs: for files: threads; default: as many as help.

        Returns:
            A row per picture: `file` (for arrays its number), `label`, `probability` of
            sunglasses, `status`: starts with `ok`, else the reason why there is no prediction.

        Raises:
            SglibError: arrays that are no pictures. A bad file is a row, not an error.
        """
        import pandas as pd

        from sglib.predict.run import Options

        if _are_paths(pictures):
            return self._predict_files(pictures, threshold=threshold, crop=crop, jobs=jobs)
        Options(crop=crop, threshold=threshold)  # raises for what they cannot be
        if crop != "none":
            raise SglibError(f"crop {crop!r} is for files; arrays are taken as they are")
        images, statuses = as_pictures(pictures)
        probs = self.probabilities(images)
        names = [str(i) for i in range(len(images))]
        labels = self.labels(probs, threshold=threshold)
        return pd.DataFrame(dict(zip(COLUMNS, (names, labels, probs, statuses), strict=True)))

    def predict_proba(self, pictures: Any, *, crop: str = "none") -> np.ndarray:
        """Return the probabilities of open and of sunglasses, float64 (N, 2).

        Args:
            pictures: as in `predict`.
            crop: as in `predict`.

        Raises:
            SglibError: a picture cannot be read; the message names it.
        """
        if _are_paths(pictures):
            frame = self._predict_files(pictures, threshold=None, crop=crop, jobs=None)
            for row in frame[frame["probability"].isna()].itertuples():
                raise SglibError(f"{row.file}: {row.status}")
            probs = frame["probability"].to_numpy()
        else:
            probs = self.probabilities(as_pictures(pictures)[0])
        return np.stack([1 - probs, probs], axis=1)

    def _predict_files(
        self, paths: Any, *, threshold: float | None, crop: str, jobs: int | None
    ) -> "pd.DataFrame":
        import pandas as pd

        from sglib.predict.files import Discovery
        from sglib.predict.run import Options, predict_files

        files = Discovery([paths] if isinstance(paths, str | os.PathLike) else paths)
        options = Options(crop=crop, threshold=threshold)
        parts = list(predict_files(files, self, options, jobs=jobs))
        return pd.DataFrame(
            {
                "file": pd.Series([file for rows in parts for file in rows.files], dtype=object),
                "label": pd.Series(
                    [x or None for rows in parts for x in rows.labels], dtype=object
                ),
                "probability": np.concatenate([np.empty(0), *(rows.probs for rows in parts)]),
                "status": [status for rows in parts for status in rows.statuses],
            }
        )


def _rebuild(file: ModelFile, device: str) -> Classifier:
    return Classifier(file, device=device)


def _are_paths(given: Any) -> bool:
    if isinstance(given, list | tuple):
        return len(given) > 0 and all(isinstance(one, str | os.PathLike) for one in given)
    return isinstance(given, str | os.PathLike)


def load(name_or_path: str | os.PathLike = "base", *, device: str = "cpu") -> Classifier:
    """Return a classifier: a shipped one by name, or one from a model file.

    Args:
        name_or_path: such as "base" or "models/mine.safetensors".
        device: a PyTorch device.

    Raises:
        SglibError: there is no such model, or its file is damaged.
    """
    return Classifier(weight_files.load(name_or_path), device=device)
