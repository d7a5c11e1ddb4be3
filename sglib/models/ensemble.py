"""What networks answer together: look at views of a picture, average, scale, probability.

Training, evaluation and the ONNX files of `predict` share this module, so that they cannot differ.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from sglib import SglibError
from sglib.data.augment import flip
from sglib.models import SCALINGS

BATCH = 256  # images that `predict` looks at together; changes memory and time only


class Ensemble(nn.Module):
    """Networks and views whose answers are averaged, from a uint8 picture to its probability.

    The probability of sunglasses is `sigmoid(margin)`, the margin being a network's output for
    sunglasses minus that for open, averaged over networks and views. One network with one view
    gives the softmax over its outputs, as its loss saw them.

    Args:
        networks: one or more, from float (B, 1, 30, 32) to two outputs (B, 2).
        scaling: of the pixels they were trained on, "unit" ([0, 1]) or "symmetric" ([-1, 1]).
        mirror: whether the mirror image is looked at too.

    Raises:
        SglibError: no network, or an unknown scaling.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        *,
        scaling: str = "unit",
        mirror: bool = False,
    ) -> None:
        super().__init__()
        if not networks:
            raise SglibError("an ensemble needs one network or more, got none")
        if scaling not in SCALINGS:
            raise SglibError(f"scaling must be {' or '.join(SCALINGS)}, got {scaling!r}")
        self.networks = nn.ModuleList(networks)
        self.scaling, self.mirror = scaling, mirror
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return the probability of sunglasses, float32 (N,), of images uint8 (N, 30, 32)."""
        return torch.sigmoid(self.margins(to_unit(images)))

    def margins(self, images: Tensor) -> Tensor:
        """Return the averaged margins (N,) of images float (N, 1, 30, 32) in [0, 1]."""
        # (V N, 1, 30, 32): one large batch
        x = torch.cat([images, flip(images)]) if self.mirror else images
        if self.scaling == "symmetric":
            x = x * 2 - 1
        outputs = torch.stack([network(x) for network in self.networks]).mean(0)  # (V N, 2)
        return (outputs[:, 1] - outputs[:, 0]).view(1 + self.mirror, -1).mean(0)

    def one_view(self) -> "Ensemble":
        """Return the same networks looking at each picture once, as it is."""
        return Ensemble(self.networks, scaling=self.scaling)

    @torch.inference_mode()
    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return the probability of sunglasses, float64 (N,), of images uint8 (N, 30, 32)."""
        if not len(images):
            return np.empty(0)
        device = next(self.parameters()).device
        parts = check_images(images).split(BATCH)
        margins = torch.cat([self.margins(to_unit(part.to(device))).cpu() for part in parts])
        return margins.double().sigmoid().numpy()


def to_unit(images: Tensor) -> Tensor:
    """Return uint8 pictures (N, H, W) as float32 (N, 1, H, W) in [0, 1]."""
    return images.unsqueeze(1).float() / 255


def to_input(images: np.ndarray) -> Tensor:
    """Return uint8 images (N, H, W) as float32 (N, 1, H, W) in [0, 1], or raise `SglibError`."""
    return to_unit(check_images(images))


def check_images(images: np.ndarray) -> Tensor:
    """Return images as a tensor if they are uint8 (N, H, W), or raise `SglibError`."""
    if images.dtype != np.uint8 or images.ndim != 3:
        raise SglibError(f"images must be uint8 (N, H, W), got {images.dtype} {images.shape}")
    return torch.from_numpy(np.ascontiguousarray(images))
