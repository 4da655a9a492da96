"""Wall and processor time of a piece of work, and the machine it ran on."""

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import torch

PACKAGES = (
    "torch",
    "torchvision",
    "diffusers",
    "accelerate",
    "lightning",
    "denoising-diffusion-pytorch",
    "ema-pytorch",
)


class Spent(NamedTuple):
    """Seconds of wall time, and of processor time of all threads and of child processes that have ended."""

    wall: float
    cpu: float


def spent(work: Callable[[], object], device: torch.device) -> Spent:
    """What `work` takes, until the device has finished with it."""
    gc.collect()
    _wait(device)
    before, started = os.times(), time.perf_counter()
    work()
    _wait(device)
    wall, after = time.perf_counter() - started, os.times()
    return Spent(wall, sum(after[:4]) - sum(before[:4]))


def quartiles(values: list[float]) -> tuple[float, float]:
    """The first and the third; of one value, which a run that was cut off may leave, that value twice."""
    if len(values) == 1:
        return values[0], values[0]
    first, _, last = statistics.quantiles(values, n=4)
    return first, last


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def machine(device: torch.device) -> dict[str, Any]:
    """Processor, cores, threads in use, device."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "system": platform.system(),
    }


def versions() -> dict[str, str]:
    """Python's and the installed packages'."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
