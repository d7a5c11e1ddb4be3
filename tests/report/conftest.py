"""One small site for all tests of the pages, and a real Chromium to open them in."""

import os
import shutil
from pathlib import Path

import nbformat
import pytest
from report_fakes import executed

from sglib.report.compare import write_comparison
from sglib.report.pages import write_site

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]
FLAGS += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of two executed notebooks, a smaller one published before."""
    folder, published = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("published")
    for name in ("00_first", "01_second"):
        nbformat.write(executed(name), folder / f"{name}.ipynb")
    earlier = executed("00_first", profile="full", data="course")
    nbformat.write(earlier, published / "00_first.ipynb")
    write_site(folder, published=published, command="sglib report --data <x>")
    compared = folder / "compare"
    compared.mkdir()
    for number, profile in enumerate(("smoke", "paper"), start=1):
        nbformat.write(executed("00_first", profile=profile), compared / f"00_first-{number}.ipynb")
    sets = [{"profile": "smoke", "seeds": 2}, {"profile": "paper <b>", "seeds": 20}]
    write_comparison(compared, sets, command="sglib report --set …")
    return folder


@pytest.fixture(scope="module")
def browser():
    """Skips where no Chromium is, unless SGLIB_BROWSER says that there must be one."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs the extra [test]")
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None and "SGLIB_BROWSER" not in os.environ:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, site):
    """A function that opens a page and notes every complaint and every request."""
    contexts, complaints, requests = [], [], []

    def opened(name, folder=site, **settings):
        context = browser.new_context(**settings)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda asked: requests.append(asked.url))
        page.goto((folder / f"{name}.html").as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not complaints
    assert all(url.startswith(("file:", "data:", "blob:")) for url in requests)
