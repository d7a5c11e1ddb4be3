"""Download one file over https: streamed to disk, resumed where the server allows it."""

import contextlib
import http.client
import ipaddress
import json
import re
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

from sglib import SglibError

MAX_BYTES = 1_000_000_000  # the archive has about 21 MB; this only stops an endless stream
TIMEOUT = 30.0  # seconds without a byte
ATTEMPTS = 4
PAUSE = 1.0  # seconds before the first retry, doubled for each one after
_CHUNK = 64 * 1024


class _Cut(Exception):
    """The connection ended early; what has arrived is kept."""


def download(
    url: str,
    part: Path,
    *,
    progress: bool = False,
    max_bytes: int = MAX_BYTES,
    timeout: float = TIMEOUT,
    attempts: int = ATTEMPTS,
    pause: float = PAUSE,
) -> Path:
    """Download `url` into `part` and return `part` when it is complete.

    A cut connection is taken up again, now or by the next call, from the byte where it stopped if
    the server can (HTTP Range) and still has the same file (ETag or Last-Modified); else from the
    start. Use `discard` to remove `part` afterwards.

    Args:
        url: https; http only to this machine.
        part: the file to write; its folder exists.
        progress: draw a bar on stderr.
        max_bytes: refuse more than this.
        timeout: seconds without a byte after which the connection counts as cut.
        attempts: connections to try.
        pause: seconds before the second attempt, doubled before each further one.

    Raises:
        SglibError: one line with the address and the reason.
    """
    require_safe(url)
    for attempt in range(1, attempts + 1):
        try:
            _stream(url, part, progress, max_bytes, timeout)
            return part
        except _Cut as cut:
            reason = str(cut)
        if attempt < attempts:
            time.sleep(pause * 2 ** (attempt - 1))
    have = part.stat().st_size if part.exists() else 0
    raise SglibError(
        f"{shown(url)}: download stopped after {have:,} bytes ({reason}); "
        "run the command again to go on"
    )


def discard(part: Path) -> None:
    """Remove a finished or useless download and the note beside it."""
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def shown(url: str) -> str:
    """Return `url` for messages and records: without password and query."""
    pieces = urlsplit(url)
    host = pieces.netloc.rpartition("@")[2]
    return f"{pieces.scheme}://{host}{pieces.path}"


def require_safe(url: str) -> None:
    """Raise SglibError unless `url` is https, or http to this machine."""
    try:
        pieces = urlsplit(url)
        host = pieces.hostname or ""
    except ValueError as error:
        raise SglibError(f"{url}: not an address ({error})") from error
    if not host or not (pieces.scheme == "https" or (pieces.scheme == "http" and _is_local(host))):
        raise SglibError(f"{shown(url)}: expected an https address (http only to this machine)")


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects, but never from https to something weaker."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        try:
            require_safe(newurl)
            if req.full_url.startswith("https:") and not newurl.startswith("https:"):
                raise SglibError(f"{shown(newurl)}: expected https after {shown(req.full_url)}")
        except SglibError as error:
            fp.close()
            raise SglibError(f"{shown(req.full_url)}: redirect refused: {error}") from error
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(url: str, headers: dict[str, str], timeout: float) -> http.client.HTTPResponse:
    # a proxy from the environment is for the outside, not for this machine
    local = _is_local(urlsplit(url).hostname or "")
    proxies = [urllib.request.ProxyHandler({})] if local else []
    opener = urllib.request.build_opener(_SafeRedirects, *proxies)
    return opener.open(urllib.request.Request(url, headers=headers), timeout=timeout)


def _stream(url: str, part: Path, progress: bool, max_bytes: int, timeout: float) -> None:
    """Fetch the rest of `part` (or all of it) in one connection."""
    validator = _validator(part, url)
    start = part.stat().st_size if validator and part.exists() else 0
    headers = {"User-Agent": "sglib", "Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    try:
        response = _open(url, headers, timeout)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and error.headers.get("Content-Range") == f"bytes */{start}":
                return  # nothing is left to fetch
            if error.code == 416:
                discard(part)
                raise _Cut("the file has changed on the server") from error
            if error.code == 429 or error.code >= 500:
                raise _Cut(f"HTTP {error.code} {error.reason}") from error
            raise SglibError(f"{shown(url)}: HTTP {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise SglibError(f"{shown(url)}: cannot connect ({_line(error.reason)})") from error
    except (OSError, http.client.HTTPException) as error:
        raise _Cut(_line(error)) from error
    with response:
        if response.status != 206:
            start = 0
        elif _range_start(response) != start:
            discard(part)
            raise _Cut("the server sent another range than asked for")
        _save(response, part, url, start, progress, max_bytes)


def _save(
    response: http.client.HTTPResponse,
    part: Path,
    url: str,
    start: int,
    progress: bool,
    max_bytes: int,
) -> None:
    total = None if response.length is None else start + response.length
    if total is not None and total > max_bytes:
        raise SglibError(f"{shown(url)}: {total:,} bytes; expected at most {max_bytes:,}")
    if not start:
        discard(part)
        tag = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        note = {"url": url, "validator": "" if tag.startswith("W/") else tag}
        _note(part).write_text(json.dumps(note), encoding="utf-8")
    have = start
    with (
        part.open("ab") as file,
        tqdm(
            desc="download",
            total=total,
            initial=start,
            unit="B",
            unit_scale=True,
            file=sys.stderr,
            disable=not progress,
        ) as bar,
    ):
        while True:
            try:
                chunk = response.read(_CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise _Cut(_line(error)) from error
            if not chunk:
                break
            have += len(chunk)
            if have > max_bytes:
                raise SglibError(f"{shown(url)}: more than {max_bytes:,} bytes; stopped")
            file.write(chunk)
            bar.update(len(chunk))
    # HTTPResponse.read(n) ends silently when the peer closes early
    if total is not None and have < total:
        raise _Cut(f"connection closed, {total:,} bytes expected")


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _validator(part: Path, url: str) -> str:
    """Return what identifies the server's version of `part`; empty if it cannot be resumed."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        note = json.loads(_note(part).read_text(encoding="utf-8"))
        if note["url"] == url:
            return str(note["validator"])
    return ""


def _range_start(response: http.client.HTTPResponse) -> int | None:
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _line(error: object) -> str:
    return " ".join(str(error).split()) or type(error).__name__
