"""Quality: figures that do not depend on resolution, the pose from eye points, and the reasons."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from fer.synthetic import FaceActions, Scene, draw_face
from fer.video.detectors import YuNetDetector
from fer.video.quality import (
    MOUTH_REACH,
    NOSE_DROP,
    NOSE_LENGTH,
    NOSE_REACH,
    FaceQuality,
    QualityThresholds,
    compute_pitch,
    find_rejection_reason,
    measure_quality,
)
from tests.helpers.faces import drawn_frame, face, person, shared, yunet_weights

GOOD = FaceQuality(size=80.0, sharpness=300.0, brightness=0.5, contrast=0.2, yaw=5.0, pitch=2.0, roll=-3.0)
LIMITS = QualityThresholds(
    min_score=0.5, min_size=24, min_sharpness=20, min_brightness=0.1, max_brightness=0.95, max_yaw=60
)


def drawn(size: int) -> np.ndarray:
    return draw_face(FaceActions(), person(3), Scene(), size)


def test_sharpness_does_not_depend_on_resolution_but_on_blur() -> None:
    sharp = {size: measure_quality(drawn(size), face(0, 0, size)).sharpness for size in (48, 96, 256)}
    assert sharp[96] == pytest.approx(sharp[48], rel=0.25)
    assert sharp[256] == pytest.approx(sharp[48], rel=0.25)
    blurred = [
        measure_quality(cv2.GaussianBlur(drawn(size), (0, 0), size / 16), face(0, 0, size)).sharpness
        for size in (96, 256)
    ]
    assert blurred[0] == pytest.approx(blurred[1], rel=0.25)
    assert max(blurred) < 0.1 * min(sharp.values())
    # A face of few pixels stays soft when it is enlarged.
    assert measure_quality(drawn(16), face(0, 0, 16)).sharpness < 0.5 * sharp[48]


@pytest.mark.parametrize(("level", "brightness"), [(0, 0.0), (51, 0.2), (255, 1.0)])
def test_brightness_and_contrast_of_one_colour(level: int, brightness: float) -> None:
    quality = measure_quality(np.full((60, 60, 3), level, np.uint8), face(30, 30, 60))
    assert quality.brightness == pytest.approx(brightness)
    assert quality.contrast == 0.0 and quality.sharpness == 0.0


def test_contrast_is_the_standard_deviation() -> None:
    halves = np.zeros((96, 96, 3), np.uint8)
    halves[:, 48:] = 255
    quality = measure_quality(halves, face(48, 48, 96))
    assert quality.contrast == pytest.approx(0.5) and quality.brightness == pytest.approx(0.5)


def test_size_is_the_shorter_side_in_the_frame() -> None:
    wide = replace(face(0, 0), width=90.0, height=40.0)
    assert measure_quality(drawn(48), wide).size == 40.0


def test_without_landmarks_the_pose_is_unknown() -> None:
    quality = measure_quality(drawn(48), face(0, 0))
    assert all(map(math.isnan, (quality.yaw, quality.pitch, quality.roll)))


@pytest.mark.parametrize("yaw", [-60.0, -20.0, 0.0, 35.0])
@pytest.mark.parametrize("roll", [-30.0, 0.0, 15.0])
def test_pose_of_a_turned_head(yaw: float, roll: float) -> None:
    head = np.array([(-0.5, 0, 0), (0.5, 0, 0), (0, 0.6, NOSE_LENGTH), (-0.4, 1.1, 0), (0.4, 1.1, 0)])
    turn, tilt = math.radians(yaw), math.radians(roll)
    flat = np.stack((head[:, 0] * math.cos(turn) + head[:, 2] * math.sin(turn), head[:, 1]), axis=1)
    across = np.array(((math.cos(tilt), math.sin(tilt)), (-math.sin(tilt), math.cos(tilt))))
    quality = measure_quality(drawn(48), face(0, 0, landmarks=40 * flat @ across + (300, 200)))
    assert quality.yaw == pytest.approx(yaw) and quality.roll == pytest.approx(roll)


def turned_points(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Eyes, nose tip and mouth (5, 2) of a solid head that nods, then turns, then tilts, seen from afar."""
    half, mouth = 0.45, 0.35
    head = np.array([(-half, 0, 0), (half, 0, 0), (0, NOSE_DROP, NOSE_REACH)])
    head = np.vstack((head, [(-mouth, 1, MOUTH_REACH), (mouth, 1, MOUTH_REACH)]))
    nod, turn, tilt = map(math.radians, (pitch, yaw, roll))
    nodding = np.array([(1, 0, 0), (0, math.cos(nod), math.sin(nod)), (0, -math.sin(nod), math.cos(nod))])
    turning = np.array([(math.cos(turn), 0, math.sin(turn)), (0, 1, 0), (-math.sin(turn), 0, math.cos(turn))])
    tilting = np.array([(math.cos(tilt), -math.sin(tilt), 0), (math.sin(tilt), math.cos(tilt), 0), (0, 0, 1)])
    return 60 * (head @ (tilting @ turning @ nodding).T)[:, :2] + (300, 200)


@pytest.mark.parametrize("pitch", [-45.0, -10.0, 0.0, 25.0])
@pytest.mark.parametrize(("yaw", "roll"), [(0.0, 0.0), (35.0, 0.0), (-20.0, 30.0), (0.0, -120.0)])
def test_pitch_of_a_nodding_head_whatever_its_yaw_and_roll(pitch: float, yaw: float, roll: float) -> None:
    assert compute_pitch(turned_points(yaw, pitch, roll)) == pytest.approx(pitch)


def test_pitch_in_pixels_that_were_counted_by_hand() -> None:
    """Eyes to mouth 100 pixels, nose tip 70 below the eyes: (70 - 57.8) / (54.3 - 5.95) is the tangent of 14.16."""
    points = np.array([(-45.0, 0.0), (45.0, 0.0), (0.0, 70.0), (-30.0, 100.0), (30.0, 100.0)])
    assert compute_pitch(points) == pytest.approx(14.16, abs=0.01)
    assert measure_quality(drawn(48), face(0, 0, landmarks=points)).pitch == compute_pitch(points)
    points[2] = 0.0, 50.0
    assert compute_pitch(points) < 0


def test_pitch_of_drawn_heads_grows_with_their_nod() -> None:
    """Only the order: the nose of drawn heads hardly stands out, so that theirs seems to be a fifth of what it is."""
    detector = YuNetDetector(yunet_weights())
    found = {}
    for nod in (-30.0, 0.0, 30.0):
        frames = [drawn_frame([(person(seed), (320, 180), 200)], actions=FaceActions(pitch=nod)) for seed in range(3)]
        points = [detector.detect(frame)[0].landmarks for frame in frames]
        found[nod] = np.median([compute_pitch(five) for five in points if five is not None])
    assert found[-30.0] < found[0.0] < found[30.0]
    assert abs(found[0.0]) < 8


def test_the_person_of_a_real_clip_holds_the_head_level() -> None:
    capture = cv2.VideoCapture(str(shared("data/videos/single_face.mp4")))
    points = YuNetDetector(yunet_weights()).detect(capture.read()[1])[0].landmarks
    assert points is not None and abs(compute_pitch(points)) < 8


@pytest.mark.parametrize(
    ("change", "score", "reason"),
    [
        ({}, 0.9, ""),
        ({"size": 23.9}, 0.9, "face smaller than 24 pixels"),
        ({}, 0.4, "detector's score below 0.5"),
        ({"brightness": 0.05}, 0.9, "darker than 0.1"),
        ({"brightness": 0.97}, 0.9, "brighter than 0.95"),
        ({"sharpness": 19.0}, 0.9, "blurred: sharpness below 20"),
        ({"yaw": -61.0}, 0.9, "turned by more than 60 degrees"),
        ({"yaw": math.nan, "roll": math.nan}, 0.9, ""),
        ({"size": 10.0, "brightness": 0.0, "yaw": 80.0}, 0.1, "face smaller than 24 pixels"),
    ],
)
def test_the_first_limit_that_is_missed_is_the_reason(change: dict[str, float], score: float, reason: str) -> None:
    assert find_rejection_reason(replace(GOOD, **change), score, LIMITS) == reason


def test_the_defaults_let_every_face_pass() -> None:
    worst = FaceQuality(size=0.0, sharpness=0.0, brightness=0.0, contrast=0.0, yaw=180.0, pitch=180.0, roll=180.0)
    assert find_rejection_reason(worst, -5.0, QualityThresholds()) == ""
