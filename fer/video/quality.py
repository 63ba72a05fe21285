"""How well a face can be classified: size, sharpness, light and pose, and the limits beyond which it is not."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from fer.video.crop import compute_roll
from fer.video.detectors import Face

MEASURED_SIDE = 48  # pixels; the resolution of FER2013's faces
# The nose tip's distance before the eyes over that between the eyes. From the eyes' corners it is 0.64 in MediaPipe's
# canonical_face_model.obj (vertices 1, 33, 133, 263, 362); the pupils, which detectors point at, lie further forward.
NOSE_LENGTH = 0.6
# The same face from the side, in distances from the line of the eyes to that of the mouth's corners (vertices 61, 291),
# pupils as above: how far the nose tip and the mouth stand before the eyes.
NOSE_REACH, MOUTH_REACH = 0.543, 0.085
# The nose tip below the eyes of a level head, in the same unit: the median of YuNet's points in 348 faces of FERPlus
# that are turned by less than 15 degrees, their quartiles 4 degrees away. By that model it were 0.538, 5 degrees less.
NOSE_DROP = 0.578


@dataclass(frozen=True)
class FaceQuality:
    """What is known of one face beside its emotion.

    Attributes:
        size: Shorter side of the box, pixels of the frame.
        sharpness: Variance of the Laplacian at 48 pixels a side, grey levels squared.
        brightness: Mean, 0 to 1.
        contrast: Standard deviation, 0 to 0.5.
        yaw: Degrees, positive turns to the image's right; nan without landmarks.
        pitch: Degrees, positive nods down; nan without landmarks.
        roll: Degrees, positive tilts clockwise in the image; nan without landmarks.
    """

    size: float
    sharpness: float
    brightness: float
    contrast: float
    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True)
class QualityThresholds:
    """A face beyond any of these limits is not classified. The defaults let every face pass.

    ``min_score`` is the detector's; the others are in the units of ``FaceQuality``.
    """

    min_score: float = -math.inf
    min_size: float = 0.0
    min_sharpness: float = 0.0
    min_brightness: float = 0.0
    max_brightness: float = 1.0
    max_yaw: float = 180.0  # either way; faces whose yaw is unknown pass


def measure_quality(crop_rgb: np.ndarray, face: Face) -> FaceQuality:
    """Measure a face.

    All is measured at 48 pixels a side, so that the values are comparable whatever the resolution of the video: a
    sharp face is then as sharp in 4K as in 360p, and one that was enlarged, or blurred more than the models' input
    can show, is not. Variance of the Laplacian: Pech-Pacheco and others 2000, "Diatom autofocusing in brightfield
    microscopy". Yaw is estimated from where the nose tip stands between the eyes of a head seen from afar, pitch
    from where it stands between eyes and mouth.

    Args:
        crop_rgb: (H, W, 3) uint8, as ``crop_face`` gives it.
        face: The face in its frame.

    Returns:
        The measures.
    """
    gray = cv2.cvtColor(crop_rgb, cv2.COLOR_RGB2GRAY)
    shrinks = max(gray.shape) > MEASURED_SIDE
    gray = cv2.resize(
        gray, (MEASURED_SIDE, MEASURED_SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    landmarks = face.landmarks
    return FaceQuality(
        size=min(face.width, face.height),
        sharpness=float(cv2.Laplacian(gray, cv2.CV_32F).var()),
        brightness=float(gray.mean()) / 255.0,
        contrast=float(gray.std()) / 255.0,
        yaw=math.nan if landmarks is None else compute_yaw(landmarks),
        pitch=math.nan if landmarks is None else compute_pitch(landmarks),
        roll=math.nan if landmarks is None else compute_roll(landmarks),
    )


def compute_yaw(landmarks: np.ndarray) -> float:
    """Estimate how far the head is turned to the image's right, degrees, under weak perspective.

    ``landmarks``: (3 or more, 2) pixels, of which the first are the eye at the image's left, the other eye and the
    nose tip. A turn by a moves the nose tip sideways by NOSE_LENGTH sin a, and brings the eyes to cos a of their
    distance.
    """
    right_eye, left_eye, nose = landmarks[:3]
    eyes = left_eye - right_eye
    aside = (nose - 0.5 * (right_eye + left_eye)) @ eyes
    return math.degrees(math.atan2(aside, NOSE_LENGTH * (eyes @ eyes)))


def compute_pitch(landmarks: np.ndarray) -> float:
    """Estimate how far the head nods down, degrees, under weak perspective.

    A nod by a brings a point that lies y below the eyes and z before them to y cos a + z sin a below them, measured
    across the line of the eyes, whatever yaw and roll. For nose tip and mouth, whose places are those of an average
    face, that gives the angle from the ratio of the two. A person's own face shifts it by a constant.

    Args:
        landmarks: (5, 2) as those of ``Face``.

    Returns:
        The angle; 0 where the nose tip divides the way from eyes to mouth as in the average face.
    """
    right_eye, left_eye, nose, right_corner, left_corner = landmarks
    across, down = left_eye - right_eye
    below = np.array((-down, across))
    middle = 0.5 * (right_eye + left_eye)
    tip = (nose - middle) @ below
    mouth = (0.5 * (right_corner + left_corner) - middle) @ below
    return math.degrees(math.atan2(tip - NOSE_DROP * mouth, NOSE_REACH * mouth - MOUTH_REACH * tip))


def find_rejection_reason(quality: FaceQuality, score: float, limits: QualityThresholds) -> str:
    """Find the first limit that a face is beyond.

    Args:
        quality: What was measured.
        score: The detector's score.
        limits: The limits.

    Returns:
        The reason in words, or "". The same limit gives the same words, so that reasons can be counted.
    """
    reasons = {
        f"face smaller than {limits.min_size:g} pixels": quality.size < limits.min_size,
        f"detector's score below {limits.min_score:g}": score < limits.min_score,
        f"darker than {limits.min_brightness:g}": quality.brightness < limits.min_brightness,
        f"brighter than {limits.max_brightness:g}": quality.brightness > limits.max_brightness,
        f"blurred: sharpness below {limits.min_sharpness:g}": quality.sharpness < limits.min_sharpness,
        f"turned by more than {limits.max_yaw:g} degrees": abs(quality.yaw) > limits.max_yaw,
    }
    return next((reason for reason, applies in reasons.items() if applies), "")
