"""A drawn study of 24 respondents, analysed by the shipped model: what was planted is found, and nothing else."""

import importlib.util
from pathlib import Path

import pytest

from fer.synthetic.study import write_study
from tests.helpers.drawn_study import compare_with_truth
from tests.helpers.programs import INFER, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("fer.study.pipeline") is None, reason="extraction.study is not there yet"
    ),
    pytest.mark.skipif(importlib.util.find_spec("statsmodels") is None, reason="needs the extra study"),
]


def test_what_was_planted_is_found_and_nothing_else(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study", fps=2)
    directory = tmp_path / "run"
    done = run(
        *(INFER, f"extraction.study={study}", "extraction=haar", "extraction.fps=2", "trainer.threads=1"),
        f"hydra.run.dir={directory}",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (directory / "study.html").is_file()
    assert compare_with_truth(directory, study.parent) == []
