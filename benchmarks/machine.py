"""What the machine gives: memory of this process and the rate of its matrix products."""

import resource
import statistics
import sys
import time
from pathlib import Path

import torch

MIB = 2**20
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def resident() -> float:
    """Memory of this process that is in RAM now, in MiB (elsewhere than on Linux: at its peak)."""
    return _memory("VmRSS")


def peak() -> float:
    """The most that was in RAM since the start or :func:`reset_peak`, in MiB.

    Not ``ru_maxrss`` where it can be avoided: Linux lets a child inherit its parent's.
    """
    return _memory("VmHWM")


def reset_peak() -> bool:
    """Starts the peak anew at what is in RAM now, where the system allows it."""
    try:
        _CLEAR.write_text("5", "utf-8")
    except OSError:
        return False
    return True


def _memory(field: str) -> float:
    if _STATUS.exists():
        for line in _STATUS.read_text("utf-8").splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage / (MIB if sys.platform == "darwin" else 1024)


class Stages:
    """The peak of memory of each stage of a process's work.

    Attributes:
        peaks: by stage, MiB.
        apart: whether each stage's peak is its own; otherwise it is that of all stages so far.
    """

    def __init__(self) -> None:
        self.peaks: dict[str, float] = {}
        self.apart = reset_peak()

    def end(self, stage: str) -> None:
        """What was going on since the last stage ended was ``stage``."""
        self.peaks[stage] = peak()
        reset_peak()


def matmul_rate(threads: int, size: int = 2048, repeats: int = 5) -> float:
    """GFLOP/s of a float32 product of two square matrices, the median of several after a warm-up."""
    torch.set_num_threads(threads)
    a, b, out = torch.rand(size, size), torch.rand(size, size), torch.empty(size, size)
    seconds = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        torch.mm(a, b, out=out)
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / statistics.median(seconds[1:]) / 1e9
