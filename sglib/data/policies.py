"""Named combinations of augmentations, the course set's distortions among them.

`augment.py` has the single methods of the paper's Table 1; here they are drawn together, the
geometric ones in one sampling, with what the paper's table lacks: stretch, black point, bands,
exchanged clothes and erased patches.
"""

import dataclasses

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from sglib import SglibError
from sglib.data.augment import METHODS, affine, draw, factors


@dataclasses.dataclass(frozen=True)
class Policy:
    """Strengths of a combination; 0 switches a part off. Default: nothing happens.

    Parts run in the order of the fields. Units of the named methods are those of `METHODS`.

    Args:
        clothes: probability that the rows below the head come from another image of the batch,
            below a cut drawn from rows 17 to 24.
        flip: probability of a horizontal mirror.
        rotation: degrees.
        scaling, stretch: relative size; stretch scales width and height separately.
        shift_x, shift_y: pixels.
        blur: largest share of a 3×3 binomial blur, 0 to 1.
        erase: probability of one rectangle of random gray.
        gamma, contrast: as `colour_space` and `contrast`.
        black_point: largest gray value that becomes black (the rest moves down with it), 0 to 1.
        gain: relative brightness.
        bands: sd of a factor per column or per row.
        noise: gray range.
    """

    clothes: float = 0.0
    flip: float = 0.0
    rotation: float = 0.0
    scaling: float = 0.0
    stretch: float = 0.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    blur: float = 0.0
    erase: float = 0.0
    gamma: float = 0.0
    contrast: float = 0.0
    black_point: float = 0.0
    gain: float = 0.0
    bands: float = 0.0
    noise: float = 0.0

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Return augmented images.

        Args:
            images: float (B, 1, H, W) in [0, 1].
            generator: a CPU generator.
        """
        if self.clothes:
            images = exchange_clothes(images, self.clothes, generator)
        if self.flip:
            images = METHODS["flip_horizontal"](images, self.flip, generator)
        if any((self.rotation, self.scaling, self.stretch, self.shift_x, self.shift_y)):
            size = factors(images, self.scaling, generator)
            aspect = factors(images, self.stretch, generator).sqrt()
            images = affine(
                images,
                degrees=draw(images, -self.rotation, self.rotation, generator),
                scale_x=size * aspect,
                scale_y=size / aspect,
                shift_x=draw(images, -self.shift_x, self.shift_x, generator),
                shift_y=draw(images, -self.shift_y, self.shift_y, generator),
            )
        if self.blur:
            images = blur(images, self.blur, generator)
        if self.erase:
            images = erase(images, self.erase, generator)
        images = METHODS["colour_space"](images, self.gamma, generator)
        images = METHODS["contrast"](images, self.contrast, generator)
        if self.black_point:
            images = lower_black_point(images, self.black_point, generator)
        if self.gain:
            images = (images * factors(images, self.gain, generator)).clamp(0, 1)
        if self.bands:
            images = add_bands(images, self.bands, generator)
        return METHODS["noise"](images, self.noise, generator)


@dataclasses.dataclass(frozen=True)
class Chain:
    """Methods of the paper's Table 1 one after the other, as the ablation combines them.

    Args:
        parts: (name in `METHODS`, strength) in the order of application.
    """

    parts: tuple[tuple[str, float], ...]

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Return augmented images, see `Policy`."""
        for name, strength in self.parts:
            if name not in METHODS:
                raise SglibError(f"no method {name!r}; there are: {', '.join(METHODS)}")
            images = METHODS[name](images, strength, generator)
        return images


def exchange_clothes(images: Tensor, strength: float, generator: Generator) -> Tensor:
    """Replace the rows below the head by another image's, with probability `strength`.

    Whether someone wears sunglasses is decided above the cut, so the label stays.
    """
    n, _, height, _ = images.shape
    other = images[torch.randperm(n, generator=generator).to(images.device)]
    cut = torch.floor(draw(images, 17, 25, generator))
    cut = torch.where(draw(images, 0, 1, generator) < strength, cut, height)
    rows = torch.arange(height, device=images.device)[:, None]  # (H, 1)
    return torch.where(rows >= cut, other, images)


def blur(images: Tensor, strength: float, generator: Generator) -> Tensor:
    """Blend with a 3×3 binomial blur by a share uniform in [0, `strength`], edges repeated."""
    line = images.new_tensor([0.25, 0.5, 0.25])
    kernel = (line[:, None] * line).expand(images.shape[1], 1, 3, 3)
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    smooth = F.conv2d(padded, kernel, groups=images.shape[1])
    return images + (smooth - images) * draw(images, 0, strength, generator)


def erase(images: Tensor, strength: float, generator: Generator) -> Tensor:
    """Paint a rectangle of 2–6 × 2–10 pixels in one random gray, with probability `strength`."""
    height, width = images.shape[-2:]
    x, y = draw(images, -2, width, generator), draw(images, -2, height, generator)
    across, along = draw(images, 2, 6, generator), draw(images, 2, 10, generator)
    turned = draw(images, 0, 1, generator) < 0.5
    across, along = torch.where(turned, along, across), torch.where(turned, across, along)
    columns = torch.arange(width, device=images.device)
    rows = torch.arange(height, device=images.device)[:, None]
    inside = (columns >= x) & (columns < x + across) & (rows >= y) & (rows < y + along)
    inside &= draw(images, 0, 1, generator) < strength
    return torch.where(inside, draw(images, 0, 1, generator), images)


def lower_black_point(images: Tensor, strength: float, generator: Generator) -> Tensor:
    """Subtract up to `strength` and clip at black; half of the images keep their black point."""
    return (images - draw(images, -strength, strength, generator).clamp(min=0)).clamp(0, 1)


def add_bands(images: Tensor, strength: float, generator: Generator) -> Tensor:
    """Multiply columns (a quarter of the images) or rows (another) by factors 1 ± sd `strength`."""
    n, _, height, width = images.shape
    kind = draw(images, 0, 1, generator)
    columns = torch.randn(n, 1, 1, width, generator=generator).to(images)
    rows = torch.randn(n, 1, height, 1, generator=generator).to(images)
    change = torch.where(kind < 0.25, columns, torch.where(kind < 0.5, rows, 0))
    return (images * (1 + strength * change)).clamp(0, 1)


POLICIES: dict[str, Policy] = {
    "none": Policy(),
    "standard": Policy(
        flip=0.5,
        rotation=8,
        scaling=0.1,
        stretch=0.08,
        shift_x=3,
        shift_y=2,
        blur=0.4,
        gamma=0.3,
        contrast=0.25,
        black_point=0.25,
        noise=0.04,
    ),
}
