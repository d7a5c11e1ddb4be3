import re
import subprocess
import sys

import pytest
import torch

from sglib.predict.resident import _code

SMAPS = """\
1000-3000 r-xp 00000000 08:01 42 /lib/nvidia/cu13/a.so
Rss:                   8 kB
Private_Dirty:         0 kB
Anonymous:             0 kB
3000-4000 r--p 00002000 08:01 42 /lib/nvidia/cu13/a.so
Private_Dirty:         0 kB
5000-6000 r-xp 00000000 08:01 43 /lib/nvidia/written-to.so
Private_Dirty:         4 kB
7000-8000 r-xp 00000000 00:00 0 [vdso]
Private_Dirty:         0 kB
9000-a000 r-xp 00000000 08:01 44 /torch/lib/libtorch_cuda.so
Private_Dirty:         0 kB
b000-c000 r-xp 00000000 08:01 45 /torch/lib/libtorch_cpu.so
Private_Dirty:         0 kB
"""


def test_only_gpu_code_as_on_disk() -> None:
    assert list(_code(SMAPS.splitlines())) == [(0x1000, 0x3000), (0x9000, 0xA000)]


@pytest.mark.skipif(
    sys.platform != "linux" or torch.version.cuda is None, reason="PyTorch with CUDA on Linux"
)
def test_memory_becomes_less_and_the_code_still_runs() -> None:
    program = """
import torch
from sglib.predict.resident import release_gpu_code
def resident():
    return next(line for line in open("/proc/self/status") if line.startswith("RssFile:"))
print(resident()); release_gpu_code(); print(resident())
print(float(torch.ones(3, 3).mm(torch.ones(3, 3)).sum()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    before, after, total = re.findall(r"[\d.]+", done.stdout.decode())
    assert int(after) < 0.7 * int(before)
    assert float(total) == 27
