"""What a face does: facial actions after FACS, and how each emotion moves them.

FACS is Ekman, Friesen and Hager, "Facial Action Coding System" (2002); AU numbers are theirs. The
combinations per emotion follow EMFACS (Friesen and Ekman, 1983).
"""

from dataclasses import dataclass, fields, replace

import numpy as np

from fer.emotions import EMOTIONS


@dataclass(frozen=True)
class FaceActions:
    """One moment of a face. All zero is a relaxed face that looks at the camera.

    Raises ValueError when a value is outside its range.
    """

    inner_brow_raise: float = 0.0  # 0..1, AU1
    outer_brow_raise: float = 0.0  # 0..1, AU2
    brow_lower: float = 0.0  # 0..1, AU4: brows lowered and drawn together
    upper_lid: float = 0.0  # -1 closed (AU43) .. 0 relaxed .. 1 raised (AU5)
    cheek_raise: float = 0.0  # 0..1, AU6
    lid_tighten: float = 0.0  # 0..1, AU7
    nose_wrinkle: float = 0.0  # 0..1, AU9
    upper_lip_raise: float = 0.0  # 0..1, AU10
    lip_corner: float = 0.0  # -1 depressed (AU15) .. 1 pulled up (AU12)
    chin_raise: float = 0.0  # 0..1, AU17
    lip_stretch: float = 0.0  # 0..1, AU20
    lip_press: float = 0.0  # 0..1, AU23 and AU24
    lips_part: float = 0.0  # 0..1, AU25
    jaw_drop: float = 0.0  # 0..1, AU26 and AU27
    tongue_show: float = 0.0  # 0..1, AD19
    gaze_x: float = 0.0  # -1..1, positive to the image's right
    gaze_y: float = 0.0  # -1..1, positive down
    yaw: float = 0.0  # degrees, -40..40, positive turns to the image's right
    pitch: float = 0.0  # degrees, -40..40, positive nods down
    roll: float = 0.0  # degrees, -40..40, positive tilts clockwise in the image

    def __post_init__(self) -> None:
        for name, (low, high) in ACTION_RANGES.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be in {low}..{high}, not {getattr(self, name)}")

    def interpolate(self, other: "FaceActions", weight: float) -> "FaceActions":
        """The point ``weight`` (0..1) of the way from this face to ``other``; pose and gaze included."""
        return FaceActions(
            **{name: (1.0 - weight) * getattr(self, name) + weight * getattr(other, name) for name in ACTION_RANGES}
        )

    def replace_pose(self, yaw: float, pitch: float, roll: float) -> "FaceActions":
        """The same expression with another head pose, in degrees."""
        return replace(self, yaw=yaw, pitch=pitch, roll=roll)

    def to_vector(self) -> np.ndarray:
        """The EXPRESSIVE_ACTIONS as a float64 vector, in that order."""
        return np.array([getattr(self, name) for name in EXPRESSIVE_ACTIONS])


_SIGNED = ("upper_lid", "lip_corner", "gaze_x", "gaze_y")
_POSE = ("yaw", "pitch", "roll")
ACTION_RANGES: dict[str, tuple[float, float]] = {
    field.name: (-40.0, 40.0) if field.name in _POSE else (-1.0 if field.name in _SIGNED else 0.0, 1.0)
    for field in fields(FaceActions)
}
# Pose and gaze are drawn but carry no emotion here.
EXPRESSIVE_ACTIONS: tuple[str, ...] = tuple(name for name in ACTION_RANGES if name not in (*_POSE, "gaze_x", "gaze_y"))

# Each emotion's ways of showing at full intensity; people differ in which they use.
PROTOTYPES: dict[str, tuple[FaceActions, ...]] = {
    # AU 4+5+7+23/24 with closed lips; 4+5+7+10+22+25+26 with bared teeth.
    "anger": (
        FaceActions(brow_lower=1.0, upper_lid=0.3, lid_tighten=0.6, lip_press=0.9, lip_corner=-0.3, chin_raise=0.3),
        FaceActions(
            brow_lower=1.0,
            upper_lid=0.4,
            lid_tighten=0.5,
            nose_wrinkle=0.2,
            upper_lip_raise=0.3,
            lip_corner=-0.35,
            lip_stretch=0.6,
            lips_part=0.9,
            jaw_drop=0.3,
        ),
    ),
    # AU 9+15+17 with closed lips; 9+10+16+25+26, sometimes with the tongue out (19).
    "disgust": (
        FaceActions(
            brow_lower=0.4,
            upper_lid=-0.2,
            cheek_raise=0.4,
            lid_tighten=0.5,
            nose_wrinkle=1.0,
            upper_lip_raise=0.9,
            lip_corner=-0.6,
            chin_raise=0.5,
        ),
        FaceActions(
            brow_lower=0.4,
            upper_lid=-0.2,
            cheek_raise=0.4,
            lid_tighten=0.5,
            nose_wrinkle=1.0,
            upper_lip_raise=1.0,
            lip_corner=-0.4,
            lips_part=0.6,
            jaw_drop=0.3,
            tongue_show=0.8,
        ),
    ),
    # AU 1+2+4+5+7+20+25/26.
    "fear": (
        FaceActions(
            inner_brow_raise=1.0,
            outer_brow_raise=0.3,
            brow_lower=0.6,
            upper_lid=1.0,
            lid_tighten=0.3,
            lip_corner=-0.25,
            lip_stretch=1.0,
            lips_part=0.5,
            jaw_drop=0.1,
        ),
        FaceActions(
            inner_brow_raise=1.0,
            outer_brow_raise=0.35,
            brow_lower=0.6,
            upper_lid=1.0,
            lid_tighten=0.3,
            lip_corner=-0.25,
            lip_stretch=0.9,
            lips_part=0.8,
            jaw_drop=0.5,
        ),
    ),
    # AU 6+12, with 25 or 25+26 for open smiles and laughs.
    "happiness": (
        FaceActions(cheek_raise=0.6, lip_corner=0.9),
        FaceActions(cheek_raise=0.7, lip_corner=1.0, lips_part=0.7, jaw_drop=0.15),
        FaceActions(cheek_raise=0.9, lip_corner=1.0, lips_part=0.9, jaw_drop=0.6),
    ),
    "neutral": (FaceActions(),),
    # AU 1+4+15+17, with 20+25 when crying.
    "sadness": (
        FaceActions(inner_brow_raise=1.0, brow_lower=0.5, upper_lid=-0.3, lip_corner=-0.9, chin_raise=0.5, gaze_y=0.4),
        FaceActions(
            inner_brow_raise=1.0,
            brow_lower=0.5,
            upper_lid=-0.35,
            cheek_raise=0.3,
            lip_corner=-0.9,
            lip_stretch=0.2,
            lips_part=0.4,
            jaw_drop=0.1,
            gaze_y=0.2,
        ),
    ),
    # AU 1+2+5+26 or 27.
    "surprise": (
        FaceActions(inner_brow_raise=0.9, outer_brow_raise=1.0, upper_lid=0.9, lips_part=0.8, jaw_drop=0.55),
        FaceActions(inner_brow_raise=1.0, outer_brow_raise=1.0, upper_lid=1.0, lips_part=1.0, jaw_drop=1.0),
    ),
}

_PERSONAL_GAIN = 0.16  # spread of how strongly people use each action of an expression
_RESTING_TENSION = 0.05  # spread of the actions that belong to no expression


def sample_actions(emotion: str, intensity: float, rng: np.random.Generator) -> FaceActions:
    """One person's way to show ``emotion`` at ``intensity`` (0 is neutral, 1 the full prototype).

    Picks one of the emotion's prototypes, varies each action, and adds slight tension and gaze. The head
    pose is left frontal. Raises ValueError for an unknown emotion or an intensity outside 0..1.
    """
    if emotion not in EMOTIONS:
        raise ValueError(f"unknown emotion {emotion!r}; there are {', '.join(EMOTIONS)}")
    if not 0.0 <= intensity <= 1.0:
        raise ValueError(f"intensity must be in 0..1, not {intensity}")
    variants = PROTOTYPES[emotion]
    prototype = variants[rng.integers(len(variants))]
    gain = intensity * rng.normal(1.0, _PERSONAL_GAIN, len(ACTION_RANGES))
    tension = rng.normal(0.0, _RESTING_TENSION, len(ACTION_RANGES))
    sampled = {}
    for index, (name, (low, high)) in enumerate(ACTION_RANGES.items()):
        if name not in _POSE:
            value = getattr(prototype, name) * gain[index] + tension[index]
            sampled[name] = float(min(max(value, low), high))
    return FaceActions(**sampled)
