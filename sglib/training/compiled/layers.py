"""The convolutions with their poolings, forward and backward, for one image, in Numba.

Paper §3.2; layers are laid out as layout.py says. A pooling follows its convolution window by
window, so what the convolution gives is never stored. Only the winner of a window has a gradient:
the forward stage notes where the winner's 3×3 patch starts in the layer below the convolution, and
the backward stages visit these patches only. Of equal maxima the first wins, as in PyTorch.
"""

import numpy as np

from sglib.training.compiled.lanes import (
    greater,
    inlined,
    load8,
    multiply_add,
    scaled_add,
    splat8,
    stage,
    store,
    where,
)


@inlined
def _load_taps(array, start):
    """Return nine times eight numbers that follow each other: a 3×3 filter or patch of it."""
    return (
        *(load8(array, start), load8(array, start + 8), load8(array, start + 16)),
        *(load8(array, start + 24), load8(array, start + 32), load8(array, start + 40)),
        *(load8(array, start + 48), load8(array, start + 56), load8(array, start + 64)),
    )


@inlined
def _add_row(a, b, c, w0, w1, w2, image, i):
    """Add what a row of the image gives to three neighbouring pixels by a row of taps."""
    a = multiply_add(a, w0, image, i)
    a, b = multiply_add(a, w1, image, i + 1), multiply_add(b, w0, image, i + 1)
    a, b = multiply_add(a, w2, image, i + 2), multiply_add(b, w1, image, i + 2)
    c = multiply_add(c, w0, image, i + 2)
    b, c = multiply_add(b, w2, image, i + 3), multiply_add(c, w1, image, i + 3)
    return a, b, multiply_add(c, w2, image, i + 4)


@inlined
def _larger(best, start, value, here):
    """Return the larger of best and value, and where its patch starts."""
    wins = greater(value, best)
    return where(wins, value, best), where(wins, splat8(np.int32(here)), start)


@inlined
def _conv1_pool(image, weight, bias, pool, n_out, pooled, patch):
    w, b, zero = _load_taps(weight, 0), load8(bias, 0), splat8(image.dtype.type(0))
    width = n_out * pool + 2
    for row in range(n_out):
        for column in range(n_out):
            corner = (row * width + column) * pool
            best, start = zero, splat8(np.int32(corner))
            for i in range(pool):
                here = corner + i * width
                x, y, z = _add_row(b, b, b, w[0], w[1], w[2], image, here)
                x, y, z = _add_row(x, y, z, w[3], w[4], w[5], image, here + width)
                x, y, z = _add_row(x, y, z, w[6], w[7], w[8], image, here + 2 * width)
                best, start = (x, start) if i == 0 else _larger(best, start, x, here)
                best, start = _larger(best, start, y, here + 1)
                if pool == 3:
                    best, start = _larger(best, start, z, here + 2)
            i = (row * n_out + column) * 8
            store(pooled, i, where(greater(zero, best), zero, best))
            if patch is not None:
                store(patch, i, start)


@stage
def conv1_pool_relu(image, weight, bias, pool, n_out, pooled, patch):
    """image (n_out·pool+2)², weight (9, 8), bias (8,) → pooled, patch n_out²×8.

    `patch` int32 receives the winners' patches; None where no gradient is wanted.
    """
    if pool == 2:  # as a constant, so that the compiler unrolls the loops over a window
        _conv1_pool(image, weight, bias, 2, n_out, pooled, patch)
    else:
        _conv1_pool(image, weight, bias, 3, n_out, pooled, patch)


@stage
def relu1_backward(pooled1, d_pooled1, d_conv1, d_bias):
    """Give d_conv1 (n_places, 8) what passes the relu; adds to conv1's d_bias (8,).

    In place it would become a masked store, which some processors do slowly.
    """
    zero = splat8(pooled1.dtype.type(0))
    total = load8(d_bias, 0)
    for i in range(0, len(pooled1), 8):
        d = where(greater(load8(pooled1, i), zero), load8(d_pooled1, i), zero)
        total = scaled_add(total, d, pooled1.dtype.type(1))
        store(d_conv1, i, d)
    store(d_bias, 0, total)


@stage
def conv1_backward(image, width, alive, d_conv1, patch1, taps, d_weight):
    """Add to d_weight (9, 8), from the winners of the pooling; image width².

    A patch row is read as eight numbers, of which three count; taps (24,) is room for three rows.
    """
    zero, one = splat8(taps.dtype.type(0)), taps.dtype.type(1)
    for k in range(alive[8]):
        channel = np.intp(alive[k])
        a0 = a1 = a2 = b0 = b1 = b2 = zero
        # Two sums in turn, since each addition waits for the one before.
        for n in range(channel, len(d_conv1) - 8, 16):
            d, i = d_conv1[n], np.intp(patch1[n])
            a0 = scaled_add(a0, load8(image, i), d)
            a1 = scaled_add(a1, load8(image, i + width), d)
            a2 = scaled_add(a2, load8(image, i + 2 * width), d)
            d, i = d_conv1[n + 8], np.intp(patch1[n + 8])
            b0 = scaled_add(b0, load8(image, i), d)
            b1 = scaled_add(b1, load8(image, i + width), d)
            b2 = scaled_add(b2, load8(image, i + 2 * width), d)
        store(taps, 0, scaled_add(a0, b0, one))
        store(taps, 8, scaled_add(a1, b1, one))
        store(taps, 16, scaled_add(a2, b2, one))
        for tap in range(9):
            d_weight[tap * 8 + channel] += taps[tap // 3 * 8 + tap % 3]


@stage
def list_alive(pooled1, largest, alive):
    """List the channels of pooled1 that are not zero everywhere in alive int32 (9,); [8]: number.

    After an epoch a quarter to a half of conv1's channels are zero for most images. What they
    would add to conv2 and receive from it is zero: both pass them over. largest (8,) is room.
    """
    most = load8(pooled1, 0)
    for i in range(8, len(pooled1), 8):
        value = load8(pooled1, i)
        most = where(greater(value, most), value, most)
    store(largest, 0, most)
    n = 0
    for channel in range(8):
        alive[n] = channel
        n += largest[channel] != 0
    alive[8] = n


@stage
def arrange_by_tap(weight, by_tap):
    """Write conv2's weights (16, 9, 8) as (9, 8, 16)."""
    for k in range(72):
        for channel in range(16):
            by_tap[k * 16 + channel] = weight[channel * 72 + k]


@inlined
def _pool2_relu(a, b, c, d, i, below, flat, patch, n):
    """Store the relu of the largest at flat[n:], and where its patch starts at patch[n:]."""
    zero = splat8(flat.dtype.type(0))
    best, start = _larger(a, splat8(np.int32(i)), b, i + 8)
    best, start = _larger(best, start, c, i + below)
    best, start = _larger(best, start, d, i + below + 8)
    store(flat, n, where(greater(zero, best), zero, best))
    if patch is not None:
        store(patch, n, start)


@stage
def conv2_pool_relu(x, weight, bias, alive, n_in, flat, patch):
    """x n_in²×8, weight (9, 8, 16), bias (16,) → flat, patch n_out²×16, n_out = (n_in-2) / 2.

    Only the channels of x that `list_alive` listed enter. The 2×2 pixels of a window together:
    their sums (a b / c d, 16 channels in two halves each) stay in registers, and every weight is
    loaded once per window. `patch` as in `conv1_pool_relu`.
    """
    n_out, below = (n_in - 2) // 2, n_in * 8
    bias0, bias1 = load8(bias, 0), load8(bias, 8)
    for row in range(n_out):
        for column in range(n_out):
            a0, a1, b0, b1 = bias0, bias1, bias0, bias1
            c0, c1, d0, d1 = bias0, bias1, bias0, bias1
            start = (row * n_in + column) * 16
            for n in range(alive[8]):
                channel = np.intp(alive[n])
                for tap_row in range(3):
                    for tap_column in range(3):
                        k = ((tap_row * 3 + tap_column) * 8 + channel) * 16
                        w0, w1 = load8(weight, k), load8(weight, k + 8)
                        i = start + channel + tap_column * 8 + tap_row * below
                        a0, a1 = multiply_add(a0, w0, x, i), multiply_add(a1, w1, x, i)
                        b0, b1 = multiply_add(b0, w0, x, i + 8), multiply_add(b1, w1, x, i + 8)
                        i += below
                        c0, c1 = multiply_add(c0, w0, x, i), multiply_add(c1, w1, x, i)
                        d0, d1 = multiply_add(d0, w0, x, i + 8), multiply_add(d1, w1, x, i + 8)
            n = (row * n_out + column) * 16
            _pool2_relu(a0, b0, c0, d0, start, below, flat, patch, n)
            _pool2_relu(a1, b1, c1, d1, start, below, flat, patch, n + 8)


@stage
def relu2_backward(flat, places, wins, n_wins):
    """List where the relu let conv2's winners through, one channel after the other.

    flat (n_places, 16), places int32 (n_places,): where the places start in flat, in the order to
    visit them → for each channel the number of winners, n_wins (16,), and from channel·n_places on
    their indices into flat, wins.
    """
    n_places = len(places)
    for channel in range(16):
        n = channel * n_places
        for place in places:
            wins[n] = place + channel
            n += flat[place + channel] > 0  # no branch: it would often be mispredicted
        n_wins[channel] = n - channel * n_places


@inlined
def _add_patch(t, x, i, below, d):
    """Return nine taps plus d times the 3×3 patch of x that starts at i."""
    j, k = i + below, i + 2 * below
    return (
        scaled_add(t[0], load8(x, i), d),
        scaled_add(t[1], load8(x, i + 8), d),
        scaled_add(t[2], load8(x, i + 16), d),
        scaled_add(t[3], load8(x, j), d),
        scaled_add(t[4], load8(x, j + 8), d),
        scaled_add(t[5], load8(x, j + 16), d),
        scaled_add(t[6], load8(x, k), d),
        scaled_add(t[7], load8(x, k + 8), d),
        scaled_add(t[8], load8(x, k + 16), d),
    )


@stage
def conv2_backward_weight(x, n_in, d_flat, patch2, wins, n_wins, d_weight, d_bias):
    """x n_in²×8; adds to d_weight (16, 9, 8) and d_bias (16,)."""
    n_places, below = len(d_flat) // 16, n_in * 8
    for channel in range(16):
        taps, bias = _load_taps(d_weight, channel * 72), d_bias[channel]
        start = channel * n_places
        for n in range(start, start + n_wins[channel]):
            d = d_flat[wins[n]]
            taps = _add_patch(taps, x, np.intp(patch2[wins[n]]), below, d)
            bias += d
        for tap in range(9):
            store(d_weight, channel * 72 + tap * 8, taps[tap])
        d_bias[channel] = bias


@stage
def conv2_backward_input(weight, n_in, d_flat, patch2, wins, n_wins, d_x):
    """weight (16, 9, 8) → d_x n_in²×8."""
    n_places, below = len(d_flat) // 16, n_in * 8
    d_x[:] = 0
    for channel in range(16):
        start = channel * n_places
        for n in range(start, start + n_wins[channel]):
            d, patch = d_flat[wins[n]], np.intp(patch2[wins[n]])
            for tap in range(9):
                i = patch + tap // 3 * below + tap % 3 * 8
                w = load8(weight, channel * 72 + tap * 8)
                store(d_x, i, scaled_add(load8(d_x, i), w, d))
