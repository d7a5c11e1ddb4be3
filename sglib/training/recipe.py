"""Our recipe: synthetic people first, then the photographs, and half-way back; several averaged.

A network starts on thousands of rendered people, which the twelve photographed ones are too few to
stand in for, and goes on with the photographs. Its final weights lie between the two. Everything
random comes from one seed; trained networks are kept in the cache, where a single network and an
average find them.
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sglib.data.augment import POLICIES, Chain, Policy
from sglib.data.faces import HEIGHT, WIDTH, FaceSet
from sglib.data.synthetic import render_faces, renderer_digest
from sglib.files import cache_dir, replacing
from sglib.models.ensemble import Ensemble, check_images, to_unit
from sglib.models.networks import build

_PEOPLE_SEED = 11  # of the synthetic people; not 0, the embedded default data set
_START_SEED = (
    1000  # added to the place of a network: what it starts from is drawn by a stream apart
)
_METHOD = 4  # raise it when the same settings come to give other weights
_WARMUP = 0.1  # share of the steps in which the learning rate rises
_WEIGHT_DECAY = 0.05  # AdamW's, on convolution and linear weights
_BLOCK = 32  # batches augmented at once: few calls, little memory


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What makes a model of ours.

    Args:
        network: a name in `networks.NETWORKS`.
        policy: augmentation of the photographs, drawn anew in each epoch.
        n_epochs: passes over the photographs; 0 leaves the weights as they are.
        batch_size: photographs per step.
        lr: the largest learning rate; it rises, then falls to 0 as a cosine.
        n_people: synthetic people that are trained on before; 0 = none.
        start_epochs: passes over their pictures.
        blend: how far the final weights lie on the way from those before the photographs to those
            after them, (0, 1]; half-way keeps more of what was learned first (Wortsman et al.
            2022, arXiv 2109.01903).
        n_networks: networks that are averaged.
        mirror: whether the mirror image of a picture is looked at too.
    """

    network: str
    policy: Policy | Chain = POLICIES["standard"]
    n_epochs: int = 80
    batch_size: int = 32
    lr: float = 3e-3
    n_people: int = 0
    start_epochs: int = 8
    blend: float = 1.0
    n_networks: int = 1
    mirror: bool = False


def fit_model(recipe: Recipe, faces: FaceSet, *, seed: int, device: str = "cpu") -> Ensemble:
    """Train a model on all photographs of a labelled set.

    Repetitions, numbered by `seed`, have what they do with photographs to themselves; the i-th
    network of each starts from the same weights, since synthetic people are trained on once. Draws
    are made on the CPU: the same on every device.
    """
    networks = [
        _network(recipe, faces, seed=seed * recipe.n_networks + place, place=place, device=device)
        for place in range(recipe.n_networks)
    ]
    return Ensemble(networks, mirror=recipe.mirror).to(device)


def _network(recipe: Recipe, faces: FaceSet, *, seed: int, place: int, device: str) -> nn.Module:
    """Return the network at a place of a model: started, trained and blended."""
    start = _start(recipe, place, device) if recipe.n_people else None
    alone = dataclasses.replace(recipe, blend=1.0, n_networks=1, mirror=False)
    network = _cached(
        alone,
        [faces.digest, seed, place if start else 0, device],
        lambda: train(alone, faces, seed=seed, device=device, initial=start),
    )
    for name, value in network.state_dict().items():
        if start is not None and value.is_floating_point():
            value.lerp_(start[name].to(value), 1 - recipe.blend)
    return network


def _start(recipe: Recipe, place: int, device: str) -> dict[str, Tensor]:
    """Return the weights after training on the synthetic people."""
    settings = Recipe(recipe.network, n_epochs=recipe.start_epochs, batch_size=64, lr=4e-3)
    return _cached(
        settings,
        [recipe.n_people, renderer_digest(), place, device],
        lambda: train(settings, _people(recipe.n_people), seed=_START_SEED + place, device=device),
    ).state_dict()


def _cached(recipe: Recipe, drawn: list, make: Callable[[], nn.Module]) -> nn.Module:
    """Return a trained network, from the cache if it is there.

    Args:
        recipe: what is trained, and
        drawn: on what and by which draws: all that determines the weights.
        make: trains it.
    """
    with torch.no_grad():  # an edited network answers otherwise, and is trained anew
        probe = torch.linspace(0, 1, HEIGHT * WIDTH).view(1, 1, HEIGHT, WIDTH)
        answer = [f"{value:.3f}" for value in fresh(recipe.network, 0).eval()(probe)[0]]
    text = json.dumps([dataclasses.asdict(recipe), drawn, _METHOD, answer], sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:32]
    path = cache_dir() / "networks" / f"{name}.safetensors"
    if not path.exists():
        state = make().state_dict()
        with replacing(path) as temporary:
            save_file({key: value.contiguous().cpu() for key, value in state.items()}, temporary)
    network = build(recipe.network)
    network.load_state_dict(load_file(path))
    return network.eval()


def train(
    recipe: Recipe,
    faces: FaceSet,
    *,
    seed: int,
    device: str = "cpu",
    initial: dict[str, Tensor] | None = None,
) -> nn.Module:
    """Train one network with AdamW and return it in eval mode.

    Args:
        recipe: network, policy, n_epochs, batch_size and lr are used.
        faces: a labelled set.
        seed: of the initial weights, the order and the augmentation.
        device: a PyTorch device.
        initial: a state dict to start from instead.

    Raises:
        SglibError: the images are not uint8 (N, H, W).
    """
    network = fresh(recipe.network, seed)
    if initial is not None:
        network.load_state_dict(initial)
    network.to(device, memory_format=torch.channels_last).train()  # twice as fast on a CPU
    x, y = check_images(faces.images), torch.from_numpy(faces.labels).float().to(device)
    draws = torch.Generator().manual_seed(seed)
    n_batches = max(1, round(len(x) / recipe.batch_size))
    optimizer = _optimizer(network, recipe.lr)
    for epoch in range(recipe.n_epochs):
        order = torch.randperm(len(x), generator=draws).tensor_split(n_batches)
        for step, (images, rows) in enumerate(_augmented(x, order, recipe.policy, draws)):
            for group in optimizer.param_groups:
                progress = (epoch + (step + 0.5) / n_batches) / recipe.n_epochs
                group["lr"] = recipe.lr * _rate(progress)
            images = images.to(device, memory_format=torch.channels_last)  # (B, 1, 30, 32)
            outputs = network(images)  # (B, 2)
            margins = outputs[:, 1] - outputs[:, 0]  # (B,)
            # of two outputs, the cross entropy of their softmax
            loss = F.binary_cross_entropy_with_logits(margins, y[rows.to(device)])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()


def fresh(name: str, seed: int) -> nn.Module:
    """Return a network with its initial weights; PyTorch's global generator keeps its state."""
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


@functools.lru_cache(maxsize=1)  # drawn once per process
def _people(n_people: int) -> FaceSet:
    return render_faces(seed=_PEOPLE_SEED, n_subjects=n_people)


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
