"""Sharing one machine among the jobs of a sweep: CPU threads and GPUs."""

import math
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from fer.core.system import thread_count


def threads_each(at_once: int) -> int:
    """CPU threads of each of so many jobs that run at the same time."""
    return max(1, thread_count(None) // at_once)


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    if (chosen := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in chosen.split(",") if name]
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return listed.stdout.split() if listed.returncode == 0 else []


@contextmanager
def own_gpu(place: Path, at_once: int) -> Iterator[dict[str, str]]:
    """The environment that gives a program the GPU that the fewest of the jobs at ``place`` have, for the block's time.

    Empty where there is but one to choose. Locks on files tell the jobs apart: they may be processes of any kind.
    """
    gpus = visible_gpus()
    if len(gpus) < 2 or at_once < 2:
        yield {}
        return
    for share in range(math.ceil(at_once / len(gpus))):
        for gpu in gpus:
            lock = FileLock(place / f".{gpu}-{share}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                yield {"CUDA_VISIBLE_DEVICES": gpu}
            finally:
                lock.release()
            return
    yield {"CUDA_VISIBLE_DEVICES": gpus[0]}
