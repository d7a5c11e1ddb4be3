"""Each stage of the compiled engine on its own, for the table of stages.

The one place outside the engine that looks into it.
"""

from collections.abc import Callable

import numpy as np
import torch
from numba import njit

from sglib.training.compiled import adam, dense, layers, loop
from sglib.training.compiled.engine import prepare_run, train
from sglib.training.schedule import make_schedule
from sglib.training.settings import Experiment, FitData


def stage_calls(experiment: Experiment, data: FitData) -> dict[str, Callable[[int], None]]:
    """Return for each stage of one training step, in order, a function that runs it n times.

    The layers and weights are those after training on `data`, so that as many units are alive as
    in real training. The first call of each function compiles it. "forward" runs its stages
    together, "evaluation" is the forward pass without a gradient.

    Args:
        experiment: batch size 1; float32.
        data: what to train on.
    """
    run = prepare_run(experiment, data, make_schedule(experiment, len(data.train_images), 0))
    train(run)
    w, g, at, sizes = run.weights, run.grads, run.room, run.sizes
    image, number, head = run.images[0], w.rest.dtype.type, run.is_sigmoid
    kept, scale = np.ones(sizes.n_hidden, dtype=np.uint8), number(1)
    flat, d_hidden = at.flat[0], at.d_hidden[0]
    pool1, n_in, _ = sizes
    winners = (at.d_flat, at.patch2, at.wins, at.n_wins)
    # An untrained error keeps all gradients alive and normal.
    at.d_outputs[:] = (0.01, -0.01)
    at.outputs[:] = 0.5
    calls = {
        "conv1, maxpool1, relu": (
            layers.conv1_pool_relu, image, w.conv1, w.conv1_bias, pool1, n_in, at.pooled1,
            at.patch1,
        ),
        "list alive": (layers.list_alive, at.pooled1, at.taps, at.alive),
        "conv2, maxpool2, relu": (
            layers.conv2_pool_relu, at.pooled1, at.conv2_by_tap, w.conv2_bias, at.alive, n_in,
            flat, at.patch2,
        ),
        "fc1, relu, dropout": (
            dense.fc1_relu_dropout, flat, w.fc1, w.fc1_bias, kept, scale, at.hidden,
        ),
        "fc2, head": (dense.fc2_head, at.hidden, w.fc2, w.fc2_bias, head, at.outputs),
        "forward": (loop.forward, image, w, at, sizes, head, flat, kept, scale),
        "evaluation": (
            loop.evaluate, run.images[:4], run.labels[:4], w, at, sizes, head, np.empty(4),
        ),
        "fc2, head backward": (
            dense.fc2_head_backward, at.hidden, w.fc2, head, at.outputs, scale, at.d_outputs,
            g.fc2, g.fc2_bias, d_hidden,
        ),
        "fc1 backward": (dense.fc1_backward, w.fc1, d_hidden, g.fc1_bias, at.d_flat),
        "relu2 backward": (layers.relu2_backward, flat, at.places, *winners[2:]),
        "conv2 backward, weight": (
            layers.conv2_backward_weight, at.pooled1, n_in, *winners, g.conv2, g.conv2_bias,
        ),
        "conv2 backward, input": (
            layers.conv2_backward_input, w.conv2, n_in, *winners, at.d_pooled1,
        ),
        "relu1 backward": (
            layers.relu1_backward, at.pooled1, at.d_pooled1, at.d_conv1, g.conv1_bias,
        ),
        "conv1 backward": (
            layers.conv1_backward, image, sizes.width, at.alive, at.d_conv1, at.patch1,
            at.taps, g.conv1,
        ),
        "Adam": (adam.update, w, run.m, run.v, g, at, 1000, 1, number(experiment.l2), 1e-12),
    }  # fmt: skip
    return {name: _repeater(*call) for name, call in calls.items()}


def _repeater(stage: Callable, *args: object) -> Callable[[int], None]:
    @njit(nogil=True, _nrt=False)  # as in training
    def repeat(n, *args):
        for _ in range(n):
            stage(*args)

    def call(n: int) -> None:
        torch.set_flush_denormal(True)  # as in training: m of dead units decays without end
        repeat(n, *args)
        torch.set_flush_denormal(False)

    return call
