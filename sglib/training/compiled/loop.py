"""The training loop of the compiled engine, in Numba: batches, steps, evaluation per epoch."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
from numba import njit

from sglib.training.compiled import dense, layers
from sglib.training.compiled.adam import update
from sglib.training.compiled.lanes import OPTIONS


@njit(**OPTIONS)
def convolutions(image, w, room, sizes, flat, patch1, patch2):
    """Fill the layers from one image, up to `flat`; the patches are None in an evaluation."""
    pool1, n_pooled1, _ = sizes
    pooled1, alive = room.pooled1, room.alive
    layers.conv1_pool_relu(image, w.conv1, w.conv1_bias, pool1, n_pooled1, pooled1, patch1)
    layers.list_alive(pooled1, room.taps, alive)
    layers.conv2_pool_relu(pooled1, room.conv2_by_tap, w.conv2_bias, alive, n_pooled1, flat, patch2)


@njit(**OPTIONS)
def forward(image, w, room, sizes, is_sigmoid, flat, kept, scale):
    """Fill the layers from one image, up to the two outputs, with dropout."""
    convolutions(image, w, room, sizes, flat, room.patch1, room.patch2)
    dense.fc1_relu_dropout(flat, w.fc1, w.fc1_bias, kept, scale, room.hidden)
    dense.fc2_head(room.hidden, w.fc2, w.fc2_bias, is_sigmoid, room.outputs)


@njit(**OPTIONS)
def backward(image, w, room, sizes, is_sigmoid, flat, d_hidden, scale, grads):
    """Add one image's gradients to `grads`, from its d_outputs; fc1's weights wait for `update`."""
    pool1, n_in, _ = sizes
    pooled1, alive, hidden = room.pooled1, room.alive, room.hidden
    d_outputs, d_flat, d_conv1 = room.d_outputs, room.d_flat, room.d_conv1
    patch2, wins, n_wins = room.patch2, room.wins, room.n_wins
    dense.fc2_head_backward(
        hidden, w.fc2, is_sigmoid, room.outputs, scale, d_outputs, grads.fc2, grads.fc2_bias,
        d_hidden,
    )  # fmt: skip
    dense.fc1_backward(w.fc1, d_hidden, grads.fc1_bias, d_flat)
    layers.relu2_backward(flat, room.places, wins, n_wins)
    d_bias = grads.conv2_bias
    layers.conv2_backward_weight(pooled1, n_in, d_flat, patch2, wins, n_wins, grads.conv2, d_bias)
    layers.conv2_backward_input(w.conv2, n_in, d_flat, patch2, wins, n_wins, room.d_pooled1)
    layers.relu1_backward(pooled1, room.d_pooled1, d_conv1, grads.conv1_bias)
    width = n_in * pool1 + 2
    layers.conv1_backward(image, width, alive, d_conv1, room.patch1, room.taps, grads.conv1)


@njit(**OPTIONS)
def evaluate(images, labels, w, room, sizes, is_sigmoid, probs):
    """Return mean loss and accuracy, dropout off; fill probs (N,) of sunglasses."""
    flat, hidden, outputs = room.flat_of_four, room.hidden_of_four, room.outputs
    loss, n_right = 0.0, 0
    for first in range(0, len(labels), 4):
        last = min(first + 4, len(labels))
        for i in range(first, last):
            convolutions(images[i], w, room, sizes, flat[i - first], None, None)
        dense.fc1_relu_of_four(flat, w.fc1, w.fc1_bias, hidden)
        for i in range(first, last):
            dense.fc2_head(hidden[i - first], w.fc2, w.fc2_bias, is_sigmoid, outputs)
            loss += dense.cross_entropy(outputs, labels[i], room.d_outputs)
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
        images, labels, order, masks, weights, m, v, grads, room, sizes, is_sigmoid, batch_size,
        lr, l2, scale, train_probs, val_images, val_labels, val_probs, history,
    ):  # fmt: skip
        _ = sources
        n_train = len(labels)
        n_epochs, n_samples = order.shape
        step = 0
        layers.arrange_by_tap(weights.conv2, room.conv2_by_tap)
        for epoch in range(n_epochs):
            loss_sum, n_right = 0.0, 0
            for first in range(0, n_samples, batch_size):
                n_batch = min(batch_size, n_samples - first)
                grads.rest[:] = 0
                for b in range(n_batch):
                    image = images[order[epoch, first + b]]
                    label = labels[order[epoch, first + b] % n_train]
                    kept = masks[epoch, first + b] if masks.size else room.all_kept
                    flat, d_hidden = room.flat[b], room.d_hidden[b]
                    forward(image, weights, room, sizes, is_sigmoid, flat, kept, scale)
                    loss_sum += dense.cross_entropy(room.outputs, label, room.d_outputs)
                    n_right += (room.outputs[1] > room.outputs[0]) == (label == 1)
                    for i in range(2):  # the batch's loss is the mean
                        room.d_outputs[i] /= n_batch
                    backward(image, weights, room, sizes, is_sigmoid, flat, d_hidden, scale, grads)
                step += 1
                update(weights, m, v, grads, room, step, n_batch, l2, lr)
            history[epoch, 0] = loss_sum / n_samples
            history[epoch, 1] = n_right / n_samples
            history[epoch, 2], history[epoch, 3] = evaluate(
                images[:n_train], labels, weights, room, sizes, is_sigmoid, train_probs
            )
            history[epoch, 4], history[epoch, 5] = evaluate(
                val_images, val_labels, weights, room, sizes, is_sigmoid, val_probs
            )

    # The loop keeps no array beyond a call, so it need not count references, nor does what it
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
"""Train in place, with the fields of an `engine.Run`; releases the GIL."""
