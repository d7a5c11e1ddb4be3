import pytest
import torch
from torch import nn

from sglib.models.fused import PooledConv, StridedMaxPool, fuse
from sglib.models.ours import NETWORKS, build_network


@pytest.mark.parametrize("name", [*NETWORKS, "ConvNN_1", "ConvNN_2"])
@pytest.mark.parametrize("lowest_gain", [-1, 0.5])
def test_same_outputs(name: str, lowest_gain: float) -> None:
    network = build_network(name).eval()
    for module in network.modules():  # statistics as after training
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, lowest_gain, 1)
            nn.init.uniform_(module.bias, -1, 1)
    images = torch.rand(7, 1, 30, 32)
    before = network(images)
    fused = fuse(network)
    torch.testing.assert_close(fused(images), before, atol=1e-5, rtol=1e-5)
    assert torch.equal(network(images), before)  # the original is untouched
    names = {type(module) for module in fused.modules()}
    assert (PooledConv in names) == (name != "ConvNN_2")  # its first pool is 3×3
    n_norms = sum(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    kept = lowest_gain < 0 and name in NETWORKS  # a negative gain behind a pool
    assert n_norms == (sum(NETWORKS[name].pools) if kept else 0)
    assert StridedMaxPool in names


@pytest.mark.parametrize("size", [(6, 8), (7, 9), (2, 3)])
def test_layers_on_odd_sizes(size: tuple[int, int]) -> None:
    x = torch.rand(3, 2, *size)
    pool = nn.MaxPool2d(2)
    assert torch.equal(StridedMaxPool()(x), pool(x))
    for padding in (0, 1, (2, 1)):
        if padding == 0 and min(size) < 4:
            continue
        for bias in (True, False):
            conv = nn.Conv2d(2, 5, 3, padding=padding, bias=bias)
            torch.testing.assert_close(PooledConv(conv)(x), pool(conv(x)), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Conv2d(1, 4, 3, stride=2), nn.MaxPool2d(2)],
        [nn.Conv2d(1, 4, 3, dilation=2), nn.MaxPool2d(2)],
        [nn.Conv2d(1, 4, 3, padding="same"), nn.MaxPool2d(2)],
        [nn.Conv2d(1, 4, 3, padding=1, padding_mode="reflect"), nn.MaxPool2d(2)],
        [nn.Conv2d(1, 4, 3), nn.MaxPool2d(2, stride=1)],
        [nn.Conv2d(1, 4, 3), nn.MaxPool2d(2, padding=1)],
        [nn.Conv2d(1, 4, 3), nn.MaxPool2d(2, ceil_mode=True)],
        [nn.Conv2d(1, 4, 3), nn.MaxPool2d((2, 2))],
        [nn.ReLU(), nn.MaxPool2d(2)],
    ],
)
def test_other_layers_are_left_as_they_are(layers: list[nn.Module]) -> None:
    network = nn.Sequential(*layers)
    fused = fuse(network)
    assert not any(isinstance(module, PooledConv) for module in fused.modules())
    images = torch.rand(2, 1, 13, 15)
    torch.testing.assert_close(fused(images), network(images), atol=1e-6, rtol=1e-5)
