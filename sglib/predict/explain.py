"""What an answer rests on: how it changes when a part of the picture is covered.

A grey patch is moved over the picture. Where covering lowers the log-odds of sunglasses, what is
there spoke for sunglasses; where it raises them, for open.

Source: Zeiler & Fergus 2014 (ECCV), §4.2.
"""

import re
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from sglib import SglibError
from sglib.data.faces import HEIGHT, WIDTH
from sglib.files import replacing
from sglib.models.ensemble import BATCH
from sglib.predict.classifier import Classifier

PATCH = 7  # rows and columns: about the size of a lens with its rim
_ZOOM = 10
_GAP, _CAPTION = 12, 36  # pixels between the two pictures, and below them
# ColorBrewer's orange and purple, told apart by people with any colour vision
_FOR_SUNGLASSES, _FOR_OPEN = np.array([230.0, 97, 1]), np.array([94.0, 60, 153])


@torch.inference_mode()
def occlusion_map(classifier: Classifier, image: np.ndarray, *, patch: int = PATCH) -> np.ndarray:
    """Return how much each place speaks for sunglasses, float64 (30, 32).

    Args:
        classifier: the model.
        image: uint8 (30, 32).
        patch: side of the square that covers, in pixels.

    Returns:
        For each pixel the mean over all patches that cover it of the fall of the log-odds, in
        nats; negative where it speaks for open.

    Raises:
        SglibError: the patch is empty or larger than the picture.
    """
    if not 1 <= patch <= min(HEIGHT, WIDTH):
        raise SglibError(f"patch must be 1 to {min(HEIGHT, WIDTH)} pixels, got {patch}")
    # patches reach over the border, so that each pixel is covered equally often
    corners = [(top, left) for top in range(1 - patch, HEIGHT) for left in range(1 - patch, WIDTH)]
    places = [
        (slice(max(0, top), top + patch), slice(max(0, left), left + patch))
        for top, left in corners
    ]
    pictures = np.repeat(image[None], len(places) + 1, axis=0)  # the last one stays uncovered
    for picture, place in zip(pictures, places, strict=False):
        picture[place] = round(float(image.mean()))
    batches = torch.from_numpy(pictures).to(classifier.device).split(BATCH)
    log_odds = torch.cat([classifier.scorer.log_odds(batch) for batch in batches])
    log_odds = log_odds.double().cpu().numpy()
    total = np.zeros((HEIGHT, WIDTH))
    for place, value in zip(places, log_odds[-1] - log_odds[:-1], strict=True):
        total[place] += value
    return total / patch**2


def draw_explanation(
    image: np.ndarray, effect: np.ndarray, *, label: str, probability: float
) -> Image.Image:
    """Draw a picture and its occlusion map side by side.

    Args:
        image: uint8 (30, 32).
        effect: from `occlusion_map`.
        label: what the model calls it.
        probability: of sunglasses.
    """
    strongest = max(float(np.abs(effect).max()), 1e-12)
    strength = (
        np.abs(effect)[..., None] / strongest * 0.8
    )  # (30, 32, 1), the picture shines through
    colour = np.where(effect[..., None] > 0, _FOR_SUNGLASSES, _FOR_OPEN)
    paper = 127 + image[..., None] / 2.0  # pale, so that colours show; at most 254.5
    heat = (paper * (1 - strength) + colour * strength).round().astype(np.uint8)
    size = (WIDTH * _ZOOM, HEIGHT * _ZOOM)
    sheet = Image.new("RGB", (2 * size[0] + _GAP, size[1] + _CAPTION), "white")
    sheet.paste(Image.fromarray(image).resize(size, Image.Resampling.NEAREST), (0, 0))
    sheet.paste(Image.fromarray(heat).resize(size, Image.Resampling.NEAREST), (size[0] + _GAP, 0))
    draw = ImageDraw.Draw(sheet)
    draw.text((4, size[1] + 4), f"{label}: probability of sunglasses {probability:.4f}", "black")
    draw.text(
        (size[0] + _GAP, size[1] + 4),
        f"orange speaks for sunglasses, purple for open\nstrongest: {strongest:.2f} nats",
        "black",
    )
    return sheet


def write_explanation(
    folder: str,
    index: int,
    path: str,
    image: np.ndarray,
    classifier: Classifier,
    probability: float,
    label: str,
) -> Path:
    """Write `000012-name.png` for a file that was predicted.

    Args:
        folder: made if it is not there.
        index: number of the file in its run, which keeps names apart.
        path: of the file.
        image: what the networks saw of it, uint8 (30, 32).
        classifier, probability, label: the model and its answer.

    Raises:
        SglibError: the folder cannot be written to.
    """
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(path).stem)[:80]
    target = Path(folder).expanduser() / f"{index:06}-{stem}.png"
    effect = occlusion_map(classifier, image)
    sheet = draw_explanation(image, effect, label=label, probability=probability)
    try:
        with replacing(target) as temporary:
            sheet.save(temporary, format="PNG")
    except OSError as error:
        raise SglibError(f"{target}: cannot write ({error.strerror or error})") from error
    return target
