"""What the machine has."""

import os
from pathlib import Path

# The directory that holds the package: a checkout, or site-packages.
PROJECT_ROOT = Path(__file__).resolve().parents[2]


def resolve_thread_count(threads: int | None) -> int:
    """So many CPU threads, or one a core that this process may use."""
    return threads or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))
