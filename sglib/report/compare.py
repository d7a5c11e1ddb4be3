"""One notebook under several sets of parameters: its answers and figures side by side, one page."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import nbformat

from sglib.report import pages


def write_comparison(folder: Path, sets: Sequence[Mapping[str, object]], *, command: str) -> None:
    """Write `index.html` and the downloads of the executed notebooks in a folder.

    Args:
        folder: holds one notebook for each set, in order: `NN_name-1.ipynb`, `NN_name-2.ipynb` …
        sets: name → value of the parameters in which the runs differ.
        command: remakes the page; shown at the foot.
    """
    runs, columns = [], []
    for path, values in zip(sorted(folder.glob("*.ipynb")), sets, strict=True):
        notebook = nbformat.read(path, as_version=4)
        page = pages.read_page(notebook, path.stem)
        pages.write_downloads(folder, notebook, prefix=path.stem)
        label = ", ".join(f"{name} = {value}" for name, value in values.items())
        runs.append({"label": label, "page": page, "file": path.name})
        columns.append([output for output in pages.outputs(notebook) if _is_figure(output)])
    text = (
        pages.environment()
        .get_template("compare.html.j2")
        .render(runs=runs, figures=list(itertools.zip_longest(*columns)), command=command)
    )
    (folder / "index.html").write_text(pages.finish(text), encoding="utf-8")


def _is_figure(output: nbformat.NotebookNode) -> bool:
    return "figure" in output.get("metadata", {}).get("sglib", {})
