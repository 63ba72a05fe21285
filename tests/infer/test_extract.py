"""How extraction divides its work."""

import math
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from fer.config.compose import load_overrides
from fer.infer.extract import FaceExtractor, FrameFaces, SampledFrame, VideoEnd, count_detector_threads
from fer.video.reader import Frame
from tests.helpers.faces import face


@pytest.mark.parametrize(("kind", "threads"), [("haar", [1, 2, 7]), ("yunet", [1, 1, 3]), ("none", [1, 1, 1])])
def test_slow_detectors_get_more_threads(kind: str, threads: list[int]) -> None:
    config = load_overrides([f"extraction={kind}"], "infer").extraction
    assert [count_detector_threads(config, count) for count in (1, 2, 7)] == threads


@pytest.mark.parametrize(("faces", "rows"), [("largest", 1), ("all", 2)])
def test_each_row_has_the_pose_and_how_many_faces_its_frame_shows(faces: str, rows: int, tmp_path: Path) -> None:
    config = load_overrides(["extraction=haar", f"extraction.faces={faces}"], "infer").extraction
    extractor = FaceExtractor(config, tmp_path, 1, False, lambda item: nullcontext())
    frame = SampledFrame(0, "a.mp4", 0, Frame(0, 0.0, np.full((200, 300, 3), 90, np.uint8)))
    points = np.array([(80.0, 90.0), (120.0, 90.0), (100.0, 110.0), (85.0, 130.0), (115.0, 130.0)])
    found = [face(100, 100, 60, landmarks=points), face(200, 100, 40)]
    table = [row for row, _ in extractor.build_rows(frame, found)]
    assert [row["faces"] for row in table] == [2] * rows
    assert table[0]["yaw"] == 0.0 and table[0]["roll"] == 0.0 and -20 < table[0]["pitch"] < 0
    assert all(math.isnan(row["pitch"]) for row in table[1:])
    assert [row["faces"] for row, _ in extractor.build_rows(frame, [])] == [0]
    damaged = SampledFrame(0, "a.mp4", 0, Frame(0, 0.0, None, "cannot be decoded"))
    assert "faces" not in next(extractor.build_rows(damaged, []))[0]


@pytest.mark.parametrize(("side", "together"), [(90, 8), (2000, 1)])
def test_small_frames_are_detected_in_a_row_and_large_ones_are_not_held(
    side: int, together: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_overrides(["extraction=haar"], "infer").extraction
    extractor = FaceExtractor(config, tmp_path, 1, False, lambda item: nullcontext())
    bgr, order = np.zeros((side, side, 3), np.uint8), list[str]()

    def sample(media: object) -> Iterator[SampledFrame | VideoEnd]:
        for number in range(9):
            order.append("taken")
            yield SampledFrame(0, "a.mp4", 0, Frame(number, 0.0, bgr))
        yield VideoEnd(0, {})

    def build_rows(frame: SampledFrame, faces: object) -> Iterator[tuple[dict[str, int], None]]:
        order.append("done")
        yield {"frame": frame.frame.index}, None

    monkeypatch.setattr(extractor, "iter_sampled_frames", sample)
    monkeypatch.setattr(extractor, "detect_faces", lambda items: ((item, []) for item in items))
    monkeypatch.setattr(extractor, "build_rows", build_rows)
    items = list(extractor.extract([]))
    assert [item.rows[0]["frame"] for item in items[:-1] if isinstance(item, FrameFaces)] == list(range(9))
    assert isinstance(items[-1], VideoEnd)
    assert order[: 2 * together] == ["taken"] * together + ["done"] * together
