import dataclasses

import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode, functional

from sglib import SglibError
from sglib.data import augment
from sglib.data.augment import METHODS, POLICIES, Chain, Policy, affine, blur, flip


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(6, 1, 30, 32, generator=generator(1))


@pytest.mark.parametrize("name", METHODS)
def test_each_method(name: str, images: torch.Tensor) -> None:
    method = METHODS[name]
    before = images.clone()
    assert method(images, 0, generator()) is images
    changed = method(images, method.usual, generator())
    assert torch.equal(images, before), "the input was written to"
    assert changed.shape == images.shape
    assert changed.dtype == images.dtype
    assert changed.min() >= 0
    assert changed.max() <= 1 + 1e-6
    assert not torch.equal(changed, images)
    assert torch.equal(changed, method(images, method.usual, generator()))
    assert not torch.equal(changed, method(images, method.usual, generator(5)))
    # Nearly nothing is nearly the identity: strength is a dial, not a switch.
    slight = method(images, 1e-5, generator(2))
    assert torch.allclose(slight, images, atol=2e-4)
    for wrong in (-0.1, method.limit * 1.01):
        with pytest.raises(SglibError, match="strength must be in"):
            method(images, wrong, generator())
    with pytest.raises(SglibError, match="must be float"):
        method((images * 255).byte(), method.usual, generator())


@pytest.mark.parametrize("name", METHODS)
def test_images_of_a_batch_get_draws_of_their_own(name: str) -> None:
    same = torch.rand(1, 1, 30, 32, generator=generator(1)).expand(16, -1, -1, -1)
    changed = METHODS[name](same, METHODS[name].usual, generator())
    assert not torch.equal(changed, changed[:1].expand_as(changed))


def test_nine_methods_of_table_1() -> None:
    families = {name.split("_")[0] for name in METHODS}
    assert len(families) == 9
    assert sum(name.startswith("flip") for name in METHODS) == 3
    assert sum(name.startswith("translation") for name in METHODS) == 3


def test_flip_directions(images: torch.Tensor) -> None:
    assert torch.equal(flip(images), functional.horizontal_flip(images))
    assert torch.equal(flip(images, direction="vertical"), functional.vertical_flip(images))
    both = functional.vertical_flip(functional.horizontal_flip(images))
    assert torch.equal(flip(images, direction="both"), both)
    for name in ("horizontal", "vertical", "both"):
        always = METHODS[f"flip_{name}"](images, 1, generator())
        assert torch.equal(always, flip(images, direction=name))


def value(number: float, n: int = 6) -> torch.Tensor:
    return torch.full((n, 1, 1, 1), number)


def test_affine_agrees_with_torchvision_inside(images: torch.Tensor) -> None:
    ours = affine(images, degrees=value(10.0))
    theirs = functional.rotate(images, 10.0, interpolation=InterpolationMode.BILINEAR)
    inside = (..., slice(10, 20), slice(10, 22))
    assert torch.allclose(ours[inside], theirs[inside], atol=1e-4)
    ours = affine(images, scale=(value(1.25), 1.25), shift=(value(2.0), 0.0))
    theirs = functional.affine(
        images,
        angle=0,
        translate=[2, 0],
        scale=1.25,
        shear=[0.0],
        interpolation=InterpolationMode.BILINEAR,
    )
    assert torch.allclose(ours[inside], theirs[inside], atol=1e-4)


def test_affine_order_is_turn_scale_shift(images: torch.Tensor) -> None:
    turned = affine(images, degrees=value(20.0))
    once = affine(images, degrees=value(20.0), shift=(value(3.0), -2.0))
    assert torch.allclose(once[..., 4:24, 6:28], turned[..., 6:26, 3:25], atol=1e-4)


def test_shift_repeats_the_edge(images: torch.Tensor) -> None:
    moved = affine(images, shift=(value(3.0), 0.0))
    assert torch.allclose(moved[..., 3:], images[..., :-3], atol=1e-5)
    assert torch.allclose(moved[..., :3], images[..., :1].expand(-1, -1, -1, 3), atol=1e-5)
    moved = affine(images, shift=(0.0, value(-2.0)))
    assert torch.allclose(moved[..., :-2, :], images[..., 2:, :], atol=1e-5)
    assert torch.allclose(moved[..., -2:, :], images[..., -1:, :].expand(-1, -1, 2, -1), atol=1e-5)


def test_translation_stays_in_its_direction() -> None:
    rows = torch.linspace(0, 1, 30)[:, None].expand(6, 1, 30, 32).clone()
    moved = METHODS["translation_horizontal"](rows, 3, generator())
    assert torch.allclose(moved, rows, atol=1e-5)
    assert not torch.allclose(
        METHODS["translation_vertical"](rows, 3, generator()), rows, atol=1e-3
    )


def test_crop_shows_only_the_inside(images: torch.Tensor) -> None:
    # A ramp in x: a window of side 1 − u spans 1 − u of the ramp, wherever it lies.
    ramp = torch.arange(32.0).expand(200, 1, 30, 32) / 31
    cut = METHODS["cropping"](ramp, 0.5, generator())
    span = (cut[:, 0, 0, 28] - cut[:, 0, 0, 3]) * 31 / 25
    assert span.min() >= 0.49
    assert span.max() <= 1.01
    assert cut.min() >= 0
    left, right = cut[:, 0, 0, 0] * 31 + 0.5, 31.5 - cut[:, 0, 0, 31] * 31
    assert left.min() >= 0
    assert abs(float(left.mean() - right.mean())) < 1.0


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("contrast", functional.adjust_contrast),
        ("sharpness", functional.adjust_sharpness),
    ],
)
def test_formulas_are_torchvisions(
    name: str, theirs, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(augment, "draw", lambda *args: value(1.4))
    assert torch.allclose(METHODS[name](images, 0.5, generator()), theirs(images, 1.4), atol=1e-6)
    monkeypatch.setattr(augment, "draw", lambda *args: value(0.6))
    assert torch.allclose(METHODS[name](images, 0.5, generator()), theirs(images, 0.6), atol=1e-6)


def test_gamma_is_torchvisions(images: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augment, "factors", lambda *args: value(1.3))
    gamma = METHODS["colour_space"](images, 0.5, generator())
    assert torch.allclose(gamma, functional.adjust_gamma(images, 1.3), atol=1e-6)


def test_noise_strength_is_the_largest_sd() -> None:
    gray = torch.full((400, 1, 30, 32), 0.5)
    sd = METHODS["noise"](gray, 0.1, generator()).std((1, 2, 3))
    assert 0.095 < float(sd.max()) < 0.105
    assert 0.045 < float(sd.mean()) < 0.055


def test_policy_of_zeros_is_the_identity(images: torch.Tensor) -> None:
    assert torch.equal(Policy()(images, generator()), images)
    assert POLICIES["none"] == Policy()


@pytest.mark.parametrize("policy", POLICIES.values())
def test_policies_keep_shape_and_range(policy: Policy, images: torch.Tensor) -> None:
    changed = policy(images, generator())
    assert changed.shape == images.shape
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert torch.equal(changed, policy(images, generator()))


@pytest.mark.parametrize("part", [field.name for field in dataclasses.fields(Policy)])
def test_each_part_of_a_policy_is_a_dial(part: str, images: torch.Tensor) -> None:
    strong = Policy(**{part: 0.4})(images, generator())
    assert not torch.equal(strong, images)
    if part != "flip":
        slight = Policy(**{part: 1e-5})(images, generator())
        assert torch.allclose(slight, images, atol=2e-4)


def test_blur_leaves_flat_images_and_the_mean_of_others(images: torch.Tensor) -> None:
    flat = torch.full((40, 1, 30, 32), 0.5)
    assert torch.allclose(blur(flat, 1.0, generator()), flat)
    blurred = blur(images, 1.0, generator())
    assert (blurred.std((1, 2, 3)) < images.std((1, 2, 3))).all()


def test_chain(images: torch.Tensor) -> None:
    assert Chain(())(images, generator()) is images
    chained = Chain((("noise", 0.1), ("rotation", 5)))(images, generator())
    draws = generator()
    by_hand = METHODS["rotation"](METHODS["noise"](images, 0.1, draws), 5, draws)
    assert torch.equal(chained, by_hand)
    with pytest.raises(SglibError, match="no method 'zoom'"):
        Chain((("zoom", 1),))(images, generator())
