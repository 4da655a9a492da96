"""Totals that the kernel itself keeps: a control group (cgroup) for each submission, where `delegation` has a place.

What a group counts, it counts exactly: memory also in files and in the kernel's own structures, processor time also of
processes that have ended unseen.
"""

from __future__ import annotations

import atexit
import itertools
import math
import os
import threading
from functools import cache
from pathlib import Path

from .accounts import text, waiting_in_sockets
from .delegation import Delegation, look, take_over
from .supervisor import Totals

FULL = 0.95  # of the limit: version 1 counts no hits, and the last pages come in batches

_numbers = itertools.count()
_left: list[Path] = []  # groups whose last process had not quite ended
_sweeping = threading.Lock()


@cache
def place() -> Delegation | None:
    """Where this process makes its groups; None where it cannot. Made ready once, without what killed graders left."""
    found = look()
    try:
        if found is None or not take_over(found):
            return None
        _sweep_orphans(found)
    except OSError:  # a folder that says no when it comes to it
        return None
    atexit.register(_sweep)
    return found


class ControlGroup:
    """One submission's group with `totals` and at most so many `processes`; raises OSError where it cannot be made."""

    def __init__(self, place: Delegation, totals: Totals, processes: int) -> None:
        _sweep()
        self.totals, self._place, self._pid = totals, place, 0
        self._name = f"course-{os.getpid()}-{next(_numbers)}"
        try:
            for folder in place.folders():
                (folder / self._name).mkdir()
            self._limit(processes)
        except OSError:
            self.close()
            raise

    def _limit(self, processes: int) -> None:
        memory, pids = self._place.memory / self._name, self._place.pids / self._name
        if self._place.version == 2:
            (memory / "memory.max").write_text(str(self.totals.memory))
            (memory / "memory.oom.group").write_text("1")  # all of it goes, or nothing
            swap = memory / "memory.swap.max", "0"
        else:
            (memory / "memory.limit_in_bytes").write_text(str(self.totals.memory))
            swap = memory / "memory.memsw.limit_in_bytes", str(self.totals.memory)
        if swap[0].exists():  # a kernel may have no account of swap
            swap[0].write_text(swap[1])
        (pids / "pids.max").write_text(str(processes))

    def take(self, pid: int) -> None:
        """Put a process in; what it starts from now on is in as well, and memory counts from now on."""
        self._pid = pid
        for folder in self._place.folders():
            (folder / self._name / "cgroup.procs").write_text(str(pid))

    def excess(self) -> str:
        """What is used beyond the totals, in words; "" while all is well."""
        # What waits in some kinds of sockets is on no group's account.
        memory = math.inf if self._out_of_memory() else waiting_in_sockets(self._pid)
        return self.totals.exceeded(memory, self._cpu())

    def _out_of_memory(self) -> bool:
        """Whether the kernel has ended a process at this group's own limit, not at one above it or the machine's."""
        folder = self._place.memory / self._name
        if self._place.version == 2:
            events = _fields(folder / "memory.events")
            return int(events.get("oom", 0)) > 0 and int(events.get("oom_kill", 0)) > 0
        most = int(text(folder / "memory.max_usage_in_bytes") or 0)
        full = most > FULL * self.totals.memory
        return full and int(_fields(folder / "memory.oom_control").get("oom_kill", 0)) > 0

    def _cpu(self) -> float:
        """Seconds of processor time."""
        folder = self._place.cpu / self._name
        if self._place.version == 2:
            return int(_fields(folder / "cpu.stat").get("usage_usec", 0)) / 1e6
        return int(text(folder / "cpuacct.usage") or 0) / 1e9

    def demand(self) -> float:
        """Seconds of processor time used in all."""
        return self._cpu()

    def close(self) -> None:
        """Remove the group. Its processes are somebody else's to end; what has not quite ended is removed later."""
        with _sweeping:
            _left.extend(folder / self._name for folder in self._place.folders())
        _sweep()


def _sweep() -> None:
    """Remove the groups that are empty by now."""
    with _sweeping:
        _left[:] = [group for group in _left if not _removed(group)]


def _removed(group: Path) -> bool:
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _sweep_orphans(place: Delegation) -> None:
    for folder in place.folders():
        for group in folder.glob("course-*-*"):
            pid = group.name.split("-")[1]
            if pid.isdigit() and not Path("/proc", pid).exists():
                _removed(group)


def _fields(path: Path) -> dict[str, str]:
    """A file of lines `name value`."""
    return dict(line.split(None, 1) for line in text(path).splitlines() if " " in line)
