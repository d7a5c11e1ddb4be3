"""notebooks: the cell rules of the series, read from the files; nbval runs them."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

SERIES = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
NOTEBOOKS = pytest.mark.parametrize("path", SERIES, ids=lambda path: path.stem)


def read(path: Path) -> nbformat.NotebookNode:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def tags(cell: nbformat.NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def test_the_series_is_numbered_without_gaps():
    assert [path.name[:3] for path in SERIES] == [f"{i:02d}_" for i in range(len(SERIES))]
    assert len(SERIES) >= 6


@NOTEBOOKS
def test_opens_with_title_question_and_claim_then_parameters(path):
    cells = read(path).cells
    assert cells[0].source.startswith(f"# {path.name[:2]} · ")
    assert "**Question.**" in cells[0].source
    assert "**The paper says**" in cells[0].source
    assert tags(cells[1]) == ["parameters"]
    assert "hide-input" in tags(cells[2])


@NOTEBOOKS
def test_parameters_are_plain_literals_and_the_same_in_all(path):
    tree = ast.parse(code_cells(path)[0].source)
    assert all(isinstance(line, ast.Assign) for line in tree.body)
    values = {line.targets[0].id: ast.literal_eval(line.value) for line in tree.body}
    assert values == {
        "profile": "smoke",
        "data": "auto",
        "seeds": None,
        "jobs": None,
        "device": "cpu",
    }


@NOTEBOOKS
def test_cells_are_short_and_define_nothing(path):
    for cell in code_cells(path):
        assert len(cell.source.splitlines()) <= 15, cell.source
        kinds = {type(node) for node in ast.walk(ast.parse(cell.source))}
        assert not kinds & {ast.FunctionDef, ast.ClassDef, ast.For, ast.While}, cell.source


@NOTEBOOKS
def test_outputs_are_those_of_a_published_run_and_one_is_checked(path):
    cells = code_cells(path)
    checked = [cell for cell in cells if "nbval-check-output" in tags(cell)]
    assert any(cell.outputs for cell in checked), "no cell tagged nbval-check-output has an output"
    about = [output.get("metadata", {}).get("sglib", {}) for c in cells for output in c.outputs]
    profiles = [each["provenance"]["profile"] for each in about if "provenance" in each]
    advice = f"outputs of a run of your own: git checkout {path.name}; play in `make lab`"
    if profiles:  # written by `sglib publish`, and by nothing else
        assert profiles == ["full"], advice
        assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), advice
    else:  # not published yet
        assert all(bool(cell.outputs) == (cell in checked) for cell in cells), advice
    assert path.stat().st_size <= 1_000_000


@NOTEBOOKS
def test_answers_before_its_caveats_and_links_to_the_next(path):
    cells = read(path).cells
    headings = [
        line for cell in cells if cell.cell_type == "markdown" for line in cell.source.splitlines()
    ]
    places = [headings.index(line) for line in ("## Method", "## Answer", "## Caveats")]
    assert places == sorted(places)
    assert sum("show.answer(" in cell.source for cell in code_cells(path)) == 1
    links = re.findall(r"\]\((\w+\.ipynb)\)", cells[-1].source)
    after = SERIES.index(path) + 1
    assert links == ([SERIES[after].name] if after < len(SERIES) else [])


@NOTEBOOKS
def test_every_figure_has_alternative_text(path):
    for cell in code_cells(path):
        if re.search(r"\bplots\.|more_plots\.", cell.source.replace("plots.use_style", "")):
            assert "show.figure(" in cell.source
            assert "alt=" in cell.source


@NOTEBOOKS
def test_kernel_is_the_plain_one_and_no_path_is_absolute(path):
    notebook = read(path)
    assert notebook.metadata.kernelspec.name == "python3"
    assert not re.search(r"[\"'(](/home|/root|/tmp|/Users)/", path.read_text(encoding="utf-8"))
