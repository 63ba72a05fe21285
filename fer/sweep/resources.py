"""CPU threads and GPUs of one machine, divided among the jobs of a sweep."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from fer.core.gpu import get_cuda_visible_devices, list_gpus
from fer.core.system import resolve_thread_count


def compute_threads_per_job(at_once: int) -> int:
    """Compute the CPU threads of each of the jobs that run at the same time."""
    return max(1, resolve_thread_count(None) // at_once)


def _list_visible_gpus() -> list[str]:
    """List the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    devices = get_cuda_visible_devices()
    return [gpu.uuid for gpu in list_gpus()] if devices is None else devices


@contextmanager
def acquire_gpu(directory: Path, at_once: int) -> Iterator[dict[str, str]]:
    """Assign the GPU that the fewest jobs use, for the time of the block.

    Locks on files tell the jobs apart: they may be processes of any kind.

    Args:
        directory: The sweep's directory, in which the locks are.
        at_once: How many jobs run at the same time.

    Yields:
        The environment of the job; empty where there is but one GPU or one job at a time.
    """
    gpus = _list_visible_gpus()
    if len(gpus) < 2 or at_once < 2:
        yield {}
        return
    for slot in range(math.ceil(at_once / len(gpus))):
        for gpu in gpus:
            lock = FileLock(directory / f".{gpu}-{slot}.lock")
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
