"""What a training's configuration makes of its clips: the detector, and the way from videos to the manifest."""

from pathlib import Path

import pytest

from fer.config import Config
from fer.config.compose import load_overrides
from fer.config.extraction import HaarDetector
from fer.errors import DataError, ModelError, PreconditionError
from fer.replay.__main__ import _compare_data
from fer.synthetic.clips import ClipSeries, write_clips
from fer.train.clip_extraction import build_clip_options, pin_clip_detector
from fer.train.inputs import prepare_data

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    write_clips(folder, ClipSeries(seed=0, subjects=3, fps=8, seconds=0.75, motion="plain"), 15)
    return folder


def load(clips: Path, *overrides: str) -> Config:
    cache = clips.parent / "cache"
    return load_overrides(
        [
            *("dataset=clips", "model=temporal", f"dataset.sources.clips.root={clips}", "extraction=haar"),
            *("dataset.sources.clips.table=clips.csv", f"dataset.cache_dir={cache}", "dataset.on_empty_class=ignore"),
            *(f"extraction.cache_dir={cache}", "dataset.near_duplicate_bits=-1", *overrides),
        ]
    )


def test_videos_become_a_store_and_a_manifest_by_subject(clips: Path) -> None:
    config = load(clips)
    data = prepare_data(config, 64)
    assert data.store.images.shape[1:] == (64, 64, 3) and data.store.clips is not None
    assert (data.store.clips.starts[1:] - data.store.clips.starts[:-1] >= 4).all()
    samples = data.manifest.samples
    assert len(samples) == 15 and (samples.groupby("subject")["split"].nunique() == 1).all()
    assert set(samples["split"]) == {"train", "val", "test"}
    assert data.notes == ["clips: clips by table"]
    # A replay sees that the data are those of the run without extracting anything.
    assert _compare_data(config, {"data_fingerprint": data.store.fingerprint}) == []


def test_nobody_known_is_refused_before_anything_is_extracted(clips: Path, tmp_path: Path) -> None:
    folder = tmp_path / "happiness"
    folder.mkdir()
    (folder / "smile.mp4").symlink_to(next(clips.rglob("*.mp4")))
    config = load(tmp_path, "dataset.sources.clips.table=null", f"dataset.cache_dir={tmp_path / 'cache'}")
    with pytest.raises(DataError, match="whom 1 of 1 samples show is not known, such as clips/happiness/smile.mp4"):
        prepare_data(config, 64)
    assert not (tmp_path / "cache").exists()


def test_the_detector_is_that_of_extraction_and_run_yaml_names_it(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer.runs.detector_choice.MAX_FETCH_SECONDS", 0.01)
    haar = load(clips, "extraction.detector.min_size=40", "dataset.clips.fps=5")
    assert pin_clip_detector(haar) == haar
    options = build_clip_options(haar)
    assert options.fps == 5 and options.make_detector().min_size == 40
    assert options.identity != build_clip_options(load(clips, "dataset.clips.fps=5")).identity
    weights = clips / "weights.onnx"
    weights.write_bytes(b"none")
    kind = ("extraction=yunet", f"extraction.detector.weights={weights}")
    pinned = pin_clip_detector(load(clips, *kind)).extraction.detector
    assert pinned.weights_sha256 is not None and pinned.runtime == "opencv"
    # Stores are found that were made before there were runtimes.
    assert "runtime" not in build_clip_options(load(clips, *kind)).detector
    assert '"runtime": "onnx"' in build_clip_options(load(clips, *kind, "extraction.detector.runtime=onnx")).detector
    with pytest.raises(PreconditionError, match="has the SHA-256"):
        pin_clip_detector(load(clips, *kind, f"extraction.detector.weights_sha256={'0' * 64}"))


def test_without_weights_auto_becomes_haar(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ModelError("there is no network")

    monkeypatch.setattr("fer.runs.detector_choice.find_weights", refuse)
    assert isinstance(pin_clip_detector(load(clips, "extraction=auto")).extraction.detector, HaarDetector)


def test_drawn_clips_need_no_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer.runs.detector_choice.find_weights", lambda *_, **__: pytest.fail("nothing is looked for"))
    config = load_overrides(["dataset=synthetic_clips", "model=temporal"])
    assert pin_clip_detector(config) is config
    assert build_clip_options(config).detector == '{"kind": "none"}'
