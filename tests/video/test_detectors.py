"""Detectors on drawn frames and on the real clips beside the repository."""

from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pytest

from fer.config import Extraction
from fer.errors import ModelError
from fer.video.detectors import (
    DETECTORS,
    Detector,
    HaarDetector,
    WholeImageDetector,
    YuNetDetector,
    make_detector,
)
from fer.video.detectors.base import sort_by_area
from tests.helpers.faces import drawn_frame, face, person, shared, yunet_weights

pytestmark = pytest.mark.slow

PEOPLE = [(person(1), (160.0, 150.0), 110.0), (person(4), (460.0, 190.0), 150.0)]


@pytest.fixture(params=["haar", "yunet"])
def detector(request: pytest.FixtureRequest) -> Detector:
    if request.param == "yunet":
        return make_detector("yunet", min_score=0.7, min_size=24, weights=yunet_weights())
    return make_detector("haar", min_size=24)


def frames_of(name: str) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(shared(f"data/videos/{name}")))
    frames = []
    while True:
        good, bgr = capture.read()
        if not good:
            return frames
        frames.append(bgr)


def test_drawn_faces_are_found_where_they_are_the_largest_first(detector: Detector) -> None:
    found = detector.detect(drawn_frame(PEOPLE))
    assert len(found) == 2
    for face_found, (_, place, height) in zip(found, PEOPLE[::-1], strict=True):
        x, y = face_found.x + 0.5 * face_found.width, face_found.y + 0.5 * face_found.height
        assert abs(x - place[0]) < 0.12 * height and abs(y - place[1]) < 0.25 * height
        assert 0.5 * height < face_found.height < 1.2 * height


def test_an_empty_frame_has_no_face(detector: Detector) -> None:
    assert detector.detect(drawn_frame([])) == []
    assert detector.detect(np.zeros((5, 3, 3), np.uint8)) == []


@pytest.mark.parametrize("size", [(500, 1), (1, 500), (500, 30), (4000, 200), (30, 2000)])
def test_a_strip_gives_no_boxes_beyond_it(size: tuple[int, int], detector: Detector) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    for found in detector.detect(noise):
        assert max(found.width, found.height) <= 2 * max(size)


def test_min_size_leaves_small_faces_out(detector: Detector) -> None:
    options = {} if isinstance(detector, HaarDetector) else {"weights": yunet_weights()}
    large = type(detector)(min_score=0.0, min_size=300, **options)
    assert large.detect(drawn_frame(PEOPLE)) == []


def test_a_detector_gives_the_same_whatever_it_saw_before(detector: Detector) -> None:
    frame = drawn_frame(PEOPLE)
    first = detector.detect(frame)
    detector.detect(drawn_frame(PEOPLE[:1], size=(320, 300)))
    again = detector.detect(frame)
    assert [(a.x, a.y, a.width, a.height, a.score) for a in first] == [
        (b.x, b.y, b.width, b.height, b.score) for b in again
    ]


def test_yunet_finds_the_same_on_the_shrunk_frame() -> None:
    frame = drawn_frame(PEOPLE)
    shrunk = YuNetDetector(yunet_weights()).detect(frame)
    full = YuNetDetector(yunet_weights(), max_side=None).detect(frame)
    assert len(shrunk) == len(full) == 2
    for a, b in zip(shrunk, full, strict=True):
        assert (a.x, a.y, a.width, a.height) == pytest.approx((b.x, b.y, b.width, b.height), abs=0.12 * b.height)
        assert a.landmarks is not None and b.landmarks is not None
        assert a.landmarks.shape == (5, 2)
        assert a.landmarks == pytest.approx(b.landmarks, abs=0.05 * b.height)


def test_landmarks_stand_in_the_face_the_right_eye_to_the_left() -> None:
    found = YuNetDetector(yunet_weights()).detect(drawn_frame(PEOPLE[:1]))[0]
    assert found.landmarks is not None
    right_eye, left_eye, nose, right_mouth, left_mouth = found.landmarks
    assert right_eye[0] < nose[0] < left_eye[0] and right_mouth[0] < left_mouth[0]
    assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])


def test_a_small_face_of_a_large_frame_is_still_found() -> None:
    """Where nothing was found, it looks again where the smallest wanted face can be seen."""
    frame = drawn_frame([(person(1), (1500.0, 300.0), 70.0)], size=(1920, 1080))
    [found] = YuNetDetector(yunet_weights(), min_size=24).detect(frame)
    assert abs(found.x + 0.5 * found.width - 1500) < 15


def test_a_small_face_beside_a_large_one_is_found_where_every_face_is_wanted() -> None:
    frame = drawn_frame([(person(1), (1500.0, 300.0), 48.0), (person(4), (500.0, 500.0), 500.0)], size=(1920, 1080))
    one, every = (YuNetDetector(yunet_weights(), min_size=20, every_face=every) for every in (False, True))
    assert (len(one.detect(frame)), len(every.detect(frame))) == (1, 2)


@pytest.mark.parametrize(
    ("options", "side", "scales"),
    [
        ({"max_side": 320, "min_size": 40}, 1280, (0.25, 0.5)),
        ({"max_side": 320, "min_size": 40}, 480, (320 / 480,)),
        ({"max_side": 320, "min_size": 40}, 200, (1.0,)),
        ({"max_side": 320, "min_size": 16}, 1280, (0.25, 1.0)),
        ({"max_side": 640, "min_size": 40}, 1280, (0.5,)),
        ({"max_side": None, "min_size": 40}, 1280, (1.0,)),
        ({"max_side": 320, "min_size": 40, "every_face": True}, 1280, (0.5,)),
    ],
)
def test_the_second_look_keeps_twenty_pixels_of_the_smallest_face(
    options: dict[str, Any], side: int, scales: tuple[float, ...]
) -> None:
    detector = YuNetDetector(yunet_weights(), **options)
    assert detector._choose_scales(side) == pytest.approx(scales)


def test_boxes_stand_in_pixels_of_the_frame_whichever_its_size() -> None:
    frame = drawn_frame([(person(1), (160.0, 150.0), 150.0)])
    large = cv2.resize(frame, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    [small], [found] = (YuNetDetector(yunet_weights()).detect(picture) for picture in (frame, large))
    assert small.landmarks is not None and found.landmarks is not None
    assert (found.x, found.y, found.width, found.height) == pytest.approx(
        [3 * value for value in (small.x, small.y, small.width, small.height)], abs=0.1 * found.height
    )
    assert found.landmarks == pytest.approx(3 * small.landmarks, abs=0.05 * found.height)


def test_the_whole_image_is_the_face() -> None:
    found = WholeImageDetector().detect(np.zeros((48, 64, 3), np.uint8))
    assert [(f.x, f.y, f.width, f.height, f.score, f.landmarks) for f in found] == [(0, 0, 64, 48, 1, None)]


def test_the_largest_come_first_and_equal_ones_from_left_to_right() -> None:
    faces = [face(300, 100, 40), face(100, 200, 50), face(100, 100, 40), face(50, 100, 40)]
    assert [(f.x, f.width) for f in sort_by_area(faces)] == [(75, 50), (30, 40), (80, 40), (280, 40)]


def test_a_file_that_is_no_detector_is_named(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(b"not a network")
    with pytest.raises(ModelError) as caught:
        YuNetDetector(path)
    assert str(caught.value) == (
        f"extraction.detector.weights={path}: is not YuNet as ONNX; take OpenCV zoo's face_detection_yunet_2023mar.onnx"
    )
    with pytest.raises(ModelError, match=r"gone\.onnx: cannot be read \(No such file or directory\)$"):
        YuNetDetector(tmp_path / "gone.onnx")


def test_an_unknown_kind_or_missing_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="no detector 'dlib'; there are haar, yunet, none"):
        make_detector("dlib")
    with pytest.raises(TypeError, match="weights"):
        make_detector("yunet")


def test_every_kind_of_the_configuration_has_its_detector() -> None:
    sections = get_args(Extraction.model_fields["detector"].annotation)
    kinds = [get_args(section.model_fields["kind"].annotation) for section in sections]
    assert [kind for (kind,) in kinds] == [*DETECTORS, "auto"]


def test_nobody_is_found_in_the_clip_without_faces() -> None:
    detector = YuNetDetector(yunet_weights())
    assert [len(detector.detect(frame)) for frame in frames_of("no_face.mp4")] == [0] * 95


@pytest.mark.parametrize("name", ["single_face.mp4", "face_noface.mov", "no_face.mp4", "WolfgangLanger_Pexels.mp4"])
def test_the_reduced_frame_has_the_same_hits_as_the_whole_on_real_clips(name: str) -> None:
    reduced, full = (YuNetDetector(yunet_weights(), max_side=side) for side in (320, None))
    for index, frame in enumerate(frames_of(name)[::6]):
        ours, theirs = reduced.detect(frame), full.detect(frame)
        assert len(ours) == len(theirs), index
        for a, b in zip(ours, theirs, strict=True):
            assert (a.x, a.y, a.width, a.height) == pytest.approx((b.x, b.y, b.width, b.height), abs=0.15 * b.height)


def test_one_face_is_found_in_every_frame_of_the_clip_with_one(detector: Detector) -> None:
    frames = frames_of("single_face.mp4")[::4]
    assert [len(detector.detect(frame)) for frame in frames] == [1] * len(frames)
