"""What a training uses of its machine."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress

import psutil

from fer.core.gpu import MEBIBYTE, get_cuda_visible_devices, list_gpus


class SystemMonitor:
    """Watches the process ``pid`` with all that it started, except this process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.has_gpus = True
        self.last_sample_time, self.cpu_seconds = time.monotonic(), self._measure_usage()[0]

    def sample(self) -> dict[str, float]:
        """Measure `cpu_percent` since the last call (100 is one core), `memory_mib`, and each GPU.

        Memory is what the processes hold resident; pages that two of them share count twice. A GPU has
        `gpu<N>_percent` and `gpu<N>_memory_mib`, of all its processes.
        """
        now, (cpu_seconds, memory) = time.monotonic(), self._measure_usage()
        busy = max(cpu_seconds - self.cpu_seconds, 0) / max(now - self.last_sample_time, 1e-9)
        self.last_sample_time, self.cpu_seconds = now, cpu_seconds
        return {
            "cpu_percent": round(100 * busy, 1),
            "memory_mib": round(memory / MEBIBYTE, 1),
            **dict(self.iter_gpu_metrics()),
        }

    def _measure_usage(self) -> tuple[float, int]:
        """CPU seconds so far and bytes of memory."""
        seconds, memory = 0.0, 0
        with suppress(psutil.NoSuchProcess):
            local_pids = {os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))}
            watched = psutil.Process(self.pid)
            for process in (watched, *watched.children(recursive=True)):
                with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    if process.pid not in local_pids:
                        times = process.cpu_times()
                        seconds += times.user + times.system
                        memory += process.memory_info().rss
        return seconds, memory

    def iter_gpu_metrics(self) -> Iterator[tuple[str, float]]:
        """Yield use and memory of each NVIDIA GPU that the training may use."""
        if not self.has_gpus:
            return
        gpus, visible = list_gpus(), get_cuda_visible_devices()
        # A machine without GPUs, or with a driver that fails, is not asked again.
        self.has_gpus = bool(gpus)
        for gpu in gpus:
            if visible is None or str(gpu.index) in visible or gpu.uuid in visible:
                for name, value in (("percent", gpu.utilization_percent), ("memory_mib", gpu.memory_used_mib)):
                    if value is not None:
                        yield f"gpu{gpu.index}_{name}", value
