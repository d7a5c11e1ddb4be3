"""How fast `sglib predict` is: against the paper's loop, and as the files get many.

The pictures are the course test set or as many synthetic ones. All contestants read files that the
operating system has cached already, and take turns in one process.
"""

import contextlib
import importlib.util
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from _common import Row, median, parser, warn_if_busy, write_results
from PIL import Image
from sglib.predict.run import Reader
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from sglib.data import course
from sglib.data.synthetic import make_synthetic
from sglib.models import files as weight_files
from sglib.models.ensemble import BATCH, Scorer
from sglib.predict import command as run_predict
from sglib.predict.files import Discovery

N_TEST = 22_140
SIZES = (1_000, 20_000)
PAPER = "paper_1"  # the network of the paper's loop
PACKAGES = ("torch", "torchvision", "numpy", "pillow")


class PicturesByPil(Dataset):
    """The paper's data set: a file at a time, Pillow, then a tensor in [0, 1]."""

    def __init__(self, folder: Path) -> None:
        self.paths = [folder / name for name in sorted(os.listdir(folder))]
        self.transform = transforms.ToTensor()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, str]:
        return self.transform(Image.open(self.paths[i]).convert("L")), self.paths[i].stem


def papers_loop(folder: Path, network: torch.nn.Module) -> int:
    """Predict a folder one picture at a time and return how many were called sunglasses."""
    results = {}
    with torch.inference_mode():
        for images, (name,) in DataLoader(PicturesByPil(folder), batch_size=1):
            results[name] = int(network(images).argmax(1))
    return sum(results.values())


def ours(
    folder: Path, model: str, out: Path, *, crop: str = "none", jobs: int | None = None
) -> int:
    """Predict a folder as the command does and return how many were called sunglasses."""
    options = {"format": "course", "crop": crop, "jobs": jobs}
    with contextlib.redirect_stderr(io.StringIO()):
        run_predict.run([str(folder)], model=model, output=str(out), **options)
    with out.open() as file:
        return sum(line.endswith(",1\n") for line in file)


def timed(function: Callable[[], int]) -> tuple[float, float, int]:
    """Return the wall time and the processor time of a call, and what it returned."""
    started, cpu_started = time.perf_counter(), time.process_time()
    result = function()
    return time.perf_counter() - started, time.process_time() - cpu_started, result


def compare(folder: Path, models: list[str], scratch: Path, *, rounds: int) -> list[Row]:
    """Time the paper's loop and our command with each model, in turn."""
    (network,) = Scorer(weight_files.load(PAPER)).networks
    ways = {"paper's loop, ConvNN_1": lambda: papers_loop(folder, network)} | {
        f"sglib predict, {model}": lambda model=model: ours(folder, model, scratch / "out.csv")
        for model in models
    }
    walls: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            wall, cpu, n_sunglasses = timed(way)
            print(f"{name}: {wall:.2f} s, {cpu:.2f} s of processors, {n_sunglasses} sunglasses")
            walls[name].append(wall)
    slow = median(next(iter(walls.values())))
    return [
        Row(name, median(taken), "s", slow / median(taken), rounds) for name, taken in walls.items()
    ]


def second_looks(folder: Path, models: list[str]) -> list[Row]:
    """Count the pictures that the models look at in other views, too."""
    pictures, _ = Reader().read(list(Discovery([folder])))
    rows = []
    for model in models:
        scorer = Scorer(weight_files.load(model))
        if scorer.doubt is None:
            continue
        with torch.inference_mode():
            looks = [scorer.first_look(batch) for batch in torch.from_numpy(pictures).split(BATCH)]
        share = 100 * float(torch.cat([doubtful for _, doubtful in looks]).float().mean())
        rows.append(Row(f"{model}, looked at again", share, "%", None, len(pictures)))
        print(f"{model}: {share:.1f} % looked at again", flush=True)
    return rows


def scale(folder: Path, model: str, scratch: Path) -> list[Row]:
    """Run the command on a folder; report its speed after start-up, and its memory."""
    n = len(os.listdir(folder))
    rows = []
    for ending in ("csv", "parquet"):
        command = [sys.executable, "-c", _RUN, str(folder), model, str(scratch / f"out.{ending}")]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
        )
        wall, peak = map(float, done.stdout.split())
        what = f"{model}, {n} files to {ending}"
        rows += [
            Row(what, n / wall, "files/s", None, 1),
            Row(f"{what}: peak memory", peak / 2**20, "MiB", None, 1),
        ]
        print(f"{what}: {n / wall:,.0f} files/s, at most {peak / 2**20:.0f} MiB", flush=True)
    stored = (scratch / "out.parquet").stat().st_size / n
    started = time.perf_counter()
    assert sum(1 for _ in Discovery([folder])) == n
    listing = 1e6 * (time.perf_counter() - started) / n
    rows += [
        Row(f"{n} files: Parquet", stored, "bytes/row", None, n),
        Row(f"{n} files: listing", listing, "µs/name", None, n),
    ]
    return rows


def first_result(folder: Path, model: str, *, n: int = 5) -> Row:
    """Time the command on one picture, from its start to its end."""
    picture = folder / sorted(os.listdir(folder))[0]
    command = [sys.executable, "-m", "sglib", "predict", str(picture), "--model", model]
    times = [
        timed(lambda: subprocess.run(command, check=True, capture_output=True).returncode)[0]
        for _ in range(n)
    ]
    print(f"{model}, one picture: {median(times):.2f} s", flush=True)
    return Row(f"{model}, one picture from a cold start", median(times), "s", None, n)


def photographs(images: np.ndarray, model: str, scratch: Path, *, n: int = 12) -> list[Row]:
    """Time pictures of 12 million pixels on one thread, whole and with a search for the face."""
    folder = scratch / "large"
    folder.mkdir()
    for i in range(n):
        large = Image.fromarray(images[i]).resize((4000, 3000), Image.Resampling.BICUBIC)
        large.convert("RGB").save(folder / f"{i}.jpg", quality=85)
    crops = ("none", "auto") if importlib.util.find_spec("cv2") else ("none",)
    rows = []
    for crop in crops:
        wall, _, _ = timed(
            lambda crop=crop: ours(folder, model, scratch / "out.csv", crop=crop, jobs=1)
        )
        what = f"{model}, 12 million pixels, --crop {crop}"
        rows.append(Row(what, 1000 * wall / n, "ms/file", None, n))
        print(f"{what}: {1000 * wall / n:.0f} ms a file", flush=True)
    return rows


# The process's own high-water mark: the system call's counts its parent's before the start, too.
_RUN = """
import re, sys, time
from sglib.predict import command as run_predict
folder, model, out = sys.argv[1:]
started = time.perf_counter()
run_predict.run([folder], model=model, output=out)
print(time.perf_counter() - started)
try:
    with open("/proc/self/status") as file:
        print(int(re.search(r"VmHWM:\\s+(\\d+)", file.read())[1]) * 1024)
except OSError:
    import resource
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


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
    options.add_argument("--model", action="append", help="default: all that ship")
    options.add_argument("--rounds", type=int, default=7)
    chosen = options.parse_args(arguments)
    warn_if_busy()
    torch.set_num_threads(1)  # for batches of one, two threads are slower
    models = chosen.model or weight_files.shipped()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        images = make_synthetic()[1].images
        if chosen.data == "course":
            test = course.course_dir() / "test"
        else:
            test = write_pictures(images, scratch / "test", N_TEST)
        rows = compare(test, models, scratch, rounds=chosen.rounds)
        rows += second_looks(test, models)
        for n in (*SIZES, chosen.files):
            rows += scale(write_pictures(images, scratch / str(n), n), models[0], scratch)
        rows.append(first_result(test, models[0]))
        rows += photographs(images, models[0], scratch)
    results = {row.what: {"value": row.value, "unit": row.unit, "ratio": row.ratio} for row in rows}
    write_results(
        "predict", rows, PACKAGES, table=chosen.table, json_file=chosen.json, results=results
    )


if __name__ == "__main__":
    main()
