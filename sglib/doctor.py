"""What an installation has and lacks, for `sglib doctor` and bug reports."""

import importlib.util
import os
import platform
import sys

from sglib.data import course
from sglib.files import git_commit, n_usable_cpus, repo_root, runs_dir, versions
from sglib.studies.store import RunStore

EXTRAS = {
    "cluster": "distributed",
    "export": "onnxruntime",
    "faces": "cv2",
    "lab": "ipywidgets",
    "bench": "skorch",
}


def examine() -> list[tuple[str, str, bool]]:
    """Return (what, finding, fit for use) rows; only what the notebooks need can be unfit."""
    import torch
    from jupyter_client.kernelspec import KernelSpecManager

    kernels = sorted(KernelSpecManager().find_kernel_specs())
    rows = [
        ("python", f"{platform.python_version()} ({sys.executable})", sys.version_info >= (3, 11)),
        *((name, text, True) for name, text in versions().items() if name != "Python"),
        ("commit", git_commit(), True),
        ("machine", f"{platform.machine()} {platform.system()}", True),
        ("processors", f"{n_usable_cpus()} usable of {os.cpu_count()}", True),
        ("cuda", torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none", True),
        ("root", str(repo_root()), True),
        ("course set", str(course.course_dir()) if course.is_imported() else "not imported", True),
        ("run store", f"{runs_dir()}: {len(RunStore().keys())} runs", _writable(runs_dir())),
        ("jupyter kernels", ", ".join(kernels), "python3" in kernels),
    ]
    for extra, module in EXTRAS.items():
        found = importlib.util.find_spec(module) is not None
        rows.append((f"extra [{extra}]", "installed" if found else "not installed", True))
    return rows


def _writable(folder: os.PathLike[str]) -> bool:
    """Whether the folder, or the nearest one above it that exists, can be written to."""
    path = os.path.abspath(folder)
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return os.access(path, os.W_OK)
