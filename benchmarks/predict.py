"""How fast `sglib predict` is, as whole processes from start to exit, against the paper's loop.

The pictures are the course test set or as many synthetic ones. All files have been read once
before, so that the operating system has them in memory; the contestants take turns.
"""

import io
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _common import Row, median, parser, warn_if_busy, write_results
from PIL import Image

from sglib.data import course
from sglib.data.synthetic import make_synthetic

N_TEST = 22_140
MODELS = ("base", "small", "best", "paper_1")
PACKAGES = ("torch", "torchvision", "onnxruntime", "simplejpeg", "numpy", "pillow")

# The paper's way (§4.5, its published code): a file at a time through a data set and a loader.
PAPERS_LOOP = """
import os, sys
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from sglib.models import files
torch.set_num_threads(1)  # for batches of one, two threads are slower

class Pictures(Dataset):
    def __init__(self, folder):
        self.paths = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
        self.transform = transforms.ToTensor()
    def __len__(self):
        return len(self.paths)
    def __getitem__(self, i):
        return self.transform(Image.open(self.paths[i]).convert("L")), self.paths[i]

network = files.load("paper_1").ensemble().networks[0].eval()
with torch.inference_mode(), open(sys.argv[2], "w") as out:
    for images, (path,) in DataLoader(Pictures(sys.argv[1]), batch_size=1):
        name = os.path.splitext(os.path.basename(path))[0]
        print(name, int(network(images).argmax(1)), sep=",", file=out)
"""
# The process's own high-water mark: the system call's counts its parent's before the start, too.
PEAK = """
import sys
from sglib.cli import main
try:
    main(sys.argv[1:])
finally:
    print(open("/proc/self/status").read(), file=sys.stderr)
"""


def timed(*words: object) -> float:
    """Run Python with these arguments and return the seconds from its start to its exit."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *map(str, words)], check=True, capture_output=True)
    return time.perf_counter() - started


def compare(folder: Path, scratch: Path, *, rounds: int) -> list[Row]:
    """Time the paper's loop and the command with each model, in turn."""
    out = scratch / "out.csv"
    ways = {"paper's loop, ConvNN_1": ("-c", PAPERS_LOOP, folder, out)} | {
        f"sglib predict, {model}": (
            *("-m", "sglib", "predict", folder, "--model", model),
            *("--format", "course", "-o", out),
        )
        for model in MODELS
    }
    walls: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, words in ways.items():
            walls[name].append(timed(*words))
            n_rows, n_sunglasses = count(out)
            print(f"{name}: {walls[name][-1]:.2f} s, {n_sunglasses} of {n_rows} sunglasses")
            out.unlink()
    slow = median(next(iter(walls.values())))
    return [
        Row(name, median(taken), "s", slow / median(taken), rounds) for name, taken in walls.items()
    ]


def count(table: Path) -> tuple[int, int]:
    """Return how many answers a table in the paper's format has, and how many are sunglasses."""
    answers = [line for line in table.read_text().splitlines() if line[-2:] in (",0", ",1")]
    return len(answers), sum(line.endswith(",1") for line in answers)


def peak(folder: Path, scratch: Path) -> list[Row]:
    """Run the default model on a folder of many files; report its speed and memory at most."""
    words = ("predict", str(folder), "-o", str(scratch / "many.csv"))
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *words], check=True, capture_output=True, text=True
    )
    wall, n = time.perf_counter() - started, len(os.listdir(folder))
    rows = [Row(f"base, {n} files to csv", n / wall, "files/s", None, 1)]
    if found := re.search(r"VmHWM:\s+(\d+)", done.stderr):
        rows.append(Row(f"base, {n} files: peak memory", int(found[1]) / 1024, "MiB", None, 1))
    return rows


def first_answer(folder: Path, *, rounds: int) -> Row:
    """Time the command on one picture, from its start to its exit."""
    picture = folder / sorted(os.listdir(folder))[0]
    times = [timed("-m", "sglib", "predict", picture) for _ in range(rounds)]
    return Row("base, one picture", median(times), "s", None, rounds)


def write_pictures(images: np.ndarray, folder: Path, n: int) -> Path:
    """Write n JPEGs, the images over and over."""
    folder.mkdir()
    encoded = []
    for image in images:
        out = io.BytesIO()
        Image.fromarray(image).save(out, "JPEG", quality=75)
        encoded.append(out.getvalue())
    for i in range(n):
        (folder / f"{i}.jpg").write_bytes(encoded[i % len(encoded)])
    return folder


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the table."""
    options = parser(__doc__)
    options.add_argument("--files", type=int, default=200_000, help="of the largest folder")
    options.add_argument("--rounds", type=int, default=7)
    chosen = options.parse_args(arguments)
    warn_if_busy()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        images = make_synthetic()[1].images
        if chosen.data == "course":
            test = course.course_dir() / "test"
        else:
            test = write_pictures(images, scratch / "test", N_TEST)
        rows = compare(test, scratch, rounds=chosen.rounds)
        rows.append(first_answer(test, rounds=chosen.rounds))
        rows += peak(write_pictures(images, scratch / "many", chosen.files), scratch)
    for row in rows[-3:]:
        print(f"{row.what}: {row.value:.2f} {row.unit}")
    results = {row.what: {"value": row.value, "unit": row.unit, "ratio": row.ratio} for row in rows}
    write_results(
        "predict", rows, PACKAGES, table=chosen.table, json_file=chosen.json, results=results
    )


if __name__ == "__main__":
    main()
