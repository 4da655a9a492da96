"""Locking a forked guest into namespaces of its own: processes, mounts, network and shared memory.

The template already runs behind bubblewrap, as an unprivileged user, without network and without the course's secrets;
this keeps one submission from another. A fork with all of it costs some 15 ms.

    python -m sandbox.jail                   enclose one process, say nothing, exit 0 if that worked
"""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import syscalls

HOME = "/tmp/home"

# From <linux/sched.h>, <sys/mount.h>, <linux/prctl.h>, <linux/capability.h>; Python 3.11 has no os.unshare yet.
NEW_NS, NEW_UTS, NEW_IPC, NEW_USER, NEW_PID, NEW_NET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
NO_SUID, NO_DEV, NO_EXEC = 0x2, 0x4, 0x8
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
CAPABILITY_VERSION_3 = 0x20080522
LAST_CAPABILITY = 63


@dataclass(frozen=True)
class Rlimits:
    """Limits the kernel holds each process of a submission to. Sizes in bytes."""

    memory: int = 2 * 2**30  # address space on top of what the template has mapped
    processes: int = 64  # threads count as well
    files: int = 256
    file_size: int = 64 * 2**20
    disk: int = 128 * 2**20  # /tmp with the submission's HOME, and as much again in /dev/shm

    def pack(self) -> str:
        """As text, for the message that asks for a fork."""
        return ",".join(str(getattr(self, name)) for name in self.__dataclass_fields__)

    @classmethod
    def unpack(cls, text: str) -> Rlimits:
        """The inverse of `pack`."""
        return cls(*(int(word) for word in text.split(",")))


def enclose(limits: Rlimits, born: Callable[[], object] = lambda: None) -> None:
    """Enter fresh namespaces and return there as process 1, which begins with `born()`; the calling process stays
    behind, waits for it, and exits as it does.
    """
    user, group = os.getuid(), os.getgid()
    # Should the machine run out of memory, a submission goes, not the template or the grader.
    Path("/proc/self/oom_score_adj").write_text("1000")
    _call("unshare", NEW_USER | NEW_NS | NEW_PID | NEW_NET | NEW_IPC | NEW_UTS)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    # Without a map for the group, files on a tmpfs mounted here fail with EOVERFLOW.
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    if pid := os.fork():
        _exit_as(pid)
    born()
    os.setsid()  # where the kernel shares processor time by session, no submission takes another's
    _call("mount", b"proc", b"/proc", b"proc", NO_SUID | NO_DEV | NO_EXEC, None)
    for place, size in (("/tmp", limits.disk), ("/dev/shm", limits.disk)):
        _call("mount", b"tmpfs", place.encode(), b"tmpfs", NO_SUID | NO_DEV, f"size={size},nr_inodes=20k".encode())
    Path(HOME).mkdir()
    Path("/proc/sys/user/max_user_namespaces").write_text("0")  # no second try from inside
    _drop_capabilities()
    _limit(limits)
    syscalls.refuse()


def _exit_as(pid: int) -> None:
    status = 1
    try:
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:  # the template lets the kernel reap, and does not ask
        status = 0
    finally:
        os._exit(min(abs(status), 255))


def _drop_capabilities() -> None:
    for capability in range(LAST_CAPABILITY + 1):
        if syscalls.LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break  # past the last one this kernel knows
    _call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    _call("capset", header, (ctypes.c_uint32 * 6)())


def _limit(limits: Rlimits) -> None:
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for kind, value in (
        (resource.RLIMIT_AS, mapped + limits.memory),
        (resource.RLIMIT_NPROC, limits.processes),
        (resource.RLIMIT_NOFILE, limits.files),
        (resource.RLIMIT_FSIZE, limits.file_size),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
    ):
        most = resource.getrlimit(kind)[1]  # the machine's own, which nobody may exceed
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(kind, (value, value))


def _call(name: str, *arguments: object) -> None:
    if getattr(syscalls.LIBC, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    enclose(Rlimits())
