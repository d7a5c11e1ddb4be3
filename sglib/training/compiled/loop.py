"""The training loop of the compiled engine, in Numba: batches, steps, evaluation per epoch."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
from numba import njit

from sglib.training.compiled.adam import update
from sglib.training.compiled.dense import (
    cross_entropy,
    fc1_backward,
    fc1_relu_dropout,
    fc1_relu_of_four,
    fc2,
    fc2_backward,
    head,
    head_backward,
)
from sglib.training.compiled.layers import (
    arrange_by_tap,
    conv1_backward,
    conv1_pool_relu,
    conv2_backward_input,
    conv2_backward_weight,
    conv2_pool_relu,
    list_alive,
    relu1_backward,
    relu2_backward,
)


@njit(error_model="numpy", no_cpython_wrapper=True)
def convolutions(image, weights, layers, sizes, flat, patch1, patch2):
    """Fill the layers from one image, up to `flat`; the patches are None in an evaluation."""
    pool1, n_pooled1, _ = sizes
    pooled1, alive = layers.pooled1, layers.alive
    conv1_pool_relu(image, weights.conv1, weights.conv1_bias, pool1, n_pooled1, pooled1, patch1)
    list_alive(pooled1, alive)
    by_tap = layers.conv2_by_tap
    conv2_pool_relu(pooled1, by_tap, weights.conv2_bias, alive, n_pooled1, flat, patch2)


@njit(error_model="numpy", no_cpython_wrapper=True)
def forward(image, weights, layers, sizes, is_sigmoid, flat, kept, scale):
    """Fill the layers from one image, up to the two outputs, with dropout."""
    convolutions(image, weights, layers, sizes, flat, layers.patch1, layers.patch2)
    fc1_relu_dropout(flat, weights.fc1, weights.fc1_bias, kept, scale, layers.hidden)
    fc2(layers.hidden, weights.fc2, weights.fc2_bias, layers.outputs)
    head(layers.outputs, is_sigmoid)


@njit(error_model="numpy", no_cpython_wrapper=True)
def backward(image, weights, layers, sizes, is_sigmoid, flat, d_hidden, scale, grads):
    """Add one image's gradients to `grads`, from its d_outputs; fc1's weights wait for `update`."""
    pool1, n_pooled1, _ = sizes
    pooled1, alive, hidden = layers.pooled1, layers.alive, layers.hidden
    d_outputs, d_flat, d_pooled1 = layers.d_outputs, layers.d_flat, layers.d_pooled1
    patch2, wins, n_wins = layers.patch2, layers.wins, layers.n_wins
    head_backward(layers.outputs, is_sigmoid, d_outputs)
    fc2_backward(hidden, weights.fc2, scale, d_outputs, grads.fc2, grads.fc2_bias, d_hidden)
    fc1_backward(weights.fc1, d_hidden, grads.fc1_bias, d_flat)
    relu2_backward(flat, layers.places, wins, n_wins)
    conv2_backward_weight(
        pooled1, n_pooled1, d_flat, patch2, wins, n_wins, grads.conv2, grads.conv2_bias
    )
    conv2_backward_input(weights.conv2, n_pooled1, d_flat, patch2, wins, n_wins, d_pooled1)
    relu1_backward(pooled1, d_pooled1, layers.d_conv1, grads.conv1_bias)
    width = n_pooled1 * pool1 + 2
    conv1_backward(image, width, alive, layers.d_conv1, layers.patch1, layers.d_taps, grads.conv1)


@njit(error_model="numpy", no_cpython_wrapper=True)
def evaluate(images, labels, weights, layers, sizes, is_sigmoid, probs):
    """Return mean loss and accuracy, dropout off; fill probs (N,) of sunglasses."""
    flat, hidden, outputs = layers.flat_of_four, layers.hidden_of_four, layers.outputs
    loss, n_right = 0.0, 0
    for first in range(0, len(labels), 4):
        last = min(first + 4, len(labels))
        for i in range(first, last):
            convolutions(images[i], weights, layers, sizes, flat[i - first], None, None)
        fc1_relu_of_four(flat, weights.fc1, weights.fc1_bias, hidden)
        for i in range(first, last):
            fc2(hidden[i - first], weights.fc2, weights.fc2_bias, outputs)
            head(outputs, is_sigmoid)
            loss += cross_entropy(outputs, labels[i], layers.d_outputs)
            difference = np.float64(outputs[0]) - np.float64(outputs[1])
            n_right += (difference < 0) == (labels[i] == 1)  # equal outputs: class 0
            probs[i] = 1 / (1 + np.exp(difference))
    return loss / len(labels), n_right / len(labels)  # NaN without images


def _cached_entry(sources: str) -> Callable[..., None]:
    """Return the compiled loop, kept on disk in a folder of the user's own.

    Numba recompiles when this file changes, but does not look at the modules this one calls. What
    a function closes over is part of the key: hence `sources`, a digest of them all.
    """

    def train_epochs(
        images, labels, order, masks, weights, m, v, grads, layers, sizes, is_sigmoid, batch_size,
        lr, l2, scale, train_probs, val_images, val_labels, val_probs, history,
    ):  # fmt: skip
        _ = sources
        n_train = len(labels)
        n_epochs, n_samples = order.shape
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
                    kept = masks[epoch, first + b] if masks.size else layers.all_kept
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
                images[:n_train], labels, weights, layers, sizes, is_sigmoid, train_probs
            )
            history[epoch, 4], history[epoch, 5] = evaluate(
                val_images, val_labels, weights, layers, sizes, is_sigmoid, val_probs
            )

    # The loop keeps no array beyond a call, so it need not count references, here and in what it
    # calls: that is a tenth of a step.
    options = {"nogil": True, "error_model": "numpy", "_nrt": False}
    before = numba.config.CACHE_DIR
    try:
        # Not beside the sources, where others who share the checkout would load what one wrote.
        numba.config.CACHE_DIR = before or str(_cache_dir())
        return njit(cache=True, **options)(train_epochs)
    except RuntimeError:  # no place to keep it: compile in every process
        return njit(**options)(train_epochs)
    finally:
        numba.config.CACHE_DIR = before


def _cache_dir() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sglib"


_SOURCES = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
train_epochs = _cached_entry(hashlib.sha256(_SOURCES).hexdigest())
"""Train in place, with the fields of a `layout.Run`; releases the GIL."""
