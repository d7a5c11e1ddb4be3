"""The wheel holds every package and data file: installed into an empty folder, it predicts."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]


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
    done = run(
        *(sys.executable, "-m", "sglib", "predict", tmp_path / "gray.png"),
        cwd=empty,
        env=clean | {"PYTHONPATH": str(place)},
    )
    lines = done.stdout.splitlines()
    assert lines[0].startswith("file,label,probability,status")
    assert len(lines) == 2
    assert "gray.png" in lines[1]
    assert not list(empty.iterdir())
