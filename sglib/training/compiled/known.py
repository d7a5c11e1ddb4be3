"""The networks that the compiled engine knows, and whether the registry builds these."""

import functools
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sglib.models.networks import NETWORKS
from sglib.training.compiled.layout import SIZES, Sizes, make_weights, unpack
from sglib.training.settings import METHODS_OF_TABLE_1, Experiment


def supports(experiment: Experiment) -> str | None:
    """Return None where this engine applies, else the reason why not."""
    name = experiment.model
    if name not in SIZES:
        return f"it knows {' and '.join(SIZES)}, not {name}"
    if experiment.augment in METHODS_OF_TABLE_1:
        return f"it mirrors images and knows no {experiment.augment}"
    difference = _difference(NETWORKS[name], SIZES[name], experiment.head)
    if difference is None:
        return None
    return f"{name} is not the network that the compiled engine knows ({difference})"


@functools.cache  # a study asks for every run
def _difference(build: Callable[..., nn.Module], sizes: Sizes, head: str) -> str | None:
    """Say in what a network differs from the one of these sizes; None: in nothing."""
    with torch.device("meta"):  # shapes without numbers: nothing is drawn
        network = build(head=head)
    values = unpack(make_weights(sizes, np.float32))
    expected = {name: value.shape for name, value in values.items()}
    found = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    for name in expected | found:
        if found.get(name) != expected.get(name):
            return f"{name}: expected {expected.get(name, 'none')}, got {found.get(name, 'none')}"
    rng = np.random.default_rng(0)
    probe = {
        name: torch.tensor(rng.normal(0, 0.2, shape), dtype=torch.float32)
        for name, shape in expected.items()
    }
    network.load_state_dict(probe, assign=True)
    images = torch.tensor(rng.random((4, 1, 30, 32)), dtype=torch.float32)
    with torch.no_grad():
        outputs = network.eval()(images), _outputs(probe, sizes, head, images)
    if not torch.allclose(*outputs, rtol=1e-3, atol=1e-4):
        return "the same weights give other outputs"
    return None


def _outputs(weights: dict[str, Tensor], sizes: Sizes, head: str, images: Tensor) -> Tensor:
    """Return what the engine's network answers to images (N, 1, 30, 32)."""
    conv1, bias1, conv2, bias2, fc1, bias3, fc2, bias4 = weights.values()
    rows, columns = (sizes.width - 30) // 2, (sizes.width - 32) // 2
    x = F.conv2d(images, conv1, bias1, padding=(rows, columns))
    x = F.conv2d(F.relu(F.max_pool2d(x, sizes.pool1)), conv2, bias2)
    x = F.relu(F.max_pool2d(x, 2)).flatten(1)
    x = F.linear(F.relu(F.linear(x, fc1, bias3)), fc2, bias4)
    return torch.sigmoid(x) if head == "sigmoid" else x
