"""A seccomp filter: the system calls that no lesson needs and that namespaces and rlimits do not cover.

What is refused, and why: memory that belongs to no process and so escapes every limit (memfd_create, System V shared
memory); sockets of families that know no network namespace (vsock reaches the host of a virtual machine); locks,
leases, hints and watches on files, which another submission would see on the files and devices that all share (flock,
inotify, every command of fcntl but those for descriptors and pipes); and parts of the kernel that are new, privileged
or have a record of holes (io_uring, bpf, perf, userfaultfd, keyrings, ptrace, mounts and namespaces). A refused call
fails with EPERM, as it may on any machine, so libraries fall back.

The filter is classic BPF: a list of (code, jump if true, jump if false, constant), read from <linux/filter.h>.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

PR_SET_SECCOMP, FILTER = 22, 2
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
NUMBER, ARCHITECTURE, FIRST, SECOND = 0, 4, 16, 24  # offsets into struct seccomp_data; of 64 bits, the lower half
FOREIGN = 0x40000000  # x32's numbers begin here
# AF_UNIX, AF_INET, AF_INET6: each belongs to a network namespace. What waits in others' is on nobody's account.
FAMILIES = (1, 2, 10)
# F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_SETOWN, F_GETOWN, F_DUPFD_CLOEXEC, F_SETPIPE_SZ, F_GETPIPE_SZ
COMMANDS = (0, 1, 2, 3, 4, 8, 9, 1030, 1031, 1032)

# machine: (the kernel's name for it, the numbers of socket and fcntl, the numbers that are refused), <asm/unistd.h>.
_X86 = {
    "memfd_create": 319, "memfd_secret": 447, "shmget": 29, "shmat": 30, "msgget": 68, "semget": 64,
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "bpf": 321, "perf_event_open": 298,
    "userfaultfd": 323, "add_key": 248, "request_key": 249, "keyctl": 250, "ptrace": 101, "process_vm_readv": 310,
    "process_vm_writev": 311, "kcmp": 312, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161,
    "unshare": 272, "setns": 308, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsmount": 432,
    "mount_setattr": 442, "open_by_handle_at": 304, "name_to_handle_at": 303, "fanotify_init": 300, "quotactl": 179,
    "acct": 163, "swapon": 167, "reboot": 169, "init_module": 175, "finit_module": 313, "kexec_load": 246,
    "syslog": 103, "personality": 135, "modify_ldt": 154, "vhangup": 153, "landlock_create_ruleset": 444,
    "flock": 73, "inotify_init": 253, "inotify_add_watch": 254, "inotify_init1": 294,
}  # fmt: skip
_ARM = {
    "memfd_create": 279, "memfd_secret": 447, "shmget": 194, "shmat": 196, "msgget": 186, "semget": 190,
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "bpf": 280, "perf_event_open": 241,
    "userfaultfd": 282, "add_key": 217, "request_key": 218, "keyctl": 219, "ptrace": 117, "process_vm_readv": 270,
    "process_vm_writev": 271, "kcmp": 272, "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51,
    "unshare": 97, "setns": 268, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsmount": 432,
    "mount_setattr": 442, "open_by_handle_at": 265, "name_to_handle_at": 264, "fanotify_init": 262, "quotactl": 60,
    "acct": 89, "swapon": 224, "reboot": 142, "init_module": 105, "finit_module": 273, "kexec_load": 104,
    "syslog": 116, "personality": 92, "vhangup": 58, "landlock_create_ruleset": 444,
    "flock": 32, "inotify_init1": 26, "inotify_add_watch": 27,
}  # fmt: skip

# One line of a filter, struct sock_filter.
LINE = struct.Struct("HBBI")
LIBC = ctypes.CDLL(None, use_errno=True)
MACHINES = {"x86_64": (0xC000003E, 41, 72, _X86), "aarch64": (0xC00000B7, 198, 25, _ARM)}


def refuse() -> None:
    """Put the filter on this process and all it will start; needs no_new_privs. On another machine nothing happens."""
    if not CODE:
        return
    header = struct.pack("HxxxxxxP", len(CODE) // LINE.size, ctypes.cast(ctypes.c_char_p(CODE), ctypes.c_void_p).value)
    if LIBC.prctl(PR_SET_SECCOMP, FILTER, ctypes.c_char_p(header), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the kernel takes no seccomp filter")


def _program(machine: int, socket: int, fcntl: int, refused: dict[str, int]) -> list[tuple[int, int, int, int]]:
    return [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, machine),
        (RETURN, 0, 0, REFUSE),  # another machine's calls (int 0x80), whose numbers mean something else
        (LOAD, 0, 0, NUMBER),
        (AT_LEAST, 0, 1, FOREIGN),
        (RETURN, 0, 0, REFUSE),
        *(line for number in refused.values() for line in ((EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSE))),
        *_only(socket, FIRST, FAMILIES),
        *_only(fcntl, SECOND, COMMANDS),
        (RETURN, 0, 0, ALLOW),
    ]


def _only(number: int, argument: int, allowed: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
    """Of this call, only those with one of these values of the argument; the call's number is loaded before."""
    count = len(allowed)
    return [
        (EQUAL, 0, count + 3, number),
        (LOAD, 0, 0, argument),
        *((EQUAL, count - i, 0, value) for i, value in enumerate(allowed)),
        (RETURN, 0, 0, REFUSE),
        (RETURN, 0, 0, ALLOW),
    ]


# Before any fork.
CODE = (
    b"".join(LINE.pack(*line) for line in _program(*MACHINES[platform.machine()]))
    if platform.machine() in MACHINES
    else b""
)
