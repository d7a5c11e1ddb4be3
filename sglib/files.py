"""Where things lie on disk, files that appear whole, and what a number was made with.

Folders of the checkout; `replacing` writes a file whole or not at all; versions, commit and kind of
machine of a run (never a name or a path); processors and devices that can be used here.
"""

import contextlib
import functools
import importlib.metadata
import json
import os
import platform
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from sglib import SglibError


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


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a hidden name beside `path` to write to; afterwards that file takes the path's place.

    Whatever goes wrong, the old file stays as it was and nothing half-written is left. The folder
    is made if it is not there.

    Raises:
        OSError: the folder cannot be made, or the file not be put in place.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


VERSIONS_OF = ("sglib", "torch", "torchvision", "numpy", "numba", "pandas", "scikit-learn")


@functools.cache
def versions() -> dict[str, str]:
    """Return the version of Python and of every package that a number may depend on."""
    found = {"Python": platform.python_version()}
    for name in VERSIONS_OF:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def git_commit() -> str:
    """Return the commit of the checkout, marked where tracked code differs; else "unknown"."""
    return _commit_of(repo_root())


@functools.cache  # a study of many runs asks for each
def _commit_of(root: Path) -> str:
    git = ["git", "-C", str(root)]
    options = {"capture_output": True, "text": True, "timeout": 20, "check": True}
    try:
        head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], **options)
        status = [*git, "status", "--porcelain", "--untracked-files=no", "--", "*.py"]
        changed = subprocess.run(status, **options)
    except (OSError, subprocess.SubprocessError):  # no git, or not a checkout
        return "unknown"
    return head.stdout.strip() + (" with local changes" if changed.stdout.strip() else "")


def machine() -> str:
    """Return the kind of machine; never its name."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"


@functools.cache
def processor() -> str:
    """Return the name of the processor: float32 training gives other runs on another one."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def run_facts() -> dict[str, str]:
    """Return the columns that tell where and when a row of the run store was made."""
    return {
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine(),
        "processor": processor(),
        "versions": json.dumps(versions()),
        "commit": git_commit(),
    }


def n_usable_cpus() -> int:
    """Return the number of processors this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_device(device: str) -> None:
    """Raise `SglibError` unless PyTorch can use the device here."""
    if device == "cpu":
        return
    if not isinstance(device, str) or device.partition(":")[0] not in ("cpu", "cuda", "mps"):
        raise SglibError(f"device must be cpu, cuda, cuda:N or mps, got {device!r}")
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise SglibError(f"device {device!r} cannot be used here: {reason}") from None
