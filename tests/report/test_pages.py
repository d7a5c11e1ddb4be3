"""pages: executed notebooks become a site that needs nothing but itself (no kernel here)."""

import re
from html.parser import HTMLParser

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from report_fakes import caught, executed

from sglib.report import show
from sglib.report.pages import compare, duration, read_page

NAMES = ("index", "00_first", "01_second")


class Tags(HTMLParser):
    """Every start tag of a page with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def text_of(site, name):
    return (site / f"{name}.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_pages_hold_no_script_and_load_nothing(site, name):
    text = text_of(site, name)
    assert "default-src 'none'" in text
    tags = Tags(text).found
    assert not {tag for tag, _ in tags} & {"script", "iframe", "object", "embed", "form"}
    for tag, attrs in tags:
        assert tag != "img" or attrs["src"].startswith("data:image/png;base64,")
        assert not any(key.startswith("on") for key in attrs)
        assert tag != "link" or attrs["href"] == "data:,"
    assert not re.search(r"@import|url\((?!#)", text)
    assert len(text) < 1_500_000


@pytest.mark.parametrize("name", NAMES)
def test_every_link_and_download_resolves(site, name):
    tags = Tags(text_of(site, name)).found
    links = [attrs["href"] for tag, attrs in tags if tag == "a"]
    assert links
    for link in links:
        path, _, anchor = link.partition("#")
        target = text_of(site, path.removesuffix(".html")) if path.endswith(".html") else ""
        assert not path or (site / path).is_file(), link
        if anchor and (target or not path):
            ids = {attrs.get("id") for _, attrs in Tags(target or text_of(site, name)).found}
            assert anchor in ids, link


def test_pictures_are_described_and_drawings_are_part_of_the_page(site):
    tags = Tags(text_of(site, "00_first")).found
    assert [attrs["alt"] for tag, attrs in tags if tag == "img"] == ["a face"]
    drawn = [attrs for tag, attrs in tags if tag == "svg"]
    assert [attrs["aria-label"] for attrs in drawn] == ["rising lines"]
    assert drawn[0]["role"] == "img"


def test_what_can_scroll_can_be_reached_and_has_a_name_of_its_own(site):
    regions = [a for _, a in Tags(text_of(site, "00_first")).found if a.get("role") == "region"]
    assert len(regions) == 8  # numbers, 2 figures, 3 tables, a frame of pandas, a printed line
    assert all(region["tabindex"] == "0" for region in regions)
    assert len({region["aria-label"] for region in regions}) == len(regions)


def test_foreign_text_stays_text(site):
    text = text_of(site, "00_first")
    assert "&lt;b&gt;printed" in text
    assert "text &lt;0&gt;" in text
    assert "Wide &lt;b&gt;" in text
    assert "alert(6)" not in text


def test_head_has_the_finding_and_foot_has_the_provenance(site):
    text = text_of(site, "00_first")
    head, _, rest = text.partition("</header>")
    assert "Finding of 00_first: <strong>0.951</strong>" in head
    assert "Finding of 00_first" not in rest
    assert "synthetic faces, profile paper, 1 repetition, 62 s" in head
    assert head.count('role="note"') == 1  # synthetic
    foot = text[text.index("<footer>") :]
    assert "sha256 ssss" in foot
    assert "sglib report --data &lt;x&gt;" in foot
    assert '<a href="#Method">' in text


def test_code_is_folded_and_setup_parameters_and_noise_are_gone(site):
    text = text_of(site, "00_first")
    assert text.count("<summary>Code</summary>") == 8  # not the cell tagged hide-input
    assert text.count("<summary>Parameters</summary>") == 1  # those of this run
    assert text.count("<summary>Messages</summary>") == 1
    assert "1/20" not in text
    assert '<th scope="row"' in text


def test_index_leads_with_one_sentence_one_figure_and_one_table(site):
    text = text_of(site, "index")
    assert text.count('class="lead"') == 1
    assert text.count("<svg") == 1
    assert "Small" in text
    assert "Wide" not in text
    assert '<li>Finding of 01_second: <strong>0.951</strong> <a href="01_second.html"' in text
    assert "Answer of 01_second: <code>x</code> <strong>y</strong>" in text


def test_data_of_figures_and_tables_lie_beside_the_pages(site):
    assert pd.read_csv(site / "data/00-1.csv")["y"].max() == 8
    assert pd.read_csv(site / "data/00-3-wide.csv").shape == (3, 10)
    assert (site / "data/00-1.svg").read_text().startswith("<svg")
    assert (site / "data/00-2-face.png").read_bytes().startswith(b"\x89PNG")


def page(**settings):
    return read_page(executed("00_first", **settings), "00_first")


def test_a_run_stands_beside_the_published_one_and_is_judged_on_the_same_data_only():
    published = page(profile="full", data="course")
    assert compare(published, published) is None
    assert compare(page(), read_page(new_notebook(), "00_first")) is None
    synthetic = compare(page(), published)
    assert synthetic["told"] == ["Finding of 00_first: **0.951**"]
    assert synthetic["rows"][0] == ("baseline", "0.951 [0.940, 0.960]", "0.951 [0.940, 0.960]")
    assert synthetic["verdict"] == ""
    same = compare(page(data="course"), published)
    assert same["verdict"] == "1 of 1 numbers of this run lie in the published intervals."
    other = page(data="course")
    other.numbers["baseline"] = (0.9, 0.8, 1.0)
    assert compare(other, published)["verdict"].endswith("outside: baseline.")
    assert compare(page(profile="smoke", data="course"), published)["verdict"] == ""


def test_published_numbers_stand_on_the_page(site):
    head = text_of(site, "00_first").partition("</header>")[0]
    assert "Published: real photographs, profile full" in head
    assert "0.951 [0.940, 0.960]" in head
    assert "Published" not in text_of(site, "01_second")  # never published


def test_numbers_of_answers_are_compared_and_the_findings_are_the_headlines():
    told = caught(lambda: show.answer("It is **0.95**.", numbers={"it": (0.95,)}))
    found = read_page(new_notebook(cells=[new_code_cell("x", outputs=told)]), "07_x")
    assert found.findings == []
    assert list(found.numbers["it"]) == [0.95]


def test_a_notebook_that_says_nothing_is_named_by_its_file():
    found = read_page(new_notebook(cells=[new_markdown_cell("No heading")]), "07_x")
    assert (found.title, found.question, found.findings) == ("07_x", "", [])
    assert nbformat.validate(new_notebook()) is None


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.123, "0.1 s"), (61, "61 s"), (250, "4 min"), (7900, "2 h 12 min")]
)
def test_durations_are_as_people_say_them(seconds, words):
    assert duration(seconds) == words
