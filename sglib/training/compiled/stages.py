"""Each stage of the compiled engine on its own, for the benchmarks' table of stages."""

from collections.abc import Callable

import numpy as np
from numba import njit

from sglib.training.compiled import adam, backward, forward, loop
from sglib.training.compiled.engine import prepare_run
from sglib.training.compiled.lanes import flush_denormals, restore_denormals
from sglib.training.reference import FitData
from sglib.training.schedule import make_schedule
from sglib.training.settings import Experiment


def stage_calls(experiment: Experiment, data: FitData) -> dict[str, Callable[[int], None]]:
    """Return for each stage of one training step, in order, a function that runs it n times.

    The layers and weights are those after one epoch on `data`, so that as many units are alive as
    in real training. The first call of each function compiles it. "forward", "backward" and
    "update" run their stages together; "step" is all three.

    Args:
        experiment: batch size 1; float32.
        data: what to train on.
    """
    run = prepare_run(experiment, data, make_schedule(experiment, len(data.train_images), 0))
    run.train()
    w, g, layers, sizes = run.weights, run.grads, run.layers, run.sizes
    image, number = run.images[0], w.rest.dtype.type
    is_sigmoid = experiment.head == "sigmoid"
    kept, scale = np.ones(sizes.n_hidden, dtype=np.uint8), number(1)
    flat, d_hidden = layers.flat[0], layers.d_hidden[0]
    n_conv1, pool1, n_pooled1, n_conv2, n_pooled2, _ = sizes
    winners = (layers.d_flat, layers.patch2, layers.wins, layers.n_wins)
    whole = (image, w, layers, sizes, is_sigmoid, flat)
    # An untrained error keeps all gradients alive and normal.
    layers.d_outputs[:] = (0.01, -0.01)
    layers.outputs[:] = 0.5
    calls = {
        "conv1": (forward.conv1, image, w.conv1, w.conv1_bias, n_conv1, layers.conv1),
        "maxpool1, relu": (
            forward.maxpool1_relu, layers.conv1, n_conv1, pool1, n_pooled1, layers.pooled1,
            layers.patch1,
        ),
        "list alive": (forward.list_alive, layers.pooled1, layers.alive),
        "conv2": (
            forward.conv2, layers.pooled1, layers.conv2_by_tap, w.conv2_bias, layers.alive,
            n_pooled1, layers.conv2,
        ),
        "maxpool2, relu": (
            forward.maxpool2_relu, layers.conv2, n_conv2, n_pooled2, flat, layers.patch2,
        ),
        "fc1, relu, dropout": (
            forward.fc1_relu_dropout, flat, w.fc1, w.fc1_bias, kept, scale, layers.hidden,
        ),
        "fc2": (forward.fc2, layers.hidden, w.fc2, w.fc2_bias, layers.outputs),
        "forward": (loop.forward, *whole, kept, scale),
        "fc2 backward": (
            backward.fc2_backward, layers.hidden, w.fc2, scale, layers.d_outputs, g.fc2,
            g.fc2_bias, d_hidden,
        ),
        "fc1 backward": (backward.fc1_backward, w.fc1, d_hidden, g.fc1_bias, layers.d_flat),
        "maxpool2, relu backward": (backward.maxpool2_relu_backward, flat, n_pooled2, *winners[2:]),
        "conv2 backward, weight": (
            backward.conv2_backward_weight, layers.pooled1, n_pooled1, *winners, g.conv2,
            g.conv2_bias,
        ),
        "conv2 backward, input": (
            backward.conv2_backward_input, w.conv2, n_pooled1, *winners, layers.d_pooled1,
        ),
        "maxpool1, relu backward": (
            backward.maxpool1_relu_backward, layers.pooled1, layers.d_pooled1, g.conv1_bias,
        ),
        "conv1 backward": (
            backward.conv1_backward, image, n_conv1, layers.alive, layers.d_pooled1, layers.patch1,
            layers.d_taps, g.conv1,
        ),
        "Adam": (
            adam.update, w, run.m, run.v, g, layers, 1000, 1, number(experiment.l2), 1e-12,
        ),
    }  # fmt: skip
    return {name: _repeater(*call) for name, call in calls.items()}


def _repeater(stage: Callable, *args: object) -> Callable[[int], None]:
    @njit(nogil=True)
    def repeat(n, *args):
        state = flush_denormals()  # as in training; here m of dead units decays without end
        for _ in range(n):
            stage(*args)
        restore_denormals(state)

    return lambda n: repeat(n, *args)
