"""How well framing is judged and faces are found: on people left out, enlarged and wrongly framed.

The portraits are the training photographs of the course set (or the synthetic people), enlarged
4 to 8 times, so that heads have 70 pixels and more. `--write` makes the numbers of
`sglib/predict/resources/framing.npy` from them.
"""

from collections.abc import Iterator

import numpy as np
from _common import Row, parser, write_results
from PIL import Image

from sglib.data import load_data
from sglib.data.faces import FaceSet
from sglib.data.synthetic import distort
from sglib.predict import crop

SHRINKAGE = 1.0  # of the covariance, in units of its mean variance
ZOOMS = (4, 6, 8)
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


def discriminant(good: np.ndarray, bad: np.ndarray) -> np.ndarray:
    """Return the weights (330,) of Fisher's linear discriminant with a shrunk covariance."""
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
    for name, images in {"noise": noise, "blank": blank}.items():
        kinds[name] = crop.edges(images) @ parts[0][1]
    rows = [
        Row(f"hint: {name}", 100 * float((x < limit).mean()), "%", None, len(x))
        for name, x in kinds.items()
    ]
    for zoom in ZOOMS:
        found: dict[int, list[bool]] = {0: [], 1: []}
        for one, weights in parts:
            crop._discriminant = lambda weights=weights: (weights, limit)
            for image, label in zip(one.images, one.labels, strict=True):
                large = Image.fromarray(image).resize(
                    (32 * zoom, 30 * zoom), Image.Resampling.BICUBIC
                )
                found[int(label)].append(is_found(finder, np.asarray(large)))
        for label, name in enumerate(("open", "sunglasses")):
            share = 100 * float(np.mean(found[label]))
            rows.append(
                Row(f"found, {name}, enlarged {zoom} times", share, "%", None, len(found[label]))
            )
    return rows


def is_found(finder: crop.FaceFinder, gray: np.ndarray) -> bool:
    """Return whether there is one face, whose frame is about the whole picture."""
    faces = finder.faces(gray)
    if len(faces) != 1:
        return False
    left, top, wide, tall = crop.place(faces[0])
    height, width = gray.shape
    off = max(abs(left + wide / 2 - width / 2) / width, abs(top + tall / 2 - height / 2) / height)
    return off < 0.25 and 0.6 < tall / height < 1.6


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
        "portraits", rows, ("numpy", "pillow", "opencv-python-headless"), table=chosen.table
    )


if __name__ == "__main__":
    main()
