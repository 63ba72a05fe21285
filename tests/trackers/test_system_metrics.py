"""What a training takes of its machine, and what it may see of its GPUs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_gpus_are_those_that_the_training_may_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho \"$@\" > \"$0.asked\"\necho '0, 87, 1024'\necho '3, [N/A], 512'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,3")
    machine = SystemMonitor(1)
    assert dict(machine.iter_gpu_metrics()) == {"gpu0_percent": 87, "gpu0_memory_mib": 1024, "gpu3_memory_mib": 512}
    assert "--id=0,3" in (tmp_path / "nvidia-smi.asked").read_text()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert dict(machine.iter_gpu_metrics()) == {}
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    program.write_text("#!/bin/sh\nexit 9\n")
    assert dict(machine.iter_gpu_metrics()) == {}
    assert machine.nvidia_smi is None
