"""From a folder of executed notebooks to a site: a page and downloads for each, and an index.

Pages of notebooks hold no script, load nothing, and forbid both in their Content-Security-Policy.
What is shown comes from our own notebooks: they escape foreign text where they show it.
"""

import base64
import html
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import nbformat
from nbconvert.filters import Highlight2HTML, ansi2html, markdown2html
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter

from sglib.report.browser import write_pages
from sglib.report.show import repetitions

TITLE = "Sunglasses or not? A small-data paper, reproduced and questioned"
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'"
)
# What a page can show, best first; widgets and scripts are left out.
SHOWN = ("image/svg+xml", "image/png", "image/jpeg", "text/html", "text/markdown", "text/plain")
TEMPLATES = Path(__file__).with_name("templates")
_TABLE = re.compile(r"<table.*?</table>", re.DOTALL)
_REGION = re.compile(r'role="region" tabindex="0" aria-label="')
_CAPTION = re.compile(r"<caption>(.*?)</caption>", re.DOTALL)
_HEADING = re.compile(r'<h2 id="([^"]+)">(.*?)<a class="anchor-link"')


@dataclass(frozen=True)
class Page:
    """What the site says about one executed notebook.

    Args:
        name: file name without its ending, `01_baseline`.
        title, question: first heading and the paragraph below it, plain text.
        answers: sentences computed from the run, in Markdown.
        findings: what `show.headline` recorded (keys `headline`, `lead`).
        numbers: those of the findings and answers, by name.
        leads: outputs for the index page.
        provenance: what `show.provenance` recorded; empty where the notebook shows none.
        seconds: how long the notebook took; None where unknown.
    """

    name: str
    title: str
    question: str
    answers: list[str]
    findings: list[Mapping]
    numbers: dict[str, Sequence[float]]
    leads: list[NotebookNode]
    provenance: Mapping
    seconds: float | None

    @property
    def key(self) -> tuple:
        """What two runs have in common whose numbers must be equal."""
        return tuple(self.provenance.get(name) for name in ("digest", "profile", "seeds"))

    @property
    def run(self) -> str:
        """The run in a few words: data, profile, repetitions, seconds."""
        if not self.provenance:
            return "no provenance recorded"
        data = {"course": "real photographs", "synthetic": "synthetic faces"}
        words = [data.get(self.provenance["data"], self.provenance["data"])]
        words += [f"profile {self.provenance['profile']}", repetitions(self.provenance["seeds"])]
        return ", ".join(words + ([duration(self.seconds)] if self.seconds else []))


def read_page(notebook: NotebookNode, name: str) -> Page:
    """Return what an executed notebook says about itself."""
    told = [(o, o.metadata.get("sglib", {})) for o in outputs(notebook) if "metadata" in o]
    facts = [about["provenance"] for _, about in told if "provenance" in about]
    answers = [about["answer"] for _, about in told if "answer" in about]
    numbers = [about["numbers"] for _, about in told if "numbers" in about]
    return Page(
        name,
        *_title_and_question(notebook, name),
        answers=answers,
        findings=[about for _, about in told if "headline" in about],
        numbers={name: value for part in numbers for name, value in part.items()},
        leads=[o for o, about in told if _drawn(about).get("lead")],
        provenance=facts[-1] if facts else {},
        seconds=notebook.metadata.get("papermill", {}).get("duration"),
    )


def write_site(folder: Path, *, published: Path, command: str) -> None:
    """Write the pages, downloads and index of the executed notebooks in a folder beside them.

    Args:
        folder: holds `NN_name.ipynb`.
        published: the folder of the committed notebooks, whose numbers stand beside the run's.
        command: remakes the pages; shown at the foot.
    """
    notebooks = {p.stem: nbformat.read(p, 4) for p in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    pages = [read_page(notebook, name) for name, notebook in notebooks.items()]
    templates = environment()
    for i, (page, notebook) in enumerate(zip(pages, notebooks.values(), strict=True)):
        committed = published / f"{page.name}.ipynb"
        known = read_page(nbformat.read(committed, 4), page.name) if committed.is_file() else None
        write_downloads(folder, notebook, prefix=page.name[:2])
        text = templates.get_template("page.html.j2").render(
            page=page,
            cells=_shown_cells(notebook),
            before=pages[i - 1] if i else None,
            after=pages[i + 1] if i + 1 < len(pages) else None,
            published=compare(page, known) if known else None,
            command=command,
        )
        (folder / f"{page.name}.html").write_text(finish(text), encoding="utf-8")
    write_pages(folder)
    text = templates.get_template("contents.html.j2").render(
        pages=pages,
        notices=list(dict.fromkeys(n for p in pages for n in p.provenance.get("notices", ()))),
        mixed=len({page.key for page in pages if page.provenance}) > 1,
        command=command,
    )
    (folder / "index.html").write_text(finish(text), encoding="utf-8")


def compare(page: Page, published: Page) -> dict[str, object] | None:
    """Return the published answers and numbers to set beside a run's; None where it is that run.

    Returns:
        `run`, `told` (sentences), `rows` (name, published, this run) and `verdict`: a sentence on
        agreement where both are of the same data and this is no test run.
    """
    if not published.provenance or published.key == page.key:
        return None
    theirs, ours = published.numbers, page.numbers
    both = [name for name in theirs if name in ours]
    rows = [(name, _interval(theirs[name]), _interval(ours[name])) for name in both]
    verdict = ""
    tested = [name for name in both if len(theirs[name]) == 3]
    if tested and published.key[0] == page.key[0] and page.key[1] != "smoke":
        off = [n for n in tested if not theirs[n][1] <= ours[n][0] <= theirs[n][2]]
        verdict = f"{len(tested) - len(off)} of {len(tested)} numbers of this run lie in the "
        verdict += "published intervals" + (f"; outside: {', '.join(off)}." if off else ".")
    told = [finding["headline"] for finding in published.findings] or published.answers
    return {"run": published.run, "told": told, "rows": rows, "verdict": verdict}


def duration(seconds: float) -> str:
    """Return seconds as a person says them."""
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _interval(value: Sequence[float]) -> str:
    rest = f" [{value[1]:.3f}, {value[2]:.3f}]" if len(value) == 3 else ""
    return f"{value[0]:.3f}{rest}"


def outputs(notebook: NotebookNode) -> Iterator[NotebookNode]:
    """Return all that an executed notebook shows, in order."""
    for cell in notebook.cells:
        yield from cell.get("outputs", ())


def _drawn(about: Mapping) -> Mapping:
    return about.get("figure") or about.get("table") or {}


def write_downloads(folder: Path, notebook: NotebookNode, *, prefix: str) -> None:
    """Write the data of each figure and table, and each figure by itself; note their names.

    Args:
        folder: of the site; the files go into its `data`.
        notebook: executed; the names are noted in its outputs.
        prefix: of the names.
    """
    (folder / "data").mkdir(exist_ok=True)
    number = 0
    for output in outputs(notebook):
        about = _drawn(output.get("metadata", {}).get("sglib", {}))
        if not about:
            continue
        number += 1
        name = f"data/{prefix}-{number}" + (f"-{about['name']}" if about["name"] else "")
        if "text/csv" in output.data:
            about["csv"] = f"{name}.csv"
            (folder / about["csv"]).write_text(output.data["text/csv"], encoding="utf-8")
        if "image/svg+xml" in output.data:
            about["picture"] = f"{name}.svg"
            (folder / about["picture"]).write_text(output.data["image/svg+xml"], encoding="utf-8")
        elif "image/png" in output.data:
            about["picture"] = f"{name}.png"
            (folder / about["picture"]).write_bytes(base64.b64decode(output.data["image/png"]))


def environment() -> jinja2.Environment:
    """Return the templates with the filters that they use."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    safe = jinja2.filters.FILTERS["safe"]
    made.filters["markdown"] = lambda text: safe(_markdown(text))
    made.filters["line"] = lambda text: safe(_inline(text))
    made.filters["drawing"] = lambda svg, alt: safe(
        svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(alt)}" ', 1)
    )
    made.filters["ansi"] = lambda text: safe(ansi2html(text))
    made.filters["code"] = lambda text: safe(Highlight2HTML()(text, language="python"))
    made.globals |= {"policy": safe(POLICY), "sheet": safe(_sheet()), "title": TITLE}
    made.globals["best"] = lambda o: next((k for k in SHOWN if k in o.get("data", {})), "")
    return made


def _markdown(text: str) -> str:
    """Return Markdown as HTML; links between notebooks become links between pages."""
    return re.sub(r'(href="\d\d_[\w.-]*)\.ipynb(["#])', r"\1.html\2", markdown2html(text))


def _inline(text: str) -> str:
    return re.sub(r"\A\s*<p>(.*)</p>\s*\Z", r"\1", _markdown(text), flags=re.DOTALL)


def finish(text: str) -> str:
    """Return a page whose tables can be scrolled by keyboard and whose headings are listed."""
    text, number = _TABLE.sub(_scrolling, text), itertools.count(1)
    text = _REGION.sub(lambda match: f"{match[0]}{next(number)} · ", text)
    links = [f'<li><a href="#{key}">{words}</a></li>' for key, words in _HEADING.findall(text)]
    return text.replace("<!--contents-->", "\n".join(links))


def _scrolling(table: re.Match) -> str:
    """Return a table in a box of its own, its caption above so that it is never cut."""
    caption = _CAPTION.search(table[0])
    above = f'<p class="caption">{caption[1]}</p>' if caption else ""
    label = re.sub(r"<[^>]*>", "", caption[1]) if caption else "Table"
    return (
        f'{above}<div class="scroll" role="region" tabindex="0" aria-label="{label}">'
        f"{_CAPTION.sub('', table[0])}</div>"
    )


def _shown_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the cells of a page's body: without the title, which its head shows."""
    tags = {tag for cell in notebook.cells for tag in cell.metadata.get("tags", [])}
    hidden = {"hide-cell"} | ({"parameters"} if "injected-parameters" in tags else set())
    cells = [c for c in notebook.cells if not hidden & set(c.metadata.get("tags", []))]
    first = next((cell for cell in cells if cell.cell_type == "markdown"), None)
    if first is not None:
        first.source = re.sub(r"\A\s*#\s.*\n?", "", first.source)
    return [cell for cell in cells if cell.source.strip()]


def _title_and_question(notebook: NotebookNode, name: str) -> tuple[str, str]:
    first = next((c.source for c in notebook.cells if c.cell_type == "markdown"), "")
    match = re.match(r"\s*#\s+(.+)\n*", first)
    if match is None:
        return name, ""
    title = re.sub(rf"^{name[:2]}\s*[^\w\s]?\s+", "", _plain(match[1]))  # the number stands apart
    paragraph = re.split(r"\n\s*\n", first[match.end() :].strip())[0]
    return title, re.sub(r"^Question\s*[.:]\s*", "", _plain(paragraph))


def _plain(markdown: str) -> str:
    """Return Markdown as plain text on one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", markdown2html(markdown))).split())


def _sheet() -> str:
    light = HtmlFormatter(style="default").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    return f"{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}\n{style}"
