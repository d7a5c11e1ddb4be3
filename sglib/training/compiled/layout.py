"""Where the compiled engine keeps what: weights, layers and images as flat arrays.

A pixel's channels lie together: element (row, column, channel) of a layer of width W and C channels
is at (row·W + column)·C + channel. All layers are square, the padded image too. Both convolutions
are 3×3: 9 taps, row by row.
"""

from collections import namedtuple
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
    def n_pooled2(self) -> int:
        """Return the width of the second pooling, which gives 16 channels."""
        return (self.n_pooled1 - 2) // 2


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
    vector: np.ndarray  # rest and fc1


Room = namedtuple(
    "Room",
    "conv2_by_tap pooled1 patch1 alive patch2 flat hidden outputs all_kept flat_of_four"
    " hidden_of_four d_outputs d_hidden d_flat places wins n_wins d_pooled1 d_conv1 taps d_row"
    " idle",
)


def zeros(shape: int | tuple[int, ...], dtype: type) -> np.ndarray:
    """Return zeros that start at a multiple of 64 bytes, so that vectors do not straddle lines."""
    n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.zeros(n_bytes + 64, dtype=np.uint8)
    start = -room.ctypes.data % 64
    return room[start : start + n_bytes].view(dtype).reshape(shape)


def make_weights(sizes: Sizes, dtype: type) -> Weights:
    """Return room for all weights of a network, zeros."""
    n_hidden, n_flat = sizes.n_hidden, sizes.n_pooled2**2 * 16
    lengths = (72, 8, 1152, 16, n_hidden, 2 * n_hidden, 2)
    *starts, n_rest = np.cumsum([0] + [-(-n // 16) * 16 for n in lengths])  # multiples of 16
    vector = zeros(n_rest + n_hidden * n_flat, dtype)
    parts = [vector[start : start + n] for start, n in zip(starts, lengths, strict=True)]
    return Weights(*parts, vector[:n_rest], vector[n_rest:].reshape(n_hidden, n_flat), vector)


def make_room(sizes: Sizes, batch_size: int, dtype: type) -> Room:
    """Return room for what an image leaves on its way, and a mini-batch of B around fc1."""
    n_hidden, n_pooled1, n_flat = sizes.n_hidden, sizes.n_pooled1**2 * 8, sizes.n_pooled2**2 * 16
    places = np.arange(0, n_flat, 16, dtype=np.int32).reshape(sizes.n_pooled2, -1)
    return Room(
        conv2_by_tap=zeros(1152, dtype),  # (9, 8, 16): its weights, as its forward stage wants them
        pooled1=zeros(n_pooled1, dtype),  # n_pooled1²×8, after the relu
        patch1=zeros(n_pooled1, np.int32),  # see `conv1_pool_relu`
        alive=zeros(9, np.int32),  # see `list_alive`
        patch2=zeros(n_flat, np.int32),
        flat=zeros((batch_size, n_flat), dtype),  # n_pooled2²×16 each, after the relu
        hidden=zeros(n_hidden, dtype),  # after relu and dropout
        outputs=zeros(2, dtype),
        all_kept=np.ones(n_hidden, np.uint8),  # the mask without dropout
        flat_of_four=zeros((4, n_flat), dtype),  # in an evaluation
        hidden_of_four=zeros((4, n_hidden), dtype),
        d_outputs=zeros(2, dtype),  # d_x is the gradient of the loss by x
        d_hidden=zeros((batch_size, n_hidden), dtype),
        d_flat=zeros(n_flat, dtype),
        # Where places start in `flat`. Every other column first: then successive patches of
        # conv2's backward stages do not overlap, and nothing waits for what was just stored.
        places=np.concatenate([places[:, ::2].ravel(), places[:, 1::2].ravel()]),
        wins=zeros(n_flat + 1, np.uint32),  # see `relu2_backward`
        n_wins=zeros(16, np.int32),
        d_pooled1=zeros(n_pooled1, dtype),
        d_conv1=zeros(n_pooled1, dtype),  # of the winners
        taps=zeros(24, dtype),
        d_row=zeros(n_flat, dtype),
        idle=zeros(n_hidden, np.int64),  # for how many steps fc1's unit had no gradient
    )


def order_of(n: int, shuffled: bool) -> np.ndarray:
    """Return where the engine keeps each of n channels or units: as it is, or in another order."""
    return np.random.default_rng(n).permutation(n) if shuffled else np.arange(n)


def unpack(weights: Weights, *, shuffled: bool = False) -> dict[str, np.ndarray]:
    """Return copies under the PyTorch names, in PyTorch's order and shapes.

    shuffled: channels and units are kept in another order. It is the same network, but every sum
    over channels or units runs in that order and rounds differently.
    """
    n_hidden, n_flat = weights.fc1.shape
    c1, c2, units = (order_of(n, shuffled) for n in (8, 16, n_hidden))
    # PyTorch flattens channel, row, column; here it is row, column, channel
    fc1 = weights.fc1.reshape(n_hidden, -1, 16)[units][:, :, c2].transpose(0, 2, 1)
    conv2 = weights.conv2.reshape(16, 9, 8)[c2][:, :, c1].transpose(0, 2, 1)
    return {
        "conv1.weight": weights.conv1.reshape(9, 8).T[c1].reshape(8, 1, 3, 3),
        "conv1.bias": weights.conv1_bias[c1],
        "conv2.weight": conv2.reshape(16, 8, 3, 3),
        "conv2.bias": weights.conv2_bias[c2],
        "fc1.weight": fc1.reshape(n_hidden, n_flat),
        "fc1.bias": weights.fc1_bias[units],
        "fc2.weight": weights.fc2.reshape(2, n_hidden)[:, units],
        "fc2.bias": weights.fc2_bias.copy(),
    }


def pack(values: dict[str, np.ndarray], sizes: Sizes, dtype: type, *, shuffled: bool) -> Weights:
    """Return the weights of `unpack` in the engine's order."""
    weights, positions = make_weights(sizes, dtype), make_weights(sizes, np.int64)
    positions.vector[:] = np.arange(len(positions.vector))
    for name, places in unpack(positions, shuffled=shuffled).items():
        weights.vector[places] = values[name]
    return weights


def pad_images(images: np.ndarray, sizes: Sizes, scaling: str, dtype: type) -> np.ndarray:
    """Return uint8 images (N, 30, 32) scaled and padded with zeros, a row of numbers each.

    Some numbers follow the image's last, since `conv1_backward` reads five too many.
    """
    n, height, width = images.shape
    side = sizes.width
    rows, columns = (side - height) // 2, (side - width) // 2
    padded = zeros((n, side**2 + 16), dtype)
    inner = padded[:, : side**2].reshape(n, side, side)  # a view
    inner[:, rows : rows + height, columns : columns + width] = scale_pixels(images, scaling)
    return padded
