"""How this process keeps memory that it needs no more: large blocks go back to the system.

glibc takes to its own heaps what is freed often, up to 32 MiB a block, and a heap with one small
block at its end stays. Vectors of megabytes come and go in several threads: left to itself, an
aggregator stays a quarter larger than what it holds.

Rules: other C libraries are left as they are; where this cannot be set nothing else changes.
"""

from __future__ import annotations

import ctypes
import platform

_M_MMAP_THRESHOLD = -3  # malloc.h
_M_ARENA_MAX = -8
_BLOCK_BYTES = 1024 * 1024
_ARENAS = 2


def give_large_blocks_back() -> None:
    """Have blocks of 1 MiB or more returned as soon as they are freed, in this whole process."""
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _BLOCK_BYTES)
        mallopt(_M_ARENA_MAX, _ARENAS)
