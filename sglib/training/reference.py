"""The reference engine: a readable PyTorch loop that states the method.

Source: paper §4.1. Any network, any device; the compiled engine does the same faster for the
paper's two on a CPU and is held to this.
"""

import contextlib
import functools
import importlib
import sys
import time
import types
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sglib.data.augment import METHODS, flip
from sglib.models.networks import build
from sglib.training.schedule import Schedule
from sglib.training.settings import HISTORY, Experiment, Fit, FitData, scale_pixels


class _Outside(types.ModuleType):
    """Stands in for torch's compiler, which an optimizer imports only to tell it to stay out.

    That import takes two seconds of every process. Whoever asks for more gets the real one.
    """

    def __init__(self) -> None:
        super().__init__("torch._dynamo")
        self.disable, self.graph_break = (lambda function, *_, **__: function), (lambda: None)

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        sys.modules.pop(self.__name__, None)
        return getattr(importlib.import_module(self.__name__), name)


@contextlib.contextmanager
def without_compiler() -> Iterator[None]:
    """Keep the optimizers of PyTorch from importing its compiler, if that has not happened yet."""
    stand_in = _Outside()
    there = sys.modules.setdefault(stand_in.__name__, stand_in)
    try:
        yield
    finally:
        if there is stand_in and sys.modules.get(stand_in.__name__) is stand_in:
            del sys.modules[stand_in.__name__]


ADAM = functools.partial(torch.optim.Adam, fused=True)


@without_compiler()
@torch.random.fork_rng(devices=[])
def fit_reference(
    experiment: Experiment,
    data: FitData,
    schedule: Schedule,
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    make_optimizer: Callable[..., torch.optim.Optimizer] = ADAM,
    history: np.ndarray | None = None,
) -> Fit:
    """Train one network as the paper does, with the draws of `schedule`.

    Args:
        experiment: the settings.
        data: what to train and validate on.
        schedule: from `make_schedule(experiment, len(data.train_images), seed)`.
        device: of PyTorch: "cpu", "cuda" or "mps".
        dtype: float64 is for comparing engines.
        make_optimizer: another one than the paper's Adam is for comparing (`studies.controls`).
        history: float64 (n_epochs, len(HISTORY)), filled epoch by epoch: others may watch it.
    """
    started = time.perf_counter()
    torch.manual_seed(schedule.torch_seed)
    model = build(experiment.model, head=experiment.head, p_drop=experiment.p_drop)
    model.load_state_dict({k: torch.from_numpy(v) for k, v in schedule.initial.items()})
    model.to(device, dtype)
    images, val_images = (
        torch.from_numpy(scale_pixels(part, experiment.scaling)).to(device, dtype).unsqueeze(1)
        for part in (data.train_images, data.val_images)
    )  # (N, 30, 32) → (N, 1, 30, 32)
    labels, val_labels = (
        torch.from_numpy(part).to(device) for part in (data.train_labels, data.val_labels)
    )
    order, flips = (torch.from_numpy(x).to(device) for x in (schedule.order, schedule.flips))
    some_change = schedule.flips.any()
    masks = None if schedule.masks is None else torch.from_numpy(schedule.masks).to(device)
    change = flip
    if experiment.augment in METHODS:
        method = METHODS[experiment.augment]
        # Where the strength is a probability, `augment_fraction` is it already.
        strength = 1.0 if method.unit == "probability" else method.usual
        generator = torch.Generator().manual_seed(schedule.torch_seed)
        change = functools.partial(method, strength=strength, generator=generator)

    # L2 is Adam's weight_decay: λw is added to the gradient, as formulas (1) and (3) say.
    optimizer = make_optimizer(model.parameters(), lr=experiment.lr, weight_decay=experiment.l2)
    history = np.empty((experiment.n_epochs, len(HISTORY))) if history is None else history
    for epoch in range(experiment.n_epochs):
        model.train()
        losses, n_right = [], torch.zeros((), device=device, dtype=torch.int64)
        for start in range(0, order.shape[1], experiment.batch_size):
            batch = slice(start, start + experiment.batch_size)
            rows = order[epoch, batch]  # (B,)
            shown = images[rows]  # (B, 1, 30, 32)
            if some_change:
                shown = torch.where(flips[epoch, batch, None, None, None], change(shown), shown)
            mask = None if masks is None else masks[epoch, batch]
            outputs = model(shown) if mask is None else model(shown, mask)  # (B, 2)
            loss = F.cross_entropy(outputs, labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach() * len(rows))
            n_right += (outputs.argmax(1) == labels[rows]).sum()
        # added up on the CPU: Apple's GPUs have no float64
        fit_loss = float(torch.stack(losses).cpu().double().sum()) / order.shape[1]
        train_loss, train_acc, _ = evaluate(model, images, labels)
        val_loss, val_acc, probs = evaluate(model, val_images, val_labels)
        fit_acc = float(n_right) / order.shape[1]
        history[epoch] = fit_loss, fit_acc, train_loss, train_acc, val_loss, val_acc
    return Fit(
        history={name: history[:, i].copy() for i, name in enumerate(HISTORY)},
        weights={k: v.float().cpu().numpy().copy() for k, v in model.state_dict().items()},
        val_probs=probs,
        engine=f"reference-{torch.device(device).type}",
        seconds=time.perf_counter() - started,
    )


@torch.no_grad()
def evaluate(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[float, float, np.ndarray]:
    """Return mean loss (nats), accuracy in [0, 1] and float64 (N,) probabilities of sunglasses.

    These are the softmax over the two outputs, as the loss sees them (with the sigmoid head it
    stays within [0.27, 0.73]). Dropout is off. No images give NaN, NaN and no probabilities.
    """
    if len(images) == 0:
        return float("nan"), float("nan"), np.empty(0)
    model.eval()
    outputs = model(images)  # (N, 2)
    loss = F.cross_entropy(outputs, labels)
    accuracy = (outputs.argmax(1) == labels).cpu().double().mean()
    probs = outputs.cpu().double().softmax(1)[:, 1]
    return float(loss), float(accuracy), probs.numpy()
