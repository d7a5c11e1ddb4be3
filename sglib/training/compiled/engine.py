"""The compiled engine: the paper's protocol on one CPU core, with the draws of the same schedule.

`training/reference.py` states the method, this gives the same numbers faster. It holds no state
and releases the GIL, so runs go side by side in threads as well as in processes. The first call on
a machine compiles for some seconds; later processes load the result from Numba's cache.

The road not taken: all runs of a study stacked into one (`torch.func.vmap`), on any device. That
multiplies by what is zero, which is most of a trained network.
"""

import functools
import time
from collections import namedtuple

import numpy as np
import torch

from sglib import SglibError
from sglib.training.compiled import layout
from sglib.training.compiled.known import supports
from sglib.training.compiled.loop import train_epochs
from sglib.training.schedule import Schedule
from sglib.training.settings import HISTORY, Experiment, Fit, FitData

Run = namedtuple(  # the arguments of `train_epochs`
    "Run",
    "images labels order masks weights m v grads room sizes is_sigmoid batch_size lr l2 scale"
    " train_probs val_images val_labels val_probs history",
)


def fit_compiled(
    experiment: Experiment,
    data: FitData,
    schedule: Schedule,
    *,
    shuffled: bool = False,
    dtype: type = np.float32,
    history: np.ndarray | None = None,
) -> Fit:
    """Train one network, as `fit_reference` does.

    Args:
        experiment: the settings.
        data: what to train and validate on.
        schedule: from `make_schedule(experiment, len(data.train_images), seed)`.
        shuffled: keep channels and units in another order. It is the same run, but its sums round
            differently: the A/A test of a study. `Fit.engine` is then "compiled-shuffled".
        dtype: float32; float64 is for comparing engines.
        history: float64 (n_epochs, len(HISTORY)), filled epoch by epoch: others may watch it.

    Raises:
        SglibError: the experiment is not one that this engine does, see `supports`.
        ValueError: the schedule is not for this network and these data.
    """
    reason = supports(experiment)
    if reason is not None:
        raise SglibError(f"{experiment.name}: the compiled engine does not apply: {reason}")
    warm_up(dtype=dtype)
    started = time.perf_counter()
    run = prepare_run(experiment, data, schedule, shuffled=shuffled, dtype=dtype)
    run = run if history is None else run._replace(history=history)
    train(run)
    weights = layout.unpack(run.weights, shuffled=shuffled)
    return Fit(
        history={name: run.history[:, i].copy() for i, name in enumerate(HISTORY)},
        weights={name: value.astype(np.float32) for name, value in weights.items()},
        val_probs=run.val_probs,
        engine="compiled-shuffled" if shuffled else "compiled",
        seconds=time.perf_counter() - started,
    )


def warm_up(*, dtype: type = np.float32) -> float:
    """Compile the engine or load it from the cache; return the seconds this took."""
    started = time.perf_counter()
    _run_nothing(np.dtype(dtype))
    return time.perf_counter() - started


@functools.cache
def _run_nothing(dtype: np.dtype) -> None:
    """Run no epoch at all, which compiles the loop for a dtype."""
    experiment = Experiment()
    images, labels = np.zeros((1, 30, 32), dtype=np.uint8), np.zeros(1, dtype=np.int64)
    initial = layout.unpack(layout.make_weights(layout.SIZES[experiment.model], dtype))
    nothing = np.zeros((0, 1), dtype=np.int32)
    schedule = Schedule(initial, nothing, nothing.astype(bool), None)
    train(prepare_run(experiment, FitData(images, labels, images, labels), schedule, dtype=dtype))


def train(run: Run) -> None:
    """Run all epochs in place.

    Numbers below 1e-38 can cost a processor a hundred times the time of others, and late in
    training the moments of Adam decay through that range by the thousand. Flushing them to zero, in
    this thread until the end of the run, changes nothing that matters next to Adam's eps = 1e-8.
    """
    torch.set_flush_denormal(True)
    try:
        train_epochs(*run)
    finally:
        torch.set_flush_denormal(False)


def prepare_run(
    experiment: Experiment,
    data: FitData,
    schedule: Schedule,
    *,
    shuffled: bool = False,
    dtype: type = np.float32,
) -> Run:
    """Lay out what the compiled code works on; see `fit_compiled`."""
    sizes, number = layout.SIZES[experiment.model], np.dtype(dtype).type
    n_train, (n_epochs, n_samples) = len(data.train_images), schedule.order.shape
    # Compiled code checks no index: it would read what is not there.
    all_masks = (n_epochs, n_samples, sizes.n_hidden)
    if schedule.order.max(initial=0) >= n_train:
        raise ValueError(f"the schedule is for more than {n_train} images")
    if schedule.masks is not None and schedule.masks.shape != all_masks:
        raise ValueError(f"masks must be {all_masks}, got {schedule.masks.shape}")
    images = data.train_images
    if schedule.flips.any():  # the mirrored ones behind the others
        images = np.concatenate([images, images[:, :, ::-1]])
    masks = np.empty((0, 0, 0), np.uint8)  # without dropout
    if schedule.masks is not None:
        masks = schedule.masks[..., np.argsort(layout.order_of(sizes.n_hidden, shuffled))]
    return Run(
        images=layout.pad_images(images, sizes, experiment.scaling, dtype),
        labels=np.ascontiguousarray(data.train_labels, dtype=np.int64),
        order=(schedule.order + n_train * schedule.flips).astype(np.int32, order="C"),
        masks=np.ascontiguousarray(masks, dtype=np.uint8),
        weights=layout.pack(schedule.initial, sizes, dtype, shuffled=shuffled),
        m=layout.make_weights(sizes, dtype),  # Adam's moments
        v=layout.make_weights(sizes, dtype),
        grads=layout.make_weights(sizes, dtype),
        room=layout.make_room(sizes, min(experiment.batch_size, n_samples), dtype),
        sizes=sizes,
        is_sigmoid=experiment.head == "sigmoid",
        batch_size=experiment.batch_size,
        lr=float(experiment.lr),
        l2=number(experiment.l2),
        scale=number(1 / (1 - experiment.p_drop)),  # of what dropout keeps
        train_probs=np.empty(n_train),  # room
        val_images=layout.pad_images(data.val_images, sizes, experiment.scaling, dtype),
        val_labels=np.ascontiguousarray(data.val_labels, dtype=np.int64),
        val_probs=np.empty(len(data.val_images)),  # filled after every epoch
        history=np.empty((n_epochs, len(HISTORY))),
    )
