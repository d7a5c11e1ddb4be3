"""What markup a page may hold: an allow-list for HTML, and the alignment of table columns.

Whatever a notebook shows (a file name, say) passes here, so that markup in it cannot act.
"""

import re

import bleach
from bleach.css_sanitizer import CSSSanitizer
from bs4 import BeautifulSoup, Tag

TAG_NAMES = """
a abbr b blockquote br caption cite code col colgroup dd del details div dl dt em figcaption figure
h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q s samp small span strong sub summary sup table
tbody td tfoot th thead tr u ul var
"""
TAGS = frozenset(TAG_NAMES.split())
ATTRIBUTES = ("align", "class", "colspan", "dir", "id", "lang", "rowspan", "scope", "style")
# Tags whose content is not text: bleach alone would leave it standing.
SILENT = re.compile(r"<(style|script)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
SERIES_LINK = re.compile(r'(href="\d\d_[\w.-]*)\.ipynb(["#])')
EMPTY_IMAGE = re.compile(r"<img(?![^>]*\ssrc=)[^>]*>")  # lost a remote address
NUMBER = re.compile(r"[-+−±<>≤≥≈]?\s*\.?\d|(nan|none|inf|[-−–—]?)$", re.IGNORECASE)


def clean_html(markup: object) -> str:
    """Return markup with only the tags, attributes and addresses that a page may hold.

    Links between notebooks become links between pages; numeric table columns get class `num`.
    """
    text = markup.decode() if isinstance(markup, bytes) else str(markup)
    cleaned = bleach.clean(
        SILENT.sub("", text),
        tags=TAGS,
        attributes=_is_allowed,
        protocols=["http", "https", "mailto", "data"],
        css_sanitizer=CSSSanitizer(),
        strip_comments=True,
    )
    cleaned = SERIES_LINK.sub(r"\1.html\2", EMPTY_IMAGE.sub("", cleaned))
    return align_tables(cleaned) if "<table" in cleaned else cleaned


def _is_allowed(tag: str, name: str, value: str) -> bool:
    if tag == "img" and name == "src":
        return value.startswith("data:image/")
    if tag == "a" and name == "href":
        return not value.strip().lower().startswith("data:")
    return name in ATTRIBUTES or (tag == "img" and name in ("alt", "width", "height"))


def align_tables(markup: str) -> str:
    """Return markup in which the cells of numeric table columns have class `num`.

    A column is numeric if every body cell of it begins like a number or is empty. Rows with cells
    that span columns or rows keep the alignment of text.
    """
    soup = BeautifulSoup(markup, "html.parser")
    for table in soup.find_all("table"):
        rows = [row.find_all(["td", "th"]) for row in table.find_all("tr")]
        body = [row for row in rows if row and row[0].find_parent("thead") is None]
        if not body or any(map(_has_span, body)) or len({len(row) for row in body}) != 1:
            continue
        head = [row for row in rows if len(row) == len(body[0]) and not _has_span(row)]
        for i in range(len(body[0])):
            if all(_is_number(row[i]) for row in body):
                for cell in {id(row[i]): row[i] for row in (*head, *body)}.values():
                    cell["class"] = [*cell.get("class", []), "num"]
    return str(soup)


def _has_span(row: list[Tag]) -> bool:
    return any(cell.get("colspan") or cell.get("rowspan") for cell in row)


def _is_number(cell: Tag) -> bool:
    return NUMBER.match(cell.get_text(strip=True)) is not None
