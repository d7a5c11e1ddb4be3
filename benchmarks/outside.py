"""How often people without sunglasses are called so, on faces of another kind.

The faces are the 100 of scikit-image's LFW subset: photographs from the press, 25×25 pixels, cut
tightly around the face. They have no labels; looked through, no more than three seem to wear dark
glasses, so the share called sunglasses is nearly the share of false alarms. They are read from
scikit-image's package and never stored. Source: Huang et al. 2007, Labeled Faces in the Wild.
"""

import csv
from collections.abc import Iterator

import numpy as np
import skimage.data
from _common import parser, versions
from PIL import Image

from sglib.files import replacing, reports_dir
from sglib.predict.classifier import WEIGHTS, Classifier, load
from sglib.predict.crop import likeness
from sglib.predict.pictures import HEIGHT, WIDTH, fit

SIZES = (25, 20, 16, 13)  # pixels: side of the face in the frame; 13 is that of the training faces
FILLS = ("edge", "reflect", "mean", "black", "white")  # of the rest of the frame


def framed(face: np.ndarray, size: int, fill: str) -> np.ndarray:
    """Return a face, uint8 (25, 25), of that size in the middle of a frame, uint8 (30, 32)."""
    small = np.asarray(Image.fromarray(face).resize((size, size), Image.Resampling.BOX))
    top, left = (HEIGHT - size) // 2, (WIDTH - size) // 2
    around = ((top, HEIGHT - size - top), (left, WIDTH - size - left))
    if fill in ("edge", "reflect"):
        return np.pad(small, around, mode=fill)
    value = {"mean": round(float(small.mean())), "black": 0, "white": 255}[fill]
    return np.pad(small, around, constant_values=value)


def variants(faces: np.ndarray) -> Iterator[tuple[int, str, np.ndarray]]:
    """Yield side of the face, fill and frames, uint8 (N, 30, 32); first as `sglib predict` does."""
    yield HEIGHT, "as predict fits it", np.stack([fit(face) for face in faces])
    for size in SIZES:
        for fill in FILLS:
            yield size, fill, np.stack([framed(face, size, fill) for face in faces])


def measure(models: list[Classifier], faces: np.ndarray) -> Iterator[dict[str, object]]:
    """Yield a row for each model and variant: shares of faces called sunglasses, and hinted at."""
    for size, fill, images in variants(faces):
        hinted = float((likeness(images) < 0).mean())
        for model in models:
            probs = model.probabilities(images)
            yield {
                "model": model.name,
                "size": size,
                "fill": fill,
                "n": len(faces),
                "called_sunglasses": f"{(probs > model.threshold).mean():.2f}",
                "mean_probability": f"{probs.mean():.3f}",
                "hinted": f"{hinted:.2f}",
            }


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the table."""
    options = parser(__doc__)
    options.set_defaults(table=reports_dir() / "tables" / "outside.csv")
    chosen = options.parse_args(arguments)
    faces = (skimage.data.lfw_subset()[:100] * 255).round().astype(np.uint8)  # the rest: no faces
    models = [load(path.stem) for path in sorted(WEIGHTS.glob("*.onnx"))]
    rows = sorted(measure(models, faces), key=lambda row: str(row["model"]))  # stable
    with replacing(chosen.table) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    for model in models:
        shares = [float(r["called_sunglasses"]) for r in rows if r["model"] == model.name]
        print(
            f"{model.name}: {shares[0]:.0%} as predict fits them; {min(shares[1:]):.0%} to "
            f"{max(shares[1:]):.0%} (median {np.median(shares[1:]):.0%}) by size and fill"
        )
    print(", ".join(" ".join(pair) for pair in versions("scikit-image", "onnxruntime").items()))


if __name__ == "__main__":
    main()
