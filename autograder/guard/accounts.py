"""What the kernel tells of processes: /proc, read afresh at every call. A process that has gone uses nothing."""

from __future__ import annotations

import os
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
SOCKET = 208 * 2**10  # bytes that a socket holds at most, unread


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
            todo += [int(child) for child in text(task / "children").split()]
    return found


def memory(pid: int) -> int:
    """Bytes of anonymous and shared memory a process has touched."""
    wanted = ("RssAnon:", "RssShmem:")
    lines = text(Path(f"/proc/{pid}/status")).splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(wanted))


def waiting_in_sockets(pid: int) -> int:
    """Bytes that may wait in the sockets of a process's network namespace; to its tree they are nobody's memory."""
    fields = text(Path(f"/proc/{pid}/net/sockstat")).partition("\n")[0].split()
    return int(fields[2]) * SOCKET if len(fields) > 2 and fields[2].isdigit() else 0


def processor_time(pid: int) -> float:
    """Processor seconds of a process and of its children that it has waited for."""
    fields = text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / TICK if len(fields) > 15 else 0.0


def text(path: Path) -> str:
    """What a file of the kernel's says; "" where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
