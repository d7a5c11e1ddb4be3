"""From a uint8 picture to its probability, as one module and as one call."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sglib import SglibError
from sglib.data.faces import HEIGHT, WIDTH
from sglib.models.files import Member, ModelFile
from sglib.models.fused import fuse
from sglib.models.networks import MODELS, build_model
from sglib.training.recipe import settle, views

BATCH = 64  # images at once: what more of them compute leaves the processor's cache
SECOND_LOOK = 8  # the same for the few that are looked at again, in ten views


class Scorer(nn.Module):
    """All that happens between a uint8 picture and its probability, as one module.

    Prediction, export and explanation share it, so that they cannot differ.

    Args:
        file: the model.
        fused: rearrange the networks for speed (`fused.py`).
    """

    def __init__(self, file: ModelFile, *, fused: bool = False) -> None:
        super().__init__()
        networks = [
            _network(member, state, where=file.name)
            for member, state in zip(file.members, file.states, strict=True)
        ]
        self.networks = nn.ModuleList(map(fuse, networks) if fused else networks)
        self.scalings = [member.scaling for member in file.members]
        self.mirror, self.shift, self.doubt = file.mirror, file.shift, file.doubt
        self.temperature, self.bias = file.temperature, file.bias
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return the probability of sunglasses, float32 (N,).

        Args:
            images: uint8 (N, 30, 32), 0 black to 255 white.
        """
        return torch.sigmoid(self.log_odds(images))

    def log_odds(self, images: Tensor) -> Tensor:
        """Return ln(p / (1 - p)) of the probability p of sunglasses, float32 (N,)."""
        looks = self._looks(images, mirror=self.mirror, shift=self.shift)
        margin = settle(looks[0], looks.mean(0), self.doubt)
        return margin / self.temperature + self.bias

    def first_look(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the probabilities at first sight, (N,), and whether they are in doubt, bool (N,).

        Where they are not, they are those of `forward`. For models with a `doubt`.
        """
        margin = self._looks(images, mirror=False, shift=0)[0]
        probs = torch.sigmoid(margin / self.temperature + self.bias)
        return probs, margin.abs() < self.doubt

    def _looks(self, images: Tensor, *, mirror: bool, shift: int) -> Tensor:
        """Return each view's margins, averaged over the networks, (views, N)."""
        dtype = next(self.parameters()).dtype
        seen = views(images.unsqueeze(1).to(dtype), mirror=mirror, shift=shift)
        x = torch.cat(seen)  # (views N, 1, 30, 32): one large batch is faster than many
        margins = []
        for network, scaling in zip(self.networks, self.scalings, strict=True):
            outputs = network(x / 255.0 if scaling == "unit" else x / 127.5 - 1.0)
            margins.append((outputs[:, 1] - outputs[:, 0]).view(len(seen), -1))
        return sum(margins[1:], margins[0]) / len(margins)


def _network(member: Member, state: dict[str, np.ndarray], *, where: str) -> nn.Module:
    """Build a network of either registry and give it its weights."""
    if member.network in MODELS:
        network: nn.Module = build_model(member.network, head=member.head)
    else:
        from sglib.models.ours import build_network

        network = build_network(member.network)
    try:
        # copies: the arrays of a file are read-only
        network.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in state.items()})
    except (RuntimeError, TypeError) as error:
        message = " ".join(str(error).split())[:200]
        raise SglibError(f"{where}: weights do not fit {member.network} ({message})") from error
    return network


def traced(score: Callable[[Tensor], Any], n: int) -> Callable[[Tensor], Any]:
    """Return a function of uint8 images as one call that does without Python.

    A network is some fifty operations of microseconds each. From Python every one of them takes
    the interpreter's lock, and threads that predict side by side wait for each other more than
    they work; TorchScript takes it once per batch.

    Args:
        score: on the CPU, with weights that need no gradient: they become constants. (To trace
            and freeze a module takes four times as long.)
        n: images in a batch.
    """
    images = torch.zeros((n, HEIGHT, WIDTH), dtype=torch.uint8)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # TorchScript warns of its own age
            return torch.jit.trace(lambda x: score(x), images, check_trace=False)
    except RuntimeError:  # a Python for which there is no TorchScript any more: only slower
        return score
