"""`python -m fer.synthetic FILE.png`, run as a user runs it."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.helpers.paths import PROJECT


def draw(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fer.synthetic", *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_the_sheet_has_a_column_an_emotion_and_depends_on_its_seed(tmp_path: Path) -> None:
    sheets = {}
    for name, seed in (("first", "0"), ("again", "0"), ("other", "1")):
        file = tmp_path / f"{name}.png"
        done = draw(str(file), "--rows", "2", "--size", "48", "--seed", seed)
        assert done.returncode == 0, done.stderr
        sheets[name] = cv2.imread(str(file))
    height, width, _ = sheets["first"].shape
    assert width // 7 >= 48 and height // 2 >= 48
    np.testing.assert_array_equal(sheets["first"], sheets["again"])
    assert not np.array_equal(sheets["first"], sheets["other"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sheet.txt", "no/such/folder/sheet.png"])
def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path, name: str) -> None:
    done = draw(str(tmp_path / name), "--rows", "1", "--size", "32")
    assert done.returncode == 1
    assert name in done.stderr and "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
