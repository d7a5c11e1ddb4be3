"""Adam in the compiled engine: one step of all weights, in Numba.

Source: `torch.optim.Adam` with weight_decay, β1 = 0.9, β2 = 0.999, eps = 1e-8.
"""

import numpy as np
from numba import njit

from sglib.training.compiled.lanes import FASTMATH, OPTIONS, stage
from sglib.training.compiled.layers import arrange_by_tap

# After so many steps without a gradient the first moment is 0.9³⁰⁰ = 2e-14 of what it was and moves
# no weight any more.
N_IDLE = 300


# In Adam's quotient, x / y may become x · (1 / y) refined to float32 precision, and the
# denominator (at least eps) is taken as finite. Worth 3 µs of a step.
@njit(**OPTIONS, fastmath=FASTMATH | {"arcp", "ninf"})
def adam(weight, m, v, gradient, factor, l2, lr, eps):
    """Move weights (n,) and their moments m, v (n,) by one step of Adam, in place.

    The gradient is gradient · factor + l2 · weight. `lr` and `eps` come with the bias corrections
    c1 = 1 - β1ᵗ, c2 = 1 - β2ᵗ multiplied in: lr·√c2/c1 and eps·√c2. That is PyTorch's
    lr/c1 · m / (√v/√c2 + eps), with one root less.
    """
    beta1, beta2 = weight.dtype.type(0.1), weight.dtype.type(0.001)  # 1 - β1, 1 - β2
    for i in range(len(gradient)):
        g = gradient[i] * factor + l2 * weight[i]
        m[i] += (g - m[i]) * beta1
        v[i] += (g * g - v[i]) * beta2
        weight[i] -= lr * m[i] / (np.sqrt(v[i]) + eps)


@stage
def fc1_row_gradient(unit, d_hidden, flat, d_row):
    """d_hidden (B, n_hidden), flat (B, n_flat) → d_row (n_flat,), the weights into `unit`."""
    d_row[:] = 0
    for b in range(len(flat)):
        d = d_hidden[b, unit]
        for i in range(len(d_row)):
            d_row[i] += d * flat[b, i]


@stage
def adam_fc1(weight, m, v, d_hidden, flat, idle, d_row, l2, lr, eps):
    """Take a step for fc1's weights, unit by unit.

    Three quarters of the units die in the paper's first epoch: the relu is shut for every image,
    and without λ their gradient is zero for good. After `N_IDLE` steps without a gradient a unit
    is passed over, and the decay of its moments waits for its next gradient.

    Args:
        weight, m, v: (n_hidden, n_flat).
        d_hidden, flat: (B, n_hidden) and (B, n_flat) of the mini-batch.
        idle: int64 (n_hidden,), for how many steps the unit had no gradient; kept up to date.
        d_row: room for (n_flat,).
        l2, lr, eps: see `adam`.
    """
    number = weight.dtype.type
    for unit in range(len(weight)):
        has_gradient = l2 != 0
        for b in range(len(flat)):
            has_gradient |= d_hidden[b, unit] != 0
        n_missed = idle[unit] - N_IDLE
        idle[unit] = 0 if has_gradient else idle[unit] + 1
        if n_missed >= 0 and not has_gradient:
            continue
        if n_missed > 0:
            decay_m, decay_v = number(0.9**n_missed), number(0.999**n_missed)
            for i in range(weight.shape[1]):
                m[unit, i] *= decay_m
                v[unit, i] *= decay_v
        if len(flat) == 1:  # the gradient is one number times the input: no need to store it
            adam(weight[unit], m[unit], v[unit], flat[0], d_hidden[0, unit], l2, lr, eps)
        else:
            fc1_row_gradient(unit, d_hidden, flat, d_row)
            adam(weight[unit], m[unit], v[unit], d_row, number(1), l2, lr, eps)


@njit(**OPTIONS)
def update(weights, m, v, grads, room, step, n_batch, l2, lr):
    """Take Adam's step number `step` (from 1) for all weights, from a mini-batch's gradients."""
    number = weights.rest.dtype.type
    c1, c2 = 1 - 0.9**step, 1 - 0.999**step
    lr_step, eps_step = number(lr * np.sqrt(c2) / c1), number(1e-8 * np.sqrt(c2))
    adam(weights.rest, m.rest, v.rest, grads.rest, number(1), l2, lr_step, eps_step)
    adam_fc1(
        weights.fc1, m.fc1, v.fc1, room.d_hidden[:n_batch], room.flat[:n_batch], room.idle,
        room.d_row, l2, lr_step, eps_step,
    )  # fmt: skip
    arrange_by_tap(weights.conv2, room.conv2_by_tap)
