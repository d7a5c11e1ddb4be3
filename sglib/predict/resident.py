"""Memory that a process holds and does not need."""

import ctypes
import functools
import re
import sys
from collections.abc import Iterable, Iterator

_DONTNEED = 4  # Linux's MADV_DONTNEED
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ \d+ *(.*)")
_GPU = re.compile(r"/nvidia/|/lib(torch_cuda|torch_hip|c10_cuda|cu[a-z]+|nv[a-zA-Z]+)[^/]*$")


@functools.cache  # once per process: start-up does not happen again
def release_gpu_code() -> None:
    """Give back the pages of the GPU libraries' code, of which a run on the CPU needs nothing more.

    Importing PyTorch with CUDA runs through over 100 MB of it. Were it run again, it would come
    back from the system's cache. Only code that is as on the disk is given back; where the system
    is not Linux, nothing.
    """
    if sys.platform != "linux":
        return
    try:
        with open("/proc/self/smaps") as file:
            found = list(_code(file))
        madvise = ctypes.CDLL(None).madvise
    except (OSError, AttributeError):
        return
    for start, end in found:
        madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _DONTNEED)


def _code(lines: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Yield start and end of the mappings of GPU libraries' code that nobody has written to."""
    mapping, dirty = None, 0
    for line in [*lines, "0-0 ---p 0 0 0 "]:
        if match := _MAPPING.match(line):
            if mapping is not None and not dirty:
                yield mapping
            start, end, rights, path = match.groups()
            is_code = rights == "r-xp" and _GPU.search(path)
            mapping, dirty = (int(start, 16), int(end, 16)) if is_code else None, 0
        elif line.startswith(("Private_Dirty:", "Shared_Dirty:", "Anonymous:")):
            dirty += int(line.split()[1])
