"""pages: executed notebooks become self-contained pages (no kernel is started here)."""

import re

import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import (
    new_code_cell,
    new_markdown_cell,
    new_notebook,
    new_output,
)

from sglib.report.pages import duration, figures_without_alt, read_page, render_index, render_page

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
FACTS = {
    "data": "synthetic",
    "parts": [{"name": "synthetic-train", "n": 378, "digest": "abc0" * 16}],
    "profile": "smoke",
    "seeds": 2,
    "versions": {"torch": "2.0"},
    "commit": "0123456789ab",
}


def shown(data, **metadata):
    return new_output("display_data", data=data, metadata=metadata)


def notebook(title="# 01 · The <b> baseline", *, alt="two curves"):
    about = {"image/png": {"alt": alt, "caption": "n = <5>"}}
    cells = [
        new_markdown_cell(
            f"{title}\n\n**Question.** Does *it* reproduce, [here](x)?\n\nMore text."
        ),
        new_code_cell('profile = "smoke"', metadata={"tags": ["parameters"]}),
        new_code_cell(
            "SECRET_SETUP = 1",
            metadata={"tags": ["hide-input"]},
            outputs=[shown({"text/html": "<p>x</p>"}, sglib={"provenance": FACTS})],
        ),
        new_code_cell(
            "run()",
            outputs=[
                new_output("stream", name="stderr", text="\r 5%|#  | 1/20"),
                new_output("stream", name="stdout", text="<script>alert(3)</script>"),
                shown({"image/png": PIXEL, "text/plain": "figure"}, **about),
            ],
        ),
        new_code_cell(
            "table",
            outputs=[
                shown(
                    {"text/html": "<style>td {}</style><table><tr><td>&lt;script&gt;</td></tr>"},
                    sglib={"headline": True},
                ),
                shown({"text/html": '<script>alert(4)</script><img src="http://evil/x.png">'}),
                shown({"text/markdown": "<script>alert(5)</script>\n\n![x](http://evil/y.png)"}),
                shown({"application/javascript": "alert(6)"}),
                shown({"text/html": "<p>yes</p>"}, sglib={"answer": "**Yes** <script>x</script>"}),
            ],
        ),
        new_markdown_cell(
            "Next: [02](02_next.ipynb)\n\n<script>alert(7)</script> ![z](http://e/z.png)"
        ),
    ]
    built = new_notebook(cells=cells)
    built.metadata["papermill"] = {"duration": 61.7}
    return built


@pytest.fixture
def page():
    return read_page(notebook(), "01_baseline")


def assert_self_contained(text):
    assert "Content-Security-Policy" in text
    assert "default-src 'none'" in text
    assert not re.search(r"<script", text, re.IGNORECASE)
    assert not re.search(r"""\bsrc\s*=\s*(?!["']?data:)""", text.replace("-src", ""))
    assert not re.search(r"<link[^>]*stylesheet", text)
    assert not re.search(r"@import|url\(", text)


def test_page_summary_is_read_from_cells_and_metadata(page):
    assert page.title == "The <b> baseline"
    assert page.question == "Does it reproduce, here?"
    assert page.answers == ["**Yes** <script>x</script>"]
    assert len(page.headlines) == 1
    assert page.provenance["commit"] == "0123456789ab"
    assert page.seconds == 61.7
    assert (page.file, page.number) == ("01_baseline.html", "01")


def test_page_is_self_contained_and_escapes(page):
    text = render_page(notebook(), page)
    assert_self_contained(text)
    assert "&lt;script&gt;alert(3)" in text  # printed by a cell: visible, not live
    for hidden in ("alert(4)", "alert(5)", "alert(6)", "alert(7)", "1/20"):
        assert hidden not in text
    assert "<h1>The &lt;b&gt; baseline</h1>" in text
    assert text.count("<h1") == 1


def test_figures_carry_alt_text_and_caption(page):
    text = render_page(notebook(alt='a "quoted" <curve>'), page)
    (image,) = BeautifulSoup(text, "html.parser").find_all("img")
    assert image["src"].startswith("data:image/png;base64,")
    assert image["alt"] == 'a "quoted" <curve>'
    assert "<figcaption>n = &lt;5&gt;</figcaption>" in text


def test_figures_without_alt_text_are_counted():
    assert figures_without_alt(notebook()) == 0
    assert figures_without_alt(notebook(alt=" ")) == 1


def test_provenance_stands_at_the_top_and_only_there(page):
    text = render_page(notebook(), page)
    top = text[: text.index('<main id="content">')]
    for fact in ("Synthetic faces", "abc0abc0abc0abc0", "smoke, n_seeds = 2", "torch 2.0", "62 s"):
        assert text.count(fact) == 1
        assert fact in top


def test_code_is_folded_and_hidden_where_tagged(page):
    text = render_page(notebook(), page)
    assert text.count('<details class="code">') == 3
    assert "SECRET_SETUP" not in text
    assert "<summary>Parameters</summary>" in text


def test_neighbours_are_linked(page):
    after = read_page(notebook("# 02 Next"), "02_next")
    text = render_page(notebook(), page, after=after)
    assert len(re.findall(r'<a[^>]* href="02_next.html"[^>]*>Next', text)) == 2
    assert 'rel="prev"' not in text
    assert 'href="index.html"' in text
    assert '<a href="02_next.html">02</a>' in text  # the author's link in the text


def test_rendering_leaves_the_notebook_as_it_was(page):
    given = notebook()
    before = [cell.source for cell in given.cells]
    render_page(given, page)
    assert [cell.source for cell in given.cells] == before
    assert len(given.cells[3].outputs) == 3


def test_index_lists_notebooks_answers_and_headline(page):
    text = render_index([page], title="Series <x>", command="sglib report <y>")
    assert_self_contained(text)
    assert "Series &lt;x&gt;" in text
    assert "sglib report &lt;y&gt;" in text
    assert '<a href="01_baseline.html">The &lt;b&gt; baseline</a>' in text
    assert "<strong>Yes</strong> &lt;script&gt;x&lt;/script&gt;" in text
    assert "<td>&lt;script&gt;</td>" in text
    assert "different data sets" not in text


def test_index_says_when_pages_mix_data_or_profiles(page):
    other = notebook()
    other.cells[2].outputs[0].metadata["sglib"]["provenance"] = {**FACTS, "profile": "full"}
    pages = [page, read_page(other, "02_next")]
    assert "different data sets or profiles" in render_index(pages, title="x", command="y")


def test_notebook_without_heading_or_provenance_still_has_a_page():
    bare = new_notebook(cells=[new_code_cell("1")])
    page = read_page(bare, "03_bare")
    assert (page.title, page.question, page.seconds) == ("03_bare", "", None)
    assert "records no provenance" in render_page(bare, page)
    assert "03_bare" in render_index([page], title="x", command="y")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.04, "0.0 s"),
        (9.96, "10 s"),
        (99.4, "99 s"),
        (100, "2 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text
