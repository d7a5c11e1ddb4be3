"""What notebooks show besides plain tables: provenance, figures, headline tables and answers.

Each function returns an object for the last line of a cell (or for `IPython.display.display`).
Its output carries metadata under the key `sglib`; `pages.py` reads it there and puts the
provenance at the top of the page, and answers and headline tables on the index page.
"""

import base64
import datetime
import html
import io
from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from sglib.data.faces import FaceData
from sglib.files import git_commit, machine, versions

SYNTHETIC_NOTICE = (
    "Synthetic faces: drawn by the built-in renderer, in the course set's structure. "
    "No number on this page is about real photographs."
)


class Shown:
    """An output: a bundle of representations by MIME type, and their metadata."""

    def __init__(self, bundle: Mapping[str, object], metadata: Mapping[str, object]) -> None:
        self.bundle = dict(bundle)
        self.metadata = dict(metadata)

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, object], dict[str, object]]:
        return self.bundle, self.metadata

    def __repr__(self) -> str:
        return str(self.bundle["text/plain"])


def provenance(
    data: FaceData, profile: str, *, seeds: int | None = None, settings: str = ""
) -> Shown:
    """Return what the numbers of a notebook come from; the page shows it at its top.

    Args:
        data: the data set in use; its digests are shown.
        profile: smoke, paper or full.
        seeds: number of repetitions of every experiment, where the notebook trains.
        settings: anything else that the numbers depend on, in a few words.
    """
    facts = {
        "data": data.name,
        "parts": [
            {"name": part.name, "n": len(part), "digest": part.digest}
            for part in (data.train, data.test)
        ],
        "profile": profile,
        "seeds": seeds,
        "settings": settings,
        "versions": versions(),
        "commit": git_commit(),
        "machine": machine(),
        "time": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    rows = provenance_rows(facts)
    cells = "".join(
        f'<tr><th style="text-align:left">{html.escape(key)}</th>'
        f'<td style="text-align:left">{html.escape(value)}</td></tr>'
        for key, value in rows
    )
    notice = f"<p><strong>{SYNTHETIC_NOTICE}</strong></p>" if data.name == "synthetic" else ""
    text = "\n".join(f"{key}: {value}" for key, value in rows)
    if notice:
        text = f"{SYNTHETIC_NOTICE}\n{text}"
    return Shown(
        {"text/html": f"{notice}<table>{cells}</table>", "text/plain": text},
        {"sglib": {"provenance": facts}},
    )


def provenance_rows(facts: Mapping) -> list[tuple[str, str]]:
    """Return provenance as (key, value) rows of plain text, the digests shortened."""
    rows = [("Data", str(facts.get("data", "unknown")))]
    rows += [
        (str(part["name"]), f"{part['n']:,} images, sha256 {part['digest'][:16]}…")
        for part in facts.get("parts", ())
    ]
    seeds = facts.get("seeds")
    profile = str(facts.get("profile", "unknown"))
    rows.append(("Profile", profile if seeds is None else f"{profile}, n_seeds = {seeds}"))
    if facts.get("settings"):
        rows.append(("Settings", str(facts["settings"])))
    named = facts.get("versions", {})
    rows.append(("Versions", ", ".join(f"{name} {number}" for name, number in named.items())))
    for key in ("commit", "machine", "time"):
        rows.append((key.capitalize(), str(facts.get(key, "unknown"))))
    return rows


def answer(text: str) -> Shown:
    """Return the one sentence that answers a notebook's question, computed from the run.

    Args:
        text: `**bold**` and `` `code` `` work; everything else is shown as it is, so a file name
            that holds markup cannot act.

    Raises:
        ValueError: the sentence is empty.
    """
    text = " ".join(str(text).split())
    if not text:
        raise ValueError("answer: expected a sentence, got nothing")
    return Shown(
        {"text/html": f"<p>{inline_html(text)}</p>", "text/plain": text},
        {"sglib": {"answer": text}},
    )


def inline_html(text: str) -> str:
    """Return text as HTML: everything escaped, then `**bold**` and `` `code` `` marked up."""
    pieces = html.escape(text).split("`")
    if len(pieces) % 2 == 0:  # an odd number of back-ticks: the last one is only a character
        pieces[-2:] = ["`".join(pieces[-2:])]
    for i, piece in enumerate(pieces):
        if i % 2:
            pieces[i] = f"<code>{piece}</code>"
            continue
        bold = piece.split("**")
        if len(bold) % 2:
            piece = "".join(f"<strong>{b}</strong>" if j % 2 else b for j, b in enumerate(bold))
        pieces[i] = piece
    return "".join(pieces)


def headline(table: pd.DataFrame, *, caption: str = "") -> Shown:
    """Return a table of formatted values that the index page repeats.

    Args:
        table: columns as they are to be read; the index is not shown; text is escaped.
        caption: what is shown, with unit, spread and n.
    """
    body = table.to_html(index=False, escape=True, border=0)
    if caption:
        body = body.replace(">", f"><caption>{inline_html(caption)}</caption>", 1)
    text = table.to_string(index=False)
    return Shown(
        {"text/html": body, "text/plain": f"{caption}\n{text}" if caption else text},
        {"sglib": {"headline": True}},
    )


def figure(drawing: Figure, *, alt: str, caption: str = "") -> Shown:
    """Return a drawn figure with its alternative text, and close it.

    Args:
        drawing: laid out at the size it is shown at; rendered twice as fine for sharp screens.
        alt: what the figure shows, for readers who cannot see it.
        caption: under the figure on the page; names the interval and n.

    Raises:
        ValueError: the alternative text is empty.
    """
    import matplotlib.pyplot as plt

    if not alt.strip():
        raise ValueError("figure: expected alternative text, got nothing")
    png = io.BytesIO()
    drawing.savefig(png, format="png", dpi=2 * drawing.dpi, bbox_inches="tight", facecolor="white")
    plt.close(drawing)  # or the notebook would draw it a second time
    data = png.getvalue()
    # Bytes 16 to 24 of a PNG are its width and height in pixels (PNG specification, 11.2.2).
    width = int.from_bytes(data[16:20], "big") // 2
    encoded = base64.b64encode(data).decode()
    return Shown(
        {"image/png": encoded, "text/plain": f"[figure: {alt}]"},
        {"image/png": {"alt": alt, "caption": caption, "width": width}},
    )
