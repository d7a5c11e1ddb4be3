"""files: one root for all, files that appear whole, and what a row says of where it was made."""

import json
import platform
import subprocess
from pathlib import Path

import pytest

from sglib import files

OURS, THEIRS = '[project]\nname = "sglib"\n', '[project]\nname = "other"\n'
FOLDERS = {
    files.course_dir: "data/course",
    files.cache_dir: "data/cache",
    files.runs_dir: "runs",
    files.reports_dir: "reports",
}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    monkeypatch.delenv("SGLIB_ROOT", raising=False)
    monkeypatch.delenv("SGLIB_RUNS", raising=False)


@pytest.fixture
def checkout(tmp_path):
    root = tmp_path.resolve() / "checkout"
    (root / "notebooks" / "deep").mkdir(parents=True)
    (root / "pyproject.toml").write_text(OURS)
    return root


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Work in a folder outside every checkout, with sglib installed outside one too."""
    folder = tmp_path.resolve() / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(files, "__file__", str(tmp_path / "site-packages" / "sglib" / "files.py"))
    return folder


@pytest.mark.parametrize("where", [".", "notebooks", "notebooks/deep"])
def test_the_root_is_found_from_below(checkout, monkeypatch, where):
    monkeypatch.chdir(checkout / where)
    assert files.repo_root() == checkout


def test_another_projects_file_is_passed_over(checkout, monkeypatch):
    (checkout / "notebooks" / "pyproject.toml").write_text(THEIRS)
    monkeypatch.chdir(checkout / "notebooks" / "deep")
    assert files.repo_root() == checkout


def test_the_nearest_of_two_checkouts_is_taken(checkout, monkeypatch):
    (checkout / "notebooks" / "pyproject.toml").write_text(OURS)
    monkeypatch.chdir(checkout / "notebooks" / "deep")
    assert files.repo_root() == checkout / "notebooks"


def test_the_checkout_of_an_editable_install_is_found_from_elsewhere(
    checkout, elsewhere, monkeypatch
):
    monkeypatch.setattr(files, "__file__", str(checkout / "sglib" / "files.py"))
    assert files.repo_root() == checkout


def test_without_a_checkout_the_working_directory_is_the_root(elsewhere):
    assert files.repo_root() == elsewhere


def test_sglib_root_overrides_everything(checkout, tmp_path, monkeypatch):
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("SGLIB_ROOT", str(tmp_path / "other"))
    assert files.repo_root() == tmp_path.resolve() / "other"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SGLIB_ROOT", "~/mine")
    assert files.repo_root() == tmp_path.resolve() / "mine"
    monkeypatch.setenv("SGLIB_ROOT", "")
    assert files.repo_root() == checkout


@pytest.mark.parametrize(("folder", "below"), FOLDERS.items(), ids=FOLDERS.values())
def test_folders_lie_below_the_root_and_are_not_made(checkout, monkeypatch, folder, below):
    monkeypatch.chdir(checkout / "notebooks")
    before = sorted(checkout.rglob("*"))
    assert folder() == checkout / below
    assert sorted(checkout.rglob("*")) == before


def test_sglib_runs_moves_the_store_alone(checkout, monkeypatch):
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("SGLIB_RUNS", "/somewhere/runs")
    assert files.runs_dir() == Path("/somewhere/runs")
    assert files.reports_dir() == checkout / "reports"
    monkeypatch.setenv("SGLIB_RUNS", "")
    assert files.runs_dir() == checkout / "runs"


# Files that appear whole


def test_the_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.csv"
    for text in ("first", "second"):
        with files.replacing(path) as temporary:
            temporary.write_text(text)
        assert path.read_text() == text
    assert [found.name for found in path.parent.iterdir()] == ["table.csv"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")

    def write_half() -> None:
        with files.replacing(path) as temporary:
            temporary.write_text("ha")
            raise error

    with pytest.raises(error):
        write_half()
    assert [found.read_text() for found in tmp_path.iterdir()] == ["old"]


def test_where_no_folder_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError), files.replacing(tmp_path / "file" / "table.csv"):
        pass


# Where a row was made


def test_versions_name_what_a_number_depends_on():
    found = files.versions()
    assert found["Python"] == platform.python_version()
    assert set(found) == {"Python", *files.VERSIONS_OF}
    assert "not installed" not in found.values()


def test_commit_is_marked_where_files_differ(tmp_path, monkeypatch):
    monkeypatch.setenv("SGLIB_ROOT", str(tmp_path))
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    (tmp_path / "file").write_text("one")
    for words in (["init", "-q"], ["add", "file"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    clean = files.git_commit()
    assert len(clean) == 12
    assert int(clean, 16)
    (tmp_path / "file").write_text("two")
    files._commit_of.cache_clear()
    assert files.git_commit() == f"{clean} with local changes"


def test_outside_a_checkout_the_commit_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("SGLIB_ROOT", str(tmp_path))
    assert files.git_commit() == "unknown"


def test_facts_name_no_host_and_no_path():
    facts = files.run_facts()
    assert set(facts) == {"finished", "machine", "processor", "versions", "commit"}
    assert platform.node() not in facts["machine"]
    assert json.loads(facts["versions"]) == files.versions()
    assert not any("/" in value for value in facts.values())
