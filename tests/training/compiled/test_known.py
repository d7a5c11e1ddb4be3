"""known: the registry's networks, and what happens to one that was edited."""

import dataclasses
from functools import partial

import pytest
import torch
from torch import nn

from sglib.models import networks
from sglib.studies.tables import BASELINE_2, PAPER
from sglib.training.compiled import supports
from sglib.training.fit import choose_engine

LOGIT = dataclasses.replace(BASELINE_2, head="logit")


def build(register, **changes):
    """Register a ConvNN_2 with other sizes under its name."""
    sizes = {"padding": (1, 0), "pool1": 3, "n_flat": 256, "n_hidden": 32} | changes
    register(partial(networks.ConvNN, **sizes))


@pytest.fixture
def register(monkeypatch):
    return lambda builder: monkeypatch.setitem(networks.NETWORKS, "ConvNN_2", builder)


def test_the_papers_rows_are_supported_and_nothing_is_drawn():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    assert all(supports(row) is None for row in PAPER)
    assert torch.rand(1) == expected


def test_another_network_is_named():
    row = dataclasses.replace(BASELINE_2, model="ResNet")
    assert supports(row) == "it knows ConvNN_1 and ConvNN_2, not ResNet"


def test_a_method_of_table_1_is_not_done():
    row = dataclasses.replace(BASELINE_2, augment="rotation")
    assert supports(row) == "it mirrors images and knows no rotation"


def test_a_network_of_other_sizes_is_not_the_one_it_knows(register):
    build(register, n_hidden=4)
    assert supports(BASELINE_2) == (
        "ConvNN_2 is not the network that the compiled engine knows "
        "(fc1.weight: expected (32, 256), got (4, 256))"
    )
    assert choose_engine(BASELINE_2) == "reference-cpu"


def test_a_network_with_another_layer_is_not_the_one_it_knows(register):
    class Longer(networks.ConvNN):
        def __init__(self, **options):
            super().__init__(padding=(1, 0), pool1=3, n_flat=256, n_hidden=32, **options)
            self.fc3 = nn.Linear(2, 2)

    register(Longer)
    assert "(fc3.weight: expected none, got (2, 2))" in supports(BASELINE_2)


@pytest.mark.parametrize("row", [BASELINE_2, LOGIT], ids=lambda row: row.head)
def test_a_network_that_answers_otherwise_is_not_the_one_it_knows(row, register):
    class Gelu(networks.ConvNN):
        def forward(self, images, mask=None):
            x = torch.relu(self.maxpool1(self.conv1(images)))
            x = torch.relu(self.maxpool2(self.conv2(x)))
            x = nn.functional.gelu(self.fc1(x.flatten(1)))
            return self.head(self.fc2(x))

    register(partial(Gelu, padding=(1, 0), pool1=3, n_flat=256, n_hidden=32))
    assert "(the same weights give other outputs)" in supports(row)


def test_a_network_with_another_head_is_not_the_one_it_knows(register):
    def always_logits(*, head="sigmoid", p_drop=0.0):
        sizes = {"padding": (1, 0), "pool1": 3, "n_flat": 256, "n_hidden": 32}
        return networks.ConvNN(**sizes, head="logit", p_drop=p_drop)

    register(always_logits)
    assert "other outputs" in supports(BASELINE_2)
    assert supports(LOGIT) is None
