"""The training loop of the compiled engine, in Numba: batches, steps, evaluation per epoch."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numba import njit

from sglib.training.compiled.adam import update
from sglib.training.compiled.backward import (
    conv1_backward,
    conv2_backward_input,
    conv2_backward_weight,
    fc1_backward,
    fc2_backward,
    head_backward,
    maxpool1_relu_backward,
    maxpool2_relu_backward,
)
from sglib.training.compiled.forward import (
    arrange_by_tap,
    conv1,
    conv2,
    cross_entropy,
    fc1_relu_dropout,
    fc2,
    head,
    list_alive,
    maxpool1_relu,
    maxpool2_relu,
)
from sglib.training.compiled.lanes import flush_denormals, restore_denormals


@njit(error_model="numpy", no_cpython_wrapper=True)
def forward(image, weights, layers, sizes, is_sigmoid, flat, kept, scale):
    """Fill the layers from one image, up to the two outputs."""
    n_conv1, pool1, n_pooled1, n_conv2, n_pooled2, _ = sizes
    conv1(image, weights.conv1, weights.conv1_bias, n_conv1, layers.conv1)
    maxpool1_relu(layers.conv1, n_conv1, pool1, n_pooled1, layers.pooled1, layers.patch1)
    list_alive(layers.pooled1, layers.alive)
    conv2(
        layers.pooled1, layers.conv2_by_tap, weights.conv2_bias, layers.alive, n_pooled1,
        layers.conv2,
    )  # fmt: skip
    maxpool2_relu(layers.conv2, n_conv2, n_pooled2, flat, layers.patch2)
    fc1_relu_dropout(flat, weights.fc1, weights.fc1_bias, kept, scale, layers.hidden)
    fc2(layers.hidden, weights.fc2, weights.fc2_bias, layers.outputs)
    head(layers.outputs, is_sigmoid)


@njit(error_model="numpy", no_cpython_wrapper=True)
def backward(image, weights, layers, sizes, is_sigmoid, flat, d_hidden, scale, grads):
    """Add one image's gradients to `grads`, from its d_outputs; fc1's weights wait for `update`."""
    n_conv1, _, n_pooled1, _, n_pooled2, _ = sizes
    d_outputs, d_flat, patch2 = layers.d_outputs, layers.d_flat, layers.patch2
    wins, n_wins = layers.wins, layers.n_wins
    head_backward(layers.outputs, is_sigmoid, d_outputs)
    fc2_backward(layers.hidden, weights.fc2, scale, d_outputs, grads.fc2, grads.fc2_bias, d_hidden)
    fc1_backward(weights.fc1, d_hidden, grads.fc1_bias, d_flat)
    maxpool2_relu_backward(flat, n_pooled2, wins, n_wins)
    conv2_backward_weight(
        layers.pooled1, n_pooled1, d_flat, patch2, wins, n_wins, grads.conv2, grads.conv2_bias
    )
    conv2_backward_input(weights.conv2, n_pooled1, d_flat, patch2, wins, n_wins, layers.d_pooled1)
    maxpool1_relu_backward(layers.pooled1, layers.d_pooled1, grads.conv1_bias)
    conv1_backward(
        image, n_conv1, layers.alive, layers.d_pooled1, layers.patch1, layers.d_taps, grads.conv1
    )


@njit(error_model="numpy", no_cpython_wrapper=True)
def evaluate(images, labels, weights, layers, sizes, is_sigmoid, kept, probs):
    """Return mean loss and accuracy, dropout off; fill probs (N,) of sunglasses."""
    loss, n_right = 0.0, 0
    for i in range(len(labels)):
        forward(
            images[i], weights, layers, sizes, is_sigmoid, layers.flat[0], kept,
            weights.rest.dtype.type(1),
        )  # fmt: skip
        loss += cross_entropy(layers.outputs, labels[i], layers.d_outputs)
        difference = np.float64(layers.outputs[0]) - np.float64(layers.outputs[1])
        n_right += (difference < 0) == (labels[i] == 1)  # equal outputs: class 0
        probs[i] = 1 / (1 + np.exp(difference))
    return loss / len(labels), n_right / len(labels)  # NaN without images


def _cached_entry(sources: str) -> Callable[..., None]:
    """Return the compiled loop, kept on disk where the package's or the user's cache is writable.

    Numba recompiles when this file changes, but does not look at the modules this one calls. What
    a function closes over is part of the key: hence `sources`, a digest of them all.
    """

    def train_epochs(
        images, labels, order, masks, weights, m, v, grads, layers, sizes, is_sigmoid, batch_size,
        lr, l2, scale, val_images, val_labels, val_probs, history,
    ):  # fmt: skip
        _ = sources
        state = flush_denormals()
        n_train = len(labels)
        n_epochs, n_samples = order.shape
        all_kept = np.ones(sizes.n_hidden, dtype=np.uint8)
        train_probs = np.empty(n_train)
        step = 0
        arrange_by_tap(weights.conv2, layers.conv2_by_tap)
        for epoch in range(n_epochs):
            loss_sum, n_right = 0.0, 0
            for first in range(0, n_samples, batch_size):
                n_batch = min(batch_size, n_samples - first)
                grads.rest[:] = 0
                for b in range(n_batch):
                    image = images[order[epoch, first + b]]
                    label = labels[order[epoch, first + b] % n_train]
                    kept = masks[epoch, first + b] if masks.size else all_kept
                    flat, d_hidden = layers.flat[b], layers.d_hidden[b]
                    forward(image, weights, layers, sizes, is_sigmoid, flat, kept, scale)
                    loss_sum += cross_entropy(layers.outputs, label, layers.d_outputs)
                    n_right += (layers.outputs[1] > layers.outputs[0]) == (label == 1)
                    for i in range(2):  # the batch's loss is the mean
                        layers.d_outputs[i] /= n_batch
                    backward(
                        image, weights, layers, sizes, is_sigmoid, flat, d_hidden, scale, grads
                    )
                step += 1
                update(weights, m, v, grads, layers, step, n_batch, l2, lr)
            history[epoch, 0] = loss_sum / n_samples
            history[epoch, 1] = n_right / n_samples
            history[epoch, 2], history[epoch, 3] = evaluate(
                images[:n_train], labels, weights, layers, sizes, is_sigmoid, all_kept, train_probs
            )
            history[epoch, 4], history[epoch, 5] = evaluate(
                val_images, val_labels, weights, layers, sizes, is_sigmoid, all_kept, val_probs
            )
        restore_denormals(state)

    try:
        return njit(nogil=True, cache=True, error_model="numpy")(train_epochs)
    except RuntimeError:  # no place to keep it: compile in every process
        return njit(nogil=True, error_model="numpy")(train_epochs)


_PARTS = ("adam", "backward", "forward", "lanes", "layout")
_SOURCES = b"".join(Path(__file__).with_name(f"{p}.py").read_bytes() for p in _PARTS)
train_epochs = _cached_entry(hashlib.sha256(_SOURCES).hexdigest())
"""Train in place; releases the GIL.

Args:
    images: (N, …) rows from `pad_images`, or (2N, …) with the N mirrored ones behind.
    labels: int64 (N,).
    order: int32 (n_epochs, S), rows of `images`.
    masks: uint8 (n_epochs, S, n_hidden), or of size 0 without dropout.
    weights, m, v, grads: `Weights`; m and v are Adam's moments, zeros.
    layers, sizes: `Layers` of at least batch_size, `Sizes`.
    is_sigmoid: the head.
    batch_size, lr: int and float.
    l2, scale: of the weights' dtype; scale = 1 / (1 - p_drop).
    val_images, val_labels: as the first, possibly empty.
    val_probs: float64 (n_val,), filled after every epoch.
    history: float64 (n_epochs, 6), filled in the order of `train.HISTORY`.
"""
