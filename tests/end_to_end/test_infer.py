"""infer.py as a user runs it."""

import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from fer.emotions import EMOTIONS
from tests.helpers.programs import PROBABILITIES, SMOOTHED, Program, provenance_of, table_of


def test_a_clip_becomes_a_row_a_sampled_frame(inferred: Path) -> None:
    table = table_of(inferred)
    assert table["frame"].tolist() == list(range(0, 200, 5))
    np.testing.assert_allclose(table["time_s"], np.arange(40) / 5, atol=1e-6)
    ok = table["status"] == "ok"
    np.testing.assert_allclose(table.loc[ok, PROBABILITIES].sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(table.loc[ok, SMOOTHED].sum(axis=1), 1, atol=1e-5)
    assert table.loc[~ok, [*PROBABILITIES, "confidence"]].isna().all(axis=None)
    assert (table.loc[~ok, "reason"] != "").all() and (table.loc[ok, "reason"] == "").all()
    # The person is in the picture for seven seconds of eight.
    assert set(table.loc[table["time_s"] >= 7.2, "status"]) == {"no_face"}
    assert ok[table["time_s"] < 7].mean() > 0.9
    leading = table.loc[ok, PROBABILITIES].to_numpy().argmax(1)
    assert table.loc[ok, "emotion"].tolist() == [EMOTIONS[column] for column in leading]


def test_csv_and_parquet_hold_the_same_rows(inferred: Path) -> None:
    table, text = table_of(inferred), pd.read_csv(inferred / "predictions.csv")
    assert text.columns.tolist() == table.columns.tolist()
    assert len(text) == len(table)
    np.testing.assert_allclose(text["p_happiness"], table["p_happiness"], rtol=1e-5)


def test_the_run_says_where_it_comes_from(inferred: Path, model: Path) -> None:
    assert provenance_of(inferred)["status"] == "finished"
    assert str(model) in (inferred / "run.yaml").read_text()
    videos = pd.read_parquet(inferred / "videos.parquet")
    assert videos["video"].tolist() == ["clip.mp4"]
    assert videos["sampled"].tolist() == [40]
    assert (inferred / "report.html").stat().st_size > 100_000
    page = (inferred / "report.html").read_text(encoding="utf-8")
    assert "<h1>clip.mp4</h1>" in page
    # YuNet's weights are not at hand, and no test gets them from the network.
    detector = provenance_of(inferred)["detector"]
    assert detector["kind"] == "haar" and "cannot be fetched" in detector["warning"]
    assert "faces are found by Haar" in page and videos["detector"].tolist() == ["haar"]
    assert "kind: haar" in (inferred / "run.yaml").read_text()
    classified = provenance_of(inferred)["inference"]
    assert (classified["runtime"], classified["device"], classified["batch_size"]) == ("onnx", "cpu", 8)


def test_bad_videos_are_listed_and_the_others_judged(infer: Program, clip: Path, workplace: Path) -> None:
    folder = workplace / "mixed"
    folder.mkdir()
    (folder / "mit Leerzeichen und Ümläuten.mp4").write_bytes(clip.read_bytes())
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("this is no video\n" * 50)
    (folder / "cut.mp4").write_bytes(clip.read_bytes()[:5000])
    with zipfile.ZipFile(folder / "archive.mp4", "w") as archive:
        archive.writestr("clip.mp4", clip.read_bytes())
    directory = workplace / "mixed-run"
    done = infer(f"extraction.input={folder}", f"hydra.run.dir={directory}")
    assert done.returncode == 3, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    videos = pd.read_parquet(directory / "videos.parquet").set_index("video")
    assert sorted(videos.index[videos["problem"] != ""]) == ["archive.mp4", "cut.mp4", "empty.mp4", "text.mp4"]
    assert "archive" in videos.at["archive.mp4", "problem"]
    assert "0 bytes" in videos.at["empty.mp4", "problem"]
    for name in ("archive.mp4", "cut.mp4", "empty.mp4", "text.mp4"):
        assert name in done.stdout
    assert (table_of(directory)["status"] == "ok").sum() >= 6


@pytest.mark.parametrize(
    ("sampling", "frames"),
    [
        (["extraction.sampling=every_n", "extraction.every_n=30"], list(range(0, 200, 30))),
        (["extraction.sampling=scene"], [99]),
    ],
)
def test_other_samplings(infer: Program, clip: Path, tmp_path: Path, sampling: list[str], frames: list[int]) -> None:
    done = infer(f"extraction.input={clip}", *sampling, f"hydra.run.dir={tmp_path / 'run'}")
    assert done.returncode == 0, done.stderr + done.stdout
    assert table_of(tmp_path / "run")["frame"].tolist() == frames


def test_without_input_a_clip_is_drawn_in_which_nobody_swaps_ids(infer: Program, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = infer("extraction.fps=5", "extraction.faces=all", f"hydra.run.dir={run}")
    assert done.returncode == 0, done.stderr + done.stdout
    table, truth = table_of(run), pd.read_csv(run / "drawn" / "truth.csv")
    faces = table[table["track_id"].notna()].merge(truth, on="frame")
    inside = (faces["center_x"] - faces["face_x"]).between(0, faces["face_w"]) & (
        faces["center_y"] - faces["face_y"]
    ).between(0, faces["face_h"])
    faces = faces[inside]
    assert set(faces["person"]) == {0, 1}
    assert (faces.groupby("track_id")["person"].nunique() == 1).all()
    assert len(faces) > 0.8 * truth["frame"].isin(table["frame"]).sum()


def test_images_and_saved_frames(infer: Program, inferred: Path, clip: Path, tmp_path: Path) -> None:
    """Frames that one run saves are images that another one judges."""
    first = infer(
        *(f"extraction.input={clip}", "extraction.fps=5", "extraction.stages=[extract]", "extraction.save=frames"),
        f"hydra.run.dir={tmp_path / 'frames'}",
    )
    assert first.returncode == 0, first.stderr
    pictures = sorted((tmp_path / "frames" / "frames").rglob("*.jpg"))
    assert len(pictures) == 40
    (pictures[0].parent / "notes <1>.md").write_text("light: poor\n")
    done = infer(f"extraction.input={pictures[0].parent}", f"hydra.run.dir={tmp_path / 'images'}")
    assert done.returncode == 0, done.stderr
    found, expected = table_of(tmp_path / "images"), table_of(inferred)
    assert found["video"].tolist() == [picture.name for picture in pictures]
    assert (found["frame"] == 0).all() and (found["time_s"] == 0).all()
    stray = str(pictures[0].parent / "notes <1>.md")
    assert provenance_of(tmp_path / "images")["unused_files"] == {"count": 1, "paths": [stray]}
    assert "1 files beside them are no video or image and were not used" in (
        tmp_path / "images" / "report.html"
    ).read_text("utf-8")
    assert "notes &lt;1&gt;.md" in (tmp_path / "images" / "report.html").read_text("utf-8")
    assert "unused_files" not in provenance_of(tmp_path / "frames")
    # JPEG changes a few.
    assert (found["status"].to_numpy() == expected["status"].to_numpy()).mean() > 0.7


def test_groups_give_curves_and_a_comparison(infer: Program, clip: Path, tmp_path: Path) -> None:
    lines = ["video,respondent,stimulus,group"]
    for number in range(4):
        shutil.copy(clip, tmp_path / f"person {number}.mp4")
        lines.append(f"person {number}.mp4,{number},spot,{'AB'[number % 2]}")
    groups = tmp_path / "groups.csv"
    groups.write_text("\n".join(lines) + "\n")
    run = tmp_path / "run"
    done = infer(
        *(f"extraction.input={tmp_path}/*.mp4", f"extraction.groups={groups}", "extraction.baseline_seconds=1"),
        f"hydra.run.dir={run}",
    )
    assert done.returncode == 0, done.stderr + done.stdout
    curves = pd.read_parquet(run / "group_curves.parquet")
    assert set(curves["group"]) == {"A", "B"} and set(curves["emotion"]) == set(EMOTIONS)
    assert curves["respondents"].max() == 2
    # Its first second is each respondent's own baseline.
    np.testing.assert_allclose(curves.loc[curves["second"] == 0, "mean"], 0, atol=1e-9)
    comparison = pd.read_csv(run / "group_comparison.csv")
    np.testing.assert_allclose(comparison["difference"], 0, atol=1e-9)
    assert "spot" in (run / "report.html").read_text(encoding="utf-8")


def test_annotated_copies_are_videos_of_the_same_length(infer: Program, clip: Path, tmp_path: Path) -> None:
    done = infer(f"extraction.input={clip}", "extraction.annotate=true", f"hydra.run.dir={tmp_path / 'run'}")
    assert done.returncode == 0, done.stderr
    plain, drawn_in = frames_of(clip), frames_of(tmp_path / "run" / "annotated" / "clip.mp4")
    assert len(drawn_in) == len(plain) == 200
    # Something green is drawn while the person is there, and nothing in the end.
    green = [np.abs(one.astype(int) - other).max(axis=2) > 60 for one, other in zip(plain, drawn_in, strict=True)]
    assert green[50].sum() > 500 and green[-1].sum() == 0


def frames_of(path: Path) -> list[np.ndarray]:
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(read[1])
    capture.release()
    return frames


def test_nothing_but_unreadable_videos_is_exit_code_1(infer: Program, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("this is no video\n" * 50)
    done = infer(f"extraction.input={tmp_path}", f"hydra.run.dir={tmp_path / 'run'}")
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "Excluded: text.mp4" in done.stdout and "Nothing usable" in done.stdout
    table, videos = table_of(tmp_path / "run"), pd.read_parquet(tmp_path / "run" / "videos.parquet")
    assert len(table) == 0 and set(PROBABILITIES) <= set(table.columns)
    assert videos["sampled"].tolist() == [0] and "text.mp4" in (tmp_path / "run" / "report.html").read_text("utf-8")


def test_nothing_usable_is_exit_code_1(infer: Program, workplace: Path) -> None:
    empty = workplace / "plain.png"
    cv2.imwrite(str(empty), np.full((120, 160, 3), 128, np.uint8))
    directory = workplace / "nothing"
    done = infer(f"extraction.input={empty}", f"hydra.run.dir={directory}")
    assert done.returncode == 1, done.stdout
    assert "Nothing usable" in done.stdout
    assert table_of(directory)["status"].tolist() == ["no_face"]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("extraction.input=no/such/clip.mp4", ["no/such/clip.mp4", "no such file"]),
        ("extraction.input=../**/*.nothing", ["no video or image there"]),
        ("extraction.input=.,no/such/clip.mp4 -m", ["no/such/clip.mp4", "no job of the sweep was started"]),
        ("extraction.stages=[predict]", ["resume=RUN"]),
        ("extraction.fps=0", ["extraction.fps", "above 0"]),
        ("extraction.detector.min_sise=3", ["extraction.detector.min_size"]),
        ("resume=.", ["holds no run of infer.py"]),
    ],
)
def test_mistakes_are_one_sentence(infer: Program, override: str, words: list[str]) -> None:
    done = infer(*override.split())
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert all(word in done.stderr for word in words), done.stderr


def test_runtime_and_batch_size_change_nothing(infer: Program, inferred: Path, clip: Path, workplace: Path) -> None:
    expected = table_of(inferred)[PROBABILITIES]
    for name, overrides in {
        "single": ["inference.batch_size=1"],
        "torch": ["inference.runtime=torch"],
        "openvino": ["inference.runtime=openvino"],
    }.items():
        directory = workplace / f"inferred-{name}"
        done = infer(f"extraction.input={clip}", "extraction.fps=5", f"hydra.run.dir={directory}", *overrides)
        assert done.returncode == 0, done.stderr
        np.testing.assert_allclose(table_of(directory)[PROBABILITIES], expected, atol=1e-5)
        assert provenance_of(directory)["inference"]["runtime"] == {"single": "onnx"}.get(name, name)
