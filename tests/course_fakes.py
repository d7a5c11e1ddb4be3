"""A small set in the course archive's layout, and a web server on this machine that serves it."""

import contextlib
import dataclasses
import hashlib
import io
import threading
import zipfile
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from PIL import Image

from sglib.data.course_archive import LAYOUT
from sglib.data.course_verify import CourseSpec, images_sha256

N_TRAIN, N_TEST = 6, 9
TAGS = b"id,tag\n0,sunglasses\n1,open\n2,sunglasses\n3,open\n4,open\n5,sunglasses\n"
SUBJECTS = (
    b"id,tag,subject,pose,expression\n"
    b"0,sunglasses,s01,up,happy\n1,open,s01,left,sad\n2,sunglasses,s02,right,angry\n"
    b"3,open,s02,straight,neutral\n4,open,s03,up,sad\n5,sunglasses,s03,left,happy\n"
)
TOP = f"repo-0123abc/{LAYOUT}"


def jpeg(seed: int, *, size: tuple[int, int] = (32, 30), mode: str = "L") -> bytes:
    """Return the bytes of a noise picture; `size` is (width, height)."""
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    with io.BytesIO() as file:
        Image.fromarray(pixels, mode).save(file, "JPEG")
        return file.getvalue()


def files() -> dict[str, bytes]:
    """Return name below the set's folder to bytes."""
    named = {f"train/{i}.jpg": jpeg(i) for i in range(N_TRAIN)}
    named |= {f"test/{i}.jpg": jpeg(100 + i) for i in range(N_TEST)}
    return named | {"train_tags.csv": TAGS}


def fake_spec() -> CourseSpec:
    """Return counts and digests of `files()`."""
    named = files()
    train = {i: named[f"train/{i}.jpg"] for i in range(N_TRAIN)}
    test = {i: named[f"test/{i}.jpg"] for i in range(N_TEST)}
    sums = [zlib.crc32(data) for data in (*train.values(), *test.values())]
    return CourseSpec(
        n_train=N_TRAIN,
        n_test=N_TEST,
        n_sunglasses=3,
        n_people=3,
        train_sha256=images_sha256(train),
        test_sha256=images_sha256(test),
        tags_sha256=hashlib.sha256(TAGS).hexdigest(),
        crc32=np.array(sums, dtype="<u4"),
        subjects=SUBJECTS,
    )


def write_zip(path: Path, named: dict[str, bytes] | None = None, *, top: str = TOP) -> Path:
    """Write an archive that holds, as the public one does, more than the set."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("repo-0123abc/readme.md", "another folder's text")
        for name, data in (files() if named is None else named).items():
            archive.writestr(f"{top}/{name}", data)
    return path


def write_folder(folder: Path, named: dict[str, bytes] | None = None) -> Path:
    """Write the set unpacked."""
    for name, data in (files() if named is None else named).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


@dataclasses.dataclass
class Site:
    """What the server does, and what it was asked.

    Args:
        payload: the file at /course.zip.
        ranges: understand Range and If-Range.
        etag: the file's ETag; none is sent if empty.
        cuts: for each coming request, the number of body bytes after which to hang up.
        status: answer with this error instead.
        location: answer with a redirect to there.
        chunked: send no Content-Length.
    """

    payload: bytes
    ranges: bool = True
    etag: str = '"v1"'
    cuts: list[int] = dataclasses.field(default_factory=list)
    status: int = 0
    location: str = ""
    chunked: bool = False
    asked: list[str] = dataclasses.field(default_factory=list)
    url: str = ""


@contextlib.contextmanager
def serve(site: Site) -> Iterator[Site]:
    """Serve `site` on a free port of this machine; its address is `site.url`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, site)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        site.url = f"http://127.0.0.1:{server.server_port}/course.zip"
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()


def _answer(handler: BaseHTTPRequestHandler, site: Site) -> None:
    wanted = handler.headers.get("Range", "")
    site.asked.append(wanted)
    body = site.payload
    if site.location:
        handler.send_response(302)
        handler.send_header("Location", site.location)
        handler.end_headers()
        return
    if site.status:
        handler.send_error(site.status)
        return
    if wanted and site.ranges and handler.headers.get("If-Range") == site.etag:
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(body):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(body)}")
            handler.end_headers()
            return
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        body = body[start:]
    else:
        handler.send_response(200)
    if site.etag:
        handler.send_header("ETag", site.etag)
    if not site.chunked:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: site.cuts.pop(0)] if site.cuts else body)
