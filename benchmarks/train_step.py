"""One training step of the paper's baseline: ours against what a user would write or install.

    python benchmarks/train_step.py [--rounds 9] [--only paper,jax] [--data course] [--json FILE]

ConvNN_1, batch size 1, Adam; one process on one core each, in turn. See benchmarks/README.md.
"""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from _common import Row, bench_core, load_part, median, parser, warn_if_busy, write_results
from _contest import PEERS, Process, Round
from _task import write_task

TITLES = {
    "ours": "sglib, compiled engine (whole run)",
    "ours_epoch1": "sglib, compiled engine (first epoch)",
    "reference": "sglib, reference engine",
    "paper": "paper's procedure: files, DataLoader, Adam",
    "eager": "PyTorch eager, in memory, fused Adam",
    "compile": "torch.compile of the whole step",
    "skorch": "skorch",
    "lightning": "Lightning (barebones)",
    "keras": "Keras 3 on JAX",
    "jax": "JAX, jit and scan",
    "jax_products": "JAX, convolutions rewritten by hand",
}
OURS = ("ours", "ours_epoch1", "reference")
REST = ("eager", "compile", "skorch", "lightning", "keras", "jax")  # what the goal speaks of
PACKAGES = ("torch", "numba", "numpy", "pillow", "skorch", "lightning", "keras", "jax")
N_EPOCH = 303  # steps, the paper's 80 % of 378 images
N_RUN = 40 * N_EPOCH


def contest(
    names: Sequence[str], folder: Path, *, n_rounds: int, n_steps: int | None, timeout: float
) -> tuple[dict[str, list[Round]], dict[str, dict[str, object]], dict[str, str]]:
    """Let the contestants train in turn; return their rounds, what they learnt, who failed."""
    core = bench_core()
    steps = {name: n_steps or (N_RUN if name == "ours" else N_EPOCH) for name in names}
    processes: list[Process] = []
    rounds: dict[str, list[Round]] = {name: [] for name in names}
    learnt: dict[str, dict[str, object]] = {}
    try:
        processes += [Process(name, folder, steps[name], core) for name in names]
        for process in processes:
            process.ready(timeout)
            print(f"{process.name}: {process.reason or 'ready'}", file=sys.stderr, flush=True)
        for _ in range(n_rounds):
            for process in processes:
                if (taken := process.go()) is not None:
                    rounds[process.name].append(taken)
    finally:
        for process in processes:
            learnt[process.name] = process.end() or {}
    reasons = {process.name: process.reason for process in processes if process.reason}
    return rounds, learnt, reasons


def report(
    rounds: Mapping[str, Sequence[Round]],
    learnt: Mapping[str, Mapping[str, object]],
    reasons: Mapping[str, str],
) -> tuple[list[Row], dict[str, object]]:
    """Print the table; return its rows and the content of the JSON file."""
    us = {
        name: None if name in reasons else median([r.us for r in rounds[name]]) for name in rounds
    }
    ours = us.get("ours")
    rows, results = [], {f"{name}_us": value for name, value in us.items()}
    print(f"{'':<46}{'µs/step':>8}{'[min, max]':>15}{'cpu':>7}{'× ours':>8}{'loss':>8}{'acc':>7}")
    for name, value in us.items():
        if value is None:
            print(f"{TITLES[name]:<46}{'—':>8}  {reasons[name]}")
            rows.append(Row(TITLES[name], None, reasons[name]))
            continue
        every = [r.us for r in rounds[name]]
        ratio = value / ours if ours else None
        span = f"[{min(every):.0f}, {max(every):.0f}]"
        times = "" if ratio is None else f"{ratio:.1f}"
        cpu = results[f"{name}_cpu_us"] = median([r.cpu_us for r in rounds[name]])
        end = learnt[name]
        print(
            f"{TITLES[name]:<46}{value:>8.1f}{span:>15}{cpu:>7.0f}{times:>8}"
            f"{end['loss']:>8.3f}{end['accuracy']:>7.3f}"
        )
        rows.append(Row(TITLES[name], value, "µs/step", ratio, len(every)))
        results[f"{name}_ratio"] = ratio
    rest = {name: us[name] for name in REST if us.get(name) is not None}
    if ours and rest:
        best = min(rest, key=rest.get)
        results |= {"best_of_rest": best, "best_of_rest_ratio": rest[best] / ours}
        print(f"\nbest of the rest: {TITLES[best]}, {rest[best] / ours:.1f} × ours")
    if ours and us.get("paper") is not None:
        print(f"paper's procedure: {us['paper'] / ours:.1f} × ours")
    shares = [r.busy for taken in rounds.values() for r in taken]
    if shares:
        results["processor_share"] = median(shares)
        if results["processor_share"] < 0.97:
            print(
                f"note: other programs took {1 - results['processor_share']:.0%} of the core; "
                "measure again on an idle machine"
            )
    return rows, results | {"reasons": dict(reasons)}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--steps", type=int, help="of a round; default: an epoch, ours a run")
    options.add_argument("--only", help="names, comma between; ours takes part always")
    options.add_argument("--timeout", type=float, default=180, help="seconds for the warm-up")
    chosen = options.parse_args(argv)
    only = set(PEERS) if chosen.only is None else {"ours", *chosen.only.split(",")}
    if unknown := only - set(PEERS):
        options.error(f"no contestant {sorted(unknown)[0]!r}; there are: {', '.join(PEERS)}")
    names = [name for name in PEERS if name in only]
    warn_if_busy()
    with tempfile.TemporaryDirectory(prefix="sglib-bench-") as folder:
        write_task(Path(folder), *load_part(chosen.data))
        found = contest(
            names,
            Path(folder),
            n_rounds=chosen.rounds,
            n_steps=chosen.steps,
            timeout=chosen.timeout,
        )
    rows, results = report(*found)
    results = {f"{name}_us": None for name in PEERS} | results
    write_results(
        "train_step", rows, PACKAGES, table=chosen.table, json_file=chosen.json, results=results
    )


if __name__ == "__main__":
    main()
