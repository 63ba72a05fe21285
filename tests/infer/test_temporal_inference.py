"""infer.py with temporal models: each answer is that of the window around it, however the run comes about."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer.bundle.predictor import ClipPredictor, Predictor
from fer.config.compose import load_overrides
from fer.errors import ConfigError, DataError
from fer.infer import extract
from fer.infer.extract import build_crop_path
from fer.infer.pipeline import infer
from fer.infer.resume import resume
from fer.infer.saved_crops import read_crop
from fer.runs.run_directory import load_run_config
from tests.helpers.clip_networks import CLASSES, LENGTH, STEP_S, build_clip_network, save_clip_bundle
from tests.helpers.face_clips import LEFT, RIGHT, draw_people, write_face_clip
from tests.helpers.members import save_member
from tests.helpers.programs import png

pytestmark = pytest.mark.slow

OPTIONS = ("extraction=haar", "extraction.faces=all", "trainer.threads=1")
PROBABILITIES = [f"p_{name}" for name in CLASSES]
TABLES = ("predictions.parquet", "videos.parquet", "persons.parquet")
POSITIONS = ("causal", "centred")
# Both runtimes are asked for the same.
RUNTIMES = {"causal": "torch", "centred": "onnx"}
Infer = Callable[..., Path]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model for each position."""
    folder = tmp_path_factory.mktemp("models")
    return {
        position: save_clip_bundle(folder / position, build_clip_network(position=position)) for position in POSITIONS
    }


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of three seconds: two people, of whom one is away for a moment, and for a while; and one person."""
    folder = tmp_path_factory.mktemp("clips")
    left, right = (8, LEFT), (5, RIGHT)
    frames = [(left, right)] * 12 + [(right,)] * 4 + [(left, right)] * 12 + [(left,)] * 10 + [(left, right)] * 10
    write_face_clip(folder / "a.mp4", frames, fps=16)
    write_face_clip(folder / "b.mp4", [(right,)] * 24, fps=16)
    return folder


@pytest.fixture(scope="module")
def do(clips: Path, models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Infer:
    """Run infer.py in this process, in chunks of a few frames; returns the run."""
    folder = tmp_path_factory.mktemp("runs")

    def run(position: str, *overrides: str, name: str = "", code: int = 0) -> Path:
        directory = folder / (name or f"{position}-{len(list(folder.iterdir()))}")
        named = [] if any(text.startswith("extraction.input") for text in overrides) else [f"extraction.input={clips}"]
        model = (f"model_uri={models[position]}", f"inference.runtime={RUNTIMES[position]}")
        config = load_overrides([*OPTIONS, *named, *model, *overrides], "infer")
        assert infer(config, directory) == code
        return directory

    return run


@pytest.fixture(scope="module", autouse=True)
def small_chunks() -> "pytest.MonkeyPatch":  # type: ignore[misc]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extract, "CHUNK_FRAMES", 4)
        yield patch


@pytest.fixture(scope="module")
def whole(do: Infer) -> dict[str, Path]:
    """The uninterrupted run of each model, with its crops."""
    return {position: do(position, "extraction.save=crops", name=f"whole-{position}") for position in POSITIONS}


def read_table(run: Path) -> pd.DataFrame:
    return pd.read_parquet(run / "predictions.parquet")


def read_crops(run: Path, rows: pd.DataFrame, table: pd.DataFrame) -> list[np.ndarray]:
    """The crops of rows of the first video."""
    index = table.groupby(["video", "frame"]).cumcount()
    return [read_crop(build_crop_path(run, 0, int(row.frame), int(index[row.Index]))) for row in rows.itertuples()]


def same_tables(one: Path, other: Path) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in TABLES)


def list_parts(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.glob("parts/*/*"))}


def cut(run: Path, copy: Path, chunks: int) -> Path:
    """A copy of a run as if it had been killed after so many chunks of its first video."""
    shutil.copytree(run, copy)
    for path in sorted((copy / "parts" / "00000").iterdir())[chunks:]:
        path.unlink()
    shutil.rmtree(copy / "parts" / "00001", ignore_errors=True)
    for name in TABLES:
        (copy / name).unlink(missing_ok=True)
    return copy


def go_on(run: Path, *overrides: str) -> Path:
    """Resume a run; the report, which is made of the chunks alone, is made where it is asked for."""
    overrides = overrides or ("extraction.stages=[extract,predict]",)
    assert resume(load_overrides([*overrides], "infer", run), run) == 0
    return run


@pytest.mark.parametrize("position", POSITIONS)
def test_each_answer_is_that_of_the_person_s_window(
    position: str, whole: dict[str, Path], models: dict[str, Path]
) -> None:
    run = whole[position]
    # A frame for each step of the windows, where nothing else is chosen.
    assert load_run_config(run, "infer").extraction.fps == 1 / STEP_S
    table = read_table(run)
    predictor = Predictor.load(str(models[position]), threads=1)
    assert isinstance(predictor, ClipPredictor)
    video = table[(table["video"] == "a.mp4") & (table["status"] == "ok")]
    # Two people, though one of them is away for two frames, and for five.
    assert video["track_id"].nunique() == 2 and len(video) > 30
    for _, track in video.groupby("track_id"):
        expected = predictor.predict_sequence(read_crops(run, track, table), track["time_s"].to_numpy())
        np.testing.assert_allclose(track[PROBABILITIES], expected, atol=1e-5)
        alone = predictor.predict(read_crops(run, track, table))
        assert np.abs(track[PROBABILITIES].to_numpy()[3:] - alone[3:]).max() > 1e-3


def test_a_window_begins_anew_behind_a_gap_of_more_frames_than_are_tolerated(
    do: Infer, models: dict[str, Path]
) -> None:
    run = do("causal", "extraction.max_missed=0", "extraction.save=crops")
    table = read_table(run)
    predictor = Predictor.load(str(models["causal"]), threads=1)
    assert isinstance(predictor, ClipPredictor)
    video = table[(table["video"] == "a.mp4") & (table["status"] == "ok")]
    # Whoever is away for one sampled frame comes back as somebody else.
    assert video["track_id"].nunique() == 4
    for _, track in video.groupby("track_id"):
        expected = predictor.predict_sequence(read_crops(run, track, table), track["time_s"].to_numpy())
        np.testing.assert_allclose(track[PROBABILITIES], expected, atol=1e-5)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("chunks", [1, 3])
def test_a_killed_run_goes_on_to_the_same_bytes(
    position: str, chunks: int, whole: dict[str, Path], tmp_path: Path
) -> None:
    run = cut(whole[position], tmp_path / "run", chunks)
    kept = {path: path.stat().st_mtime_ns for path in run.glob("parts/*/*.parquet")}
    assert len(kept) == chunks
    go_on(run)
    assert list_parts(run) == list_parts(whole[position])
    assert all(path.stat().st_mtime_ns == moment for path, moment in kept.items())


@pytest.mark.parametrize("kind", ["temporal", "frame"])
def test_a_killed_run_by_openvino_goes_on_to_the_same_bytes(kind: str, do: Infer, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    chosen = ["inference.runtime=openvino", "extraction.stages=[extract,predict]"]
    if kind == "frame":
        chosen += [f"model_uri={save_member(tmp_path / 'frame', 1)}", "extraction.fps=8"]
    run = do("causal", *chosen)
    killed = go_on(cut(run, tmp_path / "killed", 2))
    assert list_parts(killed) == list_parts(run)


@pytest.mark.parametrize("position", POSITIONS)
def test_stage_by_stage_and_killed_in_each_gives_the_same_table(
    position: str, do: Infer, whole: dict[str, Path], tmp_path: Path
) -> None:
    # Who only cuts out faces names how densely.
    extracted = do(position, "extraction.stages=[extract]", f"extraction.fps={1 / STEP_S:g}")
    staged = shutil.copytree(extracted, tmp_path / "staged")
    go_on(staged, "extraction.stages=[predict,report]")
    assert same_tables(staged, whole[position])
    # Killed while it classified.
    classifying = shutil.copytree(extracted, tmp_path / "classifying")
    for path in sorted(staged.glob("parts/00000/*.parquet"))[:3]:
        shutil.copy(path, classifying / "parts" / "00000" / path.name)
    go_on(classifying, "extraction.stages=[predict]")
    assert list_parts(classifying) == list_parts(staged)
    # Killed while it extracted: windows reach from what is saved into what is extracted now.
    extracting = cut(extracted, tmp_path / "extracting", 2)
    model = load_run_config(staged, "infer").model_uri
    go_on(extracting, "extraction.stages=[extract,predict]", f"model_uri={model}")
    assert list_parts(extracting) == list_parts(staged)


def test_shares_are_of_the_bytes_of_one_run(do: Infer, whole: dict[str, Path]) -> None:
    parts: dict[str, bytes] = {}
    for share in range(2):
        parts |= list_parts(do("centred", "extraction.save=crops", "extraction.shares=2", f"extraction.share={share}"))
    assert parts == list_parts(whole["centred"])


def test_a_mirror_image_is_a_window_of_mirror_images(
    do: Infer, whole: dict[str, Path], models: dict[str, Path]
) -> None:
    table = read_table(do("causal", "inference.flip=true"))
    predictor = Predictor.load(str(models["causal"]), threads=1)
    assert isinstance(predictor, ClipPredictor)
    track = table[(table["video"] == "a.mp4") & (table["track_id"] == 0) & (table["status"] == "ok")]
    crops, times = read_crops(whole["causal"], track, table), track["time_s"].to_numpy()
    both = [predictor.predict_sequence(view, times) for view in (crops, [crop[:, ::-1] for crop in crops])]
    np.testing.assert_allclose(track[PROBABILITIES], np.mean(both, axis=0), atol=1e-5)


def test_a_picture_is_a_clip_of_one_frame(do: Infer, models: dict[str, Path], tmp_path: Path) -> None:
    for person in (5, 8):
        (tmp_path / f"{person}.png").write_bytes(png(draw_people(((person, LEFT),))[..., ::-1]))
    run = do("centred", f"extraction.input={tmp_path}", "extraction.save=crops")
    table = read_table(run)
    assert table["status"].tolist() == ["ok", "ok"]
    predictor = Predictor.load(str(models["centred"]), threads=1)
    crops = [read_crop(build_crop_path(run, number, 0, 0)) for number in range(2)]
    np.testing.assert_allclose(table[PROBABILITIES], predictor.predict(crops), atol=1e-5)


def test_a_clip_without_a_face_is_told_and_no_error(do: Infer, tmp_path: Path) -> None:
    clip = write_face_clip(tmp_path / "nobody.mp4", [()] * 10)
    table = read_table(do("centred", f"extraction.input={clip}", code=1))
    assert (table["status"] == "no_face").all() and table[PROBABILITIES].isna().all(axis=None)


def test_the_page_tells_of_the_windows_and_of_frames_that_are_too_sparse(
    do: Infer, whole: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    page = (whole["centred"] / "report.html").read_text()
    assert f"{LENGTH} frames, 0.125 s apart: a frame and those around it" in page and "stayed empty" not in page
    run = do("causal", "extraction.fps=2")
    assert "the model looks at a frame every 0.125 s" in caplog.text and "extract with extraction.fps=8" in caplog.text
    assert load_run_config(run, "infer").extraction.fps == 2
    page = (run / "report.html").read_text()
    assert f"{LENGTH} frames, 0.125 s apart: a frame and those before it" in page
    assert "2 of 2 videos had fewer analysed" in page


@pytest.mark.parametrize(
    ("override", "remedy"),
    [("extraction.explain=true", "leave it out"), ("inference.route=transform", "inference.route=process")],
)
def test_what_a_temporal_model_cannot_do_is_refused_before_anything_is_looked_at(
    override: str, remedy: str, clips: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    config = load_overrides([*OPTIONS, f"extraction.input={clips}", f"model_uri={models['causal']}", override], "infer")
    with pytest.raises(ConfigError, match=remedy):
        infer(config, tmp_path / "run")
    assert not list((tmp_path / "run").glob("parts/*/*.parquet"))


def test_explanations_are_refused_for_a_report_that_is_made_anew(whole: dict[str, Path], tmp_path: Path) -> None:
    run = shutil.copytree(whole["causal"], tmp_path / "run")
    before = {path: path.read_bytes() for path in run.glob("*.parquet")}
    with pytest.raises(ConfigError, match="leave it out"):
        resume(load_overrides(["extraction.stages=[report]", "extraction.explain=true"], "infer", run), run)
    assert {path: path.read_bytes() for path in before} == before


def test_a_video_that_has_changed_is_not_gone_on_with(models: dict[str, Path], clips: Path, tmp_path: Path) -> None:
    clip = shutil.copy(clips / "a.mp4", tmp_path / "a.mp4")
    chosen = (f"extraction.input={clip}", f"model_uri={models['causal']}", "extraction.stages=[extract,predict]")
    assert infer(load_overrides([*OPTIONS, *chosen], "infer"), tmp_path / "run") == 0
    run = cut(tmp_path / "run", tmp_path / "killed", 1)
    shutil.copy(clips / "b.mp4", clip)
    with pytest.raises(DataError, match="start a new run"):
        resume(load_overrides([], "infer", run), run)
