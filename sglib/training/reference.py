"""The reference engine: a readable PyTorch loop that states the method.

Source: paper §4.1. Any device; `compiled.py` does the same faster on a CPU and is held to this.
"""

import dataclasses
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sglib import SglibError
from sglib.data.augment import flip
from sglib.models.networks import ConvNN, build_model
from sglib.training.schedule import Schedule
from sglib.training.settings import Experiment

HISTORY = ("fit_loss", "fit_acc", "train_loss", "train_acc", "val_loss", "val_acc")


@dataclasses.dataclass(frozen=True, eq=False)
class FitData:
    """The images and labels of one run.

    Args:
        train_images, val_images: uint8 (N, 30, 32); the validation part may be empty.
        train_labels, val_labels: int64 (N,), 1 = sunglasses.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    val_images: np.ndarray
    val_labels: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Fit:
    """What a run yields.

    Args:
        history: name in `HISTORY` → float64 (n_epochs,). `fit_*` are means over the samples as
            they were trained on (mirrored, dropout on, weights still moving); `train_*` and
            `val_*` are measured after the epoch on the unchanged images, dropout off. Losses in
            nats, accuracies in [0, 1]; `val_*` is NaN without validation images.
        weights: PyTorch parameter name → float32 array, after the last epoch.
        val_probs: float64 (n_val,), probability of sunglasses after the last epoch.
        engine: which engine ran.
        seconds: wall time of the run.
    """

    history: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]
    val_probs: np.ndarray
    engine: str
    seconds: float


def scale_pixels(images: np.ndarray, scaling: str) -> np.ndarray:
    """Return uint8 images as float32 in [0, 1] ("unit") or [-1, 1] ("symmetric")."""
    if scaling == "unit":
        return images.astype(np.float32) / np.float32(255)
    if scaling == "symmetric":
        return images.astype(np.float32) / np.float32(127.5) - np.float32(1)
    raise SglibError(f"scaling must be unit or symmetric, got {scaling!r}")


def fit_reference(
    experiment: Experiment,
    data: FitData,
    schedule: Schedule,
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Fit:
    """Train one network as the paper does, with the draws of `schedule`.

    Args:
        experiment: the settings.
        data: what to train and validate on.
        schedule: from `make_schedule(experiment, len(data.train_images), seed)`.
        device: a PyTorch device, "cpu" or "cuda".
        dtype: float64 is for comparing engines.
    """
    started = time.perf_counter()
    model = build_model(experiment.model, head=experiment.head, p_drop=experiment.p_drop)
    model.load_state_dict({k: torch.from_numpy(v) for k, v in schedule.initial.items()})
    model.to(device, dtype)
    images, val_images = (
        # (N, 30, 32) → (N, 1, 30, 32)
        torch.from_numpy(scale_pixels(part, experiment.scaling)).to(device, dtype).unsqueeze(1)
        for part in (data.train_images, data.val_images)
    )
    labels = torch.from_numpy(data.train_labels).to(device)
    val_labels = torch.from_numpy(data.val_labels).to(device)
    order = torch.from_numpy(schedule.order.astype(np.int64)).to(device)
    flips = torch.from_numpy(schedule.flips).to(device) if schedule.flips.any() else None
    masks = None if schedule.masks is None else torch.from_numpy(schedule.masks).to(device)

    # L2 is Adam's weight_decay: λw is added to the gradient, as formulas (1) and (3) say.
    optimizer = torch.optim.Adam(
        model.parameters(), lr=experiment.lr, weight_decay=experiment.l2, fused=True
    )
    history: dict[str, list[float]] = {name: [] for name in HISTORY}
    for epoch in range(experiment.n_epochs):
        model.train()
        loss_sum = torch.zeros((), device=device, dtype=torch.float64)
        n_right = torch.zeros((), device=device, dtype=torch.int64)
        for start in range(0, order.shape[1], experiment.batch_size):
            batch = slice(start, start + experiment.batch_size)
            rows = order[epoch, batch]  # (B,)
            shown = images[rows]  # (B, 1, 30, 32)
            if flips is not None:
                shown = torch.where(flips[epoch, batch, None, None, None], flip(shown), shown)
            mask = None if masks is None else masks[epoch, batch]
            outputs = model(shown, mask)  # (B, 2)
            loss = F.cross_entropy(outputs, labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss_sum += loss.detach() * len(rows)
            n_right += (outputs.argmax(1) == labels[rows]).sum()
        history["fit_loss"].append(float(loss_sum) / order.shape[1])
        history["fit_acc"].append(float(n_right) / order.shape[1])
        for part, x, y in (("train", images, labels), ("val", val_images, val_labels)):
            loss_value, accuracy, probs = evaluate(model, x, y)
            history[f"{part}_loss"].append(loss_value)
            history[f"{part}_acc"].append(accuracy)
    return Fit(
        history={name: np.array(values) for name, values in history.items()},
        weights={k: v.float().cpu().numpy().copy() for k, v in model.state_dict().items()},
        val_probs=probs,
        engine=f"reference-{torch.device(device).type}",
        seconds=time.perf_counter() - started,
    )


@torch.no_grad()
def evaluate(model: ConvNN, images: Tensor, labels: Tensor) -> tuple[float, float, np.ndarray]:
    """Return mean loss, accuracy and probabilities of sunglasses, dropout off.

    Args:
        images: float (N, 1, 30, 32), scaled; N = 0 gives NaN, NaN and no probabilities.
        labels: int64 (N,).

    Returns:
        loss in nats, accuracy in [0, 1], float64 (N,): the softmax over the two outputs, as the
        loss sees them (with the sigmoid head it stays within [0.27, 0.73]).
    """
    if len(images) == 0:
        return float("nan"), float("nan"), np.empty(0)
    model.eval()
    outputs = model(images)  # (N, 2)
    loss = F.cross_entropy(outputs, labels)
    accuracy = (outputs.argmax(1) == labels).double().mean()
    probs = outputs.double().softmax(1)[:, 1]
    return float(loss), float(accuracy), probs.cpu().numpy()
