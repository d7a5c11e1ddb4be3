"""Where the time of a training step goes, stage by stage, against what the core could do.

    python benchmarks/stages.py [--model ConvNN_1] [--rounds 9] [--data course] [--json FILE]

Limits: the arithmetic of a stage at the core's measured peak, and the bytes it moves at the
measured bandwidth of its cache.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from _common import Row, bench_core, load_part, parser, pin, warn_if_busy, write_results
from _stages import stage_calls

from sglib.models.networks import build, count_parameters
from sglib.studies.tables import BASELINE
from sglib.training.compiled.layout import SIZES, Sizes
from sglib.training.reference import scale_pixels
from sglib.training.schedule import make_schedule
from sglib.training.settings import FitData

PACKAGES = ("numba", "llvmlite", "numpy", "torch")


class Work(NamedTuple):
    """What a stage has to do for one image."""

    flop: int  # a multiplication and an addition are two
    n_bytes: int  # float32 and int32 numbers read and written, each once


def count_alive(model: str, data: FitData) -> tuple[int, int, int]:
    """Return how many channels of the first pooling, hidden units and winners are not zero.

    Of the fresh network and the first image, as `stage_calls` has them: what is zero adds nothing
    and has no gradient, so it is not work.
    """
    net = build(model)
    initial = make_schedule(dataclasses.replace(BASELINE, model=model), len(data.train_images), 0)
    net.load_state_dict({k: torch.from_numpy(w) for k, w in initial.initial.items()})
    image = torch.from_numpy(scale_pixels(data.train_images[:1], "unit"))[None]
    with torch.no_grad():
        pooled1 = torch.relu(net.maxpool1(net.conv1(image)))  # (1, 8, H, W)
        flat = torch.relu(net.maxpool2(net.conv2(pooled1))).flatten(1)
        hidden = net.fc1(flat)
    n_channels = int((pooled1.amax((2, 3)) > 0).sum())
    return n_channels, int((hidden > 0).sum()), int((flat > 0).sum())


def work(sizes: Sizes, n_parameters: int, alive: tuple[int, int, int]) -> dict[str, Work]:
    """Return the work of each stage; only winners of a max pooling have a gradient."""
    n_channels, n_on, won = alive
    image, c1 = sizes.width**2, (sizes.width - 2) ** 2 * 8
    p1, c2, flat = sizes.n_pooled1**2 * 8, (sizes.n_pooled1 - 2) ** 2 * 16, sizes.n_pooled2**2 * 16
    hidden, window1 = sizes.n_hidden, sizes.pool1**2
    fc1, k1, k2 = hidden * flat, 9 * 8, 9 * 8 * 16

    def stage(flop: int, *moved: int) -> Work:
        return Work(flop, 4 * sum(moved))

    return {
        "conv1, maxpool1, relu": stage(c1 * 18 + p1 * (window1 + 1), image, k1, p1, p1),
        "list alive": stage(p1, p1),
        "conv2, maxpool2, relu": stage(c2 * 18 * n_channels + flat * 5, p1, k2, flat, flat),
        "fc1, relu, dropout": stage(fc1 * 2, fc1, flat, hidden),
        "fc2, head": stage(hidden * 4, hidden * 3),
        "fc2, head backward": stage(hidden * 8, hidden * 6),
        "fc1 backward": stage(n_on * flat * 2, n_on * flat, flat, hidden),
        "relu2 backward": stage(flat, flat, flat),
        "conv2 backward, weight": stage(won * 144, p1, won * 3, k2, k2),
        "conv2 backward, input": stage(won * 144, p1, won * 3, k2, p1),
        "relu1 backward": stage(p1 * 2, p1, p1, p1),
        "conv1 backward": stage(p1 * 18 * n_channels // 8, image, p1, p1, k1),
        "Adam": stage(n_parameters * 14, n_parameters * 6),  # weights and two moments, in and out
    }


def core_peak() -> float:
    """Return the core's peak in FLOP per second: the best of large matrix products."""
    best = 0.0
    for n in (384, 512, 768):
        a, b = torch.rand(n, n), torch.rand(n, n)
        x, y = a.numpy(), b.numpy()
        for product in (lambda a=a, b=b: a @ b, lambda x=x, y=y: x @ y):
            product()
            best = max(best, 2 * n**3 / min(_seconds(product) for _ in range(15)))
    return best


def bandwidth(n_bytes: int) -> float:
    """Return bytes per second of reading and writing that many bytes over and over."""
    x = np.ones(n_bytes // 4, dtype=np.float32)
    factor = np.float32(1.0)

    def pass_over() -> None:
        for _ in range(100):
            np.multiply(x, factor, out=x)

    pass_over()
    return 100 * 2 * x.nbytes / min(_seconds(pass_over) for _ in range(15))


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def measure(
    calls: dict[str, Callable[[int], None]], *, n_rounds: int, repeat: int
) -> dict[str, float]:
    """Return the microseconds of each stage, the stages in turn, in its fastest round.

    The fastest, as for the limits: what a stage costs, without what the machine does besides.
    """
    for call in calls.values():
        call(repeat)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(n_rounds):
        for name, call in calls.items():
            times[name].append(_seconds(lambda call=call: call(repeat)) / repeat * 1e6)
    return {name: min(taken) for name, taken in times.items()}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    options = parser(__doc__)
    options.add_argument("--model", choices=list(SIZES), default="ConvNN_1")
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--repeat", type=int, default=2000, help="calls of a stage per round")
    chosen = options.parse_args(argv)
    warn_if_busy()
    pin(bench_core())
    torch.set_num_threads(1)
    images, labels = load_part(chosen.data)
    data = FitData(images, labels, images[:0], labels[:0])
    base = dataclasses.replace(BASELINE, model=chosen.model, n_epochs=1)
    measured = {}
    for state, lr in (("fresh", 0.0), ("trained", base.lr)):  # lr 0: the weights stay as drawn
        calls = stage_calls(dataclasses.replace(base, lr=lr), data)
        measured[state] = measure(calls, n_rounds=chosen.rounds, repeat=chosen.repeat)
    fresh, trained = measured["fresh"], measured["trained"]
    n_parameters = count_parameters(build(chosen.model))
    alive = count_alive(chosen.model, data)
    table = work(SIZES[chosen.model], n_parameters, alive)
    peak, speed = core_peak(), bandwidth(3 * 4 * n_parameters)

    print(f"{chosen.model}; peak of the core {peak / 1e9:.0f} GFLOP/s (a matrix product),")
    print(f"bandwidth {speed / 1e9:.0f} GB/s (through {12 * n_parameters / 1024:.0f} KiB, as Adam)")
    print(
        f"for this image {alive[0]} of 8 channels, {alive[1]} hidden units and {alive[2]} winners"
    )
    print("of the second pooling are not zero in the fresh network\n")
    print(f"{'':<26}{'fresh':>7}{'trained':>9}{'FLOP':>10}{'bytes':>10}{'limit':>16}{'of it':>7}")
    rows, results, sums = [], {}, np.zeros(3)
    for name, (flop, n_bytes) in table.items():
        arithmetic, memory = flop / peak * 1e6, n_bytes / speed * 1e6
        limit, kind = max((arithmetic, "FLOP"), (memory, "memory"))
        sums += (fresh[name], trained[name], limit)
        print(
            f"{name:<26}{fresh[name]:>7.2f}{trained[name]:>9.2f}{flop:>10,}{n_bytes:>10,}"
            f"{limit:>9.2f} {kind:<6}{limit / fresh[name]:>7.0%}"
        )
        what = f"{chosen.model}: {name}"
        rows.append(Row(what, fresh[name], "µs", limit / fresh[name], chosen.rounds))
        rows.append(Row(f"{what}, after an epoch", trained[name], "µs", None, chosen.rounds))
        results[name] = {
            "fresh_us": fresh[name],
            "trained_us": trained[name],
            "flop": flop,
            "bytes": n_bytes,
            "arithmetic_limit_us": arithmetic,
            "memory_limit_us": memory,
        }
    print(f"{'sum':<26}{sums[0]:>7.2f}{sums[1]:>9.2f}{'':>20}{sums[2]:>9.2f} {'':<6}", end="")
    print(f"{sums[2] / sums[0]:>7.0%}")
    print("fresh: weights as drawn; trained: after an epoch, what died is passed over")
    rows.append(
        Row(f"{chosen.model}: sum of stages", sums[0], "µs", sums[2] / sums[0], chosen.rounds)
    )
    rows.append(Row(f"{chosen.model}: sum, after an epoch", sums[1], "µs", None, chosen.rounds))
    rows.append(Row("peak of one core", peak / 1e9, "GFLOP/s"))
    rows.append(Row("bandwidth, weights and moments", speed / 1e9, "GB/s"))
    results = {
        "model": chosen.model,
        "stages": results,
        "fresh_us": sums[0],
        "trained_us": sums[1],
        "limit_us": sums[2],
        "peak_gflops": peak / 1e9,
        "bandwidth_gbs": speed / 1e9,
    }
    write_results(
        "stages", rows, PACKAGES, table=chosen.table, json_file=chosen.json, results=results
    )


if __name__ == "__main__":
    main()
