"""Where this process may make control groups: the folders that the kernel, a container or systemd hands to it.

Version 2: what systemd delegated (`systemd-run --user --scope -p Delegate=yes course grade`), or the whole hierarchy
that a container has of its own. Version 1: as root on a machine or in a container without systemd, which would put
processes back. Sources: the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/, and systemd's "Control
Group APIs and Delegation".
"""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .accounts import text

LEAF = "course-grader"  # where the grader itself moves: in version 2 a group has either processes or limited children
MARKS = ("user.delegate", "trusted.delegate")  # how the system's systemd marks what it has delegated
TRIES = 20  # at moving everybody into the leaf, while they start others
SYSTEMD = Path("/run/systemd/system")  # there where systemd runs: sd_booted(3)


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


def look() -> Delegation | None:
    """Where this process may make groups; None where it may not. Changes nothing."""
    mounts, own = text(Path("/proc/self/mountinfo")).splitlines(), text(Path("/proc/self/cgroup")).splitlines()
    return version_2(mounts, own) or version_1(mounts, own)


def take_over(place: Delegation) -> bool:
    """Make the place ready for groups; whether that worked.

    Version 2 limits the children of a group only when it has no processes itself, so those move to a leaf.
    """
    if place.version == 1:
        return True
    control, leaf = place.memory / "cgroup.subtree_control", place.memory / LEAF
    for _ in range(TRIES):
        if {"memory", "pids"} <= set(text(control).split()):
            return True
        try:
            control.write_text("+memory +pids")
        except OSError as error:
            if error.errno != errno.EBUSY:
                return False
            with contextlib.suppress(FileExistsError):
                leaf.mkdir()
            for pid in text(place.memory / "cgroup.procs").split():
                with contextlib.suppress(ProcessLookupError):
                    (leaf / "cgroup.procs").write_text(pid)
    return False


def version_2(mounts: list[str], own: list[str]) -> Delegation | None:
    """The place by the lines of /proc/self/mountinfo and /proc/self/cgroup."""
    folder = _folder(mounts, own, "")
    if folder is None:
        return None
    if folder.name == LEAF:  # this process, or one it descends from, has been here before
        folder = folder.parent
    controllers = text(folder / "cgroup.controllers").split()
    if not {"memory", "pids"} <= set(controllers) or not os.access(folder, os.W_OK):
        return None
    whole = any(folder == point for point, _ in _mounted(mounts, ""))  # all that is seen: a container's own
    return Delegation(2, folder, folder, folder) if whole or _delegated(folder) else None


def version_1(mounts: list[str], own: list[str]) -> Delegation | None:
    """As `version_2`."""
    folders = [_folder(mounts, own, controller) for controller in ("memory", "pids", "cpuacct")]
    if SYSTEMD.is_dir() or not all(folder is not None and os.access(folder, os.W_OK) for folder in folders):
        return None
    return Delegation(1, *folders)  # type: ignore[arg-type]


def _delegated(folder: Path) -> bool:
    """Whether systemd has handed this group to whoever runs in it. A user's own systemd marks nothing: it is asked."""
    for mark in MARKS:
        with contextlib.suppress(OSError):
            if os.getxattr(folder, mark) == b"1":
                return True
    if folder.suffix not in (".scope", ".service"):
        return False
    line = ["systemctl", "--user", "show", "--property=Delegate", "--value", "--", folder.name]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(line, capture_output=True, text=True, timeout=5, check=False).stdout.strip() == "yes"
    return False


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
