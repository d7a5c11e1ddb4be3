"""What the course set must be, and the comparison of found files with it."""

import dataclasses
import functools
import hashlib
import importlib.resources
import zlib
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from sglib import SglibError
from sglib.data import course_tags
from sglib.data.course_archive import PARTS, TAGS, RawSet, jpeg_shape
from sglib.data.faces import CLASSES, HEIGHT, WIDTH


@dataclasses.dataclass(frozen=True, eq=False)
class CourseSpec:
    """Counts and digests of a set; the real one is `course_spec()`.

    Args:
        n_train: number of training images, ids 0 … n_train - 1.
        n_test: number of test images.
        n_sunglasses: training images tagged `sunglasses`.
        n_people: people on the training images.
        train_sha256: `images_sha256` of the training images.
        test_sha256: `images_sha256` of the test images.
        tags_sha256: sha256 of `train_tags.csv` with LF line ends and the ids in order.
        crc32: uint32 (n_train + n_test,): CRC-32 of each JPEG, to name the damaged one.
        subjects: bytes of the table `id,tag,subject,pose,expression`.
    """

    n_train: int
    n_test: int
    n_sunglasses: int
    n_people: int
    train_sha256: str
    test_sha256: str
    tags_sha256: str
    crc32: np.ndarray
    subjects: bytes

    @property
    def digest(self) -> str:
        """Return one sha256 (hex) for the whole set: images, tags and people."""
        people = hashlib.sha256(self.subjects).hexdigest()
        pieces = (self.train_sha256, self.test_sha256, self.tags_sha256, people)
        return hashlib.sha256("\n".join(pieces).encode()).hexdigest()

    def n_images(self, part: str) -> int:
        """Return the number of images in `train` or `test`."""
        return self.n_train if part == "train" else self.n_test


@dataclasses.dataclass(frozen=True)
class Finding:
    """One check: what was expected, what was found, and whether that is right."""

    check: str
    expected: str
    found: str
    ok: bool


@functools.cache
def course_spec() -> CourseSpec:
    """Return the real course set's counts and digests.

    Source: the public archive's commit 8829e925, see `data/README.md`.
    """
    resources = importlib.resources.files("sglib.data") / "resources"
    return CourseSpec(
        n_train=378,
        n_test=22_140,
        n_sunglasses=189,
        n_people=12,
        train_sha256="b9c7ca059eaa24bef89c7f39e71d564da064abb8373aca5f27471cfd1a13bde6",
        test_sha256="20abebdb7d555e4d44764074169ab3585b033f58980fa00e14211efc966e3533",
        tags_sha256="4d25f4e07725a302b73fe0036521075a64a151430debbf62f928a2ee63c090ac",
        crc32=np.frombuffer((resources / "course_crc32.bin").read_bytes(), dtype="<u4"),
        subjects=(resources / "course_subjects.csv").read_bytes(),
    )


def images_sha256(images: Mapping[int, bytes]) -> str:
    """Return the sha256 (hex) of JPEGs in the order of their ids.

    Hashed is `<id>:<length>\\n` and the bytes, for each file: the digest of the content, which
    does not depend on how an archive packs it.
    """
    sha = hashlib.sha256()
    for i in sorted(images):
        sha.update(f"{i}:{len(images[i])}\n".encode())
        sha.update(images[i])
    return sha.hexdigest()


def require_whole(raw: RawSet, spec: CourseSpec, *, advice: str = "") -> None:
    """Raise SglibError with the first check that fails, and `advice`, unless `raw` is the set."""
    for finding in findings(raw, spec):
        if not finding.ok:
            more = f"; {advice}" if advice else ""
            raise SglibError(
                f"{raw.source}: {finding.check}: expected {finding.expected}, "
                f"found {finding.found}{more}"
            )


def findings(raw: RawSet, spec: CourseSpec) -> Iterator[Finding]:
    """Yield every check of the set's files, the most telling first."""
    unreadable = [f"{name} ({reason})" for name, reason in sorted(raw.unreadable.items())]
    yield _none("unreadable files", unreadable)
    for part in PARTS:
        yield from _image_findings(raw, spec, part)
    yield from _tag_findings(raw, spec)


def _image_findings(raw: RawSet, spec: CourseSpec, part: str) -> Iterator[Finding]:
    images, n = raw.images[part], spec.n_images(part)
    sums = spec.crc32[: spec.n_train] if part == "train" else spec.crc32[spec.n_train :]
    beyond = [f"{part}/{i}.jpg" for i in sorted(images) if i >= n]
    extras = [name for name in raw.extras if name.startswith(f"{part}/")]
    yield _none(f"{part} files missing", _names(part, (i for i in range(n) if i not in images)))
    yield _none(f"{part} files too many", extras + beyond)
    known = {i: images[i] for i in sorted(images) if i < n}
    damaged = (i for i, data in known.items() if zlib.crc32(data) != sums[i])
    yield _none(f"{part} files damaged", _names(part, damaged))
    yield _same(f"{part} images", n, len(images))
    odd = [f"{part}/{i}.jpg ({what})" for i, data in known.items() if (what := _odd_shape(data))]
    size = f"{HEIGHT} rows × {WIDTH} columns, grayscale"
    yield Finding(f"{part} sizes", size, _first(odd) if odd else size, not odd)
    sha = spec.train_sha256 if part == "train" else spec.test_sha256
    yield _same(f"{part} sha256", sha, images_sha256(images))


def _tag_findings(raw: RawSet, spec: CourseSpec) -> Iterator[Finding]:
    n = spec.n_train
    expected = f"{spec.n_sunglasses} sunglasses, {n - spec.n_sunglasses} open"
    names = ("tags", "tags sha256", "people", "people's tags")
    expectations = (expected, spec.tags_sha256, str(spec.n_people), "as in " + TAGS)
    try:
        if raw.tags is None:
            raise SglibError(f"no {TAGS}")
        found = course_tags.read_tags(raw.tags, name=TAGS, n_ids=n)
    except SglibError as error:
        for name, expectation in zip(names, expectations, strict=True):
            yield Finding(name, expectation, str(error) if name == "tags" else "no tags", False)
        return
    rows = course_tags.read_subjects(spec.subjects, name="course_subjects.csv", n_ids=n)
    yield _same("tags", expected, ", ".join(f"{found.count(c)} {c}" for c in reversed(CLASSES)))
    sha = hashlib.sha256(course_tags.canonical_tags(found)).hexdigest()
    yield _same("tags sha256", spec.tags_sha256, sha)
    yield _same("people", spec.n_people, len({row["subject"] for row in rows}))
    differ = [
        f"id {i}: {found[i]} is {row['tag']}"
        for i, row in enumerate(rows)
        if row["tag"] != found[i]
    ]
    yield Finding(
        "people's tags", expectations[3], _first(differ) if differ else expectations[3], not differ
    )


def _odd_shape(data: bytes) -> str:
    """Return what is wrong with a JPEG's header; empty if nothing is."""
    try:
        height, width, channels = jpeg_shape(data)
    except ValueError as error:
        return str(error)
    if (height, width, channels) == (HEIGHT, WIDTH, 1):
        return ""
    return f"{height} × {width}, {channels} channels"


def _names(part: str, ids: Iterable[int]) -> list[str]:
    return [f"{part}/{i}.jpg" for i in ids]


def _same(check: str, expected: object, found: object) -> Finding:
    return Finding(check, str(expected), str(found), expected == found)


def _none(check: str, bad: list[str]) -> Finding:
    return Finding(check, "none", _first(bad) if bad else "none", not bad)


def _first(bad: list[str]) -> str:
    return bad[0] if len(bad) == 1 else f"{bad[0]} and {len(bad) - 1} more"
