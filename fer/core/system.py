"""The resources of this machine."""

import ctypes
import os

# Parameters of glibc's mallopt, and the largest value that one takes.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _LARGEST = -1, -4, 2**31 - 1


def resolve_thread_count(threads: int | None) -> int:
    """Return ``threads``, or where it is None the number of cores that this process may use."""
    return threads or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))


def keep_freed_memory() -> None:
    """Keep the memory that this process frees, for its next need.

    By itself glibc takes the memory of each large tensor from the system and gives it back, page by page: a third of a
    network's time on a CPU, and more. The process keeps its peak until it ends. Other systems' C libraries are left as
    they are.
    """
    if adjust := getattr(ctypes.CDLL(None), "mallopt", None):
        adjust(_M_MMAP_MAX, 0)
        adjust(_M_TRIM_THRESHOLD, _LARGEST)
