"""The whole paper, 12 experiments × 5 folds, on one and two cores, against the paper's procedure.

    python benchmarks/study.py [--rounds 3] [--max-epochs N] [--data course] [--json FILE]

From loaded data to stored results. The paper's procedure is extrapolated from measured epochs.
"""

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from _common import Row, bench_core, median, parser, pin, warn_if_busy, write_results

from sglib.data import load_data
from sglib.data.faces import FaceSet
from sglib.data.splits import make_split
from sglib.files import n_usable_cpus
from sglib.studies.profiles import Profile
from sglib.studies.run import Run, plan, run_study
from sglib.studies.store import RunStore
from sglib.studies.tables import STUDIES
from sglib.training.compiled import warm_up

PACKAGES = ("torch", "torchvision", "numba", "numpy", "pandas", "pyarrow", "joblib", "pillow")


def n_steps(unit: Run, faces: FaceSet) -> int:
    """Return the steps of a run at batch size 1."""
    e = unit.row
    n_train = len(make_split(faces, unit.scheme, fold=unit.fold, split_seed=unit.seed).train)
    added = int(e.augment_fraction * n_train) if e.augment == "flip_add" else 0
    return e.n_epochs * (n_train + added)


def run_once(units: Sequence[Run], faces: FaceSet, *, jobs: int) -> tuple[float, float, int]:
    """Run a study into an empty store; return seconds, seconds of processors, bytes stored."""
    with tempfile.TemporaryDirectory(prefix="sglib-bench-") as folder:
        store = RunStore(folder)
        started, cpu = time.perf_counter(), time.process_time()
        frame = run_study(units, faces, store=store, jobs=jobs, progress=False)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        assert len(frame) == len(units)
        return seconds, cpu, sum(path.stat().st_size for path in Path(folder).rglob("*.parquet"))


def paper_us(model: str, images: object, labels: object, *, n_epochs: int) -> float:
    """Return the microseconds of the paper's procedure per step of a network, one thread."""
    import torch
    from _peers_torch import Paper
    from _task import read_task, write_task

    from sglib.models.networks import build as build_model

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory(prefix="sglib-bench-") as folder:
            write_task(Path(folder), images, labels)
            task = read_task(Path(folder))
            paper = Paper(task)
            if model != "ConvNN_1":
                paper.model = build_model(model)
                paper.optimizer = torch.optim.Adam(paper.model.parameters(), lr=0.002)
            paper.train(task.order[0][:50])
            times = [paper.train(rows) / len(rows) for rows in task.order[:n_epochs]]
    finally:
        torch.set_num_threads(before)
    return median(times) * 1e6


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--max-epochs", type=int, help="shorten every run, to try this script")
    options.add_argument("--folds", type=int, help="only the first so many, to try this script")
    options.add_argument("--jobs", type=int, default=min(2, n_usable_cpus()))
    options.add_argument("--paper-epochs", type=int, default=5, help="measured per network")
    chosen = options.parse_args(argv)
    warn_if_busy()
    faces = load_data(chosen.data).train
    study = Profile("", "", 1, max_epochs=chosen.max_epochs).shorten(STUDIES["paper"])
    units = plan(study, faces, max_folds=chosen.folds, engine="compiled")
    steps: dict[str, int] = {}
    for unit in units:
        model = unit.row.model
        steps[model] = steps.get(model, 0) + n_steps(unit, faces)
    total = sum(steps.values())
    warm_up()

    many, core = chosen.jobs, bench_core()
    every = os.sched_getaffinity(0) if core is not None else set()
    seconds: dict[int, list[float]] = {jobs: [] for jobs in sorted({1, many})}
    cpu_seconds: list[float] = []
    for _ in range(chosen.rounds):
        for jobs, taken in seconds.items():
            if jobs == 1:
                pin(core)  # also the threads of the libraries underneath
            took, cpu, size = run_once(units, faces, jobs=jobs)
            if core is not None:
                os.sched_setaffinity(0, every)
            taken.append(took)
            cpu_seconds.append(cpu)
            print(f"{jobs} job(s): {took:.1f} s, {cpu:.1f} s of processors", file=sys.stderr)

    split = make_split(faces, "kfold", fold=0, split_seed=0).train
    pin(core)
    part = (faces.images[split], faces.labels[split])
    paper = {m: paper_us(m, *part, n_epochs=chosen.paper_epochs) for m in steps}
    if core is not None:
        os.sched_setaffinity(0, every)
    extrapolated = sum(paper[model] * 1e-6 * count for model, count in steps.items())

    medians = {jobs: median(taken) for jobs, taken in seconds.items()}
    scaling = medians[1] / medians[many]
    print(f"{len(units)} runs, {total:,} steps, {size / len(units):,.0f} bytes stored per run")
    rows = []
    for jobs, value in medians.items():
        ratio = extrapolated / value
        span = f"[{min(seconds[jobs]):.1f}, {max(seconds[jobs]):.1f}]"
        print(
            f"sglib on {jobs} core(s): {value:.1f} s {span}, {value * jobs / total * 1e6:.1f} µs "
            f"of a core per step with evaluation; paper's procedure / ours: {ratio:.1f}"
        )
        rows.append(Row(f"sglib, {jobs} core(s)", value, "s", ratio, chosen.rounds))
    cpu = median(cpu_seconds)
    print(f"processor time: {cpu:.1f} s, {cpu / len(units):.2f} s per run")
    rows.append(Row("processor time", cpu, "s", None, len(cpu_seconds)))
    print(f"scaling from 1 to {many} cores: {scaling:.2f}")
    rows.append(Row(f"scaling, 1 to {many} cores", scaling, "×", None, chosen.rounds))
    measured = ", ".join(f"{value:.0f} µs/step of {m}" for m, value in paper.items())
    print(f"paper's procedure, one core: {extrapolated:.0f} s, extrapolated from {measured};")
    print("training steps only: its evaluation after each epoch is left out, in its favour")
    rows.append(Row("paper's procedure, extrapolated", extrapolated, "s", 1.0, chosen.paper_epochs))
    rows.append(Row("steps", float(total), "steps"))
    rows.append(Row("stored per run", size / len(units), "bytes"))
    results = {
        "runs": len(units),
        "steps": total,
        "seconds": {str(jobs): value for jobs, value in medians.items()},
        "processor_seconds": cpu,
        "scaling": scaling,
        "paper_seconds_extrapolated": extrapolated,
        "paper_us": paper,
        "ratio": {str(jobs): extrapolated / value for jobs, value in medians.items()},
        "bytes_per_run": size / len(units),
    }
    write_results(
        "study", rows, PACKAGES, table=chosen.table, json_file=chosen.json, results=results
    )


if __name__ == "__main__":
    main()
