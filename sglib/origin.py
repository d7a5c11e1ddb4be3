"""Where a number comes from: versions, commit and kind of machine; never a name or a path."""

import functools
import importlib.metadata
import json
import os
import platform
import subprocess
import time
from pathlib import Path

from sglib.paths import repo_root

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
    """Return the commit of the checkout, marked where tracked files differ; else "unknown"."""
    return _commit_of(repo_root())


@functools.cache  # a study of many runs asks for each
def _commit_of(root: Path) -> str:
    git = ["git", "-C", str(root)]
    options = {"capture_output": True, "text": True, "timeout": 20, "check": True}
    try:
        head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], **options)
        changed = subprocess.run([*git, "status", "--porcelain", "--untracked-files=no"], **options)
    except (OSError, subprocess.SubprocessError):  # no git, or not a checkout
        return "unknown"
    return head.stdout.strip() + (" with local changes" if changed.stdout.strip() else "")


def machine() -> str:
    """Return the kind of machine; never its name."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"


def run_facts() -> dict[str, str]:
    """Return the columns that tell where and when a row of the run store was made."""
    return {
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine(),
        "versions": json.dumps(versions()),
        "commit": git_commit(),
    }
