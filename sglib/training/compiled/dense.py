"""The layers behind the convolutions and the loss, forward and backward, for one image, in Numba.

Paper §3.2 and formula 1 without its λ, which adam.py adds.
"""

import math

from sglib.training.compiled.lanes import stage


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
def fc1_backward(weight, d_hidden, d_bias, d_flat):
    """Add to d_bias (n_hidden,); fill d_flat (n_flat,). For the weights see adam.py."""
    n_flat = len(d_flat)
    d_flat[:] = 0
    for unit in range(len(d_hidden)):
        d = d_hidden[unit]
        d_bias[unit] += d
        if d != 0:
            for i in range(n_flat):
                d_flat[i] += d * weight[unit, i]


@stage
def fc1_relu_of_four(flat, weight, bias, hidden):
    """flat (4, n_flat) of four images → hidden (4, n_hidden), without dropout, for evaluation.

    Every weight is loaded once for four images.
    """
    for unit in range(len(weight)):
        a = b = c = d = bias[unit]
        for i in range(flat.shape[1]):
            w = weight[unit, i]
            a += w * flat[0, i]
            b += w * flat[1, i]
            c += w * flat[2, i]
            d += w * flat[3, i]
        hidden[0, unit] = 0 if a < 0 else a
        hidden[1, unit] = 0 if b < 0 else b
        hidden[2, unit] = 0 if c < 0 else c
        hidden[3, unit] = 0 if d < 0 else d


@stage
def fc2_head(hidden, weight, bias, is_sigmoid, outputs):
    """hidden (n_hidden,), weight (2, n_hidden) → outputs (2,), logits or behind the sigmoid."""
    n_hidden, one = len(hidden), hidden.dtype.type(1)
    for output in range(2):
        total = hidden.dtype.type(0)
        for unit in range(n_hidden):
            total += weight[output * n_hidden + unit] * hidden[unit]
        total += bias[output]
        outputs[output] = one / (one + math.exp(-total)) if is_sigmoid else total


@stage
def fc2_head_backward(
    hidden, weight, is_sigmoid, outputs, scale, d_outputs, d_weight, d_bias, d_hidden
):
    """Add to d_weight (2, n_hidden) and d_bias (2,); fill d_hidden before dropout and relu."""
    n_hidden, one = len(hidden), hidden.dtype.type(1)
    if is_sigmoid:
        for i in range(2):
            d_outputs[i] *= (one - outputs[i]) * outputs[i]
    d0, d1 = d_outputs[0], d_outputs[1]
    d_bias[0] += d0
    d_bias[1] += d1
    for unit in range(n_hidden):
        d_weight[unit] += d0 * hidden[unit]
        d_weight[n_hidden + unit] += d1 * hidden[unit]
        total = (d0 * weight[unit] + d1 * weight[n_hidden + unit]) * scale
        d_hidden[unit] = total if hidden[unit] > 0 else 0  # dropped and negative units are 0


@stage
def cross_entropy(outputs, label, d_outputs):
    """Return the loss of outputs (2,); fill its gradient, softmax(outputs) - onehot(label)."""
    top = max(outputs[0], outputs[1])
    e0, e1 = math.exp(outputs[0] - top), math.exp(outputs[1] - top)
    d_outputs[0], d_outputs[1] = e0 / (e0 + e1), e1 / (e0 + e1)
    d_outputs[label] -= outputs.dtype.type(1)
    return math.log(e0 + e1) - (outputs[label] - top)
