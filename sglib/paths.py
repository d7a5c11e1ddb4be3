"""Where things lie on disk: the repository root and the folders below it."""

import os
from pathlib import Path


def repo_root() -> Path:
    """Return the root of the checkout, wherever the caller's working directory is.

    Notebooks run in `notebooks/`, papermill in the caller's folder, tests in the root: all must
    find the same data and the same store. Order: `SGLIB_ROOT`; the nearest parent of the working
    directory that holds sglib's `pyproject.toml`; the parent of the installed package if it holds
    one (editable install); the working directory.
    """
    if os.environ.get("SGLIB_ROOT"):
        return Path(os.environ["SGLIB_ROOT"]).expanduser().resolve()
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[1]):
        if _is_root(folder):
            return folder
    return here


def _is_root(folder: Path) -> bool:
    project = folder / "pyproject.toml"
    return project.is_file() and 'name = "sglib"' in project.read_text(encoding="utf-8")


def course_dir() -> Path:
    """Return the folder of the imported course set (`data/course`, ignored by git)."""
    return repo_root() / "data" / "course"


def cache_dir() -> Path:
    """Return the folder of decoded arrays (`data/cache`, ignored by git, safe to delete)."""
    return repo_root() / "data" / "cache"


def runs_dir() -> Path:
    """Return the folder of the run store (`runs`, or `SGLIB_RUNS`)."""
    return Path(os.environ.get("SGLIB_RUNS") or repo_root() / "runs")


def models_dir() -> Path:
    """Return the folder of models and predictions that notebooks write (`models`, ignored)."""
    return repo_root() / "models"


def reports_dir() -> Path:
    """Return the folder of tables, figures and pages (`reports`)."""
    return repo_root() / "reports"
