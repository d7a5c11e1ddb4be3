"""The embedded default data set: procedural faces with the course set's structure, by seed."""

from numbers import Integral, Real

import numpy as np

from sglib import SglibError
from sglib.data.faces import EXPRESSIONS, HEIGHT, POSES, WIDTH, FaceSet
from sglib.data.synthetic.people import N_COMBINATIONS, person_takes
from sglib.data.synthetic.render import draw_photos

TEST_FIRST = 1_200_000  # the number of the first test person: far from every training person
_DISTORT = 3  # the random stream of the distortions; `people` names the others
_DISTORT_CHUNK = 256  # copies made at once: the work arrays stay in the CPU's cache


def renderer_digest() -> str:
    """Return what stands for the renderer in keys; it changes with the pictures of test_golden."""
    return "b61174cb62297d82bdccf0f526db97199da0cf5c224aa84acb9853b389f29335"


def make_synthetic(
    *,
    seed: int = 0,
    n_train_subjects: int = 12,
    n_test_subjects: int = 8,
    n_per_subject: int | None = None,
    n_copies: int = 90,
    distortion: float = 1.0,
) -> tuple[FaceSet, FaceSet]:
    """Return the labelled training and test set; no person is in both.

    The defaults give the course set's structure: 378 photographs of 12 people, and 246
    photographs of 8 other people in 90 distorted copies each, in shuffled order.

    Args:
        seed: 0 or more; the same seed gives the same bytes.
        n_train_subjects, n_test_subjects: people, 1 to 1,200,000.
        n_per_subject: photographs of each person; above 32, further takes of the same
            4 poses, 4 expressions, with and without sunglasses. None: 32 of each less the few
            that the course set lacks too (6 of 384 and 10 of 256).
        n_copies: distorted copies of each test photograph, 1 or more.
        distortion: strength, 0 to 4; 0 makes plain copies, 1 resembles the course set.

    Raises:
        SglibError: a parameter is out of its range.
    """
    _check(n_train_subjects=n_train_subjects, n_test_subjects=n_test_subjects, n_copies=n_copies)
    _check(0, 4, Real, distortion=distortion)
    size = {"seed": seed, "n_per_subject": n_per_subject}
    train = render_faces(n_subjects=n_train_subjects, name="synthetic-train", **size)
    photos = render_faces(n_subjects=n_test_subjects, first=TEST_FIRST, **size)
    return train, distort(photos, seed=seed, n_copies=n_copies, strength=distortion)


def render_faces(
    *,
    seed: int = 0,
    n_subjects: int = 12,
    n_per_subject: int | None = None,
    first: int = 0,
    name: str = "synthetic",
) -> FaceSet:
    """Return photographs of `n_subjects` people, person after person, undistorted.

    A person's look and photographs depend only on `seed` and the person's number, which counts
    from `first`; test people from `TEST_FIRST` on. See `make_synthetic` for the rest.
    """
    _check(0, 2**63, seed=seed, first=first)
    _check(n_subjects=n_subjects, n_per_subject=1 if n_per_subject is None else n_per_subject)
    numbers = np.arange(first, first + n_subjects)
    # As in the course set, one or two photographs of a person may lack.
    lacking = np.where(numbers < TEST_FIRST, numbers % 2, 1 + (numbers % 4 == 3))
    counts = N_COMBINATIONS - lacking
    if n_per_subject is not None:
        counts[:] = n_per_subject
    combos, images = [], []
    for takes in person_takes(seed, numbers, counts):
        combos.append(takes.combos)
        images.append(draw_photos(takes))
    combo = np.concatenate(combos)
    names = [f"s{k + 1:02d}" if k < TEST_FIRST else f"t{k - TEST_FIRST + 1:02d}" for k in numbers]
    return FaceSet(
        name=name,
        images=np.concatenate(images),
        ids=np.arange(len(combo)).astype(str),
        labels=combo % 2,
        subjects=np.repeat(names, counts),
        pose=np.array(POSES)[combo // 8],
        expression=np.array(EXPRESSIONS)[combo // 2 % 4],
    )


def distort(photos: FaceSet, *, seed: int, n_copies: int, strength: float = 1.0) -> FaceSet:
    """Return each photograph in `n_copies` distorted copies, shuffled; see `make_synthetic`.

    Shifts up to 3 px sideways with the edge repeated, slight stretch and blur, black point,
    contrast, and vertical or horizontal bands, as seen in the course set's test images.
    """
    _check(0, 2**63, seed=seed)
    _check(n_copies=n_copies)
    _check(0, 4, Real, strength=strength)
    rng = np.random.default_rng([seed, _DISTORT])
    n = len(photos) * n_copies
    place = rng.permutation(n)  # copy k of photograph i goes to place[i * n_copies + k]
    images = np.empty((n, HEIGHT, WIDTH), np.uint8)
    source = np.empty(n, np.int64)
    source[place] = np.arange(n) // n_copies
    for start in range(0, n, _DISTORT_CHUNK):
        copies = np.arange(start, min(start + _DISTORT_CHUNK, n))
        images[place[copies]] = _distort_batch(photos.images[copies // n_copies], rng, strength)
    new = {"images": images, "ids": np.arange(n).astype(str)}
    same = {field: value[source] for field, value in photos.known().items()}
    return FaceSet("synthetic-test", **same | new)


def _distort_batch(images: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Distort each of uint8 (B, 30, 32) by draws of its own."""
    n = len(images)
    draws = rng.random((n, 9), dtype=np.float32)
    bands = rng.standard_normal((n, WIDTH), dtype=np.float32)
    x = np.arange(WIDTH, dtype=np.float32)
    shift = np.rint((np.floor(draws[:, 0] * 7) - 3) * strength)
    stretch = 1 + np.where(draws[:, 1] < 0.4, (draws[:, 2] - 0.5) * 0.12, 0) * strength
    at = np.clip((x - 15.5) * stretch[:, None] + 15.5 - shift[:, None], 0, WIDTH - 1)
    left = np.floor(at).astype(np.intp)
    part = (at - left)[:, None, :]
    out = images.astype(np.float32)
    low = np.take_along_axis(out, left[:, None, :], axis=2)
    high = np.take_along_axis(out, np.minimum(left + 1, WIDTH - 1)[:, None, :], axis=2)
    out = low + (high - low) * part
    amount = np.where(draws[:, 3] < 0.3, draws[:, 4] * 0.25, 0) * min(strength, 2.0)
    blurred = out.copy()
    blurred[:, 1:-1] = 0.5 * out[:, 1:-1] + 0.25 * (out[:, :-2] + out[:, 2:])
    out += (blurred - out) * amount[:, None, None]
    # Bands show on the wall, hardly in the black and on bright skin.
    kind = draws[:, 5]
    weight = np.clip(out / 50, 0, 1) * np.clip((220 - out) / 120, 0, 1) * (strength * 11)
    bands = bands[:, np.arange(WIDTH) * 2 // 3]
    out += np.where((kind < 0.25)[:, None], bands, 0)[:, None, :] * weight
    out += np.where((kind > 0.75)[:, None], bands[:, :HEIGHT], 0)[:, :, None] * weight
    deep = np.where(
        draws[:, 6] < 0.09, 50 + 30 * draws[:, 7], 14 * np.maximum(draws[:, 7] - 0.4, 0)
    )
    black = (deep * strength)[:, None, None]
    contrast = (1 + (draws[:, 8] - 0.5) * 0.12 * strength)[:, None, None]
    out = (out - black) * (255 * contrast / (255 - np.minimum(black, 200)))
    return np.rint(np.clip(out, 0, 255)).astype(np.uint8)


def _check(low: int = 1, high: float = TEST_FIRST, kind: type = Integral, **values: object) -> None:
    """Refuse a named value that is not a number of this kind and range."""
    what = "a whole number" if kind is Integral else "a number"
    for name, value in values.items():
        number = isinstance(value, kind) and not isinstance(value, bool)
        if not (number and low <= value <= high):
            raise SglibError(f"{name}: expected {what} from {low} to {high}, got {value!r}")
