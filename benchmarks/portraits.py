"""How well framing is judged and faces are found: on people left out, enlarged and wrongly framed.

The portraits are the training photographs of the course set (or the synthetic people), enlarged
so that heads have 50 pixels and more. `--write` makes the numbers of
`sglib/predict/resources/framing.npy` from them.
"""

from collections.abc import Iterator

import numpy as np
import skimage.data
from _common import Row, parser, write_results
from PIL import Image

from sglib.data import load_data
from sglib.data.faces import FaceSet
from sglib.data.synthetic import distort
from sglib.predict import crop
from sglib.predict.pictures import PictureError, fit

FOREIGN = (  # neither people nor heads
    *("brick", "cat", "cell", "clock", "coffee", "coins", "colorwheel", "grass", "gravel"),
    *("hubble_deep_field", "immunohistochemistry", "microaneurysms", "moon", "page", "rocket"),
    "text",
)
SHRINKAGE = 1.0  # of the covariance, in units of its mean variance
SHARE_BELOW = 0.01  # of distorted photographs of people left out: likeness below 0


def warped(image: np.ndarray, zoom: float, right: float, down: float, degrees: float) -> np.ndarray:
    """Return a picture zoomed and turned around its middle, then moved; edges are repeated."""
    margin = 40
    cosine, sine = np.cos(np.radians(degrees)) / zoom, np.sin(np.radians(degrees)) / zoom
    x, y = 15.5, 14.5
    matrix = (
        *(cosine, sine, x + margin - cosine * (x + right) - sine * (y + down)),
        *(-sine, cosine, y + margin + sine * (x + right) - cosine * (y + down)),
    )
    padded = Image.fromarray(np.pad(image, margin, mode="edge"))
    how = (Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return np.asarray(padded.transform((32, 30), *how))


def well_framed(faces: FaceSet, rng: np.random.Generator) -> np.ndarray:
    """Return photographs, their mirror images, slightly moved copies and distorted copies."""
    moved = [
        warped(image, rng.uniform(0.85, 1.2), *rng.uniform(-3, 3, 2), rng.uniform(-15, 15))
        for image in faces.images
        for _ in range(2)
    ]
    copies = distort(faces, seed=int(rng.integers(1 << 30)), n_copies=4).images
    return np.concatenate([faces.images, faces.images[:, :, ::-1], np.stack(moved), copies])


def badly_framed(images: np.ndarray, rng: np.random.Generator, n: int = 6) -> np.ndarray:
    """Return `n` pictures for each: too near, too far, off the middle, turned, noise, jumbled."""
    return np.stack([_bad(image, rng) for image in images for _ in range(n)])


def _bad(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    kind, tilt = rng.integers(6), rng.uniform(-20, 20)
    if kind == 0:
        return warped(image, rng.uniform(1.6, 4), *rng.uniform(-12, 12, 2), tilt)
    if kind == 1:
        return warped(image, rng.uniform(0.15, 0.6), *rng.uniform(-8, 8, 2), tilt)
    if kind == 2:
        angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(9, 18)
        return warped(image, rng.uniform(0.8, 1.2), far * np.cos(angle), far * np.sin(angle), tilt)
    if kind == 3:
        zoom, degrees = rng.uniform(0.8, 1.3), rng.uniform(60, 300)
        return warped(image, zoom, *rng.uniform(-3, 3, 2), degrees)
    if kind == 4:  # noise with the spectrum of photographs, steeper or flatter
        distance = np.hypot(*np.meshgrid(np.fft.fftfreq(32), np.fft.fftfreq(30)))
        distance[0, 0] = 1
        spectrum = np.fft.fft2(rng.normal(size=(30, 32))) / distance ** rng.uniform(0.3, 2)
        values = np.fft.ifft2(spectrum).real
        return (255 * (values - values.min()) / np.ptp(values)).astype(np.uint8)
    quarters = [image[:15, :16], image[:15, 16:], image[15:, :16], image[15:, 16:]]
    a, b, c, d = rng.permutation(4)
    if (a, b) == (0, 1):
        a, b = b, a
    return np.block([[quarters[a], quarters[b]], [quarters[c], quarters[d]]])


def foreign(rng: np.random.Generator) -> dict[str, list[np.ndarray]]:
    """Return pictures of other things, grey, and parts of them: those in scikit-image's wheel."""
    whole = [np.asarray(Image.fromarray(getattr(skimage.data, x)()).convert("L")) for x in FOREIGN]
    parts = []
    for gray in whole:
        height, width = gray.shape
        for _ in range(20):
            tall = rng.uniform(0.3, 1) * min(height, width * 30 / 32)
            top, left = rng.uniform(0, height - tall), rng.uniform(0, width - tall * 32 / 30)
            part = gray[int(top) : int(top + tall), int(left) : int(left + tall * 32 / 30)]
            parts.append(np.ascontiguousarray(part))
    return {"other things": whole, "parts of them": parts}


def discriminant(good: np.ndarray, bad: np.ndarray) -> np.ndarray:
    """Return the weights (192,) of Fisher's linear discriminant with a shrunk covariance."""
    a, b = crop.edges(good), crop.edges(bad)
    covariance = (np.cov(a.T) + np.cov(b.T)) / 2
    covariance += SHRINKAGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    weights = np.linalg.solve(covariance, a.mean(0) - b.mean(0))
    return weights / (a @ weights).std()


def left_out(faces: FaceSet, rng: np.random.Generator) -> Iterator[tuple[FaceSet, np.ndarray]]:
    """Yield each person's photographs and the weights that were made without them."""
    for person in np.unique(faces.subjects):
        rest = faces.subset(faces.subjects != person)
        weights = discriminant(well_framed(rest, rng), badly_framed(rest.images, rng))
        yield faces.subset(faces.subjects == person), weights


def measure(faces: FaceSet, *, write: bool) -> list[Row]:
    """Judge framing and find faces of each person with what was learned from the others."""
    rng = np.random.default_rng(0)
    finder, parts = crop.FaceFinder(), list(left_out(faces, rng))
    distorted = np.concatenate(
        [crop.edges(distort(one, seed=1, n_copies=10).images) @ w for one, w in parts]
    )
    limit = float(np.quantile(distorted, SHARE_BELOW))
    print(f"limit {limit:.3f}: {len(distorted)} distorted copies of {len(parts)} people left out")
    if write:
        weights = discriminant(well_framed(faces, rng), badly_framed(faces.images, rng))
        numbers = np.concatenate([[limit], weights]).astype(np.float32)
        np.save(crop.RESOURCES / "framing.npy", numbers)
    kinds = {
        "photographs": np.concatenate([crop.edges(one.images) @ w for one, w in parts]),
        "distorted copies": distorted,
        "wrong framings": np.concatenate(
            [crop.edges(badly_framed(one.images, rng)) @ w for one, w in parts]
        ),
    }
    noise = rng.integers(0, 256, (1000, 30, 32), dtype=np.uint8)
    blank = np.repeat(np.arange(256, dtype=np.uint8), 960).reshape(-1, 30, 32)
    mean, others = np.mean([weights for _, weights in parts], 0), foreign(rng)
    for name, images in {"noise": noise, "blank": blank}.items():
        kinds[name] = crop.edges(images) @ mean
    for name, grays in others.items():
        kinds[name] = crop.edges(np.stack([fit(gray) for gray in grays])) @ mean
    rows = [
        Row(f"hint: {name}", 100 * float((x < limit).mean()), "%", None, len(x))
        for name, x in kinds.items()
    ]
    for scene, enlarge in SCENES.items():
        found: dict[int, list[str]] = {0: [], 1: []}
        for one, weights in parts:
            crop._discriminant = lambda weights=weights: (weights, limit)
            for image, label in zip(one.images, one.labels, strict=True):
                found[int(label)].append(finds(finder, *enlarge(image)))
        for label, name in enumerate(("open", "sunglasses")):
            for how in ("face", "whole"):
                share = 100 * found[label].count(how) / len(found[label])
                rows.append(Row(f"{scene}: {name}, {how}", share, "%", None, len(found[label])))
    crop._discriminant = lambda: (mean, limit)
    for name, grays in others.items():
        alarms = [finds(finder, gray, None) != "nothing" for gray in grays]
        rows.append(Row(f"answered: {name}", 100 * np.mean(alarms), "%", None, len(grays)))
    return rows


def enlarged(image: np.ndarray, zoom: int) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """Return a portrait so many times as large, and where it lies: left, top, width, height."""
    size = (32 * zoom, 30 * zoom)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)), (0, 0, *size)


def in_a_scene(image: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """Return a portrait, 4 times as large, off the middle of a picture of twice its size."""
    large, (_, _, wide, tall) = enlarged(image, 4)
    return np.pad(large, ((20, 100), (90, 38)), mode="edge"), (90, 20, wide, tall)


SCENES = {
    "enlarged 4 times": lambda image: enlarged(image, 4),
    "enlarged 8 times": lambda image: enlarged(image, 8),
    "in a larger picture": in_a_scene,
}


def finds(
    finder: crop.FaceFinder, gray: np.ndarray, where: tuple[int, int, int, int] | None
) -> str:
    """Return how a portrait is found: `face`, taken `whole`, `elsewhere`, or `nothing`.

    It is found if there is one face, whose frame is about where the portrait is.
    """
    faces = finder.faces(gray)
    if not len(faces):
        try:
            return "whole" if finder(gray) else "nothing"
        except PictureError:
            return "nothing"
    if where is None or len(faces) > 1:
        return "elsewhere"
    left, top, wide, tall = crop.place(faces[0])
    x, y, width, height = where
    across, down = left + wide / 2 - x - width / 2, top + tall / 2 - y - height / 2
    off = max(abs(across) / width, abs(down) / height)
    return "face" if off < 0.25 and 0.6 < tall / height < 1.6 else "elsewhere"


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the table."""
    options = parser(__doc__)
    options.add_argument("--write", action="store_true", help="also write framing.npy")
    chosen = options.parse_args(arguments)
    faces = load_data(chosen.data).train
    rows = measure(faces, write=chosen.write)
    for row in rows:
        print(f"{row.what}: {row.value:.1f} % of {row.n}")
    write_results(
        "portraits",
        rows,
        ("numpy", "pillow", "opencv-python-headless", "scikit-image"),
        table=chosen.table,
    )


if __name__ == "__main__":
    main()
