"""Processor time and memory of a command with all the processes that it starts, sandboxed ones among them.

Nobody waits for the processes of a sandbox, so only the kernel knows what they used: the command runs in a control
group of its own. Needs a place where groups can be made (`course doctor` says whether there is one).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from autograder.guard.cgroups import place

USAGE = "COURSE_BENCH_USAGE"  # the environment variable that names the file which counts


@dataclass(frozen=True)
class Spent:
    """What one command took: seconds by the wall, seconds of processor time, and peak memory in MiB."""

    seconds: float
    processor: float
    peak_mib: float


class Group:
    """A control group that counts processor time; a context manager."""

    def __init__(self) -> None:
        found = place()
        if found is None:
            raise SystemExit("control groups cannot be made here: `course doctor` says why")
        self.folder = found.cpu / f"course-bench-{os.getpid()}-{time.monotonic_ns()}"
        self.usage = self.folder / ("cpuacct.usage" if found.version == 1 else "cpu.stat")

    def __enter__(self) -> Self:
        self.folder.mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        for _ in range(100):  # a process that outlives its command has its time, too
            with contextlib.suppress(OSError):
                for folder in (*self.folder.glob("course-*"), self.folder):
                    folder.rmdir()
                return
            time.sleep(0.1)

    def enter(self) -> None:
        """Put the calling process in; called in the child."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))


def used(usage: Path) -> float:
    """Seconds of processor time that a group's file tells."""
    text = usage.read_text(encoding="utf-8").split()
    return int(text[1]) / 1e6 if text[0] == "usage_usec" else int(text[0]) / 1e9


def run(command: list[str], folder: Path, environment: Mapping[str, str], memory: bool = True) -> Spent:
    """Run a command to its end in a group of its own. Raises RuntimeError where it fails."""
    with Group() as group:
        start = time.perf_counter()
        process = psutil.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environment, USAGE: str(group.usage)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=group.enter,
        )
        peak, done = [0.0], threading.Event()

        def watch() -> None:
            while not done.wait(1.0):  # adding up a process's memory takes the kernel some milliseconds
                peak[0] = max(peak[0], _memory(process))

        watcher = threading.Thread(target=watch)
        if memory:
            watcher.start()
        _, said = process.communicate()
        seconds, processor = time.perf_counter() - start, used(group.usage)
        done.set()
        if memory:
            watcher.join()
        if process.returncode not in (0, 1):
            raise RuntimeError(f"{command[:4]} failed: {said[-2000:]}")
        return Spent(seconds, processor, peak[0])


def _memory(process: psutil.Popen) -> float:
    total = 0.0
    try:
        for one in [process, *process.children(recursive=True)]:
            try:
                total += one.memory_full_info().pss / 2**20
            except psutil.Error:
                continue
    except psutil.Error:
        pass
    return total
