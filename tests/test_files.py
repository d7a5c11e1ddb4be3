"""paths: one root for notebooks, commands and tests, and no folder made by asking for it."""

from pathlib import Path

import pytest

from sglib import files as paths

OURS, THEIRS = '[project]\nname = "sglib"\n', '[project]\nname = "other"\n'
FOLDERS = {
    paths.course_dir: "data/course",
    paths.cache_dir: "data/cache",
    paths.runs_dir: "runs",
    paths.reports_dir: "reports",
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
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "site-packages" / "sglib" / "paths.py"))
    return folder


@pytest.mark.parametrize("where", [".", "notebooks", "notebooks/deep"])
def test_the_root_is_found_from_below(checkout, monkeypatch, where):
    monkeypatch.chdir(checkout / where)
    assert paths.repo_root() == checkout


def test_another_projects_file_is_passed_over(checkout, monkeypatch):
    (checkout / "notebooks" / "pyproject.toml").write_text(THEIRS)
    monkeypatch.chdir(checkout / "notebooks" / "deep")
    assert paths.repo_root() == checkout


def test_the_nearest_of_two_checkouts_is_taken(checkout, monkeypatch):
    (checkout / "notebooks" / "pyproject.toml").write_text(OURS)
    monkeypatch.chdir(checkout / "notebooks" / "deep")
    assert paths.repo_root() == checkout / "notebooks"


def test_the_checkout_of_an_editable_install_is_found_from_elsewhere(
    checkout, elsewhere, monkeypatch
):
    monkeypatch.setattr(paths, "__file__", str(checkout / "sglib" / "paths.py"))
    assert paths.repo_root() == checkout


def test_without_a_checkout_the_working_directory_is_the_root(elsewhere):
    assert paths.repo_root() == elsewhere


def test_sglib_root_overrides_everything(checkout, tmp_path, monkeypatch):
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("SGLIB_ROOT", str(tmp_path / "other"))
    assert paths.repo_root() == tmp_path.resolve() / "other"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SGLIB_ROOT", "~/mine")
    assert paths.repo_root() == tmp_path.resolve() / "mine"
    monkeypatch.setenv("SGLIB_ROOT", "")
    assert paths.repo_root() == checkout


@pytest.mark.parametrize(("folder", "below"), FOLDERS.items(), ids=FOLDERS.values())
def test_folders_lie_below_the_root_and_are_not_made(checkout, monkeypatch, folder, below):
    monkeypatch.chdir(checkout / "notebooks")
    before = sorted(checkout.rglob("*"))
    assert folder() == checkout / below
    assert sorted(checkout.rglob("*")) == before


def test_sglib_runs_moves_the_store_alone(checkout, monkeypatch):
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("SGLIB_RUNS", "/somewhere/runs")
    assert paths.runs_dir() == Path("/somewhere/runs")
    assert paths.reports_dir() == checkout / "reports"
    monkeypatch.setenv("SGLIB_RUNS", "")
    assert paths.runs_dir() == checkout / "runs"
