"""The site in a real Chromium: every width, light and dark, printed, without script, by keyboard.

Skipped where no Chromium is, unless SGLIB_BROWSER says that there must be one.
"""

import pytest
from browser_checks import accessibility, overflow

NAMES = ("index", "00_first", "compare/index", "try", "live")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [360, 768, 1440])
def test_nothing_is_wider_than_the_screen_and_axe_is_content(opened, name, width):
    for scheme in ("light", "dark"):
        page = opened(name, viewport={"width": width, "height": 800}, color_scheme=scheme)
        assert overflow(page) <= 0
        assert accessibility(page) == []


def test_wide_tables_scroll_by_keyboard_and_show_that_they_do(opened):
    page = opened("00_first", viewport={"width": 360, "height": 800}, java_script_enabled=True)
    table = page.get_by_role("region", name="Wide")
    assert table.evaluate("e => e.scrollWidth > e.clientWidth")
    assert "gradient" in table.evaluate("e => getComputedStyle(e).backgroundImage")
    table.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(300)
    assert table.evaluate("e => e.scrollLeft") > 0


def test_print_cuts_nothing(opened):
    page = opened("00_first", viewport={"width": 700, "height": 1000})
    page.emulate_media(media="print")
    cut = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1)"
    assert page.evaluate(f"{cut}.map(e => e.getAttribute('aria-label'))") == []


def test_pages_read_without_script_and_the_skip_link_comes_first(opened):
    page = opened("01_second", java_script_enabled=False)
    assert page.get_by_role("heading", name="Title of 01_second").is_visible()
    page.keyboard.press("Tab")
    assert page.locator(".skip").is_visible()
    assert page.locator(":focus").inner_text() == "Skip to the content"


def test_small_print_of_a_wide_figure_stays_readable_on_a_phone(opened):
    page = opened("00_first", viewport={"width": 360, "height": 800})
    label = page.locator("svg text").first
    assert label.bounding_box()["height"] >= 9


def test_compared_runs_stand_beside_each_other_and_on_a_phone_under_each_other(opened):
    for width, beside in ((1440, True), (360, False)):
        page = opened("compare/index", viewport={"width": width, "height": 800})
        first, second = page.locator(".columns").nth(1).locator("section").all()
        tops = [section.bounding_box()["y"] for section in (first, second)]
        assert (tops[0] == tops[1]) is beside
