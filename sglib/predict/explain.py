"""What an answer rests on: how it changes when a part of the picture is covered.

A grey patch is moved over the picture. Where covering lowers the log-odds of sunglasses, what is
there spoke for sunglasses; where it raises them, for open.

Source: Zeiler & Fergus 2014 (ECCV), §4.2.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from sglib import SglibError
from sglib.files import replacing
from sglib.predict.classifier import Classifier
from sglib.predict.pictures import HEIGHT, WIDTH
from sglib.predict.writers import Answer

PATCH = 7  # rows and columns: about the size of a lens with its rim
_ZOOM = 10
_GAP, _CAPTION = 12, 36  # pixels between the two pictures, and below them
# ColorBrewer's orange and purple, told apart by people with any colour vision
_FOR_SUNGLASSES, _FOR_OPEN = np.array([230.0, 97, 1]), np.array([94.0, 60, 153])


def occlusion_map(classifier: Classifier, image: np.ndarray, *, patch: int = PATCH) -> np.ndarray:
    """Return how much each place speaks for sunglasses, float64 (30, 32).

    Args:
        classifier: the model.
        image: uint8 (30, 32).
        patch: side of the square that covers, in pixels.

    Returns:
        For each pixel the mean over all patches that cover it of the fall of the log-odds (natural
        logarithm, cut at ±16, where float32 probabilities end); negative where it speaks for open.

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
    probs = np.clip(classifier.probabilities(pictures), 1e-7, 1 - 1e-7)
    log_odds = np.log(probs / (1 - probs))
    total = np.zeros((HEIGHT, WIDTH))
    for place, value in zip(places, log_odds[-1] - log_odds[:-1], strict=True):
        total[place] += value
    return total / patch**2


def draw_explanation(image: np.ndarray, effect: np.ndarray, answer: Answer) -> Image.Image:
    """Draw a picture, uint8 (30, 32), and its occlusion map side by side."""
    strongest = max(float(np.abs(effect).max()), 1e-12)
    strength = np.abs(effect)[..., None] / strongest * 0.8  # (30, 32, 1): the face shines through
    colour = np.where(effect[..., None] > 0, _FOR_SUNGLASSES, _FOR_OPEN)
    paper = 127 + image[..., None] / 2.0  # pale, so that colours show
    heat = (paper * (1 - strength) + colour * strength).round().astype(np.uint8)
    size = (WIDTH * _ZOOM, HEIGHT * _ZOOM)
    sheet = Image.new("RGB", (2 * size[0] + _GAP, size[1] + _CAPTION), "white")
    for left, part in ((0, image), (size[0] + _GAP, heat)):
        sheet.paste(Image.fromarray(part).resize(size, Image.Resampling.NEAREST), (left, 0))
    draw = ImageDraw.Draw(sheet)
    said = f"{answer.label}: probability of sunglasses {answer.probability:.4f}"
    draw.text((4, size[1] + 4), said, "black")
    draw.text(
        (size[0] + _GAP, size[1] + 4),
        f"orange speaks for sunglasses, purple for open\nstrongest: {strongest:.2f} of log-odds",
        "black",
    )
    return sheet


def write_explanations(
    folder: str, first: int, answers: Sequence[Answer], seen: np.ndarray, classifier: Classifier
) -> None:
    """Write `000012-name.png` for each answer that there is.

    Args:
        folder: made if it is not there.
        first: number of the first answer in its run, which keeps names apart.
        answers: of some pictures.
        seen: what the networks saw of them, uint8 (N, 30, 32).
        classifier: the model.

    Raises:
        SglibError: the folder cannot be written to.
    """
    for i, (answer, image) in enumerate(zip(answers, seen, strict=True), first):
        if answer.label is None:
            continue
        stem = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(answer.file).stem)[:80]
        target = Path(folder).expanduser() / f"{i:06}-{stem}.png"
        sheet = draw_explanation(image, occlusion_map(classifier, image), answer)
        try:
            with replacing(target) as temporary:
                sheet.save(temporary, format="PNG")
        except OSError as error:
            raise SglibError(f"{target}: cannot write ({error.strerror or error})") from error
