"""The compiled engine: the paper's protocol on one CPU core, from the same schedule as `train.py`.

`train.py` states the method, this gives the same numbers faster. It holds no state and releases the
GIL, so runs go side by side in threads as well as in processes. The first call on a machine
compiles for some seconds; later processes load the result from Numba's cache.
"""

import dataclasses
import functools
import time

import numpy as np

from sglib import SglibError
from sglib.training.compiled.layout import (
    SIZES,
    Layers,
    Sizes,
    Weights,
    make_layers,
    make_weights,
    pack,
    pad_images,
    unpack,
)
from sglib.training.compiled.loop import train_epochs
from sglib.training.reference import HISTORY, Fit, FitData
from sglib.training.schedule import Schedule
from sglib.training.settings import Experiment

_FLIPS = ("none", "flip_add", "flip_each")


def supports(experiment: Experiment) -> str | None:
    """Return None where this engine applies, else the reason why not."""
    if experiment.model not in SIZES:
        return f"it knows {' and '.join(SIZES)}, not {experiment.model}"
    if experiment.augment not in _FLIPS:
        return f"it mirrors images and knows no other augmentation, {experiment.augment} is one"
    return None


def fit_compiled(
    experiment: Experiment, data: FitData, schedule: Schedule, *, dtype: type = np.float32
) -> Fit:
    """Train one network, as `train.fit_reference` does.

    Args:
        experiment: the settings.
        data: what to train and validate on.
        schedule: from `make_schedule(experiment, len(data.train_images), seed)`.
        dtype: float64 is for comparing engines.

    Raises:
        SglibError: the experiment is not one that this engine does, see `supports`.
        ValueError: data and schedule do not fit together.
    """
    warm_up(dtype=dtype)
    started = time.perf_counter()
    run = prepare_run(experiment, data, schedule, dtype=dtype)
    run.train()
    return Fit(
        history={name: run.history[:, i].copy() for i, name in enumerate(HISTORY)},
        weights=unpack(run.weights, np.float32),
        val_probs=run.val_probs,
        engine="compiled",
        seconds=time.perf_counter() - started,
    )


def first_step(
    experiment: Experiment,
    weights: dict[str, np.ndarray],
    images: np.ndarray,
    labels: np.ndarray,
    *,
    masks: np.ndarray | None = None,
    flips: np.ndarray | None = None,
    dtype: type = np.float64,
) -> tuple[float, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return loss, gradients and new weights of one training step on one mini-batch of B images.

    For holding the engine to PyTorch: it is the step of the training loop and nothing else. The
    gradients, which include λw, are read off Adam's first moment, 0.1 times the gradient.

    Args:
        experiment: model, head, lr, l2, p_drop and scaling count.
        weights: PyTorch parameter name → array.
        images: uint8 (B, 30, 32); labels: int64 (B,).
        masks: uint8 (B, n_hidden), 1 = kept; flips: bool (B,). None: without.
        dtype: float32 or float64.
    """
    n = len(images)
    schedule = Schedule(
        initial=weights,
        order=np.arange(n, dtype=np.int32)[None],
        flips=np.zeros((1, n), dtype=bool) if flips is None else flips[None],
        masks=None if masks is None else masks[None],
    )
    experiment = dataclasses.replace(experiment, n_epochs=1, batch_size=n)
    data = FitData(images, labels, images[:0], labels[:0])
    run = prepare_run(experiment, data, schedule, dtype=dtype)
    run.train()
    gradients = {name: m / dtype(0.1) for name, m in unpack(run.m, dtype).items()}
    return float(run.history[0, 0]), gradients, unpack(run.weights, dtype)


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
    initial = unpack(make_weights(SIZES[experiment.model], dtype.type), dtype.type)
    nothing = np.zeros((0, 1), dtype=np.int32)
    schedule = Schedule(initial, nothing, nothing.astype(bool), None)
    data = FitData(images, labels, images, labels)
    prepare_run(experiment, data, schedule, dtype=dtype.type).train()


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """The arrays of one run, ready for `train_epochs`."""

    experiment: Experiment
    sizes: Sizes
    images: np.ndarray
    labels: np.ndarray
    order: np.ndarray
    masks: np.ndarray
    weights: Weights
    m: Weights
    v: Weights
    grads: Weights
    layers: Layers
    val_images: np.ndarray
    val_labels: np.ndarray
    val_probs: np.ndarray
    history: np.ndarray

    def train(self) -> None:
        """Run all epochs; fills weights, val_probs and history."""
        number = self.weights.rest.dtype.type
        e = self.experiment
        train_epochs(
            self.images, self.labels, self.order, self.masks, self.weights, self.m, self.v,
            self.grads, self.layers, self.sizes, e.head == "sigmoid", e.batch_size, float(e.lr),
            number(e.l2), number(1 / (1 - e.p_drop)), self.val_images, self.val_labels,
            self.val_probs, self.history,
        )  # fmt: skip


def prepare_run(
    experiment: Experiment, data: FitData, schedule: Schedule, *, dtype: type = np.float32
) -> Run:
    """Check the input, on which the compiled code relies, and lay it out; see `fit_compiled`."""
    reason = supports(experiment)
    if reason is not None:
        raise SglibError(f"{experiment.name}: the compiled engine does not apply: {reason}")
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    sizes = SIZES[experiment.model]
    _check(data, schedule, sizes)
    n_train = len(data.train_images)
    images = data.train_images
    if schedule.flips.any():  # the mirrored ones behind the others
        images = np.concatenate([images, images[:, :, ::-1]])
    weights, m, v, grads = (make_weights(sizes, dtype) for _ in range(4))
    pack(schedule.initial, weights)
    masks = np.empty((0, 0, 0)) if schedule.masks is None else schedule.masks
    return Run(
        experiment=experiment,
        sizes=sizes,
        images=pad_images(images, sizes, experiment.scaling, dtype),
        labels=np.ascontiguousarray(data.train_labels, dtype=np.int64),
        order=(schedule.order + n_train * schedule.flips).astype(np.int32, order="C"),
        masks=np.ascontiguousarray(masks, dtype=np.uint8),
        weights=weights,
        m=m,
        v=v,
        grads=grads,
        layers=make_layers(sizes, min(experiment.batch_size, schedule.order.shape[1]), dtype),
        val_images=pad_images(data.val_images, sizes, experiment.scaling, dtype),
        val_labels=np.ascontiguousarray(data.val_labels, dtype=np.int64),
        val_probs=np.empty(len(data.val_images)),
        history=np.empty((len(schedule.order), len(HISTORY))),
    )


def _check(data: FitData, schedule: Schedule, sizes: Sizes) -> None:
    """Raise ValueError where compiled code, which checks no index, would read what is not there."""
    for part in ("train", "val"):
        images, labels = getattr(data, f"{part}_images"), getattr(data, f"{part}_labels")
        if images.shape != (len(labels), 30, 32) or images.dtype != np.uint8:
            raise ValueError(
                f"{part}_images must be uint8 ({len(labels)}, 30, 32), "
                f"got {images.dtype} {images.shape}"
            )
        if not np.isin(labels, (0, 1)).all():
            raise ValueError(f"{part}_labels must be 0 and 1, got {np.unique(labels)}")
    order, n_train = schedule.order, len(data.train_images)
    if order.size and not (order.min() >= 0 and order.max() < n_train):
        raise ValueError(
            f"the schedule's rows must be in [0, {n_train}), got {order.min()} to {order.max()}"
        )
    if schedule.flips.shape != order.shape:
        raise ValueError(f"flips must be {order.shape}, got {schedule.flips.shape}")
    expected = (*order.shape, sizes.n_hidden)
    if schedule.masks is not None and schedule.masks.shape != expected:
        raise ValueError(f"masks must be {expected}, got {schedule.masks.shape}")
