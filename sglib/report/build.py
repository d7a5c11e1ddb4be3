"""Runs the notebook series with papermill and publishes it as HTML pages with an index.

Everything is built in a temporary folder. Pages are moved into place, one rename each, only after
the last notebook has succeeded: a failure at any moment leaves the last good pages as they are.
"""

import ast
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError, strip_color
from traitlets.config import Config as TraitletsConfig

from sglib import SglibError
from sglib.files import repo_root, reports_dir
from sglib.report.pages import (
    Page,
    duration,
    figures_without_alt,
    read_page,
    render_index,
    render_page,
)
from sglib.studies.profiles import Config

TITLE = "Sunglasses or not? A small-data paper, reproduced and questioned"
KERNEL = "python3"  # the environment's own: ipykernel installs it under this name
# Other users of the machine cannot listen to the kernel; without keys ipykernel 7.4 warns.
KERNEL_CONFIG = TraitletsConfig({"KernelManager": {"transport_encryption": "auto"}})
HOUR = 3600
CELL_TIMEOUT = {"smoke": HOUR // 4, "paper": 6 * HOUR, "full": 48 * HOUR}  # seconds
MANIFEST = "pages.json"  # what the index says of pages that were not built this time

log = logging.getLogger("sglib")


class NotebookError(SglibError):
    """A notebook of the series failed; the pages are the last good ones."""


def build_reports(
    *,
    profile: str,
    data: str,
    seeds: int | None = None,
    jobs: int | None = None,
    device: str = "cpu",
    notebooks_dir: Path | None = None,
    out_dir: Path | None = None,
    only: Sequence[str] | None = None,
) -> Path:
    """Run the series and publish its pages; return the path of the index page.

    Args:
        profile: smoke, paper or full.
        data: auto, course or synthetic.
        seeds: repetitions of every experiment; None takes the profile's.
        jobs: runs at a time; None takes one per processor.
        device: a PyTorch device.
        notebooks_dir: holds `NN_*.ipynb`; default `notebooks` in the checkout.
        out_dir: takes the pages; default `reports/html` in the checkout.
        only: names (`01_baseline`) or numbers (`01`) of notebooks to run; the others keep their
            pages. A notebook is given a parameter only if its `parameters` cell declares it.

    Raises:
        SglibError: a parameter is wrong, or there is no such notebook.
        NotebookError: a notebook failed.
    """
    config = Config(profile=profile, data=data, seeds=seeds, jobs=jobs, device=device)
    source = (notebooks_dir or repo_root() / "notebooks").resolve()
    out = (out_dir or reports_dir() / "html").resolve()
    series = sorted(source.glob("[0-9][0-9]_*.ipynb"))
    if not series:
        raise SglibError(f"{source}: expected notebooks named NN_question.ipynb, found none")
    chosen = _choose(series, only)
    logging.getLogger("papermill").setLevel(logging.WARNING)  # our line per notebook is enough
    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")  # this environment's kernel
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # a warning per kernel start

    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".html-", dir=out.parent) as folder:
        work = Path(folder)
        executed = {}
        for i, path in enumerate(chosen, start=1):
            executed[path.stem] = _run(path, work, config, f"[{i}/{len(chosen)}]")
        pages = _read_manifest(out, [path.stem for path in series])
        pages |= {name: read_page(notebook, name) for name, notebook in executed.items()}
        pages = {path.stem: pages[path.stem] for path in series if path.stem in pages}
        _write_pages(work, executed, pages, command=_command(config))
        _publish(work, out, pages, built=list(executed))
    return out / "index.html"


def _choose(series: list[Path], only: Sequence[str] | None) -> list[Path]:
    if not only:
        return series
    for wanted in only:
        if not any(wanted in (path.stem, path.name, path.stem[:2]) for path in series):
            known = ", ".join(path.stem for path in series)
            raise SglibError(f"no notebook {wanted!r}; there are {known}")
    return [p for p in series if {p.stem, p.name, p.stem[:2]} & set(only)]


def declared_parameters(notebook: nbformat.NotebookNode) -> set[str]:
    """Return the names that a notebook's cell tagged `parameters` assigns."""
    names = set()
    for cell in notebook.cells:
        if cell.cell_type == "code" and "parameters" in cell.metadata.get("tags", []):
            for statement in ast.parse(cell.source).body:
                if isinstance(statement, ast.Assign):
                    names |= {t.id for t in statement.targets if isinstance(t, ast.Name)}
                elif isinstance(statement, ast.AnnAssign) and isinstance(
                    statement.target, ast.Name
                ):
                    names.add(statement.target.id)
    return names


def _run(path: Path, work: Path, config: Config, place: str) -> nbformat.NotebookNode:
    """Execute one notebook in its own folder and return it; print one line with its seconds."""
    notebook = nbformat.read(path, as_version=4)
    values = {
        name: getattr(config, name) for name in ("profile", "data", "seeds", "jobs", "device")
    }
    declared = declared_parameters(notebook)
    values = {k: v for k, v in values.items() if k in declared and v is not None}
    print(f"{place} {path.stem} … ", end="", file=sys.stderr, flush=True)
    start = time.monotonic()
    try:
        executed = papermill.execute_notebook(
            path,
            work / path.name,
            parameters=values,
            kernel_name=KERNEL,
            language="python",
            cwd=path.parent,
            progress_bar=False,
            execution_timeout=CELL_TIMEOUT[config.profile],
            config=KERNEL_CONFIG,
        )
    except (PapermillExecutionError, CellTimeoutError, DeadKernelError) as error:
        print("failed", file=sys.stderr)
        raise _explain(path, notebook, error, injected=bool(values)) from error
    print(duration(time.monotonic() - start), file=sys.stderr, flush=True)
    if n_bare := figures_without_alt(executed):
        log.warning("%s: %d figures have no alternative text", path.name, n_bare)
    return executed


def _explain(
    path: Path, notebook: nbformat.NotebookNode, error: Exception, *, injected: bool
) -> NotebookError:
    """Log the failing cell with the end of its traceback; return the error as one line."""
    if not isinstance(error, PapermillExecutionError):  # no cell is named: dead or too slow
        return NotebookError(f"{path.name}: {type(error).__name__}: {_first_line(str(error))}")
    number = error.cell_index + 1
    tagged = [i for i, c in enumerate(notebook.cells) if "parameters" in c.metadata.get("tags", [])]
    if injected and tagged and error.cell_index > tagged[0]:
        number -= 1  # papermill's own cell follows the tagged one; count as the author does
    lines = strip_color("\n".join(error.traceback)).splitlines()
    log.error("%s", "\n".join(f"    {line}" for line in lines[-30:]))
    exception = f"{error.ename}: {_first_line(error.evalue)}".removesuffix(": ")
    return NotebookError(f"{path.name}, cell {number} of {len(notebook.cells)}: {exception}")


def _first_line(text: str) -> str:
    return next((line.strip() for line in strip_color(text).splitlines() if line.strip()), "")


def _write_pages(work: Path, executed: dict, pages: dict[str, Page], *, command: str) -> None:
    names = list(pages)
    for name, notebook in executed.items():
        i = names.index(name)
        before = pages[names[i - 1]] if i else None
        after = pages[names[i + 1]] if i + 1 < len(names) else None
        text = render_page(notebook, pages[name], before=before, after=after)
        (work / pages[name].file).write_text(text, encoding="utf-8")
    index = render_index(list(pages.values()), title=TITLE, command=command)
    (work / "index.html").write_text(index, encoding="utf-8")
    manifest = json.dumps([asdict(page) for page in pages.values()], indent=1, ensure_ascii=False)
    (work / MANIFEST).write_text(manifest, encoding="utf-8")


def _publish(work: Path, out: Path, pages: dict[str, Page], *, built: list[str]) -> None:
    """Move the new pages into place, the index last, and drop pages of removed notebooks."""
    out.mkdir(exist_ok=True)
    for name in [*(pages[name].file for name in built), MANIFEST, "index.html"]:
        os.replace(work / name, out / name)
    kept = {page.file for page in pages.values()} | {"index.html"}
    for old in out.glob("*.html"):
        if old.name not in kept:
            old.unlink()


def _read_manifest(out: Path, series: list[str]) -> dict[str, Page]:
    """Return what is known of the pages that are already there; nothing if it cannot be read."""
    try:
        entries = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
        pages = [Page(**entry) for entry in entries]
    except (OSError, ValueError, TypeError):
        return {}
    return {p.name: p for p in pages if p.name in series and (out / p.file).is_file()}


def _command(config: Config) -> str:
    parts = ["sglib report", "--profile", config.profile, "--data", config.data]
    for name in ("seeds", "jobs"):
        if getattr(config, name) is not None:
            parts += [f"--{name}", str(getattr(config, name))]
    if config.device != "cpu":
        parts += ["--device", config.device]
    return " ".join(parts)
