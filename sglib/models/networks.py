"""The networks by name: the paper's two, ours, and any that a user registers.

Each takes float images (B, 1, 30, 32), already scaled, and returns two outputs (B, 2): column 0
speaks for open, column 1 for sunglasses.
"""

import functools
import inspect
import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sglib import SglibError
from sglib.data.faces import HEIGHT, WIDTH
from sglib.models import HEADS


class ConvNN(nn.Module):
    """Two convolutions with max pooling, two fully connected layers; sizes as arguments.

    Max pooling comes before the relu, as printed. Dropout follows fc1's relu (§4.4). PyTorch's
    default initialisation. Source: paper §3.2, the printed listings; the prose there swaps the two
    first pool sizes.
    """

    def __init__(
        self,
        *,
        padding: tuple[int, int],  # rows and columns of zeros around the image at conv1
        pool1: int,  # size and stride of the first max pooling
        n_flat: int,  # features that enter fc1
        n_hidden: int,  # units of fc1
        head: str = "logit",  # or "sigmoid" as printed; CrossEntropyLoss adds a softmax to either
        p_drop: float = 0.0,  # probability of zeroing a unit of fc1 in training mode
    ) -> None:
        super().__init__()
        self.n_hidden = n_hidden
        self.conv1 = nn.Conv2d(1, 8, 3, padding=padding)
        self.maxpool1 = nn.MaxPool2d(pool1)
        self.conv2 = nn.Conv2d(8, 16, 3)
        self.maxpool2 = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(n_flat, n_hidden)
        self.dropout = nn.Dropout(p_drop)
        self.fc2 = nn.Linear(n_hidden, 2)
        self.head = nn.Sigmoid() if head == "sigmoid" else nn.Identity()

    def forward(self, images: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return two outputs (B, 2) of images float (B, 1, 30, 32), already scaled.

        In training mode a `mask` (B, n_hidden), 1 where a unit of fc1 is kept, replaces the draw
        of the dropout layer (see schedule.py).
        """
        x = self.conv1(images)  # (B, 8, H1, W1)
        x = torch.relu(self.maxpool1(x))
        x = self.conv2(x)  # (B, 16, H2, W2)
        x = torch.relu(self.maxpool2(x))
        x = torch.relu(self.fc1(x.flatten(1)))  # (B, n_hidden)
        if self.training and mask is not None:
            x = x * mask / (1 - self.dropout.p)
        else:
            x = self.dropout(x)
        return self.head(self.fc2(x))


class FaceNet(nn.Module):
    """Ours: four 3×3 convolutions, a maximum over all places, one linear layer.

    A pair of sunglasses is a small dark shape that can be anywhere in the upper part of the
    picture. The maximum over places asks whether the shape is somewhere, which needs few weights
    and does not tie the answer to one person's posture. Batch normalisation follows each
    convolution; the picture is standardised first, which undoes brightness and contrast. 2×2 max
    pooling follows the first two convolutions.
    """

    TOP = 20  # rows that are looked at: heads end above row 20
    DIM = 0.02  # a standard deviation far below it is noise, which is not to be blown up

    def __init__(self, channels: tuple[int, int, int, int]) -> None:  # of the convolutions
        super().__init__()
        layers: list[nn.Module] = []
        for place, (n_in, n_out) in enumerate(itertools.pairwise((1, *channels))):
            layers.append(nn.Conv2d(n_in, n_out, 3, padding=1, bias=False))
            if place < 2:  # pooled before the normalisation: a quarter of its work
                layers.append(nn.MaxPool2d(2))
            layers += [nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(channels[-1], 2)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, 2) of images float (B, 1, 30, 32) in [0, 1]."""
        images = images[:, :, : self.TOP]
        sd, mean = torch.std_mean(images, (1, 2, 3), keepdim=True)  # (B, 1, 1, 1)
        x = self.body((images - mean) / (sd + self.DIM))  # (B, C, 5, 8)
        return self.head(x.amax((2, 3)))


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    # 8×32×32 → 8×16×16 → 16×14×14 → 16×7×7 = 784 → 40 → 2; 32,730 weights
    "ConvNN_1": functools.partial(ConvNN, padding=(2, 1), pool1=2, n_flat=784, n_hidden=40),
    # 8×30×30 → 8×10×10 → 16×8×8 → 16×4×4 = 256 → 32 → 2; 9,538 weights
    "ConvNN_2": functools.partial(ConvNN, padding=(1, 0), pool1=3, n_flat=256, n_hidden=32),
    # ours, by their size: 9,178, 16,530 and 28,146 weights
    "face9k": functools.partial(FaceNet, (8, 16, 24, 20)),
    "face17k": functools.partial(FaceNet, (16, 16, 32, 32)),
    "face28k": functools.partial(FaceNet, (16, 32, 32, 48)),
}
_OF_THE_LIBRARY = frozenset(NETWORKS)


def build(name: str, *, head: str = "logit", p_drop: float = 0.0) -> nn.Module:
    """Build the network of this name in `NETWORKS`, with PyTorch's default initialisation.

    Args:
        head: "sigmoid" or "logit", see `ConvNN`. Where the network knows nothing of heads, a
            sigmoid is put behind it.
        p_drop: probability of zeroing a unit, in [0, 1); for networks that have dropout.

    Raises:
        SglibError: an unknown name or head, or no dropout to set.
    """
    if name not in NETWORKS:
        raise SglibError(f"no network {name!r}; there are: {', '.join(NETWORKS)}")
    if head not in HEADS:
        raise SglibError(f"head must be {' or '.join(HEADS)}, got {head!r}")
    knows = inspect.signature(NETWORKS[name]).parameters
    if p_drop and "p_drop" not in knows:
        raise SglibError(f"{name} has no dropout: p_drop must be 0, got {p_drop}")
    options = {"head": head, "p_drop": p_drop}
    network = NETWORKS[name](**{key: value for key, value in options.items() if key in knows})
    if head == "sigmoid" and "head" not in knows:
        network.register_forward_hook(lambda _network, _inputs, outputs: outputs.sigmoid())
    return network


def register(name: str, builder: Callable[..., nn.Module]) -> str:
    """Add a network under a name, to train and compare it like the others; return the name.

    Args:
        name: a new one, or one registered before, which is replaced.
        builder: a class or function that makes a new `nn.Module`, from float (B, 1, 30, 32) to
            two outputs (B, 2). It may take `head` and `p_drop` as keywords. One with dropout
            drops units of a layer `fc1` and takes their mask: `forward(images, mask=None)`.

    Raises:
        SglibError: the name is the library's, or what is built is not such a network.
    """
    if name in _OF_THE_LIBRARY:
        raise SglibError(f"{name!r} is a network of the library: choose another name")
    if isinstance(builder, nn.Module) or not callable(builder):
        wanted = "a class or function that makes a new network, since each run has its own weights"
        raise SglibError(f"{name}: expected {wanted}; got {builder!r:.60}")
    expected = f"{name}: expected an nn.Module from (2, 1, {HEIGHT}, {WIDTH}) to (2, 2)"
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            network = builder()
            outputs = network(torch.zeros(2, 1, HEIGHT, WIDTH))
        except Exception as error:  # whatever the user's code raises
            raise SglibError(f"{expected}, got {type(error).__name__}: {error}") from error
    shape = tuple(getattr(outputs, "shape", ()))
    if not isinstance(network, nn.Module) or shape != (2, 2):
        raise SglibError(f"{expected}, got {type(network).__name__}, outputs {shape}")
    NETWORKS[name] = builder
    return name


def count_parameters(network: nn.Module) -> int:
    """Return the number of trainable numbers in a network."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
