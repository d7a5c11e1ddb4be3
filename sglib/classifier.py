"""`Classifier`: a trained model that says of pictures whether the person wears sunglasses."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from sglib import weight_files
from sglib.errors import SglibError
from sglib.faceset import CLASSES, HEIGHT, WIDTH
from sglib.models import MODELS, build_model
from sglib.weight_files import Member, ModelFile

BATCH = 256  # images at once: larger ones leave the processor's cache


class Scorer(nn.Module):
    """All that happens between a uint8 picture and its probability, as one module.

    Prediction, export and every other use share it, so that they cannot differ.
    """

    def __init__(self, file: ModelFile) -> None:
        super().__init__()
        self.networks = nn.ModuleList(
            _network(member, state, where=file.name)
            for member, state in zip(file.members, file.states, strict=True)
        )
        self.scalings = [member.scaling for member in file.members]
        self.mirror, self.temperature, self.bias = file.mirror, file.temperature, file.bias
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return the probability of sunglasses, float32 (N,).

        Args:
            images: uint8 (N, 30, 32), 0 black to 255 white.
        """
        return torch.sigmoid(self.margins(images) / self.temperature + self.bias)

    def margins(self, images: Tensor) -> Tensor:
        """Return the output for sunglasses minus that for open, float32 (N,)."""
        x = images.unsqueeze(1).float()  # (N, 1, 30, 32)
        total = torch.zeros(())
        for network, scaling in zip(self.networks, self.scalings, strict=True):
            scaled = x / 255.0 if scaling == "unit" else x / 127.5 - 1.0
            views = [scaled, scaled.flip(3)] if self.mirror else [scaled]
            for view in views:
                outputs = network(view)  # (N, 2)
                total = total + (outputs[:, 1] - outputs[:, 0])
        return total / (len(self.networks) * (2 if self.mirror else 1))


def _network(member: Member, state: dict[str, np.ndarray], *, where: str) -> nn.Module:
    """Build a network of either registry and give it its weights."""
    if member.network in MODELS:
        network: nn.Module = build_model(member.network, head=member.head)
    else:
        from sglib.networks import build_network

        network = build_network(member.network)
    try:
        # a copy: the arrays of a file are read-only
        network.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in state.items()})
    except (RuntimeError, TypeError) as error:
        message = " ".join(str(error).split())
        raise SglibError(f"{where}: weights do not fit {member.network} ({message})") from error
    return network


class Classifier:
    """Says of pictures whether the person wears sunglasses.

    Args:
        file: a model, as `weight_files.load` reads it.
        device: a PyTorch device, such as "cpu" or "cuda".

    Raises:
        SglibError: the weights do not fit the network, or there is no such device.
    """

    def __init__(self, file: ModelFile, *, device: str = "cpu") -> None:
        self.file = file
        self.name = file.name
        self.threshold = file.threshold
        self.classes_ = np.array(CLASSES)
        self.scorer = Scorer(file)
        try:
            self.device = torch.device(device)
            self.scorer.to(self.device, memory_format=torch.channels_last)
        except (RuntimeError, AssertionError) as error:
            message = " ".join(str(error).split())[:200]
            raise SglibError(f"device {device!r}: cannot be used ({message})") from error

    def __repr__(self) -> str:
        return f"Classifier({self.name!r}, networks={len(self.file.members)})"

    @torch.inference_mode()
    def probabilities(self, images: np.ndarray | Tensor) -> np.ndarray:
        """Return the probability of sunglasses, float64 (N,), of images that have the right shape.

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
        probs = np.empty(len(images))
        for start in range(0, len(images), BATCH):
            batch = images[start : start + BATCH].to(self.device)
            probs[start : start + BATCH] = self.scorer(batch).cpu().numpy()
        return probs

    def predict_proba(self, pictures: Any) -> np.ndarray:
        """Return float64 (N, 2): the probabilities of open and of sunglasses (`classes_`).

        Args:
            pictures: see `predict`.

        Raises:
            SglibError: a picture cannot be read, or the input is none of these.
        """
        probs = self.probabilities(_as_images(pictures))
        return np.stack([1 - probs, probs], axis=1)

    def labels(self, probs: np.ndarray, *, threshold: float | None = None) -> np.ndarray:
        """Return str (N,), `sunglasses` where the probability exceeds the threshold."""
        limit = self.threshold if threshold is None else threshold
        return self.classes_[(np.asarray(probs) > limit).astype(np.int64)]

    def predict(self, pictures: Any, *, threshold: float | None = None) -> pd.DataFrame:
        """Return a row per picture: file, label, probability (of sunglasses), status."""
        images = _as_images(pictures)
        probs = self.probabilities(images)
        return pd.DataFrame(
            {
                "file": [f"#{i}" for i in range(len(images))],
                "label": self.labels(probs, threshold=threshold),
                "probability": probs,
                "status": "ok",
            }
        )


def _as_images(pictures: Any) -> np.ndarray:
    return np.asarray(pictures)


def load(name_or_path: str | os.PathLike = "base", *, device: str = "cpu") -> Classifier:
    """Return a classifier: a shipped one by name, or one from a model file.

    Raises:
        SglibError: there is no such model, or its file is damaged.
    """
    return Classifier(weight_files.load(name_or_path), device=device)


def from_weights(
    network: str, weights: dict[str, np.ndarray], **settings: Any
) -> ModelFile:
    """x"""
    raise NotImplementedError


_ = Sequence
