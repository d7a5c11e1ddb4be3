"""Our networks: small, fully convolutional, ending in a maximum over places; by name.

A pair of sunglasses is a small dark shape that can be anywhere in the upper part of the picture.
The maximum over all places asks whether the shape is somewhere, which needs few weights and does
not tie the answer to one person's posture.
"""

import dataclasses

import torch
from torch import Tensor, nn

from sglib import SglibError
from sglib.models.networks import MODELS, build_model

DIM = 0.02  # an sd far below it is noise, which is not to be blown up


@dataclasses.dataclass(frozen=True)
class Shape:
    """What makes a network of ours.

    Args:
        channels: of each 3×3 convolution.
        pools: whether 2×2 max pooling follows the convolution, for each.
        top: how many of the uppermost rows the network looks at; heads end above row 20.
    """

    channels: tuple[int, ...]
    pools: tuple[bool, ...]
    top: int = 20


class Standardise(nn.Module):
    """Brings each image to mean 0 and nearly sd 1, which undoes brightness and contrast."""

    def forward(self, images: Tensor) -> Tensor:
        """Return (x − mean) / (sd + `DIM`) of images (B, 1, H, W)."""
        sd, mean = torch.std_mean(images, (1, 2, 3), keepdim=True)
        return (images - mean) / (sd + DIM)


class FaceNet(nn.Module):
    """Convolutions with batch normalisation, a maximum over places, one linear layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        if len(shape.channels) != len(shape.pools):
            raise SglibError(f"channels and pools must be equally many, got {shape}")
        self.shape = shape
        self.standardise = Standardise()
        layers: list[nn.Module] = []
        n_in = 1
        for n_out, pool in zip(shape.channels, shape.pools, strict=True):
            layers.append(nn.Conv2d(n_in, n_out, 3, padding=1, bias=False))
            if pool:  # before the normalisation: a quarter of its work
                layers.append(nn.MaxPool2d(2))
            layers += [nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)]
            n_in = n_out
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(n_in, 2)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, 2), column 1 for sunglasses.

        Args:
            images: float (B, 1, H, W) in [0, 1].
        """
        x = self.body(self.standardise(images[:, :, : self.shape.top]))  # (B, C, H', W')
        return self.head(x.amax((2, 3)))


NETWORKS: dict[str, Shape] = {
    "small": Shape((8, 16, 24, 20), (True, True, False, False)),
    # of the model `base`, which learns from `best`: three networks `base`
    "light": Shape((16, 16, 32, 32), (True, True, False, False)),
    "base": Shape((16, 32, 32, 48), (True, True, False, False)),
}


def build_network(name: str) -> nn.Module:
    """Build a network of ours, or one of the paper's with a logit head, by name.

    Either takes float images (B, 1, 30, 32) in [0, 1] and returns logits (B, 2).

    Raises:
        SglibError: no network has this name.
    """
    if name in NETWORKS:
        return FaceNet(NETWORKS[name])
    if name in MODELS:
        return build_model(name, head="logit")
    raise SglibError(f"no network {name!r}; there are: {', '.join([*NETWORKS, *MODELS])}")
