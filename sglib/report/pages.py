"""From executed notebooks to self-contained HTML pages, and the index page that lists them.

A page holds no script, loads nothing, and forbids both in its Content-Security-Policy. Whatever a
notebook shows passes the allow-list of `markup.py`.
"""

import dataclasses
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import jinja2
import nbformat
from nbconvert import HTMLExporter
from pygments.formatters import HtmlFormatter
from traitlets.config import Config

from sglib.report.markup import clean_html
from sglib.report.show import SYNTHETIC_NOTICE, inline_html, provenance_rows

TEMPLATES = Path(__file__).with_name("templates")
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'"
)
# What a page can show, best first. Widgets and JavaScript are left out: both need scripts.
MIME_TYPES = ["image/svg+xml", "image/png", "text/html", "text/markdown", "image/jpeg"]
MIME_TYPES += ["text/latex", "text/plain"]


@dataclasses.dataclass(frozen=True)
class Page:
    """What the index and the neighbours say about one executed notebook.

    Args:
        name: file name without its ending, `01_baseline`.
        title: first heading, plain text.
        question: first paragraph below it, plain text.
        answers: sentences computed from the run.
        headlines: tables, as HTML that has passed the allow-list.
        provenance: what `display.provenance` recorded; empty where the notebook shows none.
        seconds: how long the notebook took; None where unknown.
    """

    name: str
    title: str
    question: str
    answers: list[str]
    headlines: list[str]
    provenance: dict
    seconds: float | None

    @property
    def file(self) -> str:
        """File name of the page."""
        return f"{self.name}.html"

    @property
    def number(self) -> str:
        """The leading digits of the name."""
        return self.name.split("_")[0]


def read_page(notebook: nbformat.NotebookNode, name: str) -> Page:
    """Return what an executed notebook says about itself."""
    title, question = _title_and_question(notebook, name)
    answers, headlines, facts = [], [], {}
    for output in _outputs(notebook):
        ours = output.get("metadata", {}).get("sglib", {})
        if "answer" in ours:
            answers.append(str(ours["answer"]))
        if ours.get("headline"):
            headlines.append(clean_html(output["data"].get("text/html", "")))
        facts = ours.get("provenance") or facts
    seconds = notebook.metadata.get("papermill", {}).get("duration")
    return Page(name, title, question, answers, headlines, dict(facts), seconds)


def render_page(
    notebook: nbformat.NotebookNode,
    page: Page,
    *,
    before: Page | None = None,
    after: Page | None = None,
) -> str:
    """Return the page of one executed notebook as HTML.

    Args:
        notebook: executed; not changed.
        page: what `read_page` found in it.
        before: the notebook to link back to.
        after: the notebook to link on to.
    """
    notebook = nbformat.from_dict(notebook)  # a copy: the body loses what the header shows
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if not _is_noise(o)]
    first = _first_markdown(notebook)
    if first is not None:
        first.source = re.sub(r"\A\s*#\s.*\n?", "", first.source)
    exporter = HTMLExporter(
        template_name="report",
        extra_template_basedirs=[str(TEMPLATES)],
        filters={"clean_html": clean_html},
        sanitize_html=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        config=Config(
            {
                "NbConvertBase": {"display_data_priority": MIME_TYPES},
                "TagRemovePreprocessor": {
                    "enabled": True,
                    "remove_input_tags": ["hide-input"],
                    "remove_cell_tags": ["hide-cell"],
                },
            }
        ),
    )
    context = {**_shared(), "page": page, "before": before, "after": after, **_facts(page)}
    body, _ = exporter.from_notebook_node(notebook, resources={"report": context})
    return body


def render_index(pages: Sequence[Page], *, title: str, command: str) -> str:
    """Return the index: headline tables, then every notebook with its question and answer.

    Args:
        pages: in the order of the series.
        title: of the whole series.
        command: remakes the pages; shown at the foot.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES / "report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = [
        {"page": page, "answers": [inline_html(text) for text in page.answers], **_facts(page)}
        for page in pages
    ]
    mixed = len({(_digests(p), p.provenance.get("profile")) for p in pages if p.provenance}) > 1
    return environment.get_template("contents.html.j2").render(
        report=_shared(), title=title, command=command, shown=shown, mixed=mixed
    )


def figures_without_alt(notebook: nbformat.NotebookNode) -> int:
    """Return how many pictures of a notebook have no alternative text."""
    count = 0
    for output in _outputs(notebook):
        for kind in output.get("data", {}):
            if kind.startswith("image/"):
                count += not output.metadata.get(kind, {}).get("alt", "").strip()
    return count


def _outputs(notebook: nbformat.NotebookNode) -> Iterable[nbformat.NotebookNode]:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            yield from cell.outputs


def _is_noise(output: nbformat.NotebookNode) -> bool:
    """Tell whether an output has no place in a page's body."""
    if output.output_type == "stream":  # a progress bar rewrites its line
        return output.name == "stderr" and ("\r" in output.text or not output.text.strip())
    if "data" in output and not set(MIME_TYPES) & set(output.data):
        return True  # a widget or a script
    return "provenance" in output.get("metadata", {}).get("sglib", {})  # is in the header


def _first_markdown(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    return next((c for c in notebook.cells if c.cell_type == "markdown"), None)


def _title_and_question(notebook: nbformat.NotebookNode, name: str) -> tuple[str, str]:
    cell = _first_markdown(notebook)
    match = re.match(r"\s*#\s+(.+)\n*", cell.source) if cell else None
    if match is None:
        return name, ""
    paragraphs = re.split(r"\n\s*\n", cell.source[match.end() :].strip())
    title = re.sub(rf"^{name[:2]}\s*[^\w\s]?\s+", "", _plain(match[1]))  # shown on its own
    question = re.sub(r"^Question\s*[.:]\s*", "", _plain(paragraphs[0]))
    return title, question


def _plain(markdown: str) -> str:
    """Return Markdown as plain text on one line; links keep their words."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    text = re.sub(r"[*`]|(?<!\w)_|_(?!\w)", "", text)
    return html.unescape(" ".join(text.split()))


def _digests(page: Page) -> tuple[str, ...]:
    return tuple(part["digest"] for part in page.provenance.get("parts", ()))


def _facts(page: Page) -> Mapping[str, object]:
    rows = provenance_rows(page.provenance) if page.provenance else []
    if rows and page.seconds is not None:
        rows.append(("Duration", duration(page.seconds)))
    notice = SYNTHETIC_NOTICE if page.provenance.get("data") == "synthetic" else ""
    return {"rows": rows, "notice": notice, "took": duration(page.seconds)}


def duration(seconds: float | None) -> str:
    """Return seconds as a person says them; an empty text for None."""
    if seconds is None:
        return ""
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _shared() -> dict[str, str]:
    code = ".highlight"
    light = HtmlFormatter(style="default").get_style_defs(code)
    dark = HtmlFormatter(style="github-dark").get_style_defs(code)
    style = (TEMPLATES / "report" / "style.css").read_text(encoding="utf-8")
    sheet = f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n{style}"
    return {"policy": POLICY, "sheet": sheet}
