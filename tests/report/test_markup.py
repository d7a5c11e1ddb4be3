"""markup: the allow-list and the alignment of tables."""

import pytest

from sglib.report.markup import align_tables, clean_html


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<SCRIPT src=//evil/x.js></SCRIPT>",
        '<img src="https://evil/x.png">',
        '<img src="//evil/x.png">',
        "<img src=x onerror=alert(1)>",
        '<a href="javascript:alert(1)">x</a>',
        '<a href="data:text/html,<script>alert(1)</script>">x</a>',
        '<iframe src="https://evil"></iframe>',
        '<link rel="stylesheet" href="https://evil/x.css">',
        '<svg onload="alert(1)"></svg>',
        '<form action="https://evil"><button>x</button></form>',
        '<p style="background: url(https://evil/x.png)">x</p>',
    ],
)
def test_nothing_that_acts_or_loads_survives(hostile):
    clean = clean_html(hostile).lower()
    live = clean.replace("&lt;", "").replace("&gt;", "")
    for tag in ("<script", "<iframe", "<link", "<svg", "<form", "<button"):
        assert tag not in live
    tags = "".join(part.split(">")[0] for part in clean.split("<")[1:])
    for word in ("evil", "onerror", "onload", "javascript:", "data:text"):
        assert word not in tags


def test_pandas_style_block_disappears_with_its_content():
    assert clean_html("<div><style scoped>.x { color: red }</style><b>x</b></div>") == (
        "<div><b>x</b></div>"
    )


def test_harmless_markup_stays():
    for good in (
        '<a href="https://example.org">x</a>',
        '<img alt="dot" src="data:image/png;base64,AAAA">',
        '<details><summary>x</summary><sub class="y">z</sub></details>',
    ):
        assert clean_html(good) == good


def test_links_between_notebooks_lead_to_pages():
    assert 'href="02_augmentation.html"' in clean_html('<a href="02_augmentation.ipynb">x</a>')
    assert 'href="02_a.html#result"' in clean_html('<a href="02_a.ipynb#result">x</a>')
    assert 'href="https://h.org/02_a.ipynb"' in clean_html(
        '<a href="https://h.org/02_a.ipynb">x</a>'
    )


def test_numeric_columns_are_marked_and_text_columns_are_not():
    table = (
        "<table><thead><tr><th>name</th><th>acc</th></tr></thead><tbody>"
        "<tr><td>a</td><td>0.97 ± 0.01</td></tr><tr><td>7 b</td><td></td></tr></tbody></table>"
    )
    aligned = align_tables(table)
    assert aligned.count('class="num"') == 3
    assert '<th class="num">acc</th>' in aligned
    assert "<td>a</td>" in aligned


def test_rows_with_spans_keep_the_alignment_of_text():
    head = '<thead><tr><th colspan="2">x</th></tr><tr><th>a</th><th>b</th></tr></thead>'
    aligned = align_tables(f"<table>{head}<tbody><tr><td>1</td><td>b</td></tr></tbody></table>")
    assert '<th colspan="2">x</th>' in aligned
    assert '<th class="num">a</th><th>b</th>' in aligned
    assert '<td class="num">1</td><td>b</td>' in aligned
    table = '<table><tr><td colspan="2">1</td></tr><tr><td>1</td><td>2</td></tr></table>'
    assert "num" not in align_tables(table)
