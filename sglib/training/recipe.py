"""Our recipe: synthetic people first, then the photographs; several networks, one taught by them.

A network starts on thousands of rendered people, which the twelve photographed ones are too few to
stand in for, and goes on with the photographs. Networks are averaged, or teach a smaller one
(Hinton et al. 2015, arXiv 1503.02531). Everything random comes from one seed.
"""

import dataclasses
import functools
import hashlib
import json
import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sglib.data.augment import POLICIES, Chain, Policy
from sglib.data.faces import HEIGHT, WIDTH, FaceSet
from sglib.data.splits import Split
from sglib.data.synthetic import distort, render_faces, renderer_digest
from sglib.files import cache_dir, replacing
from sglib.models.ensemble import Ensemble, check_images, to_unit
from sglib.models.networks import build

N_COPIES, DISTORT_SEED = 10, 77  # distorted copies of each photograph, the same for every recipe
_PEOPLE_SEED = 11  # of the synthetic people; not 0, the embedded default data set
_PRETRAINING = 1000  # added to the seed: pretraining draws from a stream of its own
_METHOD = 2  # raise it when the same settings come to give other pretrained weights
_WARMUP = 0.1  # share of the steps in which the learning rate rises
_WEIGHT_DECAY = 0.05  # AdamW's, on convolution and linear weights
_BLOCK = 32  # batches augmented at once: few calls, little memory


@dataclasses.dataclass(frozen=True)
class Training:
    """Settings of one training of one network.

    Args:
        network: a name in `networks.NETWORKS`.
        policy: augmentation, drawn anew in each epoch.
        n_epochs: passes over the images; 0 leaves the weights as they are.
        batch_size: images per step.
        lr: the largest learning rate; it rises, then falls to 0 as a cosine.
    """

    network: str
    policy: Policy | Chain = POLICIES["standard"]
    n_epochs: int = 200
    batch_size: int = 32
    lr: float = 3e-3


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What makes a model of ours, from the first training to the views of a picture.

    Args:
        photographs: how the photographs are trained on.
        pretraining: how the synthetic people are trained on before; None = not at all.
        n_people: synthetic people of the pretraining.
        blend: how far the final weights lie on the way from the pretrained to the trained ones,
            (0, 1]: half-way keeps more of what pretraining saw (Wortsman et al. 2022, arXiv
            2109.01903).
        n_networks: networks that are averaged, with seeds seed, seed + 1, …
        teacher: the recipe of the ensemble whose answers are learned instead of the labels.
        softness: by which the margins of student and teacher are divided in their loss.
        n_companions: synthetic people whose pictures the teacher is asked about as well.
        repeats: how often each photograph is among the teacher's questions in an epoch.
        mirror, shift: the views of a picture, see `ensemble.Ensemble`.
    """

    photographs: Training
    pretraining: Training | None = None
    n_people: int = 4000
    blend: float = 1.0
    n_networks: int = 1
    teacher: "Recipe | None" = None
    softness: float = 2.0
    n_companions: int = 80
    repeats: int = 3
    mirror: bool = False
    shift: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class OurFit:
    """What one run of a recipe yields.

    Args:
        model: in eval mode.
        val_probs: float64 (n_val,), probability of sunglasses of the split's other photographs.
        copy_labels, copy_probs: of `N_COPIES` distorted copies of each of them, (n_val N_COPIES,).
        seconds: of training, pretraining aside where the cache had it.
    """

    model: Ensemble
    val_probs: np.ndarray
    copy_labels: np.ndarray
    copy_probs: np.ndarray
    seconds: float


def fit_ours(
    recipe: Recipe, faces: FaceSet, split: Split, *, seed: int, device: str = "cpu"
) -> OurFit:
    """Train a model on the training part of a split and predict the other, clean and distorted.

    Repetitions, numbered by `seed`, have no network in common; their teachers may. Draws are made
    on the CPU: the same on every device.
    """
    started = time.perf_counter()
    known, others = faces.subset(split.train), faces.subset(split.val)
    model = fit_model(recipe, known, seed=seed * recipe.n_networks, device=device)
    seconds = time.perf_counter() - started
    copies = distort(others, seed=DISTORT_SEED, n_copies=N_COPIES)
    probs, copy_probs = model.predict(others.images), model.predict(copies.images)
    return OurFit(model, probs, copies.labels, copy_probs, seconds)


def fit_model(recipe: Recipe, faces: FaceSet, *, seed: int, device: str = "cpu") -> Ensemble:
    """Train a model on all photographs of a labelled set; `seed` is of the first network."""
    images, labels, teacher = faces.images, faces.labels, None
    if recipe.teacher is not None:
        teacher = fit_model(recipe.teacher, faces, seed=seed, device=device).one_view()
        companions = _people(recipe.n_companions, first=recipe.n_people)
        images = np.concatenate([*[images] * recipe.repeats, companions.images])
        labels = np.concatenate([*[labels] * recipe.repeats, companions.labels])
    networks = []
    for one in range(seed, seed + recipe.n_networks):
        initial = pretrain(recipe, seed=one, device=device)
        network = train(
            recipe.photographs,
            images,
            labels,
            seed=one,
            device=device,
            initial=initial,
            teacher=teacher,
            softness=recipe.softness,
        )
        for name, value in network.state_dict().items():
            if initial is not None and value.is_floating_point():
                value.lerp_(initial[name].to(value), 1 - recipe.blend)
        networks.append(network)
    return Ensemble(networks, mirror=recipe.mirror, shift=recipe.shift)


def pretrain(recipe: Recipe, *, seed: int, device: str = "cpu") -> dict[str, Tensor] | None:
    """Return the weights after training on the synthetic people, from the cache where they are.

    No photograph enters them, so one pretraining serves every person held out. None where the
    recipe has no pretraining.
    """
    settings = recipe.pretraining
    if settings is None:
        return None
    with torch.no_grad():  # an edited network answers otherwise, and starts anew
        probe = torch.linspace(0, 1, HEIGHT * WIDTH).view(1, 1, HEIGHT, WIDTH)
        answer = _fresh(settings.network, seed).eval()(probe)[0].tolist()
    key = [dataclasses.asdict(settings), recipe.n_people, seed, device, _METHOD, renderer_digest()]
    text = json.dumps([*key, [f"{value:.3f}" for value in answer]], sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:24]
    path = cache_dir() / "pretrained" / f"{name}.safetensors"
    if not path.exists():
        faces = _people(recipe.n_people)
        drawn = _PRETRAINING + seed
        network = train(settings, faces.images, faces.labels, seed=drawn, device=device)
        with replacing(path) as temporary:
            state = network.state_dict()
            save_file({key: value.contiguous().cpu() for key, value in state.items()}, temporary)
    return load_file(path)


def pretrain_all(recipe: Recipe, *, seed: int, device: str = "cpu") -> None:
    """Do the pretrainings of `fit_model`, before workers start who would do them side by side."""
    for one in range(seed, seed + recipe.n_networks):
        pretrain(recipe, seed=one, device=device)
    if recipe.teacher is not None:
        pretrain_all(recipe.teacher, seed=seed, device=device)


@functools.lru_cache(maxsize=2)  # drawn once per process
def _people(n_people: int, *, first: int = 0) -> FaceSet:
    return render_faces(seed=_PEOPLE_SEED, n_subjects=n_people, first=first, name="synthetic")


def train(
    settings: Training,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    seed: int,
    device: str = "cpu",
    initial: dict[str, Tensor] | None = None,
    teacher: Ensemble | None = None,
    softness: float = 1.0,
) -> nn.Module:
    """Train one network with AdamW and return it in eval mode.

    Args:
        settings: of the training.
        images: uint8 (N, 30, 32).
        labels: int64 (N,), 1 = sunglasses.
        seed: of the initial weights, the order and the augmentation.
        device: a PyTorch device.
        initial: a state dict to start from.
        teacher: its answer to the augmented image replaces the label.
        softness: see `Recipe`.

    Raises:
        SglibError: the images are not as above.
    """
    network = _fresh(settings.network, seed)
    if initial is not None:
        network.load_state_dict(initial)
    network.to(device, memory_format=torch.channels_last).train()  # twice as fast on a CPU
    x, y = check_images(images), torch.from_numpy(labels).float().to(device)
    draws = torch.Generator().manual_seed(seed)
    n_batches = max(1, round(len(x) / settings.batch_size))
    optimizer = _optimizer(network, settings.lr)
    for epoch in range(settings.n_epochs):
        order = torch.randperm(len(x), generator=draws).tensor_split(n_batches)
        for step, (batch, rows) in enumerate(_augmented(x, order, settings.policy, draws)):
            progress = (epoch + (step + 0.5) / n_batches) / settings.n_epochs
            for group in optimizer.param_groups:
                group["lr"] = settings.lr * _rate(progress)
            batch = batch.to(device, memory_format=torch.channels_last)  # (B, 1, 30, 32)
            outputs = network(batch)  # (B, 2)
            margins, targets = outputs[:, 1] - outputs[:, 0], y[rows.to(device)]  # (B,)
            if teacher is not None:
                with torch.no_grad():
                    targets = (teacher.margins(batch) / softness).sigmoid()
                margins = margins / softness
            # of two outputs, the cross entropy of their softmax
            loss = F.binary_cross_entropy_with_logits(margins, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()


def _fresh(name: str, seed: int) -> nn.Module:
    # PyTorch's initialisers draw from a global generator; its state is put back.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(name)


def _augmented(
    x: Tensor, batches: Sequence[Tensor], policy: Policy | Chain, draws: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield augmented images and their rows, batch by batch; many are augmented at once."""
    for start in range(0, len(batches), _BLOCK):
        block = batches[start : start + _BLOCK]
        shown = policy(to_unit(x[torch.cat(list(block))]), draws)
        yield from zip(shown.split([len(rows) for rows in block]), block, strict=True)


def _optimizer(network: nn.Module, lr: float) -> torch.optim.Optimizer:
    # Decay on gains and biases would pull the normalised features to zero for nothing.
    weights = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    decayed = {"params": weights, "weight_decay": _WEIGHT_DECAY}
    kept = {"params": others, "weight_decay": 0.0}
    return torch.optim.AdamW([decayed, kept], lr=lr, fused=True)


def _rate(progress: float) -> float:
    """Return the share of the largest learning rate at `progress` in [0, 1] of the training."""
    if progress < _WARMUP:
        return progress / _WARMUP
    return 0.5 * (1 + float(np.cos(np.pi * (progress - _WARMUP) / (1 - _WARMUP))))
