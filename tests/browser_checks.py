"""What is asked of every page in the browser."""

import pytest


def overflow(page):
    """By how many pixels a page is wider than the screen."""
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")


def accessibility(page):
    """What axe-core finds wrong with a page, but for trifles."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response["violations"]
    return [(v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] != "minor"]
