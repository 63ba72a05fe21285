"""What hostile files cost: `python -m benchmarks.attacks [NAME]` prints time, memory above the idle process, answer.

Each attack is measured in a process of its own that has imported all it needs.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.hostile_files import ATTACKS, Attack
from fer.errors import UserError
from fer.serving.requests import RequestError

MAX_SECONDS, MAX_MEGABYTES = 2.0, 200.0
# Where an answer says neither refused nor that nothing was taken over, the attack has got through.
REFUSALS = (UserError, RequestError, ValueError)


def run_attack(attack: Attack, folder: Path) -> str:
    """Make the hostile file and do what a user would; returns the refusal, or that nothing was taken over."""
    return _answer(attack(folder))


def _answer(act: Callable[[], Any]) -> str:
    try:
        result = act()
    except REFUSALS as error:
        return f"{type(error).__name__}: {error}"
    return "harmless: no answer is taken over" if result is None else f"NOT REFUSED: {str(result)[:80]}"


def measure_attack(attack: Attack, folder: Path) -> tuple[float, float, str]:
    """Measure an attack in a process of its own; returns seconds, MB above the idle process, and the answer."""
    act = attack(folder)
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        # Only what comes from now on counts as the peak.
        Path("/proc/self/clear_refs").write_text("5")
        idle, start = _read_memory("VmRSS"), time.perf_counter()
        answer = _answer(act)
        seconds, peak = time.perf_counter() - start, _read_memory("VmHWM")
        os.write(writing, json.dumps([seconds, (peak - idle) / 1024, answer[:2000]]).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        content = pipe.read()
    os.waitpid(child, 0)
    seconds, megabytes, answer = json.loads(content or '[0, 0, "NOT REFUSED: the process died"]')
    return seconds, megabytes, answer


def _read_memory(name: str) -> int:
    """Kilobytes of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def iter_rows(names: str = "") -> Iterator[tuple[str, float, float, str]]:
    """Yield name, seconds, MB and answer of each attack whose name contains ``names``."""
    for name, attack in ATTACKS.items():
        if names in name:
            with tempfile.TemporaryDirectory() as temp_dir:
                seconds, megabytes, answer = measure_attack(attack, Path(temp_dir))
                yield name, seconds, megabytes, answer.replace(temp_dir, "DIR")


def main() -> int:
    """Print the table; returns 1 where an attack costs more than it may, or gets through."""
    failed = 0
    print("| attack | s | MB | answer |\n| --- | --- | --- | --- |")
    for name, seconds, megabytes, answer in iter_rows(*sys.argv[1:2]):
        good = seconds <= MAX_SECONDS and megabytes <= MAX_MEGABYTES and not answer.startswith("NOT")
        failed += not good
        print(f"| {name} | {seconds:.2f} | {megabytes:.0f} | {answer[:150]} |{'' if good else ' !'}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
