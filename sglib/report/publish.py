"""Publishes the series: committed notebooks, tables and figures, and what README and docs repeat.

The notebooks write `reports/tables` and `reports/figures` themselves (`show.figure(save=…)`). What
stands here runs them for that, keeps their outputs, and fills the marked blocks of Markdown files:

    <!-- findings: written by `sglib publish` -->
    …
    <!-- end of findings -->
"""

import io
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import pandas as pd
from nbformat import NotebookNode

from sglib import SglibError
from sglib.analysis import others, published
from sglib.analysis.plots.style import use_style
from sglib.data import load_data
from sglib.files import replacing, repo_root, reports_dir
from sglib.report import card, drawing
from sglib.report.build import build_published, execute, list_series
from sglib.report.pages import Page, read_page
from sglib.studies.profiles import Config

MAX_NOTEBOOK = 1_000_000  # bytes
_BLOCK = re.compile(
    r"(<!-- ([\w ]+): written by `sglib publish` -->\n).*?(<!-- end of \2 -->)", re.DOTALL
)


def publish(config: Config) -> list[Path]:
    """Run the series and write notebooks with outputs, tables, figures, Markdown blocks and site.

    Nothing is written before the last notebook has succeeded. No photograph is ever written:
    `show.photos` gives synthetic faces while `SGLIB_PUBLISH` is set.

    Args:
        config: profile, seeds, jobs; data `synthetic` only if it says so, else the course set.

    Returns:
        the files written.

    Raises:
        SglibError: the course set is missing; a notebook fails or is larger than `MAX_NOTEBOOK`.
    """
    config = replace(config, data="synthetic" if config.data == "synthetic" else "course")
    faces = load_data(config.data)  # or say at once that it is missing
    root, reports = repo_root(), reports_dir()
    series = list_series(root / "notebooks")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        os.environ["SGLIB_PUBLISH"] = str(work)  # the kernels inherit it
        try:
            execute(series, work, config)
        finally:
            del os.environ["SGLIB_PUBLISH"]
        texts = {path: with_outputs(path, work / path.name) for path in series}
        written = [_write(path, text) for path, text in texts.items()]
        for part in ("tables", "figures"):
            for path in sorted((work / part).glob("*")):
                (reports / part).mkdir(parents=True, exist_ok=True)
                written.append(Path(shutil.copy(path, reports / part)))
    written += published.write(published.collect(faces.train, config), reports)
    written += rebuild(reports)  # what the notebooks drew before the numbers were rounded
    pages = [read_page(nbformat.read(path, as_version=4), path.stem) for path in series]
    blocks = make_blocks(pages, reports)
    files = [root / "README.md", reports / "README.md", root / "sglib" / "weights" / "README.md"]
    for path in [*files, *sorted((root / "docs").glob("*.md"))]:
        if path.is_file() and _BLOCK.search(text := path.read_text(encoding="utf-8")):
            written.append(_write(path, fill(text, blocks, where=path.name)))
    return [*written, build_published()]


def rebuild(reports: Path) -> list[Path]:
    """Write the tables and figures of the paper's runs again, without photographs and training.

    Args:
        reports: a folder with `runs.parquet` and the tables beside it (`published.write`).
    """
    sources = published.read(reports)
    made = {
        f"tables/{name}.csv": drawing.csv(drawing.flat(table)).encode()
        for name, table in published.tables(sources).items()
    }
    with plt.rc_context():
        use_style()
        for name, draw in published.figures(sources).items():
            figure = draw()
            made[f"figures/{name}.png"] = drawing.png(figure)[0]
            plt.close(figure)
    for name, content in made.items():
        with replacing(reports / name) as path:
            path.write_bytes(content)
    return [reports / name for name in made]


def with_outputs(source: Path, executed: Path) -> str:
    """Return a notebook's text with the outputs of its run: equal runs give equal texts.

    Left out are the cell that papermill adds, times, and messages on stderr.
    """
    notebook = nbformat.read(source, as_version=4)
    ran = [
        cell
        for cell in nbformat.read(executed, as_version=4).cells
        if "injected-parameters" not in cell.metadata.get("tags", [])
    ]
    count = 0
    for cell, other in zip(notebook.cells, ran, strict=True):
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        cell.outputs = [_numbered(o, count) for o in other.outputs if o.get("name") != "stderr"]
    text = nbformat.writes(notebook) + "\n"
    if (size := len(text.encode())) > MAX_NOTEBOOK:
        raise SglibError(
            f"{source.name}: {size:,} bytes with outputs, allowed are {MAX_NOTEBOOK:,}"
        )
    return text


def make_blocks(pages: Sequence[Page], reports: Path) -> dict[str, Callable[[], str]]:
    """Return the blocks by name, each as a function that writes it."""
    findings = [(page, f) for page in pages for f in page.findings]
    tables = {path.stem: path for path in sorted((reports / "tables").glob("*.csv"))}
    blocks: dict[str, Callable[[], str]] = {
        "summary": lambda: " ".join(f["headline"] for _, f in findings if f["lead"]),
        "findings": lambda: "\n".join(
            f"- {f['headline']} ([{page.title}](notebooks/{page.name}.ipynb))"
            for page, f in findings
            if not f["lead"]
        ),
        "figure": lambda: lead_figure(pages, reports),
        "table": lambda: lead_table(pages),
        "run": lambda: "\n".join(
            f"- {name}: {value}" for name, value in pages[-1].provenance.get("facts", ())
        ),
        "published runs": lambda: published_runs(pd.read_parquet(reports / "runs.parquet")),
        "model files": lambda: markdown_table(card.model_files()),
        "people": lambda: markdown_table(card.people(pd.read_csv(tables["by_person"]))),
        "outside": lambda: markdown_table(card.outside(pd.read_csv(tables["outside"]))),
        "eight more people": lambda: eight_more_people(reports),
        "speed": lambda: speed(pd.read_csv(tables["benchmarks"])),
    }
    for name, path in tables.items():
        blocks[f"table {name}"] = lambda path=path: markdown_table(pd.read_csv(path))
    return blocks


def fill(text: str, blocks: Mapping[str, Callable[[], str]], *, where: str) -> str:
    """Return Markdown with its marked blocks written anew.

    Raises:
        SglibError: there is no block of that name.
    """

    def written(match: re.Match) -> str:
        if match[2] not in blocks:
            raise SglibError(f"{where}: no block {match[2]!r}; there are {', '.join(blocks)}")
        return f"{match[1]}{blocks[match[2]]()}\n{match[3]}"

    return _BLOCK.sub(written, text)


def published_runs(runs: pd.DataFrame) -> str:
    """Return how many runs are published, of how many repetitions, made where.

    Args:
        runs: `reports/runs.parquet`.
    """
    n_seeds = runs.groupby(["name", "scheme", "engine"])["seed"].nunique()
    few = f"{n_seeds.min()} to {n_seeds.max()}" if n_seeds.nunique() > 1 else f"{n_seeds.max()}"
    data, digest = (", ".join(runs[name].unique()) for name in ("data", "digest"))
    return (
        f"Published are {len(runs):,} runs, {few} repetitions of each row, of {data} "
        f"(sha256 {digest[:16]}), made on {', '.join(runs['processor'].dropna().unique())}."
    )


def lead_figure(pages: Sequence[Page], reports: Path) -> str:
    """Return the lead figure as HTML for light and dark pages; its dark twin is made here."""
    for page in pages:
        for output in page.leads:
            about = output.metadata.sglib.get("figure")
            if about and about["name"]:
                light = reports / "figures" / f"{about['name']}.png"
                dark = light.with_name(f"{light.stem}-dark.png")
                dark.write_bytes(drawing.darkened(light.read_bytes()))
                src, alt = (f"reports/figures/{p.name}" for p in (light, dark)), about["alt"]
                return (
                    '<picture><source media="(prefers-color-scheme: dark)" srcset="{1}">'
                    '<img src="{0}" alt="{2}"></picture>\n\n{3}'
                ).format(*src, drawing.html.escape(alt), about["caption"])
    raise SglibError("no notebook shows a figure with lead=True and save=")


def lead_table(pages: Sequence[Page]) -> str:
    """Return the lead tables in Markdown, each with its caption below."""
    shown = [o for page in pages for o in page.leads if "table" in o.metadata.sglib]
    return "\n\n".join(
        f"{markdown_table(pd.read_csv(io.StringIO(output.data['text/csv'])))}\n\n"
        f"{output.metadata.sglib.table.caption}"
        for output in shown
    )


def markdown_table(frame: pd.DataFrame) -> str:
    """Return a frame as a Markdown table; numbers as on the pages, `|` escaped."""
    head, align, rows = drawing.cells(frame)
    lines = [head, ["--:" if numeric else ":--" for numeric in align], *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )


def eight_more_people(reports: Path) -> str:
    """Return figure and table of the people nobody trained on; nothing while none is published."""
    path = reports / "tables" / f"{others.NAME}.csv"
    if not path.exists():
        return ""
    table = pd.read_csv(path).filter(others.SHORT)
    return (
        "What the other people of the public originals say, whom nobody trained on (notebook 09)."
        "\n\n"
        "![Accuracy on people nobody trained on, by experiment]"
        f"(reports/figures/{others.NAME}.png)\n\n{markdown_table(table)}"
    )


def speed(rows: pd.DataFrame) -> str:
    """Return what the benchmarks measured of one training step.

    Args:
        rows: `reports/tables/benchmarks.csv`, see `benchmarks/README.md`.
    """
    step = rows[(rows["benchmark"] == "train_step") & rows["value"].notna()]
    table = pd.DataFrame(
        {
            "one training step of ConvNN_1, one core": step["what"],
            "µs": step["value"].round().astype(int),
            "times ours": step["ratio"].map("{:.1f}".format),
        }
    )
    return f"{markdown_table(table)}\n\nSide by side in one run on {step['machine'].iloc[0]}."


def _numbered(output: NotebookNode, count: int) -> NotebookNode:
    if output.output_type == "execute_result":
        output.execution_count = count
    return output


def _write(path: Path, text: str) -> Path:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
