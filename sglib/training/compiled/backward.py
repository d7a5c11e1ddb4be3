"""The stages of the paper's networks, backward, for one image, in Numba.

Only the winners of a max pooling have a gradient. The poolings noted where the winner's 3×3 patch
starts in the layer below, and the convolutions' backward stages visit these patches only.
"""

import numpy as np

from sglib.training.compiled.forward import stage
from sglib.training.compiled.lanes import greater, load4, load8, scaled_add, splat8, store, where


@stage
def head_backward(outputs, is_sigmoid, d_outputs):
    """d_outputs (2,) behind the head → before it, in place."""
    if is_sigmoid:
        one = outputs.dtype.type(1)
        for i in range(2):
            d_outputs[i] *= (one - outputs[i]) * outputs[i]


@stage
def fc2_backward(hidden, weight, scale, d_outputs, d_weight, d_bias, d_hidden):
    """Add to d_weight (2, n_hidden) and d_bias (2,); fill d_hidden before dropout and relu."""
    n_hidden = len(hidden)
    d0, d1 = d_outputs[0], d_outputs[1]
    d_bias[0] += d0
    d_bias[1] += d1
    for unit in range(n_hidden):
        d_weight[unit] += d0 * hidden[unit]
        d_weight[n_hidden + unit] += d1 * hidden[unit]
        total = (d0 * weight[unit] + d1 * weight[n_hidden + unit]) * scale
        d_hidden[unit] = total if hidden[unit] > 0 else 0  # dropped and negative units are 0


@stage
def fc1_backward(weight, d_hidden, d_bias, d_flat):
    """Add to d_bias (n_hidden,); fill d_flat (n_flat,). For the weights see compiled_adam.py."""
    n_flat = len(d_flat)
    d_flat[:] = 0
    for unit in range(len(d_hidden)):
        d = d_hidden[unit]
        d_bias[unit] += d
        if d != 0:
            for i in range(n_flat):
                d_flat[i] += d * weight[unit, i]


@stage
def maxpool2_relu_backward(flat, n_pooled2, wins, n_wins):
    """List where the relu let conv2's winners through, one channel after the other.

    flat n_pooled2²×16 → for each of 16 channels the number of these places, n_wins (16,), and from
    channel·n_pooled2² on the places, wins: indices into flat. First every other column, so that
    successive patches do not overlap: adding to what was stored just before is slow.
    """
    for channel in range(16):
        start = channel * n_pooled2 * n_pooled2
        n = start
        for parity in range(2):
            for row in range(n_pooled2):
                for column in range(parity, n_pooled2, 2):
                    i = (row * n_pooled2 + column) * 16 + channel
                    wins[n] = i
                    n += flat[i] > 0  # no branch: it would often be mispredicted
        n_wins[channel] = n - start


@stage
def conv2_backward_weight(x, n_in, d_flat, patch2, wins, n_wins, d_weight, d_bias):
    """x n_in²×8; adds to d_weight (16, 9, 8) and d_bias (16,)."""
    n_places, below = len(d_flat) // 16, n_in * 8
    for channel in range(16):
        j = channel * 72
        w00, w01, w02 = load8(d_weight, j), load8(d_weight, j + 8), load8(d_weight, j + 16)
        w10, w11, w12 = load8(d_weight, j + 24), load8(d_weight, j + 32), load8(d_weight, j + 40)
        w20, w21, w22 = load8(d_weight, j + 48), load8(d_weight, j + 56), load8(d_weight, j + 64)
        bias = d_bias[channel]
        start = channel * n_places
        for n in range(start, start + n_wins[channel]):
            d, i = d_flat[wins[n]], np.intp(patch2[wins[n]])
            bias += d
            w00 = scaled_add(w00, load8(x, i), d)
            w01 = scaled_add(w01, load8(x, i + 8), d)
            w02 = scaled_add(w02, load8(x, i + 16), d)
            i += below
            w10 = scaled_add(w10, load8(x, i), d)
            w11 = scaled_add(w11, load8(x, i + 8), d)
            w12 = scaled_add(w12, load8(x, i + 16), d)
            i += below
            w20 = scaled_add(w20, load8(x, i), d)
            w21 = scaled_add(w21, load8(x, i + 8), d)
            w22 = scaled_add(w22, load8(x, i + 16), d)
        d_bias[channel] = bias
        store(d_weight, j, w00), store(d_weight, j + 8, w01), store(d_weight, j + 16, w02)
        store(d_weight, j + 24, w10), store(d_weight, j + 32, w11), store(d_weight, j + 40, w12)
        store(d_weight, j + 48, w20), store(d_weight, j + 56, w21), store(d_weight, j + 64, w22)


@stage
def conv2_backward_input(weight, n_in, d_flat, patch2, wins, n_wins, d_x):
    """weight (16, 9, 8) → d_x n_in²×8."""
    n_places, below = len(d_flat) // 16, n_in * 8
    d_x[:] = 0
    for channel in range(16):
        j = channel * 72
        w00, w01, w02 = load8(weight, j), load8(weight, j + 8), load8(weight, j + 16)
        w10, w11, w12 = load8(weight, j + 24), load8(weight, j + 32), load8(weight, j + 40)
        w20, w21, w22 = load8(weight, j + 48), load8(weight, j + 56), load8(weight, j + 64)
        start = channel * n_places
        for n in range(start, start + n_wins[channel]):
            d, i = d_flat[wins[n]], np.intp(patch2[wins[n]])
            store(d_x, i, scaled_add(load8(d_x, i), w00, d))
            store(d_x, i + 8, scaled_add(load8(d_x, i + 8), w01, d))
            store(d_x, i + 16, scaled_add(load8(d_x, i + 16), w02, d))
            i += below
            store(d_x, i, scaled_add(load8(d_x, i), w10, d))
            store(d_x, i + 8, scaled_add(load8(d_x, i + 8), w11, d))
            store(d_x, i + 16, scaled_add(load8(d_x, i + 16), w12, d))
            i += below
            store(d_x, i, scaled_add(load8(d_x, i), w20, d))
            store(d_x, i + 8, scaled_add(load8(d_x, i + 8), w21, d))
            store(d_x, i + 16, scaled_add(load8(d_x, i + 16), w22, d))


@stage
def maxpool1_relu_backward(pooled1, d_pooled1, d_bias):
    """Zero d_pooled1 (n_places, 8) in place where the relu did; adds to conv1's d_bias (8,)."""
    zero = splat8(pooled1.dtype.type(0))
    total = load8(d_bias, 0)
    for i in range(0, len(pooled1), 8):
        d = where(greater(load8(pooled1, i), zero), load8(d_pooled1, i), zero)
        total = scaled_add(total, d, pooled1.dtype.type(1))
        store(d_pooled1, i, d)
    store(d_bias, 0, total)


@stage
def conv1_backward(image, n_conv1, alive, d_pooled1, patch1, taps, d_weight):
    """Add to d_weight (9, 8), from the winners of the pooling; taps (12,).

    A patch row is read as four numbers, of which the last does not count.
    """
    width = n_conv1 + 2
    zero, one = taps.dtype.type(0), taps.dtype.type(1)
    for i in range(alive[8]):
        channel = np.intp(alive[i])
        taps[:] = zero
        a0 = a1 = a2 = b0 = b1 = b2 = load4(taps, 0)
        # Two sums in turn, since each addition waits for the one before.
        for n in range(channel, len(d_pooled1) - 8, 16):
            d, i = d_pooled1[n], np.intp(patch1[n])
            a0 = scaled_add(a0, load4(image, i), d)
            a1 = scaled_add(a1, load4(image, i + width), d)
            a2 = scaled_add(a2, load4(image, i + 2 * width), d)
            d, i = d_pooled1[n + 8], np.intp(patch1[n + 8])
            b0 = scaled_add(b0, load4(image, i), d)
            b1 = scaled_add(b1, load4(image, i + width), d)
            b2 = scaled_add(b2, load4(image, i + 2 * width), d)
        store(taps, 0, scaled_add(a0, b0, one))
        store(taps, 4, scaled_add(a1, b1, one))
        store(taps, 8, scaled_add(a2, b2, one))
        for tap in range(9):
            d_weight[tap * 8 + channel] += taps[tap // 3 * 4 + tap % 3]
