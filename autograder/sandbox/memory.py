"""How the template and its forks hold memory, so that the kernel has less to do for each.

In pages of 2 MiB a fork copies one entry of a table for each, where it copies 512 for small ones, and so does its end:
a template of 300 MiB is forked in a third of the time. And what a figure or a tensor of some megabytes took is kept for
the next one; handed back, the next would get it page by page, each with an interrupt.
"""

from __future__ import annotations

import ctypes
import re
from contextlib import suppress
from pathlib import Path

COLLAPSE = 25  # MADV_COLLAPSE of <asm-generic/mman-common.h>, since Linux 6.1
LARGE = 2 * 2**20
# Of /proc/PID/maps: memory that is this process's alone and in no file, Python's and malloc's.
OWN = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) rw-p [0-9a-f]+ \S+ 0\s*(?:\[heap\])?$", re.M)
# M_TRIM_THRESHOLD, M_TOP_PAD and M_MMAP_THRESHOLD of <malloc.h>, in bytes; the last is as large as glibc takes.
KEEPING = {-1: 2**30, -2: 16 * 2**20, -3: 32 * 2**20}


def keep_what_is_freed() -> None:
    """Have malloc hand nothing back that the next one will want."""
    libc = ctypes.CDLL(None)
    with suppress(AttributeError):  # another C library's
        for parameter, value in KEEPING.items():
            libc.mallopt(parameter, value)


def gather() -> None:
    """Put what this process holds by now into large pages, as far as the kernel has some; nothing else changes."""
    advise = ctypes.CDLL(None).madvise
    for found in OWN.finditer(Path("/proc/self/maps").read_text()):
        start, end = -(-int(found[1], 16) // LARGE) * LARGE, int(found[2], 16) // LARGE * LARGE
        if start < end:
            advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), COLLAPSE)
