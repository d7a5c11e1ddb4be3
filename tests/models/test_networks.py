"""models: the sizes of the paper's listings, and a forward pass written out by hand."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sglib import SglibError
from sglib.models.networks import MODELS, ConvNN, build_model, count_parameters

# paper §3.2: what leaves each stage, and the weights and biases of each layer
STAGES = {
    "ConvNN_1": {
        "conv1": (8, 32, 32),
        "maxpool1": (8, 16, 16),
        "conv2": (16, 14, 14),
        "maxpool2": (16, 7, 7),
        "fc1": (40,),
        "fc2": (2,),
    },
    "ConvNN_2": {
        "conv1": (8, 30, 30),
        "maxpool1": (8, 10, 10),
        "conv2": (16, 8, 8),
        "maxpool2": (16, 4, 4),
        "fc1": (32,),
        "fc2": (2,),
    },
}
COUNTS = {
    "ConvNN_1": [8 * 9 + 8, 16 * 8 * 9 + 16, 784 * 40 + 40, 40 * 2 + 2],
    "ConvNN_2": [8 * 9 + 8, 16 * 8 * 9 + 16, 256 * 32 + 32, 32 * 2 + 2],
}
SIZES = {"ConvNN_1": ((2, 1), 2), "ConvNN_2": ((1, 0), 3)}  # padding, first pooling

each_model = pytest.mark.parametrize("name", list(STAGES))


def make(name: str, *, seed: int = 0, **options: object) -> ConvNN:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_model(name, **options)


def faces(n: int = 5) -> Tensor:
    return torch.rand((n, 1, 30, 32), generator=torch.Generator().manual_seed(1))


def by_hand(model: ConvNN, name: str, images: Tensor, keep: Tensor | float = 1.0) -> Tensor:
    """Return what enters the head; `keep` multiplies the units of fc1."""
    weights, (padding, pool) = dict(model.named_parameters()), SIZES[name]
    x = F.conv2d(images, weights["conv1.weight"], weights["conv1.bias"], padding=padding)
    x = F.max_pool2d(x, pool).clamp(min=0)
    x = F.conv2d(x, weights["conv2.weight"], weights["conv2.bias"])
    x = F.max_pool2d(x, 2).clamp(min=0).flatten(1)
    x = (x @ weights["fc1.weight"].T + weights["fc1.bias"]).clamp(min=0) * keep
    return x @ weights["fc2.weight"].T + weights["fc2.bias"]


@each_model
def test_shapes_of_every_stage(name):
    model, seen = make(name), {}
    for stage in STAGES[name]:
        getattr(model, stage).register_forward_hook(
            lambda _module, _inputs, output, stage=stage: seen.update({stage: output.shape})
        )
    assert model(faces(5)).shape == (5, 2)
    assert {stage: tuple(shape[1:]) for stage, shape in seen.items()} == STAGES[name]
    assert {shape[0] for shape in seen.values()} == {5}
    assert list(seen) == list(STAGES[name])


@pytest.mark.parametrize(("name", "total"), [("ConvNN_1", 32_730), ("ConvNN_2", 9_538)])
def test_parameter_counts_of_the_paper(name, total):
    model = make(name)
    layers = (model.conv1, model.conv2, model.fc1, model.fc2)
    assert [count_parameters(layer) for layer in layers] == COUNTS[name]
    assert count_parameters(model) == sum(COUNTS[name]) == total


def test_frozen_weights_do_not_count():
    model = make("ConvNN_2")
    model.conv1.requires_grad_(False)
    assert count_parameters(model) == 9_538 - 80


@each_model
def test_equals_the_forward_pass_by_hand(name):
    model = make(name, head="logit").eval()
    torch.testing.assert_close(model(faces()), by_hand(model, name, faces()))


@each_model
def test_the_sigmoid_head_is_the_sigmoid_of_the_logits(name):
    logits = make(name, head="logit")(100 * faces())
    outputs = make(name, head="sigmoid")(100 * faces())
    assert logits.min() < 0 or logits.max() > 1
    torch.testing.assert_close(outputs, 1 / (1 + torch.exp(-logits)))
    torch.testing.assert_close(outputs, make(name)(100 * faces()))  # the paper's head is default


@each_model
def test_dropout_is_off_in_eval(name):
    images = faces(64)
    plain, dropped = make(name).eval(), make(name, p_drop=0.9)
    assert not torch.equal(dropped.train()(images), dropped(images))
    torch.testing.assert_close(dropped.eval()(images), plain(images), rtol=0, atol=0)


@each_model
def test_dropout_follows_the_relu_of_fc1(name):
    model, seen = make(name, p_drop=0.25), []
    model.fc2.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].detach()))
    images = faces(200)
    model.eval()(images)
    model.train()(images)
    kept = seen[1] != 0
    torch.testing.assert_close(seen[1][kept], seen[0][kept] / 0.75)
    active = seen[0] > 0
    assert 0.70 < kept[active].float().mean() < 0.80
    assert seen[0].min() == 0


@each_model
def test_a_mask_replaces_the_draw_of_dropout(name):
    model = make(name, head="logit", p_drop=0.4).train()
    generator = torch.Generator().manual_seed(2)
    mask = (torch.rand((5, model.n_hidden), generator=generator) < 0.6).to(torch.uint8)
    expected = by_hand(model, name, faces(), mask / (1 - 0.4))
    torch.testing.assert_close(model(faces(), mask), expected)
    assert not torch.allclose(model(faces(), torch.ones_like(mask)), expected)


@each_model
def test_a_mask_is_ignored_in_eval(name):
    model = make(name, p_drop=0.4).eval()
    nothing = torch.zeros((5, model.n_hidden))
    assert torch.equal(model(faces(), nothing), model(faces()))


def test_unknown_names_are_refused():
    with pytest.raises(SglibError, match="no model 'ConvNN_3'; there are: ConvNN_1, ConvNN_2"):
        build_model("ConvNN_3")
    with pytest.raises(SglibError, match="head must be sigmoid or logit, got 'softmax'"):
        build_model("ConvNN_1", head="softmax")


def test_the_registry_knows_the_two_networks():
    assert list(MODELS) == ["ConvNN_1", "ConvNN_2"]
