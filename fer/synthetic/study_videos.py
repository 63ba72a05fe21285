"""The videos of a drawn study: a respondent before a stimulus, and the stimulus."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fer.synthetic.actions import FaceActions
from fer.synthetic.geometry import Colour
from fer.synthetic.identity import Identity
from fer.synthetic.render import paste_face
from fer.synthetic.scene import Scene
from fer.synthetic.video_file import write_video

_FADE_S = 0.35  # how long a face takes to a reaction and back
_FACE = 0.62  # height of a face, fraction of the recording's
_DARKNESS = 0.03  # what is left of the light
_STIMULUS_SIZE, _STIMULUS_FPS = (160, 90), 10
_EVENT_SHOWN_S = 2.0
_SCENE_COLOURS: tuple[Colour, ...] = ((32, 60, 96), (214, 168, 84), (92, 132, 92), (150, 70, 90), (70, 70, 78))


@dataclass(frozen=True)
class Reaction:
    """What a face does from one second of the recording to another."""

    start_s: float
    end_s: float
    actions: FaceActions


@dataclass(frozen=True)
class Sitting:
    """One respondent before one stimulus. Of reactions at the same time the first one shows.

    ``dark`` and ``away`` are stretches of the recording without light, and with the face out of the frame.
    """

    identity: Identity
    rest: FaceActions
    reactions: tuple[Reaction, ...]
    seconds: float
    onset_s: float
    phase: float  # radians, of the slow movements of the head
    dark: tuple[float, float] | None
    away: tuple[float, float] | None
    seed: int  # of the backdrop's grain


def write_sitting(path: Path, sitting: Sitting, size: int, fps: int) -> None:
    """Write a recording, H.264 in MP4, ``size`` pixels high."""
    height, width = size // 2 * 2, size * 2 // 3 * 2
    rng = np.random.default_rng(sitting.seed)
    backdrop = np.linspace(205, 165, height)[:, None, None] + rng.normal(0, 2, (height, width, 1)) + np.zeros(3)
    still = np.clip(backdrop, 0, 255).astype(np.uint8)
    times = np.arange(round(sitting.seconds * fps)) / fps
    write_video(path, (_render_moment(sitting, still, float(time_s)) for time_s in times), (width, height), fps)


def _render_moment(sitting: Sitting, still: np.ndarray, time_s: float) -> np.ndarray:
    canvas = still.copy()
    height, width = canvas.shape[:2]
    if not _lies_in(time_s, sitting.away):
        # A head is never quite still.
        yaw, pitch = 6.0 * np.sin(0.9 * time_s + sitting.phase), 3.0 * np.sin(1.3 * time_s + 2 * sitting.phase)
        center = (width / 2 + 0.03 * width * np.sin(0.7 * time_s + sitting.phase), 0.52 * height)
        actions = _pose_face(sitting, time_s).replace_pose(float(yaw), float(pitch), float(0.5 * yaw))
        paste_face(canvas, actions, sitting.identity, Scene(), center, _FACE * height)
    return (canvas * _DARKNESS).astype(np.uint8) if _lies_in(time_s, sitting.dark) else canvas


def _pose_face(sitting: Sitting, time_s: float) -> FaceActions:
    """The resting face, or on the way to a reaction and back."""
    for reaction in sitting.reactions:
        if reaction.start_s <= time_s < reaction.end_s:
            weight = min((time_s - reaction.start_s) / _FADE_S, (reaction.end_s - time_s) / _FADE_S, 1.0)
            return sitting.rest.interpolate(reaction.actions, weight)
    return sitting.rest


def _lies_in(time_s: float, stretch: tuple[float, float] | None) -> bool:
    return stretch is not None and stretch[0] <= time_s < stretch[1]


def write_stimulus(path: Path, seconds: float, cuts: Sequence[float], events: Mapping[str, float], seed: int) -> None:
    """Write a stimulus: shapes in scenes between ``cuts``, and the name of each event when it happens."""
    rng = np.random.default_rng((seed, len(events), *(round(cut * 100) for cut in cuts)))
    scenes = rng.permutation(len(_SCENE_COLOURS))
    times = np.arange(round(seconds * _STIMULUS_FPS)) / _STIMULUS_FPS
    frames = (_render_stimulus(float(time_s), cuts, events, scenes) for time_s in times)
    write_video(path, frames, _STIMULUS_SIZE, _STIMULUS_FPS)


def _render_stimulus(
    time_s: float, cuts: Sequence[float], events: Mapping[str, float], scenes: np.ndarray
) -> np.ndarray:
    width, height = _STIMULUS_SIZE
    scene = int(np.searchsorted(cuts, time_s, side="right"))
    colour = _SCENE_COLOURS[scenes[scene % len(scenes)]]
    light = np.linspace(1.15, 0.75, height)[:, None, None]
    canvas = np.clip(light * np.array(colour, float) * np.ones((1, width, 1)), 0, 255).astype(np.uint8)
    shade = tuple(255 - value for value in colour)
    middle = (round(width * (0.5 + 0.35 * np.sin(1.1 * time_s + scene))), round(0.62 * height))
    if scene % 2:
        corner = (middle[0] + 26, middle[1] + 20)
        cv2.rectangle(canvas, (middle[0] - 26, middle[1] - 14), corner, shade, cv2.FILLED, cv2.LINE_AA)
    else:
        cv2.circle(canvas, middle, 18, shade, cv2.FILLED, cv2.LINE_AA)
    for name, at in events.items():
        if at <= time_s < at + _EVENT_SHOWN_S:
            cv2.putText(canvas, name, (12, 26), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255, 255, 255), 2, cv2.LINE_AA)
    return canvas
