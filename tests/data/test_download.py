"""`sglib.data.download`: whole files or one clear line, whatever the server does."""

import io
import random
import socket
import urllib.request

import pytest
from course_fakes import Site, serve

from sglib import SglibError
from sglib.data.download import _SafeRedirects, discard, download, require_safe, shown

PAYLOAD = random.Random(0).randbytes(300_000)


def test_whole_file(tmp_path):
    with serve(Site(PAYLOAD)) as site:
        part = download(site.url, tmp_path / "file.part")
    assert part.read_bytes() == PAYLOAD
    assert site.asked == [""]


def test_file_of_unknown_length(tmp_path):
    with serve(Site(PAYLOAD, chunked=True)) as site:
        assert download(site.url, tmp_path / "p").read_bytes() == PAYLOAD


def test_cut_connection_is_resumed_where_it_stopped(tmp_path):
    with serve(Site(PAYLOAD, cuts=[100_000, 50_000])) as site:
        part = download(site.url, tmp_path / "p", pause=0)
    assert part.read_bytes() == PAYLOAD
    assert site.asked == ["", "bytes=100000-", "bytes=150000-"]


@pytest.mark.parametrize("kind", [{"ranges": False}, {"etag": ""}, {"etag": 'W/"weak"'}])
def test_cut_connection_is_restarted_without_ranges(tmp_path, kind):
    with serve(Site(PAYLOAD, cuts=[100_000], **kind)) as site:
        part = download(site.url, tmp_path / "p", pause=0)
    assert part.read_bytes() == PAYLOAD
    # without a strong validator the rest may be another file's: it is not even asked for
    assert site.asked == ["", "bytes=100000-" if "ranges" in kind else ""]


def test_next_call_goes_on_and_a_complete_part_is_not_fetched_again(tmp_path):
    with serve(Site(PAYLOAD, cuts=[100_000])) as site:
        with pytest.raises(SglibError, match=r"stopped after 100,000 bytes .* 300,000 .* again"):
            download(site.url, tmp_path / "p", attempts=1)
        for _ in range(2):
            assert download(site.url, tmp_path / "p").read_bytes() == PAYLOAD
    assert site.asked == ["", "bytes=100000-", "bytes=300000-"]


def test_changed_file_is_not_mixed_with_the_old_one(tmp_path):
    with serve(Site(PAYLOAD, cuts=[100_000])) as site:
        with pytest.raises(SglibError):
            download(site.url, tmp_path / "p", attempts=1)
        site.payload, site.etag = PAYLOAD[::-1], '"v2"'
        assert download(site.url, tmp_path / "p").read_bytes() == PAYLOAD[::-1]


def test_part_of_another_address_is_not_used(tmp_path):
    with serve(Site(PAYLOAD, cuts=[100_000])) as site:
        with pytest.raises(SglibError):
            download(site.url, tmp_path / "p", attempts=1)
        download(site.url + "?other", tmp_path / "p")
    assert site.asked == ["", ""]


def test_missing_page_is_one_line_and_not_tried_again(tmp_path):
    with (
        serve(Site(PAYLOAD, status=404)) as site,
        pytest.raises(SglibError, match=r"/course.zip: HTTP 404 Not Found$"),
    ):
        download(site.url, tmp_path / "p")
    assert len(site.asked) == 1


def test_busy_server_is_tried_again(tmp_path):
    with (
        serve(Site(PAYLOAD, status=503)) as site,
        pytest.raises(SglibError, match="HTTP 503 Service Unavailable"),
    ):
        download(site.url, tmp_path / "p", attempts=3, pause=0)
    assert len(site.asked) == 3


def test_nobody_listens(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/course.zip"
    with pytest.raises(SglibError, match=r"cannot connect \(.*refused\)$"):
        download(url, tmp_path / "p")


def test_silent_server_times_out(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/course.zip"
        with pytest.raises(SglibError, match=r"stopped after 0 bytes \(timed out\)"):
            download(url, tmp_path / "p", timeout=0.05, attempts=1)


@pytest.mark.parametrize("chunked", [False, True])
def test_too_large(tmp_path, chunked):
    with (
        serve(Site(PAYLOAD, chunked=chunked)) as site,
        pytest.raises(SglibError, match="200,000"),
    ):
        download(site.url, tmp_path / "p", max_bytes=200_000)


@pytest.mark.parametrize(
    "url",
    ["http://example.org/a.zip", "ftp://example.org/a", "file:///etc/passwd", "https://", "x"],
)
def test_unsafe_address(url):
    with pytest.raises(SglibError, match="expected an https address"):
        require_safe(url)


def test_safe_address():
    for url in (
        "https://example.org/a",
        "http://localhost:1/a",
        "http://127.0.0.1/",
        "http://[::1]/",
    ):
        require_safe(url)


@pytest.mark.parametrize("target", ["http://example.org/a.zip", "ftp://example.org/a"])
def test_redirect_to_something_weaker_is_refused(tmp_path, target):
    with (
        serve(Site(PAYLOAD, location=target)) as site,
        pytest.raises(SglibError, match="redirect refused"),
    ):
        download(site.url, tmp_path / "p")
    assert not (tmp_path / "p").exists()


def test_redirect_from_https_to_http_is_refused_even_to_this_machine():
    body = io.BytesIO()
    request = urllib.request.Request("https://example.org/a.zip")
    with pytest.raises(SglibError, match=r"redirect refused: http://127.0.0.1/x: expected https"):
        _SafeRedirects().redirect_request(request, body, 302, "", {}, "http://127.0.0.1/x")
    assert body.closed


def test_redirect_is_followed(tmp_path):
    with serve(Site(PAYLOAD)) as target, serve(Site(b"", location=target.url)) as site:
        assert download(site.url, tmp_path / "p").read_bytes() == PAYLOAD


def test_proxy_is_not_asked_for_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with serve(Site(PAYLOAD)) as site:
        assert download(site.url, tmp_path / "p").read_bytes() == PAYLOAD


def test_shown_hides_secrets():
    assert shown("https://me:pw@example.org:8/a.zip?token=x") == "https://example.org:8/a.zip"


def test_progress_bar_only_if_asked(tmp_path, capsys):
    with serve(Site(PAYLOAD)) as site:
        download(site.url, tmp_path / "p")
        assert capsys.readouterr() == ("", "")
        download(site.url + "?again", tmp_path / "p", progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "download" in err


def test_discard_removes_the_file_and_its_note(tmp_path):
    with serve(Site(PAYLOAD)) as site:
        discard(download(site.url, tmp_path / "p"))
    assert list(tmp_path.iterdir()) == []
