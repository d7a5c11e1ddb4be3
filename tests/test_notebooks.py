"""notebooks: the rules of the series, read from the files; nbval runs them."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

SERIES = sorted((Path(__file__).parents[1] / "notebooks").glob("[0-9][0-9]_*.ipynb"))
NOTEBOOKS = pytest.mark.parametrize("path", SERIES, ids=lambda path: path.stem)
TITLES = ("data", "baseline", "augmentation", "l2", "dropout", "captions", "generalisation")
TITLES += ("verdicts", "better", "eight_more_people", "playground")
HEADINGS = ("## Method", "## Answer", "## What would change it", "## Appendix")
PARAMETERS = {"profile": "smoke", "data": "auto", "seeds": None, "jobs": None, "device": "cpu"}
LONGEST = 15


def read(path: Path) -> nbformat.NotebookNode:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def tags(cell: nbformat.NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def lines_of_prose(path: Path) -> list[str]:
    cells = [cell for cell in read(path).cells if cell.cell_type == "markdown"]
    return [line for cell in cells for line in cell.source.splitlines()]


def test_the_series_is_numbered_as_the_story_orders_it():
    expected = [f"{number:02d}_{title}.ipynb" for number, title in enumerate(TITLES)]
    assert [path.name for path in SERIES][: len(expected)] == expected, (
        "name notebooks NN_question.ipynb in the order of TITLES; a new one comes at the end"
    )


@NOTEBOOKS
def test_opens_with_question_and_claim_then_parameters_imports_set_up(path):
    cells = read(path).cells
    for expected in (f"# {path.name[:2]} · ", "**Question.**", "**The paper says**"):
        assert expected in cells[0].source, f"write {expected!r} into the first cell"
    assert tags(cells[1]) == ["parameters"], "tag the second cell `parameters`"
    for cell, kind in zip(cells[2:4], ("imports", "set-up"), strict=True):
        assert "hide-input" in tags(cell), f"tag the cell of the {kind} `hide-input`"
    for call in ("Config.of(globals())", "show.provenance("):
        assert call in cells[3].source, f"call {call} in the fourth cell"


@NOTEBOOKS
def test_parameters_are_plain_literals_and_the_same_in_all(path):
    tree = ast.parse(code_cells(path)[0].source)
    message = f"the parameters cell assigns {PARAMETERS} and nothing else; derive the rest below"
    assert all(isinstance(line, ast.Assign) for line in tree.body), message
    values = {line.targets[0].id: ast.literal_eval(line.value) for line in tree.body}
    assert values == PARAMETERS, message


@NOTEBOOKS
def test_cells_are_short_and_hold_no_class_and_no_training_loop(path):
    for cell in code_cells(path):
        source, told = cell.source, f"\n\n{cell.source}\n\n"
        assert len(source.splitlines()) <= LONGEST, f"{told}split it, or move it into the library"
        nodes = [type(node) for node in ast.walk(ast.parse(source))]
        if "register(" not in source:  # the playground has a network of the reader's own
            assert ast.ClassDef not in nodes, f"{told}move the class into the library"
            assert nodes.count(ast.FunctionDef) <= 1, f"{told}one short function is enough a cell"
        assert ".backward(" not in source, f"{told}training belongs into sglib.training"
        assert ast.If not in nodes, f"{told}words are chosen in sglib.analysis.phrases, not here"


@NOTEBOOKS
def test_a_deterministic_table_is_stored_and_checked(path):
    checked = [cell for cell in code_cells(path) if "nbval-check-output" in tags(cell)]
    assert checked, "tag one deterministic table `nbval-check-output`"
    for cell in checked:
        assert cell.outputs, f"run this cell and store its output:\n{cell.source}"
        assert cell.metadata.get("keep_output") is True, "set keep_output in the cell's metadata"
        # nbval takes a cell with outputs and no count for one that was never run
        assert cell.execution_count, "a stored output needs its execution count"


@NOTEBOOKS
def test_the_parts_come_in_order_and_the_last_cell_leads_on(path):
    lines = lines_of_prose(path)
    for heading in HEADINGS:
        assert heading in lines, f"add the heading {heading!r}"
    places = [lines.index(heading) for heading in HEADINGS]
    assert places == sorted(places), f"keep the order {HEADINGS}"
    links = re.findall(r"\]\((\w+\.ipynb)\)", read(path).cells[-1].source)
    after = [later.name for later in SERIES if later > path][:1]
    assert links == after, f"the last cell links to the next notebook: {after or 'none'}"


@NOTEBOOKS
def test_the_figure_comes_before_the_answer(path):
    calls = [
        call for cell in code_cells(path) for call in re.findall(r"show\.(\w+)\(", cell.source)
    ]
    assert "answer" in calls, "answer the question with show.answer(...), computed from the run"
    assert calls.index("figure") < calls.index("answer"), "show the figure first, then the answer"


@NOTEBOOKS
def test_every_figure_is_shown_with_words_for_those_who_cannot_see_it(path):
    for cell in code_cells(path):
        figures = re.findall(r"show\.figure\(", cell.source)
        assert len(re.findall(r"\balt=", cell.source)) == len(figures), (
            f"give every show.figure an alt computed from what is drawn:\n{cell.source}"
        )
        assert "plt.show" not in cell.source, "show figures with show.figure"


@NOTEBOOKS
def test_repeated_tables_are_folded_into_the_appendix(path):
    cells = read(path).cells
    [start] = [n for n, cell in enumerate(cells) if "## Appendix" in cell.source.splitlines()]
    for n, cell in enumerate(cells):
        if "fold=True" in cell.source:
            assert n > start, f"move folded tables below `## Appendix`:\n{cell.source}"


@NOTEBOOKS
def test_kernel_is_the_plain_one_and_no_path_is_absolute(path):
    assert read(path).metadata.kernelspec.name == "python3", "the kernel must be called python3"
    found = re.findall(r"[\"'(](?:/home|/root|/tmp|/Users)/\S*", path.read_text(encoding="utf-8"))
    assert not found, "paths come from sglib.files"
