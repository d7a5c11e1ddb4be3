"""Read the course set's files out of a zip archive or a folder, trusting neither."""

import contextlib
import dataclasses
import hashlib
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from sglib import SglibError

LAYOUT = "01_BinaryImageClassification/resource"  # folder of the set inside the public archive
TAGS = "train_tags.csv"
PARTS = ("train", "test")

# The set's photographs are 451 to 743 bytes; the caps stop a zip bomb, not a picture.
MAX_FILE_BYTES = 64 * 1024
MAX_TOTAL_BYTES = 64 * 1024 * 1024
MAX_MEMBERS = 200_000
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_JUNK = ("Thumbs.db", "desktop.ini")  # left behind by file managers, like every dot file
_NAME = re.compile(r"(0|[1-9][0-9]{0,8})\.jpg")


@dataclasses.dataclass
class RawSet:
    """The undecoded files of a set as they were found, whole or not.

    Args:
        source: where they come from, for messages.
        images: for `train` and `test`: id to the bytes of the JPEG.
        tags: the bytes of `train_tags.csv`; None if there is none.
        extras: files in `train/` and `test/` that are no `<id>.jpg`.
        unreadable: file to the reason it could not be read.
    """

    source: str
    images: dict[str, dict[int, bytes]] = dataclasses.field(
        default_factory=lambda: {part: {} for part in PARTS}
    )
    tags: bytes | None = None
    extras: list[str] = dataclasses.field(default_factory=list)
    unreadable: dict[str, str] = dataclasses.field(default_factory=dict)


def read_source(source: Path) -> RawSet:
    """Return the files of a zip archive or of an unpacked folder with the same layout.

    Raises:
        SglibError: there is no such file, it is no zip, it holds no course set, or it is unsafe.
    """
    if source.is_dir():
        return read_folder(_find_folder(source))
    if not source.exists():
        raise SglibError(f"{source}: no such file; expected the course archive (zip) or a folder")
    try:
        with zipfile.ZipFile(source) as archive:
            return _read_zip(archive, str(source))
    except zipfile.BadZipFile as error:
        raise SglibError(f"{source}: not a whole zip archive ({error})") from error
    except OSError as error:
        raise SglibError(f"{source}: cannot be read ({error.strerror or error})") from error


def read_folder(folder: Path) -> RawSet:
    """Return the files of `folder` (`train/`, `test/`, `train_tags.csv`), whatever is missing."""
    raw = RawSet(str(folder))
    raw.tags = _read_file(folder / TAGS, TAGS, raw)
    for part in PARTS:
        for name in list_part(folder, part):
            match = _NAME.fullmatch(name)
            if match is None:
                raw.extras.append(f"{part}/{name}")
                continue
            data = _read_file(folder / part / name, f"{part}/{name}", raw)
            if data is not None:
                raw.images[part][int(match[1])] = data
    return raw


def list_part(folder: Path, part: str) -> list[str]:
    """Return the names in `folder/part`, sorted; none if there is no such folder."""
    try:
        return sorted(name for name in os.listdir(folder / part) if not _is_junk(name))
    except OSError:
        return []


def stamp(root: Path) -> str:
    """Return a digest (hex) of names, sizes and times of the set's files, read in about 0.1 s.

    It changes when a file is replaced, added, removed or edited.
    """
    sha = hashlib.sha256()
    for folder in (root, *(root / part for part in PARTS)):
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if folder != root or entry.name == TAGS:
                    stat = entry.stat()
                    sha.update(f"{entry.name}/{stat.st_size}/{stat.st_mtime_ns}\n".encode())
    return sha.hexdigest()


def jpeg_shape(data: bytes) -> tuple[int, int, int]:
    """Return (height, width, channels) from a JPEG's header, without decoding it.

    Raises:
        ValueError: `data` does not start like a JPEG or ends before its frame header.

    Source: ITU-T T.81, B.1.1 and B.2.2.
    """
    if data[:2] != b"\xff\xd8":
        raise ValueError("not a JPEG")
    at = 2
    while at + 10 <= len(data):
        marker, length = data[at + 1], struct.unpack_from(">H", data, at + 2)[0]
        if data[at] != 0xFF:
            break
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a frame header
            height, width, channels = struct.unpack_from(">HHB", data, at + 5)
            return height, width, channels
        at += 2 + length
    raise ValueError("a JPEG without a frame header")


def _read_file(path: Path, name: str, raw: RawSet) -> bytes | None:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raw.unreadable[name] = error.strerror or str(error)
        return None
    if len(data) > MAX_FILE_BYTES:
        raw.unreadable[name] = f"larger than {MAX_FILE_BYTES} bytes"
        return None
    return data


def _find_folder(source: Path) -> Path:
    """Return the folder that holds the tags: `source` or one that the archive unpacks to."""
    below = sorted(source.glob(f"*/{LAYOUT}"))
    for folder in (source, source / "resource", source / LAYOUT, *below):
        if (folder / TAGS).is_file():
            return folder
    raise SglibError(f"{source}: no course set in this folder; expected {LAYOUT}/{TAGS} below it")


def _read_zip(archive: zipfile.ZipFile, source: str) -> RawSet:
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise SglibError(f"{source}: {len(members)} members; expected at most {MAX_MEMBERS}")
    for member in members:
        _refuse_unsafe_name(member, source)
    raw = RawSet(source)
    total = 0
    seen = set()
    for name, member in _members_of_set(members, source):
        if name in seen:
            raise SglibError(f"{source}: member {name} is there twice")
        seen.add(name)
        total += member.file_size
        if total > MAX_TOTAL_BYTES:
            raise SglibError(f"{source}: unpacks to more than {MAX_TOTAL_BYTES} bytes")
        part, _, file = name.partition("/")
        match = _NAME.fullmatch(file)
        if name != TAGS and match is None:
            raw.extras.append(name)
            continue
        data = _read_member(archive, member, source)
        if name == TAGS:
            raw.tags = data
        else:
            raw.images[part][int(match[1])] = data
    return raw


def _members_of_set(
    members: list[zipfile.ZipInfo], source: str
) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    """Yield (name below the set's folder, member); the rest of the archive is not ours."""
    ending = f"{LAYOUT}/{TAGS}"
    roots = {
        member.filename.removesuffix(TAGS)
        for member in members
        if f"/{member.filename}".endswith(f"/{ending}")
        and not member.filename.startswith("__MACOSX/")
    }
    if len(roots) != 1:
        found = "none" if not roots else " and ".join(sorted(roots))
        raise SglibError(f"{source}: no course archive; expected one {ending}, found {found}")
    root = roots.pop()
    for member in members:
        if member.is_dir() or not member.filename.startswith(root):
            continue
        name = member.filename.removeprefix(root)
        if name == TAGS or (name.startswith(("train/", "test/")) and not _is_junk(name)):
            yield name, member


def _refuse_unsafe_name(member: zipfile.ZipInfo, source: str) -> None:
    """Refuse an archive that tries to leave its folder, even where we would not follow it."""
    name = member.orig_filename
    if (
        name.startswith("/")
        or "\\" in name
        or "\0" in name
        or ":" in name.split("/")[0]
        or ".." in name.split("/")
    ):
        raise SglibError(f"{source}: unsafe member name {name!r}: it leaves the archive's folder")


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, source: str) -> bytes:
    where = f"{source}: member {member.filename}"
    kind = member.external_attr >> 16 & 0o170000  # the Unix file type, 0 where it is not recorded
    if kind not in (0, 0o100000):
        raise SglibError(f"{where} is a link or a device; expected a plain file")
    if member.flag_bits & 0x1 or member.compress_type not in _METHODS:
        raise SglibError(f"{where} is encrypted or in an unknown compression; expected deflate")
    if member.file_size > MAX_FILE_BYTES:
        raise SglibError(f"{where} has {member.file_size} bytes; expected at most {MAX_FILE_BYTES}")
    try:
        # ZipFile stops at the declared size, so a lying header cannot make this large
        return archive.read(member)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise SglibError(f"{where} is damaged ({error})") from error


def _is_junk(name: str) -> bool:
    file = name.rpartition("/")[2]
    return file.startswith(".") or file in _JUNK
