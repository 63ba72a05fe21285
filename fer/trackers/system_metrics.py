"""What a training takes of its machine."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress

import psutil

QUERY_TIMEOUT_S = 10.0
MEBIBYTE = 1 << 20


class SystemMonitor:
    """Watches the process ``pid`` with all that it started, less this process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.nvidia_smi = shutil.which("nvidia-smi")
        self.last_sample_time, self.cpu_seconds = time.monotonic(), self._measure_usage()[0]

    def sample(self) -> dict[str, float]:
        """`cpu_percent` since the last call (100 is one core), `memory_mib`, and `gpu<N>_percent`, `gpu<N>_memory_mib`.

        Memory is what the processes hold resident; pages that two of them share count twice.
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
        """Use and memory of each NVIDIA GPU that the training may use."""
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        if self.nvidia_smi is None or visible in ("", "-1"):
            return
        command = [self.nvidia_smi, "--query-gpu=index,utilization.gpu,memory.used", "--format=csv,noheader,nounits"]
        try:
            completed = subprocess.run(
                [*command, *([f"--id={visible}"] if visible else [])],
                capture_output=True,
                text=True,
                timeout=QUERY_TIMEOUT_S,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            # A driver that does not answer now is not asked again: each try could take as long.
            self.nvidia_smi = None
            return
        for line in completed.stdout.splitlines():
            number, *values = line.split(", ")
            for name, value in zip(("percent", "memory_mib"), values, strict=True):
                # Some GPUs do not tell everything: "[N/A]".
                with suppress(ValueError):
                    yield f"gpu{number}_{name}", float(value)
