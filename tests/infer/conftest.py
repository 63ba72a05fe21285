"""A study that runs of infer.py take up."""

from pathlib import Path

import pytest
import yaml

from fer.infer.pipeline import create_run, validate_and_pin
from tests.helpers.clips import write_clip
from tests.helpers.study_runs import configure


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two recordings with consent, of the same name in two folders; a third without, which is no video at all."""
    content = {
        "stimuli": {"spot": {"duration_s": 1}},
        "respondents": {"p1": {"consent": True}, "p2": {"consent": True}, "p3": {"consent": False}},
        "recordings": [
            {"file": f"{name}/clip.mp4", "respondent": name, "stimulus": "spot"} for name in ("p1", "p3", "p2")
        ],
    }
    for name in ("p1", "p2", "p3"):
        (tmp_path / name).mkdir()
        write_clip(tmp_path / name / "clip.mp4", range(30))
    (tmp_path / "p3" / "clip.mp4").write_bytes(b"no video")
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.fixture
def begun(study: Path, tmp_path: Path) -> Path:
    """A run that was begun."""
    _, run, _ = create_run(validate_and_pin(configure(study)), tmp_path / "run")
    run.finish("interrupted")
    return tmp_path / "run"
