"""Every attack of the benchmark is refused by a sentence, or does nothing."""

import re
from pathlib import Path

import pytest

from benchmarks.attacks import run_attack
from benchmarks.hostile_files import ATTACKS

# Making these files takes longer than refusing them.
SLOW = (
    "600 MB",
    "300 MB",
    "1 GB",
    "2 GB",
    "100 MB",
    "300,000",
    "lies",
    "20,000 members",
    "3 million",
    "200,000",
    "7,900",
    "8 million",
)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if any(word in name for word in SLOW) else ()) for name in ATTACKS],
)
def test_an_attack_is_refused_by_a_sentence(name: str, tmp_path: Path) -> None:
    answer = run_attack(ATTACKS[name], tmp_path)
    assert re.match(r"(\w+Error: |harmless)", answer), answer
    assert "\n" not in answer
    assert not Path("/tmp/fer-attack").exists() and not Path("/tmp/escaped").exists()
