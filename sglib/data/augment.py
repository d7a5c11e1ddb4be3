"""The nine augmentations of the paper's Table 1, on batches: tensors in, tensors out.

Each method takes float images (B, 1, H, W) in [0, 1], a strength and a generator; it draws one
value per image, so one call treats a whole batch and every image differently. Strength 0 returns
the images unchanged; the same generator state gives the same batch on every device. What moves in
from outside repeats the edge pixels, as the course set's test images do.
Source: paper Table 1. Formulas of contrast, sharpness and gamma: torchvision.transforms.v2.
"""

import dataclasses
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from sglib import SglibError

_FLIP_DIMS = {"horizontal": (-1,), "vertical": (-2,), "both": (-2, -1)}


def flip(images: Tensor, *, direction: str = "horizontal") -> Tensor:
    """Mirror images; every pixel value is kept, nothing needs filling.

    Args:
        images: (..., H, W), any dtype.
        direction: "horizontal" swaps left and right, "vertical" top and bottom, or "both".

    Raises:
        SglibError: unknown direction.
    """
    return torch.flip(images, _dims(direction))


def random_flip(
    images: Tensor, strength: float, generator: Generator, *, direction: str = "horizontal"
) -> Tensor:
    """Mirror each image with probability `strength` in [0, 1]."""
    chosen = draw(images, 0, 1, generator) < strength
    return torch.where(chosen, flip(images, direction=direction), images)


def rotate(images: Tensor, strength: float, generator: Generator) -> Tensor:
    """Turn about the centre by up to ±`strength` degrees; corners repeat the edge."""
    return affine(images, degrees=draw(images, -strength, strength, generator))


def scale(images: Tensor, strength: float, generator: Generator) -> Tensor:
    """Enlarge or shrink about the centre by up to 1 + `strength`; repeats the edge."""
    factor = factors(images, strength, generator)
    return affine(images, scale_x=factor, scale_y=factor)


def translate(
    images: Tensor, strength: float, generator: Generator, *, direction: str = "both"
) -> Tensor:
    """Shift by up to ±`strength` pixels (fractions interpolate); what moves in repeats the edge.

    Args:
        direction: "horizontal", "vertical" or "both".
    """
    dims = _dims(direction)
    x = draw(images, -strength, strength, generator) if -1 in dims else None
    y = draw(images, -strength, strength, generator) if -2 in dims else None
    return affine(images, shift_x=x, shift_y=y)


def crop(images: Tensor, strength: float, generator: Generator) -> Tensor:
    """Cut out a window and enlarge it to the full size; nothing needs filling.

    The window's sides are 1 − u of the image's, u uniform in [0, `strength`], `strength` < 1; its
    place is uniform.
    """
    removed = draw(images, 0, strength, generator)
    height, width = images.shape[-2:]
    x, y = (draw(images, -0.5, 0.5, generator) for _ in range(2))
    factor = 1 / (1 - removed)
    # The content moves by the window's offset, measured in enlarged pixels.
    return affine(
        images,
        scale_x=factor,
        scale_y=factor,
        shift_x=x * removed * width * factor,
        shift_y=y * removed * height * factor,
    )


def add_noise(images: Tensor, strength: float, generator: Generator) -> Tensor:
    """Add Gaussian noise, sd uniform in [0, `strength`] (1 = black to white) per image."""
    sd = draw(images, 0, strength, generator)
    noise = torch.randn(images.shape, generator=generator, dtype=torch.float32)
    return (images + sd * noise.to(images)).clamp(0, 1)


def map_intensity(
    images: Tensor, strength: float, generator: Generator, *, p_invert: float = 0.0
) -> Tensor:
    """Change the colour space, for one gray channel the gamma: x → x^γ.

    Args:
        strength: γ is between 1/(1 + strength) and 1 + strength, uniform in log.
        p_invert: probability of a negative (x → 1 − x). Off by default: a negative turns dark
            glasses into bright ones, which is what the label is about.
    """
    mapped = images.clamp(min=0).pow(factors(images, strength, generator))
    if p_invert > 0:
        chosen = draw(images, 0, 1, generator) < p_invert
        mapped = torch.where(chosen, 1 - mapped, mapped)
    return mapped


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


@dataclasses.dataclass(frozen=True)
class Method:
    """One augmentation, as the gallery and the ablation list it.

    Args:
        function: images (B, 1, H, W) in [0, 1], strength, generator → images.
        unit: of the strength.
        limit: largest sensible strength; the least is 0, the identity.
        usual: strength that the ablation uses.
        fill: what stands where nothing was.
    """

    function: Callable[[Tensor, float, Generator], Tensor]
    unit: str
    limit: float
    usual: float
    fill: str = "none needed"

    def __call__(self, images: Tensor, strength: float, generator: Generator) -> Tensor:
        """Return the augmented images, new where anything changed.

        Args:
            images: float (B, 1, H, W) in [0, 1].
            strength: in [0, limit].
            generator: a CPU generator; its draws do not depend on the images' device.

        Raises:
            SglibError: the strength is out of range or the images are not as above.
        """
        if not 0 <= strength <= self.limit:
            raise SglibError(f"strength must be in [0, {self.limit}] {self.unit}, got {strength}")
        if images.ndim != 4 or not images.is_floating_point():
            raise SglibError(
                f"images must be float (B, 1, H, W), got {images.dtype} {tuple(images.shape)}"
            )
        return self.function(images, strength, generator) if strength > 0 else images


def _towards(function: Callable[..., Tensor], direction: str) -> Callable[..., Tensor]:
    def run(images: Tensor, strength: float, generator: Generator) -> Tensor:
        return function(images, strength, generator, direction=direction)

    return run


_EDGE = "edge repeated"
METHODS: dict[str, Method] = {
    "flip_horizontal": Method(_towards(random_flip, "horizontal"), "probability", 1, 0.5),
    "flip_vertical": Method(_towards(random_flip, "vertical"), "probability", 1, 0.5),
    "flip_both": Method(_towards(random_flip, "both"), "probability", 1, 0.5),
    "rotation": Method(rotate, "degrees", 180, 8, _EDGE),
    "scaling": Method(scale, "relative size", 1, 0.1, _EDGE),
    "noise": Method(add_noise, "gray range", 1, 0.04),
    "colour_space": Method(map_intensity, "relative gamma", 4, 0.3),
    "contrast": Method(change_contrast, "relative contrast", 1, 0.3),
    "sharpness": Method(change_sharpness, "relative sharpness", 1, 0.5),
    "translation_horizontal": Method(_towards(translate, "horizontal"), "pixels", 32, 3, _EDGE),
    "translation_vertical": Method(_towards(translate, "vertical"), "pixels", 30, 2, _EDGE),
    "translation_both": Method(_towards(translate, "both"), "pixels", 30, 2, _EDGE),
    "cropping": Method(crop, "share of the side", 0.9, 0.15),
}


def affine(
    images: Tensor,
    *,
    degrees: Tensor | None = None,
    scale_x: Tensor | None = None,
    scale_y: Tensor | None = None,
    shift_x: Tensor | None = None,
    shift_y: Tensor | None = None,
) -> Tensor:
    """Turn, scale and shift each image by its own values in one bilinear sampling, edges repeated.

    Args:
        images: float (B, C, H, W).
        degrees: (B, 1, 1, 1), about the centre, positive counter-clockwise.
        scale_x, scale_y: (B, 1, 1, 1), above 1 enlarges.
        shift_x, shift_y: (B, 1, 1, 1), pixels to the right and down, applied last.
    """
    n, _, height, width = images.shape
    zero = images.new_zeros(n)
    angle, right, down = (zero if v is None else v.reshape(n) for v in (degrees, shift_x, shift_y))
    across, along = (zero + 1 if v is None else v.reshape(n) for v in (scale_x, scale_y))
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


def _dims(direction: str) -> tuple[int, ...]:
    if direction not in _FLIP_DIMS:
        raise SglibError(f"direction must be one of {', '.join(_FLIP_DIMS)}, got {direction!r}")
    return _FLIP_DIMS[direction]
