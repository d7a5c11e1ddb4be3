"""build: runs real (tiny) notebooks and publishes them, or leaves the last good pages alone."""

import html
import json
import shutil

import nbformat
import pytest
from click.testing import CliRunner
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from sglib import SglibError
from sglib.cli import main
from sglib.report.build import (
    NotebookError,
    as_set,
    build_comparison,
    build_published,
    build_reports,
    literal,
)
from sglib.studies.profiles import Config

SMOKE = Config("smoke", "synthetic", jobs=2)


def write_notebook(folder, name, *sources, parameters='profile = "none"', title="Title"):
    cells = [
        new_markdown_cell(f"# {title}\n\nQuestion?"),
        new_code_cell(parameters, metadata={"tags": ["parameters"]}),
        *(new_code_cell(source) for source in sources),
    ]
    folder.mkdir(exist_ok=True)
    kernel = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python"}}
    nbformat.write(new_notebook(cells=cells, metadata=kernel), folder / f"{name}.ipynb")


GOOD = "print(f'{profile=} {rate=} {jobs=}', 'seeds' in globals())"
BAD = "values = [1, 2]\nraise ValueError('expected 3 <values>\\nsecond line')"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Two good notebooks and their pages (made once: kernels take seconds to start)."""
    root = tmp_path_factory.mktemp("built")
    parameters = 'profile = "none"\nrate = 0.5\njobs = None\nseeds = None'
    write_notebook(root / "notebooks", "00_first", GOOD, parameters=parameters, title="First")
    write_notebook(root / "notebooks", "01_second", "import os; print(os.getcwd())")
    (root / "html").mkdir()
    (root / "html" / "foreign.html").write_text("mine")
    (root / ".html-building").mkdir()  # as a killed run leaves it
    (root / ".html-building" / "07_old.ipynb").write_text("half")
    build_reports(SMOKE, notebooks_dir=root / "notebooks", out_dir=root / "html")
    return root


@pytest.fixture
def copied(built, tmp_path):
    """A copy that a test may change, with the folders as options."""
    shutil.copytree(built, tmp_path / "copy")
    root = tmp_path / "copy"
    return root, {"notebooks_dir": root / "notebooks", "out_dir": root / "html"}


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def test_site_holds_pages_and_executed_notebooks_and_nothing_is_left_beside_it(built):
    ours = {"index.html", "00_first.html", "01_second.html", "00_first.ipynb", "01_second.ipynb"}
    ours |= {"try.html", "live.html"}
    assert set(contents(built / "html")) == ours | {"files.json", "foreign.html"}
    assert set(json.loads((built / "html/files.json").read_text())) == ours
    assert {p.name for p in built.iterdir()} == {"notebooks", "html"}
    executed = nbformat.read(built / "html/00_first.ipynb", as_version=4)
    assert executed.cells[-1].outputs[0].text.startswith("profile='smoke'")


def test_only_declared_parameters_are_passed_and_workers_are_shared(built):
    text = (built / "html/00_first.html").read_text(encoding="utf-8")
    assert "profile='smoke' rate=0.5 jobs=1 True" in text.replace("&#39;", "'")


def test_notebooks_run_in_their_own_folder(built):
    text = (built / "html/01_second.html").read_text(encoding="utf-8")
    assert str(built / "notebooks") in text


def test_a_failing_notebook_is_explained_and_the_old_pages_stay(copied, capsys, caplog):
    root, folders = copied
    before = contents(root / "html")
    write_notebook(root / "notebooks", "01_second", "x = 1", BAD)
    with pytest.raises(NotebookError) as failure:
        build_reports(SMOKE, only=["01"], **folders)
    assert str(failure.value) == "01_second.ipynb, cell 4 of 4: ValueError: expected 3 <values>"
    assert "raise ValueError" in caplog.text  # the lines around the error
    assert contents(root / "html") == before
    assert {p.name for p in root.iterdir()} == {"notebooks", "html"}


def test_a_dying_kernel_is_an_error_too(tmp_path):
    write_notebook(tmp_path / "nb", "00_dies", "import os; os._exit(3)")
    with pytest.raises(NotebookError, match=r"00_dies\.ipynb: DeadKernelError"):
        build_reports(SMOKE, notebooks_dir=tmp_path / "nb", out_dir=tmp_path / "html")
    assert not (tmp_path / "html").exists()


def test_one_notebook_can_be_rebuilt_alone_with_other_parameters(copied, capsys):
    root, folders = copied
    before = contents(root / "html")
    index = build_reports(SMOKE, only=["00"], parameters={"rate": 2}, **folders)
    after = contents(root / "html")
    assert after["01_second.ipynb"] == before["01_second.ipynb"]
    assert b"rate=2" in after["00_first.html"]
    text = index.read_text(encoding="utf-8")
    assert "sglib report --profile smoke --data synthetic --notebook 00 -p rate 2" in text
    assert "01_second.html" in text
    first, second = capsys.readouterr().err.splitlines()
    assert first == "running 1 notebooks, 1 at a time, profile smoke, data synthetic"
    assert second.startswith("[1/1] 00_first … ")


def test_the_page_of_a_removed_notebook_disappears_and_foreign_files_stay(copied):
    root, folders = copied
    (root / "notebooks" / "00_first.ipynb").unlink()
    build_published(**folders)
    names = {"index.html", "01_second.html", "01_second.ipynb", "files.json", "foreign.html"}
    assert set(contents(root / "html")) == names | {"try.html", "live.html"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"only": ["07"]}, "no notebook '07'; there are 00_first, 01_second"),
        ({"parameters": {"profil": "paper"}}, "no parameter 'profil'; there are profile"),
        (
            {"only": ["00"], "parameters": {"rate": "x"}},
            "rate must be like 0.5 .float., got 'x'",
        ),
        ({"only": ["00"], "parameters": {"rate": True}}, "rate must be like 0.5"),
        ({"only": ["00"], "parameters": {"profile": "papr"}}, "profile must be one of smoke,"),
    ],
)
def test_wrong_names_and_types_are_refused_before_anything_runs(copied, wrong, message):
    root, folders = copied
    before = contents(root / "html")
    with pytest.raises(SglibError, match=message):
        build_reports(SMOKE, **folders, **wrong)
    assert contents(root / "html") == before


def test_sets_of_parameters_are_run_one_by_one_and_compared_on_one_page(copied):
    root, folders = copied
    before = contents(root / "html")
    sets = [{"rate": 0.25}, {"rate": 0.75, "seeds": 2}]
    index = build_comparison(SMOKE, "00", sets, **folders)
    assert index == root / "html" / "compare_00_first" / "index.html"
    names = {"index.html", "files.json", "00_first-01.ipynb", "00_first-02.ipynb"}
    assert set(contents(index.parent)) == names
    for name, rate in (("00_first-01", 0.25), ("00_first-02", 0.75)):
        run = nbformat.read(index.parent / f"{name}.ipynb", as_version=4)
        assert f"rate={rate}" in run.cells[-1].outputs[0].text
    text = html.unescape(index.read_text(encoding="utf-8"))
    for told in ("<h3>rate = 0.25</h3>", "<h3>rate = 0.75, seeds = 2</h3>"):
        assert told in text
    assert '--notebook 00 --set "rate=0.25" --set "rate=0.75 seeds=2"' in text
    assert contents(root / "html") == before


def test_a_wrong_set_is_refused_before_the_first_one_is_run(copied, monkeypatch):
    _, folders = copied
    monkeypatch.setattr("sglib.report.build.execute", lambda *_: pytest.fail("it ran"))
    for wrong, message in (
        ({"rat": 1.0}, "no parameter 'rat'; there are profile, rate, jobs, seeds"),
        ({"rate": "x"}, "rate must be like 0.5"),
        ({"profile": "papr"}, "00_first.ipynb: profile must be one of smoke, paper, full"),
    ):
        with pytest.raises(SglibError, match=message):
            build_comparison(SMOKE, "00", [{"rate": 0.25}, wrong], **folders)


def test_a_folder_without_notebooks_is_refused(tmp_path):
    with pytest.raises(SglibError, match="expected notebooks named"):
        build_reports(SMOKE, notebooks_dir=tmp_path, out_dir=tmp_path / "h")


def test_the_command_passes_notebooks_and_parameters(monkeypatch):
    def build(config, **options):
        return f"{config.profile} {options}"

    monkeypatch.setattr("sglib.report.build.build_reports", build)
    words = "report --profile smoke --notebook 04 -p seeds 20 -p rate x"
    found = CliRunner().invoke(main, words.split())
    given = {"only": ("04",), "parameters": {"seeds": 20, "rate": "x"}}
    assert found.output == f"smoke {given}\n"


def test_the_command_compares_sets(monkeypatch):
    def build(config, name, sets, **options):
        return f"{config.profile} {name} {sets} {options}"

    monkeypatch.setattr("sglib.report.build.build_comparison", build)
    words = ["report", "--only", "04", "-p", "jobs", "1", "--set", "seeds=2"]
    found = CliRunner().invoke(main, [*words, "--set", "seeds=5 data=course"])
    sets, given = [{"seeds": 2}, {"seeds": 5, "data": "course"}], {"parameters": {"jobs": 1}}
    assert found.output == f"paper 04 {sets} {given}\n"
    for few in (words, ["report", "--set", "seeds=2", "--set", "seeds=5"]):
        assert "beside one --notebook" in CliRunner().invoke(main, few).output


def test_a_set_is_read_as_names_and_values():
    assert as_set("rate=0.5 title='two words'") == {"rate": 0.5, "title": "two words"}
    for wrong in ("", "seeds", "=5"):
        with pytest.raises(SglibError, match="expected NAME=VALUE"):
            as_set(wrong)


def test_values_from_the_command_line_are_literals_or_text():
    assert [literal(text) for text in ("20", "0.5", "None", "paper")] == [20, 0.5, None, "paper"]
