"""The paper's two networks as `nn.Module`s, and a registry by name.

Source: paper §3.2 (the printed listings; the prose there swaps the two first pool sizes).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sglib import SglibError


class ConvNN(nn.Module):
    """Two convolutions with max pooling, two fully connected layers; sizes as arguments.

    Max pooling comes before the relu, as printed. Dropout follows fc1's relu (§4.4). PyTorch's
    default initialisation.

    Args:
        padding: rows and columns of zeros around the image at conv1.
        pool1: size and stride of the first max pooling.
        n_flat: number of features that enter fc1.
        n_hidden: number of units of fc1.
        head: "sigmoid" as printed, or "logit" (no activation); either way two outputs that
            enter `CrossEntropyLoss`, which applies a softmax.
        p_drop: probability of zeroing a unit of fc1 in training mode.
    """

    def __init__(
        self,
        *,
        padding: tuple[int, int],
        pool1: int,
        n_flat: int,
        n_hidden: int,
        head: str = "sigmoid",
        p_drop: float = 0.0,
    ) -> None:
        super().__init__()
        if head not in ("sigmoid", "logit"):
            raise SglibError(f"head must be sigmoid or logit, got {head!r}")
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
        """Return the two outputs per image.

        Args:
            images: float (B, 1, 30, 32), already scaled.
            mask: (B, n_hidden), 1 where a unit of fc1 is kept. Given, it replaces the draw of the
                dropout layer in training mode (see schedule.py); ignored in eval mode.

        Returns:
            float (B, 2): column 0 speaks for open, column 1 for sunglasses.
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


def conv_nn_1(*, head: str = "sigmoid", p_drop: float = 0.0) -> ConvNN:
    """Return ConvNN_1: 8×32×32 → 8×16×16 → 16×14×14 → 16×7×7 = 784 → 40 → 2; 32,730 weights."""
    return ConvNN(padding=(2, 1), pool1=2, n_flat=784, n_hidden=40, head=head, p_drop=p_drop)


def conv_nn_2(*, head: str = "sigmoid", p_drop: float = 0.0) -> ConvNN:
    """Return ConvNN_2: 8×30×30 → 8×10×10 → 16×8×8 → 16×4×4 = 256 → 32 → 2; 9,538 weights."""
    return ConvNN(padding=(1, 0), pool1=3, n_flat=256, n_hidden=32, head=head, p_drop=p_drop)


MODELS = {"ConvNN_1": conv_nn_1, "ConvNN_2": conv_nn_2}


def build_model(name: str, *, head: str = "sigmoid", p_drop: float = 0.0) -> ConvNN:
    """Build a network by its registry name.

    Raises:
        SglibError: no network has this name.
    """
    if name not in MODELS:
        raise SglibError(f"no model {name!r}; there are: {', '.join(MODELS)}")
    return MODELS[name](head=head, p_drop=p_drop)


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable numbers in a network."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


NETWORKS = MODELS
build = build_model


def register(name: str, builder: Callable[..., nn.Module]) -> str:
    """Add a network under a name, to train and compare it like the others; return the name."""
    NETWORKS[name] = builder
    return name
