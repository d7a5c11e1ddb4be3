"""Where the compiled engine keeps what: weights, layers and images as flat arrays.

A pixel's channels lie together: element (row, column, channel) of a layer of width W and C channels
is at (row·W + column)·C + channel. All layers are square, the padded image too. Both convolutions
are 3×3: 9 taps, row by row.
"""

import functools
import math
from typing import NamedTuple

import numpy as np

from sglib.training.reference import scale_pixels


class Sizes(NamedTuple):
    """What tells the two networks apart."""

    pool1: int
    n_pooled1: int  # the first pooling gives n_pooled1² pixels of 8 channels
    n_hidden: int

    @property
    def width(self) -> int:
        """Return the width of the padded image."""
        return self.n_pooled1 * self.pool1 + 2

    @property
    def n_flat(self) -> int:
        """Return the number of features that enter fc1: n_pooled2² pixels of 16 channels."""
        return ((self.n_pooled1 - 2) // 2) ** 2 * 16


# paper §3.2
SIZES = {"ConvNN_1": Sizes(2, 16, 40), "ConvNN_2": Sizes(3, 10, 32)}


class Weights(NamedTuple):
    """Views of one vector of all weights, or of as many gradients or moments of Adam."""

    conv1: np.ndarray  # (9, 8): tap, channel
    conv1_bias: np.ndarray  # (8,)
    conv2: np.ndarray  # (16, 9, 8): channel, tap, channel of the layer below
    conv2_bias: np.ndarray  # (16,)
    fc1_bias: np.ndarray  # (n_hidden,)
    fc2: np.ndarray  # (2, n_hidden)
    fc2_bias: np.ndarray  # (2,)
    rest: np.ndarray  # all of the above in one
    fc1: np.ndarray  # (n_hidden, n_flat), 2-d; n_flat: row, column, channel


class Layers(NamedTuple):
    """Room for what one image leaves on its way, and a mini-batch of B around fc1."""

    conv2_by_tap: np.ndarray  # (9, 8, 16): conv2's weights, as its forward stage wants them
    pooled1: np.ndarray  # n_pooled1²×8, after the relu
    patch1: np.ndarray  # int32, see `conv1_pool_relu`
    alive: np.ndarray  # int32 (9,), see `list_alive`
    flat: np.ndarray  # (B, n_flat), 2-d; n_pooled2²×16, after the relu
    patch2: np.ndarray  # int32
    all_kept: np.ndarray  # uint8 (n_hidden,), ones: the mask without dropout
    hidden: np.ndarray  # (n_hidden,), after relu and dropout
    flat_of_four: np.ndarray  # (4, n_flat), 2-d, in an evaluation
    hidden_of_four: np.ndarray  # (4, n_hidden), 2-d
    outputs: np.ndarray  # (2,)
    d_outputs: np.ndarray  # d_x is the gradient of the loss by x
    d_hidden: np.ndarray  # (B, n_hidden), 2-d
    d_flat: np.ndarray
    places: np.ndarray  # int32 (n_pooled2²,): where places start in `flat`, see `make_layers`
    wins: np.ndarray  # int32, see `relu2_backward`
    n_wins: np.ndarray
    d_pooled1: np.ndarray
    d_conv1: np.ndarray  # of the winners, n_pooled1²×8
    d_row: np.ndarray  # (n_flat,)
    d_taps: np.ndarray  # (12,)
    idle: np.ndarray  # int64 (n_hidden,): for how many steps fc1's unit had no gradient


class Run(NamedTuple):
    """The arguments of `train_epochs`; N training images, S samples an epoch."""

    images: np.ndarray  # (N, …) rows from `pad_images`, or (2N, …), the N mirrored ones behind
    labels: np.ndarray  # int64 (N,)
    order: np.ndarray  # int32 (n_epochs, S), rows of `images`
    masks: np.ndarray  # uint8 (n_epochs, S, n_hidden), or of size 0 without dropout
    weights: Weights
    m: Weights  # Adam's moments
    v: Weights
    grads: Weights
    layers: Layers  # of at least batch_size
    sizes: Sizes
    is_sigmoid: bool  # the head
    batch_size: int
    lr: float
    l2: np.floating  # of the weights' dtype, as scale
    scale: np.floating  # 1 / (1 - p_drop)
    train_probs: np.ndarray  # float64 (N,), room
    val_images: np.ndarray  # as the first two, possibly empty
    val_labels: np.ndarray
    val_probs: np.ndarray  # float64 (n_val,), filled after every epoch
    history: np.ndarray  # float64 (n_epochs, 6), filled in the order of `HISTORY`


def zeros(shape: int | tuple[int, ...], dtype: type) -> np.ndarray:
    """Return zeros that start at a multiple of 64 bytes, so that vectors do not straddle lines."""
    n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.zeros(n_bytes + 64, dtype=np.uint8)
    start = -room.ctypes.data % 64
    return room[start : start + n_bytes].view(dtype).reshape(shape)


def make_weights(sizes: Sizes, dtype: type) -> Weights:
    """Return room for all weights of a network, zeros."""
    shapes = (72, 8, 1152, 16, sizes.n_hidden, 2 * sizes.n_hidden, 2)
    starts = np.cumsum([0] + [-(-n // 16) * 16 for n in shapes])  # each at a multiple of 16
    vector = zeros(starts[-1] + sizes.n_hidden * sizes.n_flat, dtype)
    parts = [vector[start : start + n] for start, n in zip(starts, shapes, strict=False)]
    fc1 = vector[starts[-1] :].reshape(sizes.n_hidden, sizes.n_flat)
    return Weights(*parts, vector[: starts[-1]], fc1)


def make_layers(sizes: Sizes, batch_size: int, dtype: type) -> Layers:
    """Return room for the layers, zeros."""
    n_pooled1, n_flat = sizes.n_pooled1**2 * 8, sizes.n_flat
    # Every other column first, so that successive patches of conv2's backward stages do not
    # overlap: adding to what was stored just before is slow.
    places = np.arange(0, n_flat, 16).reshape(math.isqrt(n_flat // 16), -1)
    places = np.concatenate([places[:, ::2].ravel(), places[:, 1::2].ravel()])
    return Layers(
        conv2_by_tap=zeros(1152, dtype),
        pooled1=zeros(n_pooled1, dtype),
        patch1=zeros(n_pooled1, np.int32),
        alive=zeros(9, np.int32),
        flat=zeros((batch_size, n_flat), dtype),
        patch2=zeros(n_flat, np.int32),
        all_kept=np.ones(sizes.n_hidden, np.uint8),
        hidden=zeros(sizes.n_hidden, dtype),
        flat_of_four=zeros((4, n_flat), dtype),
        hidden_of_four=zeros((4, sizes.n_hidden), dtype),
        outputs=zeros(2, dtype),
        d_outputs=zeros(2, dtype),
        d_hidden=zeros((batch_size, sizes.n_hidden), dtype),
        d_flat=zeros(n_flat, dtype),
        places=places.astype(np.int32),
        wins=zeros(n_flat + 1, np.int32),
        n_wins=zeros(16, np.int32),
        d_pooled1=zeros(n_pooled1, dtype),
        d_conv1=zeros(n_pooled1, dtype),
        d_row=zeros(n_flat, dtype),
        d_taps=zeros(12, dtype),
        idle=zeros(sizes.n_hidden, np.int64),
    )


@functools.cache
def _shuffled(n: int) -> np.ndarray:
    """Return the other order of n channels or units, always the same."""
    return np.random.default_rng(n).permutation(n)


def reorder_units(values: np.ndarray) -> np.ndarray:
    """Return an array (…, n_hidden) with the hidden units in the other order."""
    return values[..., _shuffled(values.shape[-1])]


def reorder(values: dict[str, np.ndarray], *, back: bool = False) -> dict[str, np.ndarray]:
    """Return the weights, under their PyTorch names, with channels and units in another order.

    It is the same network, but every sum over channels or units runs in another order and rounds
    differently. `back` undoes it.
    """
    n_hidden, n_flat = values["fc1.weight"].shape
    c1, c2, units = (_shuffled(n) for n in (8, 16, n_hidden))
    if back:
        c1, c2, units = np.argsort(c1), np.argsort(c2), np.argsort(units)
    fc1 = values["fc1.weight"].reshape(n_hidden, 16, -1)[units][:, c2]
    return {
        "conv1.weight": values["conv1.weight"][c1],
        "conv1.bias": values["conv1.bias"][c1],
        "conv2.weight": values["conv2.weight"][c2][:, c1],
        "conv2.bias": values["conv2.bias"][c2],
        "fc1.weight": fc1.reshape(n_hidden, n_flat),
        "fc1.bias": values["fc1.bias"][units],
        "fc2.weight": values["fc2.weight"][:, units],
        "fc2.bias": values["fc2.bias"],
    }


def pack(values: dict[str, np.ndarray], into: Weights) -> None:
    """Copy weights under their PyTorch names into the engine's order."""
    n_hidden, n_flat = into.fc1.shape
    into.conv1[:] = values["conv1.weight"].reshape(8, 9).T.ravel()
    into.conv1_bias[:] = values["conv1.bias"]
    # (16, 8, 3, 3) → (16, 9, 8)
    into.conv2[:] = values["conv2.weight"].reshape(16, 8, 9).transpose(0, 2, 1).ravel()
    into.conv2_bias[:] = values["conv2.bias"]
    # PyTorch flattens channel, row, column; here it is row, column, channel
    fc1 = values["fc1.weight"].reshape(n_hidden, 16, n_flat // 16)
    into.fc1[:] = fc1.transpose(0, 2, 1).reshape(n_hidden, n_flat)
    into.fc1_bias[:] = values["fc1.bias"]
    into.fc2[:] = values["fc2.weight"].ravel()
    into.fc2_bias[:] = values["fc2.bias"]


def unpack(weights: Weights, dtype: type) -> dict[str, np.ndarray]:
    """Return copies under the PyTorch names, in PyTorch's order and shapes."""
    n_hidden, n_flat = weights.fc1.shape
    fc1 = weights.fc1.reshape(n_hidden, n_flat // 16, 16).transpose(0, 2, 1)
    values = {
        "conv1.weight": weights.conv1.reshape(9, 8).T.reshape(8, 1, 3, 3),
        "conv1.bias": weights.conv1_bias,
        "conv2.weight": weights.conv2.reshape(16, 9, 8).transpose(0, 2, 1).reshape(16, 8, 3, 3),
        "conv2.bias": weights.conv2_bias,
        "fc1.weight": fc1.reshape(n_hidden, n_flat),
        "fc1.bias": weights.fc1_bias,
        "fc2.weight": weights.fc2.reshape(2, n_hidden),
        "fc2.bias": weights.fc2_bias,
    }
    return {name: value.astype(dtype, order="C", copy=True) for name, value in values.items()}


def pad_images(images: np.ndarray, sizes: Sizes, scaling: str, dtype: type) -> np.ndarray:
    """Return uint8 images (N, 30, 32) scaled and padded with zeros, a row of numbers each.

    At least one number follows the image's last, since `conv1_backward` reads one too many.
    """
    n, height, width = images.shape
    side = sizes.width
    rows, columns = (side - height) // 2, (side - width) // 2
    padded = zeros((n, (side**2 // 16 + 1) * 16), dtype)
    inner = padded[:, : side**2].reshape(n, side, side)  # a view
    inner[:, rows : rows + height, columns : columns + width] = scale_pixels(images, scaling)
    return padded
