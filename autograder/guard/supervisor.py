"""Watching what one submission uses in all: what rlimits hold per process, this holds for all its processes together.

Where the kernel may be asked to keep totals (`cgroups`), they are exact. Elsewhere a look every 50 ms at the
submission's process tree does the same to within that time. Everything a submission starts stays a descendant of its
first process, which is process 1 of its own namespace, so ending that one ends them all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .accounts import memory, processor_time, tree, waiting_in_sockets


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

    def demand(self) -> float:
        """Seconds of processor time that all its processes have used, or would have."""

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
        self._base = memory(pid)
        self._cpu: dict[int, float] = {}
        self._looked = 0  # of other processes at a look: short ones come and go between two

    def excess(self) -> str:
        """What is used beyond the totals, in words; "" while all is well."""
        pids = tree(self.pid)
        held = sum(max(0, memory(pid) - self._base) for pid in pids) + waiting_in_sockets(self.pid)
        self._looked += sum(pid not in self._cpu for pid in pids if pid != self.pid)
        for pid in pids:
            self._cpu[pid] = max(self._cpu.get(pid, 0.0), processor_time(pid))
        return self.totals.exceeded(held, sum(self._cpu.values()))

    def demand(self) -> float:
        """Seconds of processor time: what was seen of processes, and a look's length for each that was new at one."""
        return sum(self._cpu.values()) + self._looked * self.totals.period

    def close(self) -> None:
        """Nothing was set up."""
