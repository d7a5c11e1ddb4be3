"""A small set in the course archive's layout, with digests that make it pass for the real one."""

import hashlib
import io
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sglib.data import course

TAGS = b"id,tag\n0,sunglasses\n1,open\n2,sunglasses\n3,open\n4,open\n5,sunglasses\n"
PEOPLE = (
    "id,tag,subject,pose,expression\n"
    "0,sunglasses,s01,up,happy\n1,open,s01,left,sad\n2,sunglasses,s02,right,angry\n"
    "3,open,s02,straight,neutral\n4,open,s03,up,sad\n5,sunglasses,s03,left,happy\n"
)
TOP = f"repo-0123abc/{course.LAYOUT}"


def jpeg(seed: int) -> bytes:
    """Return the bytes of a noise picture."""
    pixels = np.random.default_rng(seed).integers(0, 256, (30, 32), dtype=np.uint8)
    with io.BytesIO() as file:
        Image.fromarray(pixels).save(file, "JPEG")
        return file.getvalue()


FILES = {f"train/{i}.jpg": jpeg(i) for i in range(6)}
FILES |= {f"test/{i}.jpg": jpeg(100 + i) for i in range(9)} | {"train_tags.csv": TAGS}


def use_small_course(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let `FILES` be what the course set must be; `folder` takes the tables of it."""
    images = [data for name, data in FILES.items() if name.endswith(".jpg")]
    folder.mkdir()
    np.array([zlib.crc32(data) for data in images], "<u4").tofile(folder / "course_crc32.bin")
    (folder / "course_subjects.csv").write_text(PEOPLE)
    monkeypatch.setattr(course, "RESOURCES", folder)
    sha = {part: course.images_sha256(FILES, part) for part in course.PARTS}
    sha[course.TAGS] = hashlib.sha256(TAGS).hexdigest()
    monkeypatch.setattr(course, "SHA256", sha)


def write_zip(path: Path, files: dict[str, bytes] | None = None, *, top: str = TOP) -> Path:
    """Write an archive that holds, as the public one does, more than the set."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("repo-0123abc/readme.md", "another folder's text")
        archive.writestr("repo-0123abc/02_another/resource/train/0.jpg", b"another task's picture")
        for name, data in (FILES if files is None else files).items():
            archive.writestr(f"{top}/{name}", data)
    return path


def write_folder(folder: Path, files: dict[str, bytes] | None = None) -> Path:
    """Write the set unpacked."""
    for name, data in (FILES if files is None else files).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder
