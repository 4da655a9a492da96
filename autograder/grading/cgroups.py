"""Totals that the kernel itself keeps: a control group for each submission, where this process may make some.

Version 2: in a subtree that was delegated to the grader, by systemd (`systemd-run --user --scope -p Delegate=yes course
grade`) or by a container with a writable /sys/fs/cgroup of its own. Version 1: where the controllers' folders can be
written to, which takes root. Sources: the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/, and
systemd's "Control Group APIs and Delegation".

What a group counts, it counts exactly: memory also in files, sockets and the kernel's own structures, processor time
also of processes that have ended unseen.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import math
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .supervisor import Totals

LEAF = "course-grader"  # where the grader itself moves: in version 2 a group has either processes or limited children
DELEGATED = ("user.delegate", "trusted.delegate")  # how systemd marks a group that somebody else may arrange
TRIES = 20  # at moving everybody into the leaf, while they start others

_numbers = itertools.count()
_left: list[Path] = []  # groups whose last process had not quite ended
_sweeping = threading.Lock()


@dataclass(frozen=True)
class Delegation:
    """Where groups can be made: one folder in version 2, one for each controller in version 1."""

    version: int
    memory: Path
    pids: Path
    cpu: Path

    def folders(self) -> list[Path]:
        """The folders, each once."""
        return list(dict.fromkeys((self.memory, self.pids, self.cpu)))


@cache
def delegation() -> Delegation | None:
    """Where this process may make groups; None where it may not. Looked up once, and what graders that were killed
    have left there is removed.
    """
    mounts, own = Path("/proc/self/mountinfo").read_text().splitlines(), Path("/proc/self/cgroup").read_text()
    with contextlib.suppress(OSError):  # a folder that says no when it comes to it
        found = _version_2(mounts, own.splitlines()) or _version_1(mounts, own.splitlines())
        if found is not None:
            _sweep_orphans(found)
            atexit.register(_sweep)
        return found
    return None


class ControlGroup:
    """One submission's group with `totals` and at most so many `processes`; raises OSError where it cannot be made."""

    def __init__(self, place: Delegation, totals: Totals, processes: int) -> None:
        _sweep()
        self.totals, self._place = totals, place
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
        for folder in self._place.folders():
            (folder / self._name / "cgroup.procs").write_text(str(pid))

    def excess(self) -> str:
        """What is used beyond the totals, in words; "" while all is well."""
        return self.totals.exceeded(math.inf if self._out_of_memory() else 0, self._cpu())

    def _out_of_memory(self) -> bool:
        """Whether the kernel has ended a process for want of memory."""
        file = "memory.events" if self._place.version == 2 else "memory.oom_control"
        return int(_fields(self._place.memory / self._name / file).get("oom_kill", 0)) > 0

    def _cpu(self) -> float:
        """Seconds of processor time."""
        folder = self._place.cpu / self._name
        if self._place.version == 2:
            return int(_fields(folder / "cpu.stat").get("usage_usec", 0)) / 1e6
        return int(_text(folder / "cpuacct.usage") or 0) / 1e9

    def close(self) -> None:
        """Remove the group. Its processes are somebody else's to end; what has not quite ended is removed later."""
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


def _version_2(mounts: list[str], own: list[str]) -> Delegation | None:
    folder = _folder(mounts, own, "")
    if folder is None:
        return None
    if folder.name == LEAF:  # this process, or one it descends from, has been here before
        folder = folder.parent
    whole = any(folder == point for point, _ in _mounted(mounts, ""))  # all that is seen: a container's own
    delegated = whole or any(_attribute(folder, name) == b"1" for name in DELEGATED)
    controllers = _text(folder / "cgroup.controllers").split()
    if not delegated or not {"memory", "pids"} <= set(controllers) or not os.access(folder, os.W_OK):
        return None
    return Delegation(2, folder, folder, folder) if _hand_down(folder) else None


def _hand_down(folder: Path) -> bool:
    """Have the children's memory and processes limited; the processes in `folder` itself move to a leaf for that."""
    control = folder / "cgroup.subtree_control"
    for _ in range(TRIES):
        if {"memory", "pids"} <= set(_text(control).split()):
            return True
        with contextlib.suppress(OSError):
            control.write_text("+memory +pids")
            continue
        leaf = folder / LEAF
        leaf.mkdir(exist_ok=True)
        for pid in _text(folder / "cgroup.procs").split():
            with contextlib.suppress(ProcessLookupError):
                (leaf / "cgroup.procs").write_text(pid)
    return False


def _version_1(mounts: list[str], own: list[str]) -> Delegation | None:
    folders = [_folder(mounts, own, controller) for controller in ("memory", "pids", "cpuacct")]
    if all(folder is not None and os.access(folder, os.W_OK) for folder in folders):
        return Delegation(1, *folders)  # type: ignore[arg-type]
    return None


def _folder(mounts: list[str], own: list[str], controller: str) -> Path | None:
    """This process's own group in the hierarchy of a controller, or for "" in that of version 2."""
    lines = [line.split(":", 2) for line in own]
    path = next((path for _, names, path in lines if controller in names.split(",")), None)
    if path is None:
        return None
    for point, root in _mounted(mounts, controller):
        if Path(path).is_relative_to(root):
            return point / Path(path).relative_to(root)
    return None


def _mounted(mounts: list[str], controller: str) -> Iterator[tuple[Path, str]]:
    """Where a hierarchy is mounted, and which of its groups is seen there."""
    for line in mounts:
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if (kind == "cgroup2") if not controller else (kind == "cgroup" and controller in options.split(",")):
            fields = before.split()
            yield Path(fields[4]), fields[3]


def _attribute(folder: Path, name: str) -> bytes:
    try:
        return os.getxattr(folder, name)
    except OSError:
        return b""


def _fields(path: Path) -> dict[str, str]:
    """A file of lines `name value`."""
    return dict(line.split(None, 1) for line in _text(path).splitlines() if " " in line)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
