"""What a training takes of its machine, and what it may see of its GPUs."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from fer.core import gpu
from fer.trackers.system_metrics import SystemMonitor
from tests.helpers.paths import PROJECT

pytestmark = pytest.mark.slow

HELD = 200 << 20


def test_cpu_and_memory_are_those_of_the_process_and_its_children_but_the_watcher() -> None:
    """A process with two children: one holds memory and never rests, the other one holds more, and watches."""
    busy = f"held = bytearray({HELD})\nprint('held', flush=True)\nwhile True: pass"
    watch = (
        "import json, os, time; from fer.trackers.system_metrics import SystemMonitor\n"
        f"machine, mine = SystemMonitor(os.getppid()), bytearray({5 * HELD})\ntime.sleep(1)\n"
        "print(json.dumps(machine.sample()))"
    )
    watched = (
        "import subprocess, sys\n"
        f"busy = subprocess.Popen([sys.executable, '-c', {busy!r}], stdout=subprocess.PIPE)\n"
        f"busy.stdout.readline()\nsubprocess.run([sys.executable, '-c', {watch!r}])\nbusy.kill()"
    )
    done = subprocess.run([sys.executable, "-c", watched], cwd=PROJECT, capture_output=True, text=True, timeout=60)
    figures = json.loads(done.stdout)
    assert HELD < figures["memory_mib"] * 2**20 < 2 * HELD
    assert figures["cpu_percent"] > 1


class FakeDriver:
    """NVML with four GPUs of one GiB used; the last one does not tell how busy it is."""

    class NVMLError(Exception):
        pass

    nvmlMemory_v2 = 2
    answers = True

    def nvmlInit(self) -> None:
        if not self.answers:
            raise self.NVMLError

    def nvmlShutdown(self) -> None:
        pass

    def nvmlDeviceGetCount(self) -> int:
        return 4

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        return f"GPU-{handle}"

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> SimpleNamespace:
        if handle == 3:
            raise self.NVMLError
        return SimpleNamespace(gpu=87 + handle)

    def nvmlDeviceGetMemoryInfo(self, handle: int, version: int) -> SimpleNamespace:
        return SimpleNamespace(used=(1024 >> (handle == 3)) << 20)


def test_gpus_are_those_that_the_training_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = FakeDriver()
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,3")
    machine = SystemMonitor(1)
    assert dict(machine.iter_gpu_metrics()) == {"gpu0_percent": 87, "gpu0_memory_mib": 1024, "gpu3_memory_mib": 512}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1")
    assert dict(machine.iter_gpu_metrics()) == {"gpu1_percent": 88, "gpu1_memory_mib": 1024}
    for nothing in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", nothing)
        assert dict(machine.iter_gpu_metrics()) == {}
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert len(dict(machine.iter_gpu_metrics())) == 7
    driver.answers = False
    assert dict(machine.iter_gpu_metrics()) == {}
    assert not machine.has_gpus
    driver.answers = True
    assert dict(machine.iter_gpu_metrics()) == {}


def test_the_real_driver_lists_gpus_where_there_is_one() -> None:
    assert bool(gpu.list_gpus()) == Path("/dev/nvidiactl").exists()
