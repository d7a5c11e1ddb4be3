"""`Classifier`: a trained model that says of pictures whether the person wears sunglasses."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sglib import weight_files
from sglib.errors import SglibError
from sglib.faceset import CLASSES, HEIGHT, WIDTH
from sglib.fused import fuse
from sglib.inputs import as_pictures
from sglib.models import MODELS, build_model
from sglib.profiles import check_device
from sglib.recipe import settle, views
from sglib.weight_files import Member, ModelFile
from sglib.writers import COLUMNS

if TYPE_CHECKING:
    import pandas as pd  # where tables are made: the command line does without

BATCH = 64  # images at once: what more of them compute leaves the processor's cache
SECOND_LOOK = 8  # the same for the few that are looked at again, in ten views


class Scorer(nn.Module):
    """All that happens between a uint8 picture and its probability, as one module.

    Prediction, export and explanation share it, so that they cannot differ.

    Args:
        file: the model.
        fused: rearrange the networks for speed (`fused.py`).
    """

    def __init__(self, file: ModelFile, *, fused: bool = False) -> None:
        super().__init__()
        networks = [
            _network(member, state, where=file.name)
            for member, state in zip(file.members, file.states, strict=True)
        ]
        self.networks = nn.ModuleList(map(fuse, networks) if fused else networks)
        self.scalings = [member.scaling for member in file.members]
        self.mirror, self.shift, self.doubt = file.mirror, file.shift, file.doubt
        self.temperature, self.bias = file.temperature, file.bias
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return the probability of sunglasses, float32 (N,).

        Args:
            images: uint8 (N, 30, 32), 0 black to 255 white.
        """
        return torch.sigmoid(self.log_odds(images))

    def log_odds(self, images: Tensor) -> Tensor:
        """Return ln(p / (1 - p)) of the probability p of sunglasses, float32 (N,)."""
        looks = self._looks(images, mirror=self.mirror, shift=self.shift)
        margin = settle(looks[0], looks.mean(0), self.doubt)
        return margin / self.temperature + self.bias

    def first_look(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the probabilities at first sight, (N,), and whether they are in doubt, bool (N,).

        Where they are not, they are those of `forward`. For models with a `doubt`.
        """
        margin = self._looks(images, mirror=False, shift=0)[0]
        probs = torch.sigmoid(margin / self.temperature + self.bias)
        return probs, margin.abs() < self.doubt

    def _looks(self, images: Tensor, *, mirror: bool, shift: int) -> Tensor:
        """Return each view's margins, averaged over the networks, (views, N)."""
        dtype = next(self.parameters()).dtype
        seen = views(images.unsqueeze(1).to(dtype), mirror=mirror, shift=shift)
        x = torch.cat(seen)  # (views N, 1, 30, 32): one large batch is faster than many
        margins = []
        for network, scaling in zip(self.networks, self.scalings, strict=True):
            outputs = network(x / 255.0 if scaling == "unit" else x / 127.5 - 1.0)
            margins.append((outputs[:, 1] - outputs[:, 0]).view(len(seen), -1))
        return sum(margins[1:], margins[0]) / len(margins)


def _network(member: Member, state: dict[str, np.ndarray], *, where: str) -> nn.Module:
    """Build a network of either registry and give it its weights."""
    if member.network in MODELS:
        network: nn.Module = build_model(member.network, head=member.head)
    else:
        from sglib.networks import build_network

        network = build_network(member.network)
    try:
        # copies: the arrays of a file are read-only
        network.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in state.items()})
    except (RuntimeError, TypeError) as error:
        message = " ".join(str(error).split())[:200]
        raise SglibError(f"{where}: weights do not fit {member.network} ({message})") from error
    return network


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
        self.scorer = Scorer(file, fused=self.device.type == "cpu").to(self.device)

    def __repr__(self) -> str:
        return f"Classifier({self.name!r}, n_networks={len(self.file.members)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.file, str(self.device)), {"threshold": self.threshold}

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
            probs = torch.cat([self.scorer(batch) for batch in self._batches(images)])
        else:
            looks = [self.scorer.first_look(batch) for batch in self._batches(images)]
            probs, doubtful = map(torch.cat, zip(*looks, strict=True))
            rows = doubtful[: len(images)].nonzero()[:, 0]
            if len(rows):
                doubted = images[rows.to(images.device)]
                again = [self.scorer(batch) for batch in self._batches(doubted, SECOND_LOOK)]
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

        from sglib.predict import Options

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

        from sglib.discover import Discovery
        from sglib.predict import Options, predict_files

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
