"""Watching what one submission uses in all: what rlimits hold per process, this holds for all its processes together.

Where the kernel may be asked to keep totals (`cgroups`), they are exact. Elsewhere a look every 50 ms at the
submission's process tree does the same to within that time. Everything a submission starts stays a descendant of its
first process, which is process 1 of its own namespace, so ending that one ends them all.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

TICK = os.sysconf("SC_CLK_TCK")
SOCKET = 208 * 2**10  # bytes that a socket holds at most, unread


@dataclass(frozen=True)
class Totals:
    """What all processes of one submission may use together."""

    memory: int = 3 * 2**30  # bytes, on top of what the template already had
    cpu: float = 600.0  # seconds
    period: float = 0.05  # seconds between two looks

    def exceeded(self, memory: float, cpu: float) -> str:
        """Which total so many bytes and seconds exceed, in words; "" when none."""
        if memory > self.memory:
            return f"it used more than {self.memory / 2**30:.2g} GiB of memory in all"
        if cpu > self.cpu:
            return f"it used more than {self.cpu:g} s of processor time in all"
        return ""


class Meter(Protocol):
    """Something that knows what a submission uses."""

    def excess(self) -> str:
        """What is used beyond the totals, in words; "" while all is well."""

    def close(self) -> None:
        """Measure no more."""


class Supervisor:
    """A thread that calls `end(reason)` once, when the meter finds more used than the totals allow."""

    def __init__(self, meter: Meter, period: float, end: Callable[[str], None]) -> None:
        self.meter, self._period, self._end = meter, period, end
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="supervisor")
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(self._period):
            if reason := self.meter.excess():
                self._end(reason)
                return


class Tree:
    """The meter that needs nobody's leave: adds up what the processes under `pid` use."""

    def __init__(self, pid: int, totals: Totals) -> None:
        self.pid, self.totals = pid, totals
        self._base = _memory(pid)
        self._cpu: dict[int, float] = {}

    def excess(self) -> str:
        """What is used beyond the totals, in words; "" while all is well."""
        pids = tree(self.pid)
        memory = sum(max(0, _memory(pid) - self._base) for pid in pids) + _sockets(self.pid) * SOCKET
        for pid in pids:
            self._cpu[pid] = max(self._cpu.get(pid, 0.0), _cpu(pid))
        return self.totals.exceeded(memory, sum(self._cpu.values()))

    def close(self) -> None:
        """Nothing was set up."""


def tree(pid: int) -> list[int]:
    """`pid` and all its living descendants."""
    found, todo = [], [pid]
    while todo:
        here = todo.pop()
        found.append(here)
        try:
            tasks = list(Path(f"/proc/{here}/task").iterdir())
        except OSError:
            continue
        for task in tasks:
            todo += [int(child) for child in _text(task / "children").split()]
    return found


def _memory(pid: int) -> int:
    """Bytes of anonymous and shared memory a process has touched."""
    wanted = ("RssAnon:", "RssShmem:")
    lines = _text(Path(f"/proc/{pid}/status")).splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(wanted))


def _sockets(pid: int) -> int:
    """How many sockets there are in a process's network namespace: what waits in them is nobody's memory."""
    fields = _text(Path(f"/proc/{pid}/net/sockstat")).partition("\n")[0].split()
    return int(fields[2]) if len(fields) > 2 and fields[2].isdigit() else 0


def _cpu(pid: int) -> float:
    """Processor seconds of a process and of its children that it has waited for."""
    fields = _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / TICK if len(fields) > 15 else 0.0


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
