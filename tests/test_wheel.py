"""The wheel holds every package and data file: in an empty folder it predicts, without [study]."""

import csv
import os
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import numpy as np
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image

ROOT = Path(__file__).parents[1]
# Calls the command as if of the packages in argv[1] none were installed.
WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(sys.argv.pop(1).split(",")))
from sglib.cli import main
main(prog_name="sglib")
"""


def of_extras() -> str:
    """Return what is imported of the packages that only the extras install."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [line for group in project["optional-dependencies"].values() for line in group]
    names = {canonicalize_name(Requirement(line).name) for line in lines}
    found = [
        module
        for module, owners in packages_distributions().items()
        if any(canonicalize_name(owner) in names for owner in owners)
    ]
    assert {"torch", "pandas", "numba", "scipy", "matplotlib", "pyarrow"} <= set(found)
    return ",".join(found)


def run(*words: object, **options: object) -> subprocess.CompletedProcess:
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr[-2000:]
    return done


def test_a_wheel_in_an_empty_folder_predicts(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    # from a copy: setuptools leaves `build` and `*.egg-info` beside what it builds
    source = tmp_path / "source"
    files = run("git", "-C", ROOT, "ls-files", "sglib", "*.toml", "README.md", "LICENSE").stdout
    for name in files.split("\n")[:-1]:
        if (ROOT / name).exists():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    run(*build, "-w", tmp_path, source)
    (wheel,) = tmp_path.glob("*.whl")
    place = tmp_path / "installed"
    run(*pip, "install", "--quiet", "--no-deps", "--target", place, wheel)

    installed = {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}
    tracked = {name for name in files.split("\n") if name.startswith("sglib/")}
    missing = {name for name in tracked if (ROOT / name).exists()} - installed
    assert not missing

    Image.fromarray(np.full((30, 32), 90, np.uint8)).save(tmp_path / "gray.png")
    empty = tmp_path / "empty"
    empty.mkdir()
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SGLIB")}
    light = [sys.executable, "-c", WITHOUT, of_extras()]
    there = {"cwd": empty, "env": clean | {"PYTHONPATH": str(place)}}
    (row,) = csv.DictReader(run(*light, "predict", tmp_path / "gray.png", **there).stdout.split())
    assert row["file"].endswith("gray.png")
    assert row["label"] in ("open", "sunglasses")
    assert "evaluate" in run(*light, "--help", **there).stdout
    (tmp_path / "labels.csv").write_text("file,label\ngray.png,0\n")
    words = ("evaluate", tmp_path, "--labels", tmp_path / "labels.csv")
    assert "1 pictures" in run(*light, *words, **there).stdout
    for words in (("study", "baseline"), ("report",), ("data", "check"), ("export", "base")):
        failed = subprocess.run([*light, *words], capture_output=True, text=True, **there)
        assert failed.returncode == 1
        assert failed.stderr.startswith("error: needs pip install '.[study]' (there is no ")
        assert failed.stderr.count("\n") == 1
    assert not list(empty.iterdir())
