"""networks: the sizes of the paper's listings, forward passes by hand, networks of a user."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sglib import SglibError
from sglib.models.networks import NETWORKS, ConvNN, FaceNet, build, count_parameters, register

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
        return build(name, **options)


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


@pytest.mark.parametrize("name", ["ConvNN_1", "ConvNN_2", "face9k"])
def test_the_sigmoid_head_is_the_sigmoid_of_the_logits(name):
    logits = make(name).eval()(100 * faces())
    outputs = make(name, head="sigmoid").eval()(100 * faces())
    assert logits.min() < 0 or logits.max() > 1
    torch.testing.assert_close(outputs, 1 / (1 + torch.exp(-logits)))


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
    with pytest.raises(SglibError, match="no network 'ConvNN_3'; there are: ConvNN_1, ConvNN_2, f"):
        build("ConvNN_3")
    with pytest.raises(SglibError, match="head must be sigmoid or logit, got 'softmax'"):
        build("ConvNN_1", head="softmax")
    with pytest.raises(SglibError, match=r"face9k has no dropout: p_drop must be 0, got 0\.5"):
        build("face9k", p_drop=0.5)


@pytest.mark.parametrize(
    ("name", "channels"),
    [("face9k", (8, 16, 24, 20)), ("face17k", (16, 16, 32, 32)), ("face28k", (16, 32, 32, 48))],
)
def test_our_networks_are_named_by_their_size(name, channels):
    ins = (1, *channels)
    by_layer = [9 * a * b + 2 * b for a, b in zip(ins, channels, strict=False)]
    total = sum(by_layer) + 2 * channels[-1] + 2
    assert count_parameters(make(name)) == total
    assert name == f"face{total / 1000:.0f}k"


def test_ours_looks_at_the_upper_rows_and_hardly_at_brightness_and_contrast():
    network, images = make("face9k").eval(), faces(3)
    logits = network(images)
    below = images.clone()
    below[:, :, FaceNet.TOP :] = 0
    assert torch.equal(network(below), logits)
    torch.testing.assert_close(network(images * 0.5 + 0.2), logits, atol=0.2, rtol=0)
    assert torch.isfinite(network(torch.zeros(1, 1, 30, 32))).all()


class Mine(nn.Module):
    def __init__(self, n_outputs: int = 2) -> None:
        super().__init__()
        self.layer = nn.Linear(960, n_outputs)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images.flatten(1))


@pytest.fixture
def registry(monkeypatch):
    """Undo what a test registers."""
    for name in ("mine",):
        monkeypatch.setitem(NETWORKS, name, Mine)
        monkeypatch.delitem(NETWORKS, name)


def test_a_users_network_joins_the_registry(registry):
    assert register("mine", Mine) == "mine"
    assert count_parameters(build("mine")) == 962 * 2 - 2
    outputs = build("mine", head="sigmoid")(faces())
    assert outputs.shape == (5, 2)
    assert outputs.min() >= 0
    register("mine", lambda: Mine())  # a cell that is run again


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        (Mine(), "expected a class or function that makes a new network"),
        (3, "expected a class or function"),
        (lambda: Mine(3), r"got Mine, outputs \(2, 3\)"),
        (lambda: nn.Conv2d(3, 2, 3), "expected an nn.Module from .* got RuntimeError"),
        (lambda: lambda images: torch.zeros(2, 2), "got function, outputs"),
        (lambda: 1 / 0, "got ZeroDivisionError"),
    ],
)
def test_what_is_no_network_is_refused(builder, message, registry):
    with pytest.raises(SglibError, match=f"^mine: .*{message}"):
        register("mine", builder)
    assert "mine" not in NETWORKS


def test_names_of_the_library_are_kept():
    with pytest.raises(SglibError, match="'ConvNN_1' is a network of the library"):
        register("ConvNN_1", Mine)
