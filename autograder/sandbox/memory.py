"""What malloc does with memory that is freed, in the template and its forks.

What a figure or a tensor of some megabytes took is kept for the next one. Handed back to the kernel, the next would get
it page by page, each with an interrupt.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

# M_TRIM_THRESHOLD, M_TOP_PAD and M_MMAP_THRESHOLD of <malloc.h>, in bytes; the last is as large as glibc takes.
KEEPING = {-1: 2**30, -2: 16 * 2**20, -3: 32 * 2**20}


def keep_what_is_freed() -> None:
    """Have malloc hand nothing back that the next one will want."""
    libc = ctypes.CDLL(None)
    with suppress(AttributeError):  # another C library's
        for parameter, value in KEEPING.items():
            libc.mallopt(parameter, value)
