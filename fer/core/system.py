"""The resources of this machine."""

import os


def resolve_thread_count(threads: int | None) -> int:
    """Return ``threads``, or where it is None the number of cores that this process may use."""
    return threads or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))
