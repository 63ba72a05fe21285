"""A drawn study of 20 respondents, analysed by the shipped model: what was planted is found, and nothing else."""

from pathlib import Path

import pytest

from fer.synthetic.study import write_study
from tests.helpers.drawn_study import compare_with_truth
from tests.helpers.faces import yunet_weights
from tests.helpers.programs import INFER, run


@pytest.mark.slow
def test_what_was_planted_is_found_and_nothing_else(tmp_path: Path) -> None:
    # Haar overlooks two of the drawn faces.
    faces = ("extraction=yunet", f"extraction.detector.weights={yunet_weights()}")
    study = write_study(tmp_path / "study", count=20, seconds=12, size=96, fps=2)
    directory = tmp_path / "run"
    done = run(
        *(INFER, f"extraction.study={study}", *faces, "extraction.fps=2", "trainer.threads=1"),
        f"hydra.run.dir={directory}",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (directory / "study.html").is_file()
    assert compare_with_truth(directory, study.parent) == []
