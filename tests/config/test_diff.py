"""`python -m fer.config diff A B`, as a user meets it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import PROJECT

pytestmark = pytest.mark.slow

Done = subprocess.CompletedProcess[str]
ONE = """
defaults: [base, _self_]
seed: 0
name: demo
optimizer: {lr: 0.002, weight_decay: 0.05}
trainer: {stages: [fit, test], threads: null, compile: true, max_epochs: 10}
dataset: {class_map: {}}
"""
OTHER = """
seed: 0
name: "demo\\e[31m"
optimizer: {lr: 0.001, weight_decay: 5.0e-2}
trainer: {stages: [test], threads: 2, compile: 1, max_epochs: 10.0}
dataset: {class_map: {joy: happiness}}
sweep: {metric: null}
"""


def diff(*places: object) -> Done:
    return subprocess.run(
        [sys.executable, "-m", "fer.config", "diff", *map(str, places)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
    )


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """A run directory."""
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "run.yaml").write_text(ONE)
    return tmp_path / "one"


def test_each_difference_is_a_line(one: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(OTHER)
    done = diff(one, other)
    assert done.returncode == 1
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        'name: demo -> "demo\\u001b[31m"',
        "optimizer.lr: 0.002 -> 0.001",
        "trainer.stages: [fit, test] -> [test]",
        "trainer.threads: null -> 2",
        "trainer.compile: true -> 1",
        "dataset.class_map: {} -> (absent)",
        "dataset.class_map.joy: (absent) -> happiness",
        "sweep.metric: (absent) -> null",
    ]


def test_equal_configurations_give_nothing(one: Path) -> None:
    done = diff(one, one / "run.yaml")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: [1", "cannot be read (while parsing a flow sequence); name a run directory or its run.yaml"),
        (b"- 1", "holds no keys; name a run directory or its run.yaml"),
        (
            b"\xff\xff",
            "cannot be read (it is not UTF-8: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte)",
        ),
        (b"!!python/object/apply:os.system [ls]", "cannot be read (could not determine a constructor"),
        (b"a: " + 5000 * b"[" + 5000 * b"]", "cannot be read (it is nested more than 64 levels deep"),
        (None, "cannot be read (No such file or directory); name a run directory or its run.yaml"),
    ],
)
def test_what_is_no_configuration_is_one_sentence(one: Path, tmp_path: Path, content: bytes | None, said: str) -> None:
    other = tmp_path / "other.yaml"
    if content is not None:
        other.write_bytes(content)
    done = diff(one, other)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"python -m fer.config: {other}: {said}")
    assert len(done.stderr.splitlines()) == 1
