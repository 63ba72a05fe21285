"""PyTorch's operators in a few steps of a training."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from fer.core.io import atomic_write
from fer.reports.profile import Operator

# Fields of a trace that say where it was written, not what was done.
MACHINE_NAMES = ("host_name", "traceName")


@dataclass(frozen=True)
class OperatorSummary:
    """The operators of the traced steps.

    Attributes:
        operators: Every operator, unordered.
        seconds: Time of the traced steps.
        device_busy: Fraction of it in which the device computed; None on a CPU.
    """

    operators: list[Operator]
    seconds: float
    device_busy: float | None


class OperatorTrace:
    """Records operators between ``start`` and ``stop``.

    Args:
        device: ``cpu``, ``cuda`` or ``mps``; of mps the CPU's side alone is recorded.
    """

    def __init__(self, device: str) -> None:
        # It would print when it begins and ends, and that a CPU is no GPU.
        os.environ.setdefault("KINETO_LOG_LEVEL", "6")
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device == "cuda" else [])]
        self._profile = profile(activities=activities, acc_events=True)
        self._has_device = device == "cuda"
        self._start = 0.0
        self.seconds = 0.0
        self.active = False
        self.recorded = False

    def start(self) -> None:
        """Begin to record."""
        self._profile.start()
        self.active = True
        self._start = time.perf_counter()

    def stop(self) -> None:
        """End to record."""
        self.seconds = time.perf_counter() - self._start
        self.active = False
        self._profile.stop()
        self.recorded = True

    def summarize(self) -> OperatorSummary:
        """Sum up what was recorded, by operator."""
        operators, kernels_us = [], 0.0
        for average in self._profile.key_averages():
            if average.is_user_annotation:
                continue
            if average.device_type != DeviceType.CPU:
                kernels_us += average.self_device_time_total
                continue
            operators.append(
                Operator(
                    average.key,
                    average.count,
                    average.self_cpu_time_total / 1e6,
                    average.self_device_time_total / 1e6 if self._has_device else None,
                )
            )
        # A machine may forbid to watch its GPU.
        busy = min(kernels_us / 1e6 / self.seconds, 1.0) if kernels_us else None
        return OperatorSummary(operators, self.seconds, busy)

    def write(self, path: Path) -> None:
        """Write the trace for Perfetto or chrome://tracing."""
        with atomic_write(path) as temporary:
            self._profile.export_chrome_trace(str(temporary))
            content = json.loads(temporary.read_text(encoding="utf-8"))
            for name in MACHINE_NAMES:
                content.pop(name, None)
            temporary.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")
