"""What the process asks of the machine."""

import platform
import subprocess
import sys

import pytest

from tests.helpers.paths import PROJECT

COUNT_FAULTS = """
import resource, sys
from fer.core.system import keep_freed_memory

def count_faults(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        bytearray(100 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if "keep" in sys.argv:
    keep_freed_memory()
print(count_faults(1), count_faults(5))
"""


def count_faults(*arguments: str) -> tuple[int, int]:
    """Pages that a program takes from the system for 100 MiB, and then for five times as many, one after the other."""
    command = [sys.executable, "-c", COUNT_FAULTS, *arguments]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True, timeout=60)
    first, others = done.stdout.split()
    return int(first), int(others)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_is_used_again() -> None:
    first, others = count_faults("keep")
    assert first > 100 > others
    _, taken_anew = count_faults()
    assert taken_anew > 5 * 100
