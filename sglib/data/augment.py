"""The nine augmentations of the paper's Table 1 and named combinations: tensors in, tensors out.

Each method takes float images (B, 1, H, W) in [0, 1], a strength and a generator; it draws one
value per image, so one call treats a whole batch and every image differently. Strength 0 returns
the images unchanged; the same generator state gives the same batch on every device. What moves in
from outside repeats the edge pixels, as the course set's test images do.
Source: paper Table 1. Formulas of contrast, sharpness and gamma: torchvision.transforms.v2.
"""

import dataclasses
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from sglib import SglibError

Value = Tensor | float
Pair = tuple[Value, Value]
_DIMS = {"horizontal": (-1,), "vertical": (-2,), "both": (-2, -1)}


def flip(images: Tensor, *, direction: str = "horizontal") -> Tensor:
    """Mirror images (..., H, W) of any dtype: "horizontal" swaps left and right, or "both"."""
    return torch.flip(images, _DIMS[direction])


def random_flip(images: Tensor, strength: float, generator: Generator, direction: str) -> Tensor:
    """Mirror each image with probability `strength` in [0, 1]."""
    chosen = draw(images, 0, 1, generator) < strength
    return torch.where(chosen, flip(images, direction=direction), images)


def rotate(images: Tensor, strength: float, generator: Generator) -> Tensor:
    """Turn about the centre by up to ±`strength` degrees; corners repeat the edge."""
    return affine(images, degrees=draw(images, -strength, strength, generator))


def scale(images: Tensor, strength: float, generator: Generator) -> Tensor:
    """Enlarge or shrink about the centre by up to 1 + `strength`; repeats the edge."""
    factor = factors(images, strength, generator)
    return affine(images, scale=(factor, factor))


def translate(images: Tensor, strength: float, generator: Generator, direction: str) -> Tensor:
    """Shift by up to ±`strength` pixels (fractions interpolate); what moves in repeats the edge."""
    dims = _DIMS[direction]
    x = draw(images, -strength, strength, generator) if -1 in dims else 0.0
    y = draw(images, -strength, strength, generator) if -2 in dims else 0.0
    return affine(images, shift=(x, y))


def crop(images: Tensor, strength: float, generator: Generator) -> Tensor:
    """Enlarge a window anywhere, its sides 1 − u of the image's, u uniform in [0, `strength`]."""
    removed = draw(images, 0, strength, generator)
    height, width = images.shape[-2:]
    x, y = (draw(images, -0.5, 0.5, generator) for _ in range(2))
    factor = 1 / (1 - removed)
    # The content moves by the window's offset, measured in enlarged pixels.
    shift = (x * removed * width * factor, y * removed * height * factor)
    return affine(images, scale=(factor, factor), shift=shift)


def add_noise(images: Tensor, strength: float, generator: Generator) -> Tensor:
    """Add Gaussian noise, sd uniform in [0, `strength`] (1 = black to white) per image."""
    sd = draw(images, 0, strength, generator)
    noise = torch.randn(images.shape, generator=generator, dtype=torch.float32)
    return (images + sd * noise.to(images)).clamp(0, 1)


def map_intensity(images: Tensor, strength: float, generator: Generator) -> Tensor:
    """Change the colour space, for one gray channel the gamma: x → x^γ, γ = `factors`."""
    return images.clamp(min=0).pow(factors(images, strength, generator))


def change_contrast(images: Tensor, strength: float, generator: Generator) -> Tensor:
    """Scale the distance to the image's mean by 1 ± `strength`, `strength` in [0, 1]; clipped."""
    mean = images.mean((-3, -2, -1), keepdim=True)  # (B, 1, 1, 1)
    factor = draw(images, 1 - strength, 1 + strength, generator)
    return (mean + (images - mean) * factor).clamp(0, 1)


def change_sharpness(images: Tensor, strength: float, generator: Generator) -> Tensor:
    """Blend with torchvision's smoothed image: factor 1 ± `strength`, in [0, 1], below 1 blurs."""
    # Imported here: torchvision takes longer to load than most commands take to run.
    from torchvision.transforms.v2 import functional

    smooth = functional.adjust_sharpness(images, 0.0)
    factor = draw(images, 1 - strength, 1 + strength, generator)
    return (smooth + (images - smooth) * factor).clamp(0, 1)


def blur(images: Tensor, strength: float, generator: Generator) -> Tensor:
    """Blend with a 3×3 binomial blur by a share uniform in [0, `strength`], edges repeated."""
    line = images.new_tensor([0.25, 0.5, 0.25])
    kernel = (line[:, None] * line).expand(images.shape[1], 1, 3, 3)
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    smooth = F.conv2d(padded, kernel, groups=images.shape[1])
    return images + (smooth - images) * draw(images, 0, strength, generator)


def lower_black_point(images: Tensor, strength: float, generator: Generator) -> Tensor:
    """Subtract up to `strength` and clip at black; half of the images keep their black point."""
    return (images - draw(images, -strength, strength, generator).clamp(min=0)).clamp(0, 1)


@dataclasses.dataclass(frozen=True)
class Method:
    """One augmentation, as the gallery and the ablation list it."""

    function: Callable[[Tensor, float, Generator], Tensor]
    unit: str  # of the strength
    limit: float  # largest sensible strength; the least is 0, the identity
    usual: float  # strength that the ablation uses

    def __call__(self, images: Tensor, strength: float, generator: Generator) -> Tensor:
        """Return the augmented images; `SglibError` if strength or images are not as above."""
        if not 0 <= strength <= self.limit:
            raise SglibError(f"strength must be in [0, {self.limit}] {self.unit}, got {strength}")
        if images.ndim != 4 or not images.is_floating_point():
            found = f"{images.dtype} {tuple(images.shape)}"
            raise SglibError(f"images must be float (B, 1, H, W), got {found}")
        return self.function(images, strength, generator) if strength > 0 else images


METHODS: dict[str, Method] = {
    "flip_horizontal": Method(partial(random_flip, direction="horizontal"), "probability", 1, 0.5),
    "flip_vertical": Method(partial(random_flip, direction="vertical"), "probability", 1, 0.5),
    "flip_both": Method(partial(random_flip, direction="both"), "probability", 1, 0.5),
    "rotation": Method(rotate, "degrees", 180, 8),
    "scaling": Method(scale, "relative size", 1, 0.1),
    "noise": Method(add_noise, "gray range", 1, 0.04),
    "colour_space": Method(map_intensity, "relative gamma", 4, 0.3),
    "contrast": Method(change_contrast, "relative contrast", 1, 0.3),
    "sharpness": Method(change_sharpness, "relative sharpness", 1, 0.5),
    "translation_horizontal": Method(partial(translate, direction="horizontal"), "pixels", 32, 3),
    "translation_vertical": Method(partial(translate, direction="vertical"), "pixels", 30, 2),
    "translation_both": Method(partial(translate, direction="both"), "pixels", 30, 2),
    "cropping": Method(crop, "share of the side", 0.9, 0.15),
}


@dataclasses.dataclass(frozen=True)
class Policy:
    """Strengths of a combination; 0 switches a part off. Default: nothing happens.

    Parts run in the order of the fields, the geometric ones in one sampling. Units are those of
    `METHODS`; besides: `stretch` scales width and height separately (relative size), `blur` is the
    largest share of a 3×3 blur, `black_point` the largest gray value that becomes black.
    """

    flip: float = 0.0
    rotation: float = 0.0
    scaling: float = 0.0
    stretch: float = 0.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    blur: float = 0.0
    gamma: float = 0.0
    contrast: float = 0.0
    black_point: float = 0.0
    noise: float = 0.0

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Return augmented images."""
        if self.flip:
            images = random_flip(images, self.flip, generator, "horizontal")
        if any((self.rotation, self.scaling, self.stretch, self.shift_x, self.shift_y)):
            size = factors(images, self.scaling, generator)
            aspect = factors(images, self.stretch, generator).sqrt()
            most = (self.rotation, self.shift_x, self.shift_y)
            turn, *shift = [draw(images, -value, value, generator) for value in most]
            scale = (size * aspect, size / aspect)
            images = affine(images, degrees=turn, scale=scale, shift=(shift[0], shift[1]))
        parts = (blur, map_intensity, change_contrast, lower_black_point, add_noise)
        strengths = (self.blur, self.gamma, self.contrast, self.black_point, self.noise)
        for part, strength in zip(parts, strengths, strict=True):
            images = part(images, strength, generator) if strength else images
        return images


@dataclasses.dataclass(frozen=True)
class Chain:
    """Methods of Table 1 one after the other: (name in `METHODS`, strength), as the ablation."""

    parts: tuple[tuple[str, float], ...]

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Return augmented images."""
        for name, strength in self.parts:
            if name not in METHODS:
                raise SglibError(f"no method {name!r}; there are: {', '.join(METHODS)}")
            images = METHODS[name](images, strength, generator)
        return images


_GEOMETRY = {
    "flip": 0.5,
    "rotation": 8,
    "scaling": 0.1,
    "stretch": 0.08,
    "shift_x": 3,
    "shift_y": 2,
}
_TONE = {"blur": 0.4, "gamma": 0.3, "contrast": 0.25, "black_point": 0.25, "noise": 0.04}
POLICIES = {"none": Policy(), "standard": Policy(**_GEOMETRY, **_TONE)}


def affine(
    images: Tensor, *, degrees: Value = 0.0, scale: Pair = (1.0, 1.0), shift: Pair = (0.0, 0.0)
) -> Tensor:
    """Turn, scale and shift each image by its own values in one bilinear sampling, edges repeated.

    Args:
        images: float (B, C, H, W).
        degrees: about the centre, positive counter-clockwise. All values: (B, 1, 1, 1), or one.
        scale: of x and y, above 1 enlarges.
        shift: pixels to the right and down, applied last.
    """
    n, _, height, width = images.shape
    values = (torch.as_tensor(value).to(images) for value in (degrees, *scale, *shift))
    angle, across, along, right, down = (value.reshape(-1).expand(n) for value in values)
    cos, sin = torch.cos(torch.deg2rad(angle)), torch.sin(torch.deg2rad(angle))
    # Where each output pixel comes from, inverted: undo the shift, turn back, scale back. Grid
    # coordinates run from -1 to 1 over the width and the height, hence the ratios of the sides.
    right, down = right * 2 / width, down * 2 / height
    from_x = torch.stack([cos / across, -sin * height / width / across], 1)
    from_y = torch.stack([sin * width / height / along, cos / along], 1)
    turn = torch.stack([from_x, from_y], 1)  # (B, 2, 2)
    offset = -turn @ torch.stack([right, down], 1).unsqueeze(2)  # (B, 2, 1)
    grid = F.affine_grid(torch.cat([turn, offset], 2), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def draw(images: Tensor, low: float, high: float, generator: Generator) -> Tensor:
    """Return one uniform value in [low, high) per image, (B, 1, 1, 1), on the images' device."""
    values = torch.rand(len(images), 1, 1, 1, generator=generator, dtype=torch.float32)
    return (low + (high - low) * values).to(images)


def factors(images: Tensor, strength: float, generator: Generator) -> Tensor:
    """Return one factor per image between 1/(1 + strength) and 1 + strength, uniform in log."""
    return (1 + strength) ** draw(images, -1, 1, generator)
