"""What a resumed run of infer.py writes down, and what it takes over from an earlier version."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fer.bundle.locate import pin_pretrained
from fer.config import Config
from fer.config.compose import load_overrides
from fer.errors import UserError
from fer.infer import resume as resuming
from fer.infer.chunk_store import ChunkStore
from fer.infer.inputs import save_media
from fer.infer.report import _build_records, write_report
from fer.infer.resume import resume
from fer.runs.run_directory import Run, load_run_config


@pytest.fixture
def extracted(tmp_path: Path) -> Path:
    """A run that has only cut out faces, and names no model."""
    directory = tmp_path / "run"
    Run(directory, load_overrides(["extraction.stages=[extract]", "extraction=haar"], "infer"), "infer.py").finish(
        "finished"
    )
    save_media([], directory)
    return directory


def test_the_model_that_a_later_call_takes_is_pinned_in_run_yaml(
    extracted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[Config] = []

    def run_stages(config: Config, run: Run, _: Any) -> int:
        called.append(config)
        run.finish("finished")
        return 0

    monkeypatch.setattr(resuming, "run_stages", run_stages)
    resume(load_overrides(["extraction.stages=[predict]"], "infer", extracted), extracted)
    saved = load_run_config(extracted, "infer")
    assert called[0].model_uri == saved.model_uri == pin_pretrained()
    # The same call again, after a kill, and the report later: both mean that model.
    resume(load_overrides(["extraction.stages=[predict]", "model_uri=pretrained"], "infer", extracted), extracted)
    resume(load_overrides(["extraction.stages=[report]"], "infer", extracted), extracted)
    assert called[1].model_uri == called[2].model_uri == pin_pretrained()


def test_videos_that_an_earlier_version_finished_have_the_run_s_detector(tmp_path: Path) -> None:
    stores = [ChunkStore.for_video(tmp_path, number) for number in range(2)]
    earlier = {"video": "a.mp4", "path": "/a.mp4", "problem": "", "width": 640}
    stores[0].mark_complete(earlier)
    found = _build_records(stores[:1], "haar")
    assert found.columns.tolist() == ["video", "path", "problem", "detector", "width"]
    assert found["detector"].tolist() == ["haar"]
    stores[1].mark_complete({**earlier, "video": "b.mp4", "detector": "yunet"})
    assert _build_records(stores, "yunet")["detector"].tolist() == ["yunet", "yunet"]


def test_sets_of_a_run_that_kept_no_thresholds_are_a_matter_of_predicting_again(tmp_path: Path) -> None:
    run = cast(Run, SimpleNamespace(directory=tmp_path))
    with pytest.raises(UserError, match=r"^inference.sets=0.9: .* keeps no thresholds .*\[predict,report\]'"):
        write_report(load_overrides(["inference.sets=0.9", "extraction=haar"], "infer"), run, [])
    assert not list(tmp_path.glob("*.parquet"))
