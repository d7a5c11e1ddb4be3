"""Figures as SVG or PNG with the data behind them, frames as HTML tables: equal in, equal out."""

import html
import io
import re

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image, ImageOps

MAX_POINTS = 1_000  # of a figure whose data are read from what it draws
_NUMBER = re.compile(r"[-+−±<>≤≥≈]?\s*\.?\d|[-−–—]?$")
_OWN_ID = re.compile(r'<g id="([^" ]+)">')
FAMILY = "'DejaVu Sans', Verdana, sans-serif"
_FAMILY = re.compile(r"font-family: 'DejaVu Sans', [^;\"]*; ?")
_STYLE = re.compile(r"<defs>\s*<style.*?</style>\s*</defs>\s*", re.DOTALL)
_TOOLTIP = re.compile(r'<g id="([^"]* [^"]*)">')


def svg(fig: Figure) -> str:
    """Return a figure as SVG to stand in a page: text stays text, a `gid` with a blank a tooltip.

    Matplotlib's own ids are dropped, since several figures share a page.
    """
    drawn = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "sglib"}):
        fig.savefig(drawn, format="svg", bbox_inches="tight", metadata={"Date": None})
    text = drawn.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    # once for the drawing what stands at every text, and for this drawing what would style the page
    text = _FAMILY.sub("", text).replace("<svg ", f'<svg font-family="{FAMILY}" ', 1)
    text = _STYLE.sub("", text).replace("<svg ", '<svg stroke-linejoin="round" ', 1)
    return _TOOLTIP.sub(r'<g class="hint"><title>\1</title>', _OWN_ID.sub("<g>", text)).strip()


def png(fig: Figure, *, scale: int = 2) -> tuple[bytes, int]:
    """Return a figure as PNG, `scale` times as fine as it is shown, and its shown width in pixels.

    256 colours are enough for lines, text and grey faces, at a third of the size; nothing about the
    software goes into the file.
    """
    drawn, small = io.BytesIO(), io.BytesIO()
    fig.savefig(drawn, dpi=scale * fig.dpi, bbox_inches="tight", facecolor="white")
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(256).save(small, "PNG", optimize=True)
        return small.getvalue(), image.width // scale


def has_photos(fig: Figure) -> bool:
    """Tell whether a figure draws grey pictures: those are faces."""
    images = [image for ax in fig.axes for image in ax.images]
    return any(image.get_cmap().name.startswith("gray") for image in images)


def points(fig: Figure) -> pd.DataFrame | None:
    """Return the lines, points and bars of a figure as rows; None where there are none or many."""
    rows = []
    for number, ax in enumerate(fig.axes, start=1):
        panel = ax.get_title() or ax.get_title("left") or f"panel {number}"
        bars = [(b, b.get_x() + b.get_width() / 2, b.get_height()) for b in ax.patches
                if hasattr(b, "get_height")]  # fmt: skip
        drawn = [(line, *xy) for line in ax.lines for xy in line.get_xydata()]
        drawn += [(dots, *xy) for dots in ax.collections for xy in dots.get_offsets()]
        for artist, x, y in drawn + bars:
            name = artist.get_gid() or artist.get_label()
            rows.append((panel, "" if name.startswith("_") else name, float(x), float(y)))
        if len(rows) > MAX_POINTS:
            return None
    return pd.DataFrame(rows, columns=["panel", "what", "x", "y"]) if rows else None


def flat(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with one row of column names and, where it has a name, the index as column."""
    if isinstance(frame.columns, pd.MultiIndex):
        frame = frame.set_axis([" ".join(map(str, c)).strip() for c in frame.columns], axis=1)
    return frame.reset_index() if any(frame.index.names) else frame


def csv(frame: pd.DataFrame) -> str:
    """Return a frame as the CSV text that is published and offered for download."""
    return frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")


def cells(frame: pd.DataFrame) -> tuple[list[str], list[bool], list[list[str]]]:
    """Return a frame as text: names, whether all of a column begin like numbers, and rows."""
    columns = [[_cell(value) for value in frame.iloc[:, i]] for i in range(frame.shape[1])]
    numeric = [all(map(_NUMBER.match, column)) for column in columns]
    return [str(c) for c in frame.columns], numeric, [list(r) for r in zip(*columns, strict=True)]


def html_table(frame: pd.DataFrame, *, caption: str = "") -> str:
    """Return a frame as an HTML table: escaped, numbers to the right, names as headers.

    Args:
        frame: from `flat`; text in a first column is the rows' header.
        caption: above the table.
    """
    names, numeric, rows = cells(frame)
    align = [f' style="text-align:{"right" if n else "left"}"' for n in numeric]

    def line(tags: list[str], texts: list[str]) -> str:
        triples = zip(tags, align, texts, strict=True)
        made = (f"<{tag}{a}>{html.escape(t)}</{tag[:2]}>" for tag, a, t in triples)
        return f"<tr>{''.join(made)}</tr>"

    first = "td" if numeric and numeric[0] else 'th scope="row"'
    body = [line([first, *["td"] * (len(names) - 1)], row) for row in rows]
    above = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    head = line(['th scope="col"'] * len(names), names)
    return "\n".join([f"<table>{above}<thead>", head, "</thead><tbody>", *body, "</tbody></table>"])


def darkened(light: bytes) -> bytes:
    """Return a drawing (PNG) with light and dark exchanged and its hues kept."""
    made = io.BytesIO()
    with Image.open(io.BytesIO(light)) as image:
        hue, saturation, value = ImageOps.invert(image.convert("RGB")).convert("HSV").split()
        turned = hue.point(lambda h: (h + 128) % 256)
        dark = Image.merge("HSV", (turned, saturation, value)).convert("RGB")
        dark.quantize(256).save(made, "PNG", optimize=True)
    return made.getvalue()


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if pd.api.types.is_integer(value):
        return f"{value:,}"
    if pd.api.types.is_float(value):
        if pd.isna(value):
            return "–"
        return f"{value:.2g}" if 0 < abs(value) < 0.0005 else f"{value:,.3f}"
    return "–" if value is None else str(value)
