"""How fast `sglib predict` is: against the paper's way, in memory, and as the files get many.

    python benchmarks/predict.py [--files 200000] [--model base]

Prints CSV. The pictures are the course test set if it is imported, else synthetic ones in the same
numbers. Both ways read files that the operating system has cached already. Ratios are between runs
of this very call, best of three each; on a machine that is busy with other things, the ratio of
processor times (`cpu_ratio`) says more, to be multiplied by the number of processors.
"""

import argparse
import contextlib
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
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from sglib import course, run_predict, weight_files
from sglib.classifier import Scorer
from sglib.profiles import n_usable_cpus
from sglib.synthetic import make_synthetic

N_TEST = 22_140
SIZES = (1_000, 20_000)


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


def ours(folder: Path, model: str, out: Path) -> int:
    """Predict a folder as the command does and return how many were called sunglasses."""
    with contextlib.redirect_stderr(io.StringIO()):
        run_predict.run([str(folder)], model=model, output=str(out), format="course")
    return int(np.loadtxt(out, delimiter=",", skiprows=1, dtype=int)[:, 1].sum())


def seconds(function: Callable[[], int]) -> tuple[float, float, int]:
    """Return the wall time and the processor time of a call, and what it returned."""
    started, cpu_started = time.perf_counter(), time.process_time()
    result = function()
    return time.perf_counter() - started, time.process_time() - cpu_started, result


def compare(folder: Path, model: str, scratch: Path, *, repeats: int = 3) -> None:
    """Time the two ways in turn on the same network, so that both see the same machine."""
    n = len(os.listdir(folder))
    file = weight_files.load(model)
    (network,) = Scorer(file).networks[:1]  # its first network, without the mirror image
    ways = {
        "paper's loop": lambda: papers_loop(folder, network),
        "sglib predict": lambda: ours(folder, model, scratch / "out.csv"),
    }
    best = dict.fromkeys(ways, (np.inf, np.inf))
    for _ in range(repeats):
        for name, way in ways.items():
            wall, cpu, n_sunglasses = seconds(way)
            print(f"# {file.name}, {name}: {wall:.2f} s, {n_sunglasses} sunglasses", flush=True)
            best[name] = min(best[name][0], wall), min(best[name][1], cpu)
    slow = best["paper's loop"]
    for name, (wall, cpu) in best.items():
        ratios = f"{slow[0] / wall:.1f},{slow[1] / cpu:.1f}"
        print(f"{file.name}: {name},{n},{wall:.3f},{cpu:.3f},{n / wall:.0f},{ratios},", flush=True)


def scale(folder: Path, model: str, scratch: Path) -> None:
    """Run the command on a folder; report its speed after start-up, and its memory."""
    n = len(os.listdir(folder))
    command = [sys.executable, "-c", _RUN, str(folder), model, str(scratch / "out.csv")]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    )
    wall, cpu, peak = map(float, done.stdout.split())
    name = f"{Path(model).stem}: one run of its own"
    print(f"{name},{n},{wall:.2f},{cpu:.2f},{n / wall:.0f},,,{peak / 2**20:.0f}", flush=True)


# The process's own high-water mark: the system call's counts its parent's before the start, too.
_RUN = """
import re, sys, time
from sglib import run_predict
folder, model, out = sys.argv[1:]
wall, cpu = time.perf_counter(), time.process_time()
run_predict.run([folder], model=model, output=out)
print(time.perf_counter() - wall, time.process_time() - cpu)
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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=200_000, help="of the largest folder")
    parser.add_argument("--model", action="append", help="default: all that ship")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)  # for batches of one, two threads are slower
    print(f"# {n_usable_cpus()} processors, torch {torch.__version__}")
    print("what,files,seconds,cpu_seconds,files_per_second,ratio,cpu_ratio,peak_rss_mib")
    models = options.model or weight_files.shipped()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        images = make_synthetic()[1].images
        if course.is_imported():
            test = course.course_dir() / "test"
        else:
            test = write_pictures(images, scratch / "test", N_TEST)
        for model in models:
            compare(test, model, scratch, repeats=options.repeats)
        for n in (*SIZES, options.files):  # CSV: Parquet's library takes 45 MiB of its own
            scale(write_pictures(images, scratch / str(n), n), models[0], scratch)


if __name__ == "__main__":
    main()
