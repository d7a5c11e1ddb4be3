"""The stages of the paper's networks, forward, for one image, in Numba.

One function per stage, named as in paper §3.2; layers are laid out as compiled_layout.py says.
"""

import math

import numpy as np
from numba import njit

from sglib.training.compiled.lanes import greater, lane, load8, multiply_add, splat8, store, where

# Sums may be reordered and fused; infinities and NaN stay what they are.
stage = njit(fastmath={"contract", "reassoc", "nsz"}, error_model="numpy", no_cpython_wrapper=True)
# Where the numbers given at the call decide how loops unroll.
inlined_stage = njit(
    fastmath={"contract", "reassoc", "nsz"},
    error_model="numpy",
    no_cpython_wrapper=True,
    forceinline=True,
)


@stage
def conv1(image, weight, bias, n_conv1, out):
    """image (n_conv1+2)², weight (9, 8), bias (8,) → out n_conv1²×8."""
    b = load8(bias, 0)
    w00, w01, w02 = load8(weight, 0), load8(weight, 8), load8(weight, 16)
    w10, w11, w12 = load8(weight, 24), load8(weight, 32), load8(weight, 40)
    w20, w21, w22 = load8(weight, 48), load8(weight, 56), load8(weight, 64)
    width = n_conv1 + 2
    for row in range(n_conv1):
        for column in range(n_conv1):
            top = row * width + column
            middle = top + width
            bottom = middle + width
            total = multiply_add(b, w00, image, top)
            total = multiply_add(total, w01, image, top + 1)
            total = multiply_add(total, w02, image, top + 2)
            total = multiply_add(total, w10, image, middle)
            total = multiply_add(total, w11, image, middle + 1)
            total = multiply_add(total, w12, image, middle + 2)
            total = multiply_add(total, w20, image, bottom)
            total = multiply_add(total, w21, image, bottom + 1)
            total = multiply_add(total, w22, image, bottom + 2)
            store(out, (row * n_conv1 + column) * 8, total)


@inlined_stage
def _maxpool_relu(x, n_channels, width, pool, n_out, below_channels, pooled, patch):
    """x width²×n_channels → pooled n_out²×n_channels, after the relu.

    The first of equal maxima wins, as in PyTorch. `patch` int32 receives where the winner's 3×3
    patch starts in the layer below the convolution, which is 2 wider than x and has
    `below_channels` channels.
    """
    zero = splat8(x.dtype.type(0))
    for row in range(n_out):
        for column in range(n_out):
            for channel in range(0, n_channels, 8):
                r, c = row * pool, column * pool
                best = load8(x, (r * width + c) * n_channels + channel)
                start = splat8(np.int32((r * (width + 2) + c) * below_channels))
                for i in range(pool):
                    for j in range(pool):
                        r, c = row * pool + i, column * pool + j
                        value = load8(x, (r * width + c) * n_channels + channel)
                        wins = greater(value, best)
                        best = where(wins, value, best)
                        here = splat8(np.int32((r * (width + 2) + c) * below_channels))
                        start = where(wins, here, start)
                i = (row * n_out + column) * n_channels + channel
                store(pooled, i, where(greater(zero, best), zero, best))
                store(patch, i, start)


@stage
def maxpool1_relu(conv1, n_conv1, pool1, n_pooled1, pooled1, patch1):
    """conv1 n_conv1²×8 → pooled1, patch1 n_pooled1²×8."""
    if pool1 == 2:  # as a constant, so that the compiler unrolls the loops over a window
        _maxpool_relu(conv1, 8, n_conv1, 2, n_pooled1, 1, pooled1, patch1)
    else:
        _maxpool_relu(conv1, 8, n_conv1, 3, n_pooled1, 1, pooled1, patch1)


@stage
def maxpool2_relu(conv2, n_conv2, n_pooled2, flat, patch2):
    """conv2 n_conv2²×16 → flat, patch2 n_pooled2²×16."""
    _maxpool_relu(conv2, 16, n_conv2, 2, n_pooled2, 8, flat, patch2)


@stage
def list_alive(pooled1, alive):
    """List the channels of pooled1 that are not zero everywhere in alive int32 (9,); [8]: number.

    After an epoch a quarter to a half of conv1's channels are zero for most images. What they
    would add to conv2 and receive from it is zero: both pass them over.
    """
    most = load8(pooled1, 0)
    for i in range(8, len(pooled1), 8):
        value = load8(pooled1, i)
        most = where(greater(value, most), value, most)
    n = 0
    for channel in range(8):
        alive[channel] = 0
    for channel in range(8):
        alive[n] = channel
        n += lane(most, channel) != 0
    alive[8] = n


@stage
def conv2(x, weight, bias, alive, n_in, out):
    """x n_in²×8, weight (9, 8, 16), bias (16,) → out (n_in-2)²×16.

    Only the channels of x that `list_alive` listed enter. A block of 2×2 pixels at a time: their
    sums (a b / c d, 16 channels in two halves each) stay in registers, and every weight is loaded
    once per block.
    """
    n_out, below = n_in - 2, n_in * 8
    bias0, bias1 = load8(bias, 0), load8(bias, 8)
    for row in range(0, n_out, 2):
        for column in range(0, n_out, 2):
            a0, a1, b0, b1 = bias0, bias1, bias0, bias1
            c0, c1, d0, d1 = bias0, bias1, bias0, bias1
            for n in range(alive[8]):
                channel = np.intp(alive[n])
                corner = (row * n_in + column) * 8 + channel
                for tap_row in range(3):
                    for tap_column in range(3):
                        k = ((tap_row * 3 + tap_column) * 8 + channel) * 16
                        w0, w1 = load8(weight, k), load8(weight, k + 8)
                        i = corner + tap_column * 8 + tap_row * below
                        a0, a1 = multiply_add(a0, w0, x, i), multiply_add(a1, w1, x, i)
                        b0, b1 = multiply_add(b0, w0, x, i + 8), multiply_add(b1, w1, x, i + 8)
                        i = corner + tap_column * 8 + (tap_row + 1) * below
                        c0, c1 = multiply_add(c0, w0, x, i), multiply_add(c1, w1, x, i)
                        d0, d1 = multiply_add(d0, w0, x, i + 8), multiply_add(d1, w1, x, i + 8)
            i = (row * n_out + column) * 16
            store(out, i, a0), store(out, i + 8, a1), store(out, i + 16, b0), store(out, i + 24, b1)
            i += n_out * 16
            store(out, i, c0), store(out, i + 8, c1), store(out, i + 16, d0), store(out, i + 24, d1)


@stage
def fc1_relu_dropout(flat, weight, bias, kept, scale, hidden):
    """flat (n_flat,), weight (n_hidden, n_flat) → hidden (n_hidden,).

    `kept` uint8 (n_hidden,): units with 0 are dropped and not computed; the others are multiplied
    by `scale` = 1 / (1 - p_drop).
    """
    n_flat = len(flat)
    for unit in range(len(hidden)):
        hidden[unit] = 0
        if kept[unit]:
            total = flat.dtype.type(0)
            for i in range(n_flat):
                total += weight[unit, i] * flat[i]
            total += bias[unit]
            hidden[unit] = 0 if total < 0 else total * scale


@stage
def fc2(hidden, weight, bias, outputs):
    """hidden (n_hidden,), weight (2, n_hidden) → outputs (2,)."""
    n_hidden = len(hidden)
    for output in range(2):
        total = hidden.dtype.type(0)
        for unit in range(n_hidden):
            total += weight[output * n_hidden + unit] * hidden[unit]
        outputs[output] = total + bias[output]


@stage
def head(outputs, is_sigmoid):
    """Apply the sigmoid to outputs (2,) in place, or leave the logits as they are."""
    if is_sigmoid:
        one = outputs.dtype.type(1)
        for i in range(2):
            outputs[i] = one / (one + math.exp(-outputs[i]))


@stage
def cross_entropy(outputs, label, d_outputs):
    """Return the loss of outputs (2,); fill its gradient, softmax(outputs) - onehot(label)."""
    top = max(outputs[0], outputs[1])
    e0, e1 = math.exp(outputs[0] - top), math.exp(outputs[1] - top)
    d_outputs[0], d_outputs[1] = e0 / (e0 + e1), e1 / (e0 + e1)
    d_outputs[label] -= outputs.dtype.type(1)
    return math.log(e0 + e1) - (outputs[label] - top)


@stage
def arrange_by_tap(weight, by_tap):
    """Write conv2's weights (16, 9, 8) as (9, 8, 16)."""
    for k in range(72):
        for channel in range(16):
            by_tap[k * 16 + channel] = weight[channel * 72 + k]
