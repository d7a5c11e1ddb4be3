"""publish: notebooks write what is committed, and Markdown repeats it."""

from types import SimpleNamespace

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from sglib import SglibError
from sglib.report import publish as module
from sglib.report.publish import fill, make_blocks, markdown_table, publish, speed, with_outputs
from sglib.studies.profiles import Config

SOURCE = """import sys, warnings
import matplotlib.pyplot as plt, pandas as pd
from sglib.report import show
print("on stderr", file=sys.stderr)
figure, ax = plt.subplots(figsize=(3, 2)); ax.plot([0, 1])
show.figure(figure, alt="a line", caption="n = 1", save="line", lead=True)
show.table(pd.DataFrame({"name": ["a|b"], "acc": [0.5]}), save="rates")
show.table(pd.DataFrame({"model": ["base"], "acc": [0.9973]}), caption="n = 12.", lead=True)
show.headline("Lead sentence.", lead=True)
show.headline("A finding.")
profile"""
README = """# Title
<!-- summary: written by `sglib publish` -->
OLD
<!-- end of summary -->
between
<!-- figure: written by `sglib publish` -->
<!-- end of figure -->
<!-- findings: written by `sglib publish` -->
<!-- end of findings -->
<!-- table rates: written by `sglib publish` -->
<!-- end of table rates -->
<!-- table: written by `sglib publish` -->
<!-- end of table -->
after
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A checkout of one notebook and a README, published twice (a kernel each)."""
    root = tmp_path_factory.mktemp("checkout")
    (root / "notebooks").mkdir()
    cells = [
        new_markdown_cell("# 00 · Only one\n\n**Question.** Is it?"),
        new_code_cell('profile = "smoke"', metadata={"tags": ["parameters"]}),
        new_code_cell(SOURCE),
    ]
    kernel = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python"}}
    notebook = new_notebook(cells=cells, metadata=kernel)
    nbformat.write(notebook, root / "notebooks" / "00_only.ipynb")
    (root / "README.md").write_text(README)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SGLIB_ROOT", str(root))
        patch.setattr(module, "load_data", lambda name: SimpleNamespace(train=None))
        patch.setattr(module.published, "collect", lambda faces, config: {})
        patch.setattr(module.published, "write", lambda sources, folder: [])
        patch.setattr(module, "rebuild", lambda reports: [])
        publish(Config("full", "synthetic", jobs=1))
        first = {p: p.read_bytes() for p in root.rglob("*") if is_committed(p)}
        written = publish(Config("full", "synthetic", jobs=1))
    return root, first, written


def is_committed(path):
    return path.is_file() and "html" not in path.parts


def test_publishing_twice_gives_the_same_files(checkout):
    root, first, written = checkout
    assert {p: p.read_bytes() for p in root.rglob("*") if is_committed(p)} == first
    names = {str(p.relative_to(root)) for p in written}
    assert names == {
        "README.md",
        "notebooks/00_only.ipynb",
        "reports/figures/line.png",
        "reports/html/index.html",
        "reports/tables/rates.csv",
    }


def test_the_notebook_keeps_its_cells_and_shows_the_published_outputs(checkout):
    root, _, _ = checkout
    notebook = nbformat.read(root / "notebooks/00_only.ipynb", as_version=4)
    assert [cell.execution_count for cell in notebook.cells[1:]] == [1, 2]
    assert notebook.cells[1].source == 'profile = "smoke"'
    outputs = notebook.cells[2].outputs
    assert outputs[-1].data["text/plain"] == "'full'"
    assert outputs[-1].execution_count == 2
    assert "on stderr" not in str(outputs)
    assert not any("papermill" in cell.metadata for cell in notebook.cells)
    assert "00-1-line.svg" in (root / "reports/html/00_only.html").read_text(encoding="utf-8")


def test_the_readme_repeats_sentence_figure_findings_and_tables(checkout):
    root, _, _ = checkout
    text = (root / "README.md").read_text(encoding="utf-8")
    assert "OLD" not in text
    assert "-->\nLead sentence.\n<!-- end of summary" in text
    assert 'src="reports/figures/line.png" alt="a line"' in text
    assert (root / "reports/figures/line-dark.png").is_file()
    assert "- A finding. ([Only one](notebooks/00_only.ipynb))" in text
    assert "| a\\|b | 0.500 |" in text
    assert "| base | 0.997 |\n\nn = 12.\n<!-- end of table -->" in text
    assert text.endswith("after\n")


def test_without_the_course_set_nothing_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("SGLIB_ROOT", str(tmp_path))
    for data in ("auto", "course"):
        with pytest.raises(SglibError, match="course set"):
            publish(Config("full", data))
    assert not list(tmp_path.iterdir())


def test_a_notebook_that_is_too_large_is_refused(tmp_path, monkeypatch):
    nbformat.write(new_notebook(cells=[new_code_cell("1")]), tmp_path / "a.ipynb")
    monkeypatch.setattr(module, "MAX_NOTEBOOK", 10)
    with pytest.raises(SglibError, match=r"a\.ipynb: .* allowed are 10"):
        with_outputs(tmp_path / "a.ipynb", tmp_path / "a.ipynb")


def test_an_unknown_block_is_named():
    text = "<!-- nosuch: written by `sglib publish` -->\n<!-- end of nosuch -->"
    with pytest.raises(SglibError, match=r"README.md: no block 'nosuch'; there are one, two"):
        fill(text, {"one": str, "two": str}, where="README.md")


def test_markdown_tables_align_numbers():
    table = markdown_table(pd.DataFrame({"a": ["x"], "b": [0.25]}))
    assert table == "| a | b |\n| :-- | --: |\n| x | 0.250 |"


def test_people_nobody_trained_on_stand_in_the_readme_once_they_are_published(tmp_path):
    text = (
        "<!-- eight more people: written by `sglib publish` -->\n\n"
        "<!-- end of eight more people -->"
    )
    assert fill(text, make_blocks([], tmp_path), where="README.md") == text
    (tmp_path / "tables").mkdir()
    table = pd.DataFrame({"experiment": ["final"], "others": [0.9], "worst": [0.5]})
    table.to_csv(tmp_path / "tables" / "eight_more_people.csv", index=False)
    text = fill(text, make_blocks([], tmp_path), where="README.md")
    assert "](reports/figures/eight_more_people.png)\n\n| experiment | others |" in text
    assert "| final | 0.900 |" in text
    assert fill(text, make_blocks([], tmp_path), where="README.md") == text


def test_speed_comes_from_the_benchmarks_table():
    rows = pd.DataFrame(
        {
            "benchmark": ["train_step", "train_step", "train_step", "study"],
            "what": ["ours", "a peer", "not there", "whole"],
            "value": [20, 50.4, None, 3],
            "ratio": [1, 2.52, None, 1],
            "machine": "Some CPU, 2 cores",
        }
    )
    text = speed(rows)
    assert "| a peer | 50 | 2.5 |" in text
    assert text.endswith("on Some CPU, 2 cores.")
    assert "not there" not in text


def test_how_much_is_published_is_counted():
    runs = pd.DataFrame({"seed": [0, 1, 2, 0], "name": ["a", "a", "a", "b"]})
    runs = runs.assign(scheme="kfold", engine="compiled", data="d", digest="x", processor="P")
    told = module.published_runs(runs)
    assert told.startswith("Published are 4 runs, 1 to 3 repetitions of each row, of d (sha256 x)")
    assert " 3 repetitions" in module.published_runs(runs[:3])
