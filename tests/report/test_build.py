"""report: runs real (tiny) notebooks and publishes them, or leaves the last good pages alone."""

import json
import os
import shutil
import subprocess

import pytest
from nbformat import write
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from sglib import SglibError
from sglib.report.build import NotebookError, build_reports, declared_parameters

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def write_notebook(folder, name, *sources, parameters='profile = "none"', title="Title"):
    cells = [
        new_markdown_cell(f"# {title}\n\nQuestion?"),
        new_code_cell(parameters, metadata={"tags": ["parameters"]}),
        *(new_code_cell(source) for source in sources),
    ]
    folder.mkdir(exist_ok=True)
    write(new_notebook(cells=cells), folder / f"{name}.ipynb")


GOOD = (
    "import matplotlib.pyplot as plt\nfrom sglib.report.show import answer, figure",
    'fig, ax = plt.subplots()\nax.plot([0, 1])\nfigure(fig, alt="a rising line")',
    "print(f'{profile=}', 'seeds' in globals())",
    'answer(f"It runs with profile {profile} <script>x</script>")',
)
BAD = "values = [1, 2]\nraise ValueError('expected 3 <values>\\nsecond line')"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Two good notebooks and their pages (made once: kernels take seconds to start)."""
    root = tmp_path_factory.mktemp("site")
    write_notebook(root / "notebooks", "00_first", *GOOD, title="First <script>")
    write_notebook(root / "notebooks", "01_second", "import os; print(os.getcwd())")
    index = build_reports(
        profile="smoke",
        data="synthetic",
        seeds=3,
        notebooks_dir=root / "notebooks",
        out_dir=root / "html",
    )
    return index


@pytest.fixture
def copied(site, tmp_path):
    """A copy of the site that a test may change."""
    shutil.copytree(site.parents[1], tmp_path / "site")
    return tmp_path / "site"


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_pages_and_index_are_written_and_nothing_else(site):
    assert site.name == "index.html"
    names = {"index.html", "00_first.html", "01_second.html", "pages.json"}
    assert set(contents(site.parent)) == names
    assert {p.name for p in site.parents[1].iterdir()} == {"notebooks", "html"}


def test_pages_are_self_contained_and_figures_described(site):
    first = (site.parent / "00_first.html").read_text(encoding="utf-8")
    assert 'alt="a rising line"' in first
    for page in site.parent.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "Content-Security-Policy" in text
        assert "<script" not in text.lower()
        assert 'src="http' not in text
        assert "stylesheet" not in text


def test_only_declared_parameters_are_passed(site):
    text = (site.parent / "00_first.html").read_text(encoding="utf-8")
    assert "profile=&#39;smoke&#39; False" in text or "profile='smoke' False" in text


def test_notebooks_run_in_their_own_folder(site):
    second = (site.parent / "01_second.html").read_text(encoding="utf-8")
    assert str(site.parents[1] / "notebooks") in second


def test_index_shows_answers_titles_and_command(site):
    text = site.read_text(encoding="utf-8")
    assert "It runs with profile smoke &lt;script&gt;x&lt;/script&gt;" in text
    assert "First &lt;script&gt;" in text
    assert "sglib report --profile smoke --data synthetic --seeds 3" in text


def test_failing_notebook_is_explained_and_the_old_pages_stay(copied, capsys, caplog):
    before = contents(copied / "html")
    write_notebook(copied / "notebooks", "01_second", "x = 1", BAD)
    with pytest.raises(NotebookError) as failure:
        build_reports(
            profile="smoke",
            data="auto",
            notebooks_dir=copied / "notebooks",
            out_dir=copied / "html",
        )
    assert str(failure.value) == "01_second.ipynb, cell 4 of 4: ValueError: expected 3 <values>"
    assert "raise ValueError" in caplog.text  # the lines around the error
    assert contents(copied / "html") == before
    assert {p.name for p in copied.iterdir()} == {"notebooks", "html"}
    progress = capsys.readouterr().err.splitlines()
    assert progress[0].startswith("[1/2] 00_first … ")
    assert progress[0].endswith(" s")
    assert progress[1] == "[2/2] 01_second … failed"


def test_a_dying_kernel_is_an_error_too(tmp_path):
    write_notebook(tmp_path / "nb", "00_dies", "import os; os._exit(3)")
    with pytest.raises(NotebookError, match=r"00_dies\.ipynb: DeadKernelError"):
        build_reports(
            profile="smoke",
            data="auto",
            notebooks_dir=tmp_path / "nb",
            out_dir=tmp_path / "html",
        )
    assert not (tmp_path / "html").exists()


def test_one_notebook_can_be_rebuilt_alone(copied):
    before = contents(copied / "html")
    write_notebook(copied / "notebooks", "01_second", "print('new')", title="New title")
    options = {"notebooks_dir": copied / "notebooks", "out_dir": copied / "html"}
    build_reports(profile="smoke", data="auto", only=["01"], **options)
    after = contents(copied / "html")
    assert after["00_first.html"] == before["00_first.html"]
    assert b"New title" in after["01_second.html"]
    index = after["index.html"].decode()
    assert "New title" in index
    assert "First &lt;script&gt;" in index
    assert [page["name"] for page in json.loads(after["pages.json"])] == ["00_first", "01_second"]


def test_page_of_a_removed_notebook_disappears(copied):
    (copied / "notebooks" / "00_first.ipynb").unlink()
    (copied / "html" / "pages.json").write_text("not json", encoding="utf-8")
    options = {"notebooks_dir": copied / "notebooks", "out_dir": copied / "html"}
    build_reports(profile="smoke", data="auto", **options)
    assert set(contents(copied / "html")) == {"index.html", "01_second.html", "pages.json"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"profile": "big"}, "profile must be one of smoke, paper, full, got 'big'"),
        ({"data": "faces"}, "data must be one of auto, course, synthetic, got 'faces'"),
        ({"seeds": 0}, "seeds must be"),
        ({"seeds": "3"}, "seeds must be"),
        ({"jobs": -1}, "jobs must be"),
        ({"only": ["07"]}, "no notebook '07'; there are 00_first"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_runs(tmp_path, wrong, message):
    write_notebook(tmp_path / "nb", "00_first", "raise SystemError('must not run')")
    options = {"profile": "smoke", "data": "auto", "notebooks_dir": tmp_path / "nb"} | wrong
    with pytest.raises(SglibError, match=message.replace("(", r"\(")):
        build_reports(out_dir=tmp_path / "html", **options)
    assert not (tmp_path / "html").exists()


def test_a_folder_without_notebooks_is_refused(tmp_path):
    with pytest.raises(SglibError, match="expected notebooks named"):
        build_reports(profile="smoke", data="auto", notebooks_dir=tmp_path, out_dir=tmp_path / "h")


def test_declared_parameters_are_the_names_assigned_in_the_tagged_cell():
    cells = [
        new_code_cell("other = 1"),
        new_code_cell("a = 1\nb: int = 2\nc = d = 3", metadata={"tags": ["parameters"]}),
    ]
    assert declared_parameters(new_notebook(cells=cells)) == {"a", "b", "c", "d"}
    assert declared_parameters(new_notebook(cells=cells[:1])) == set()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_pages_open_in_a_browser_without_complaint(site, tmp_path):
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
    flags += ["--disable-background-networking", "--disable-component-update"]
    for page in ("index", "00_first"):
        opened = subprocess.run(
            [
                CHROMIUM,
                *flags,
                "--enable-logging=stderr",
                f"--user-data-dir={tmp_path}",
                "--dump-dom",
                (site.parent / f"{page}.html").as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            env=os.environ | {"HOME": str(tmp_path)},
        )
        assert "</html>" in opened.stdout
        assert "CONSOLE" not in opened.stderr
