"""Our recipe: how a network of ours is trained, and how its answer is read.

AdamW with a one-cycle cosine, batches that are augmented anew in each epoch, mirrored and shifted
images averaged in at prediction. Everything random comes from one seed. `shipped.py` puts the
steps together.
"""

import dataclasses
import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sglib import SglibError
from sglib.data.augment import POLICIES, Chain, Policy, flip
from sglib.models.ours import build_network

_BLOCK = 32  # batches augmented at once: few calls, little memory


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Settings of one training.

    Args:
        network: name for `networks.build_network`.
        policy: augmentation, drawn anew in each epoch.
        n_epochs: passes over the images.
        batch_size: images per step.
        lr: the largest learning rate; it rises over `warmup` and then falls to 0 as a cosine.
        warmup: share of the steps in which the rate rises.
        weight_decay: AdamW's, on convolution and linear weights only.
        label_smoothing: share of the target spread over both classes, [0, 1).
        blend: how far the returned weights lie on the way from the starting weights to the trained
            ones, (0, 1]; the half-way point keeps more of what pretraining saw
            (Wortsman et al. 2022, arXiv 2109.01903). Only with starting weights.
        temperature: by which logits are divided when a network learns from teachers.
    """

    network: str = "base"
    policy: Policy | Chain = POLICIES["standard"]
    n_epochs: int = 200
    batch_size: int = 32
    lr: float = 3e-3
    warmup: float = 0.1
    weight_decay: float = 0.05
    label_smoothing: float = 0.0
    blend: float = 1.0
    temperature: float = 2.0


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
    """What a training yields.

    Args:
        model: in eval mode.
        history: "loss" and "accuracy" (of the augmented images, weights moving) and "lr", each
            float64 (n_epochs,).
        seconds: wall time.
    """

    model: nn.Module
    history: dict[str, np.ndarray]
    seconds: float


def fit_recipe(
    recipe: Recipe,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    seed: int,
    device: str = "cpu",
    initial: dict[str, Tensor] | None = None,
    teachers: Sequence[nn.Module] = (),
) -> Trained:
    """Train one network on these images.

    Args:
        recipe: the settings.
        images: uint8 (N, 30, 32).
        labels: int64 (N,), 1 = sunglasses.
        seed: of the initial weights, the order and the augmentation.
        device: a PyTorch device. Draws are made on the CPU: the same on every device.
        initial: a state dict to start from, for example of a network trained on other images.
        teachers: networks whose mean logits, for the augmented image, replace its label as the
            target (Hinton et al. 2015, arXiv 1503.02531).

    Raises:
        SglibError: the images are not as above.
    """
    started = time.perf_counter()
    model = _fresh(recipe.network, seed)
    if initial is not None:
        model.load_state_dict(initial)
    model = model.to(device, memory_format=torch.channels_last).train()
    x = _check(images).to(device)
    y = torch.from_numpy(np.asarray(labels, np.int64)).to(device)
    draws = torch.Generator().manual_seed(seed)
    n_batches = max(1, round(len(x) / recipe.batch_size))
    n_steps = recipe.n_epochs * n_batches
    optimizer = _optimizer(model, recipe)
    history = np.zeros((3, recipe.n_epochs))
    for epoch in range(recipe.n_epochs):
        order = torch.randperm(len(x), generator=draws).to(device)
        loss_sum, n_right = torch.zeros((), device=device), torch.zeros((), device=device)
        batches = _augmented(x, order.tensor_split(n_batches), recipe.policy, draws)
        for step, (batch, rows) in enumerate(batches, epoch * n_batches):
            target = y[rows]
            for group in optimizer.param_groups:
                group["lr"] = _rate(recipe, (step + 0.5) / n_steps)
            logits = model(batch).float()  # (B, 2)
            if teachers:
                loss = _distance(logits, teachers, batch, recipe.temperature)
            else:
                loss = F.cross_entropy(logits, target, label_smoothing=recipe.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss_sum += loss.detach() * len(target)
            n_right += (logits.argmax(1) == target).sum()
        lr = optimizer.param_groups[0]["lr"]
        history[:, epoch] = float(loss_sum) / len(x), float(n_right) / len(x), lr
    if initial is not None and recipe.blend < 1:
        with torch.no_grad():
            for name, value in model.state_dict().items():
                if value.is_floating_point():
                    value.lerp_(initial[name].to(value), 1 - recipe.blend)
    names = ("loss", "accuracy", "lr")
    return Trained(
        model=model.eval(),
        history=dict(zip(names, history, strict=True)),
        seconds=time.perf_counter() - started,
    )


@torch.no_grad()
def predict_probs(
    models: nn.Module | Sequence[nn.Module],
    images: np.ndarray,
    *,
    mirror: bool = True,
    shift: int = 1,
    doubt: float | None = None,
    batch_size: int = 256,
) -> np.ndarray:
    """Return the probability of sunglasses per image, float64 (N,).

    Args:
        models: one network or several, whose logits are averaged; on one device.
        images: uint8 (N, 30, 32).
        mirror: whether the logits of the mirrored image are averaged in.
        shift: pixels; unless 0, the logits of the image moved up, down, left and right by so much
            (edge repeated) are averaged in, each also mirrored.
        doubt: see `settle`; None: the mean of all views counts for every picture.
        batch_size: images at once; changes nothing but memory and time.
    """
    models = [models] if isinstance(models, nn.Module) else list(models)
    if not models:
        raise SglibError("predict_probs needs at least one model, got none")
    for model in models:
        model.to(memory_format=torch.channels_last)  # twice as fast on a CPU
    device = next(models[0].parameters()).device
    inputs = to_input(images)
    odds = []
    for batch in inputs.split(batch_size) if len(inputs) else ():
        seen = [
            view.contiguous(memory_format=torch.channels_last)
            for view in views(batch.to(device), mirror=mirror, shift=shift)
        ]
        looks = [torch.stack([m(view).double() for m in models]).mean(0) for view in seen]
        margins = torch.stack(looks).diff(dim=2)[..., 0]  # (views, B)
        odds.append(settle(margins[0], margins.mean(0), doubt).cpu())
    return torch.cat(odds).sigmoid().numpy() if odds else np.empty(0)


def views(images: Tensor, *, mirror: bool, shift: int) -> list[Tensor]:
    """Return the views of a picture whose logits are averaged, the picture itself first.

    Args:
        images: float (B, 1, H, W).
        mirror: each view also mirrored.
        shift: pixels up, down, left and right (edge repeated); 0 = none.
    """
    found = [images]
    if shift:
        height, width = images.shape[-2:]
        padded = F.pad(images, (shift,) * 4, mode="replicate")
        places = ((0, shift), (2 * shift, shift), (shift, 0), (shift, 2 * shift))
        found += [padded[..., y : y + height, x : x + width] for y, x in places]
    return found + [flip(view) for view in found] if mirror else found


def settle(first: Tensor, mean: Tensor, doubt: float | None) -> Tensor:
    """Return the margins that count, (N,), in log-odds.

    Nearly all pictures are clear at first sight, and what other views say of them changes nothing:
    they can be spared.

    Args:
        first: margins of the pictures as they are, (N,).
        mean: margins averaged over all views, (N,).
        doubt: where the first margin is larger than this in absolute value it stands alone, below
            half of it the mean counts, in between a mixture, so that no answer jumps. None: the
            mean always.
    """
    if doubt is None:
        return mean
    share = ((doubt - first.abs()) / (doubt / 2)).clamp(0, 1)
    return first + share * (mean - first)


def to_input(images: np.ndarray) -> Tensor:
    """Return uint8 images (N, H, W) as float32 (N, 1, H, W) in [0, 1].

    Raises:
        SglibError: another type or shape.
    """
    return _scale(_check(images))


def _check(images: np.ndarray) -> Tensor:
    if images.dtype != np.uint8 or images.ndim != 3:
        raise SglibError(f"images must be uint8 (N, H, W), got {images.dtype} {images.shape}")
    return torch.from_numpy(np.ascontiguousarray(images)).unsqueeze(1)


def _scale(images: Tensor) -> Tensor:
    return images.float().div_(255)


def _augmented(
    x: Tensor, batches: Sequence[Tensor], policy: Policy | Chain, draws: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield augmented images and their rows, batch by batch; many are augmented at once."""
    for start in range(0, len(batches), _BLOCK):
        block = batches[start : start + _BLOCK]
        shown = policy(_scale(x[torch.cat(list(block))]), draws)
        parts = shown.contiguous(memory_format=torch.channels_last).split([len(r) for r in block])
        yield from zip(parts, block, strict=True)


def _distance(
    logits: Tensor, teachers: Sequence[nn.Module], images: Tensor, temperature: float
) -> Tensor:
    with torch.no_grad():
        taught = torch.stack([teacher(images) for teacher in teachers]).mean(0)
        target = (taught.float() / temperature).softmax(1)  # (B, 2)
    return F.cross_entropy(logits / temperature, target)


def _fresh(name: str, seed: int) -> nn.Module:
    # PyTorch's initialisers draw from a global generator; its state is put back.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_network(name)


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    # Decay on gains and biases would pull the normalised features to zero for nothing.
    parts = (
        [p for p in model.parameters() if (p.ndim > 1) is weights] for weights in (True, False)
    )
    groups = [
        {"params": params, "weight_decay": decay}
        for params, decay in zip(parts, (recipe.weight_decay, 0.0), strict=True)
    ]
    return torch.optim.AdamW(groups, lr=recipe.lr, fused=True)


def _rate(recipe: Recipe, progress: float) -> float:
    """Return the learning rate at `progress` in [0, 1] of the training."""
    if progress < recipe.warmup:
        return recipe.lr * progress / recipe.warmup
    falling = (progress - recipe.warmup) / (1 - recipe.warmup)
    return recipe.lr * 0.5 * (1 + float(np.cos(np.pi * falling)))
