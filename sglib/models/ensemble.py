"""What networks answer together: look at views of a picture, average, scale, probability.

Training, evaluation and the ONNX files of `predict` share this module, so that they cannot differ.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sglib import SglibError
from sglib.data.augment import flip
from sglib.models import SCALINGS

BATCH = 256  # images that `predict` looks at together; changes memory and time only


class Ensemble(nn.Module):
    """Networks and views whose answers are averaged, from a uint8 picture to its probability.

    The probability of sunglasses is `sigmoid(margin / temperature)`, the margin being a network's
    output for sunglasses minus that for open, averaged over networks and views. One network with
    one view and temperature 1 gives the softmax over its outputs, as its loss saw them.

    Args:
        networks: one or more, from float (B, 1, 30, 32) to two outputs (B, 2).
        scaling: of the pixels they were trained on, "unit" ([0, 1]) or "symmetric" ([-1, 1]).
        mirror: whether the mirror image of each view is looked at too.
        shift: pixels; unless 0, the picture moved by so much up, down, left and right (edge
            repeated) is looked at too.
        temperature: > 0; below 1 sharpens.

    Raises:
        SglibError: no network, or an unknown scaling.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        *,
        scaling: str = "unit",
        mirror: bool = False,
        shift: int = 0,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        if not networks:
            raise SglibError("an ensemble needs one network or more, got none")
        if scaling not in SCALINGS:
            raise SglibError(f"scaling must be {' or '.join(SCALINGS)}, got {scaling!r}")
        self.networks = nn.ModuleList(networks)
        self.scaling, self.mirror, self.shift = scaling, mirror, shift
        self.temperature = temperature
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return the probability of sunglasses, float32 (N,), of images uint8 (N, 30, 32)."""
        return torch.sigmoid(self.margins(to_unit(images)) / self.temperature)

    def margins(self, images: Tensor) -> Tensor:
        """Return the averaged margins (N,) of images float (N, 1, 30, 32) in [0, 1]."""
        seen = views(images, mirror=self.mirror, shift=self.shift)
        x = torch.cat(seen) if len(seen) > 1 else images  # (V N, 1, 30, 32): one large batch
        if self.scaling == "symmetric":
            x = x * 2 - 1
        outputs = torch.stack([network(x) for network in self.networks]).mean(0)  # (V N, 2)
        return (outputs[:, 1] - outputs[:, 0]).view(len(seen), -1).mean(0)

    def one_view(self) -> "Ensemble":
        """Return the same networks looking at each picture once, as it is."""
        return Ensemble(self.networks, scaling=self.scaling, temperature=self.temperature)

    @torch.inference_mode()
    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return the probability of sunglasses, float64 (N,), of images uint8 (N, 30, 32)."""
        if not len(images):
            return np.empty(0)
        device = next(self.parameters()).device
        parts = check_images(images).split(BATCH)
        margins = torch.cat([self.margins(to_unit(part.to(device))).cpu() for part in parts])
        return (margins.double() / self.temperature).sigmoid().numpy()


def views(images: Tensor, *, mirror: bool, shift: int) -> list[Tensor]:
    """Return the views of float (B, 1, H, W) that an `Ensemble` looks at, the images first."""
    found = [images]
    if shift:
        height, width = images.shape[-2:]
        padded = F.pad(images, (shift,) * 4, mode="replicate")
        places = ((0, shift), (2 * shift, shift), (shift, 0), (shift, 2 * shift))
        found += [padded[..., y : y + height, x : x + width] for y, x in places]
    return found + [flip(view) for view in found] if mirror else found


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
