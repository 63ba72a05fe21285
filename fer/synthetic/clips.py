"""Drawn clips: a person whose face moves, with the emotion that the clip is labelled with."""

import csv
import io
import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from fer.core.io import write_text
from fer.emotions import EMOTIONS
from fer.synthetic.actions import FaceActions, sample_actions
from fer.synthetic.identity import Identity
from fer.synthetic.render import draw_face, paste_face
from fer.synthetic.scene import Scene
from fer.synthetic.video_file import write_video

# To raise whenever the same arguments give another clip.
CLIP_GENERATOR_VERSION = 1
MOTIONS = ("plain", "direction")
# The labels of a smile that comes slowly and goes at once, and of the same frames in reverse order. They only name the
# classes of the task.
ONSET, OFFSET = "happiness", "sadness"
TABLE = "clips.csv"
_RISING = 0.85  # fraction of a period in which the smile comes
_FRAME_SIZE = (240, 320)  # height and width of a written video
_FACE_HEIGHT = 130.0


@dataclass(frozen=True)
class DrawnClip:
    """One labelled clip; its frames are drawn when they are read.

    Attributes:
        subject: Number of the person.
        emotion: The label.
        identity: The person.
        scene: How the person is filmed, without noise.
        moments: What the face does in each frame.
        times: (T,) seconds.
        noise: Standard deviation of the camera's noise, grey levels.
        noise_seeds: Seed of each frame's noise.
    """

    subject: int
    emotion: str
    identity: Identity
    scene: Scene
    moments: tuple[FaceActions, ...]
    times: np.ndarray
    noise: float
    noise_seeds: tuple[int, ...]

    def draw_frames(self, size: int) -> np.ndarray:
        """Draw the faces alone, tightly framed: (T, size, size, 3) uint8 RGB."""
        frames = [draw_face(actions, self.identity, self.scene, size) for actions in self.moments]
        return np.stack([self._add_noise(*pair) for pair in zip(frames, self.noise_seeds, strict=True)])

    def draw_scenes(self) -> list[np.ndarray]:
        """Draw the person before a wall: (240, 320, 3) uint8 RGB of each frame."""
        height, width = _FRAME_SIZE
        wall = np.linspace(205, 165, height)[:, None, None] + np.zeros((height, width, 3))
        drawn = []
        for actions, seed in zip(self.moments, self.noise_seeds, strict=True):
            canvas = wall.astype(np.uint8)
            center = (width / 2 + actions.yaw, height / 2 + actions.pitch)
            paste_face(canvas, actions, self.identity, self.scene, center, _FACE_HEIGHT)
            drawn.append(self._add_noise(canvas, seed))
        return drawn

    def _add_noise(self, frame: np.ndarray, seed: int) -> np.ndarray:
        grain = self.noise * np.random.default_rng(seed).standard_normal((*frame.shape[:2], 1))
        return np.clip(np.rint(frame + grain), 0, 255).astype(np.uint8)

    def reverse(self, emotion: str) -> "DrawnClip":
        """The same frames in reverse order, with another label."""
        return replace(self, emotion=emotion, moments=self.moments[::-1], noise_seeds=self.noise_seeds[::-1])


@dataclass(frozen=True)
class ClipSeries:
    """Clips of a drawn data set; clip i is a function of the fields and of i alone.

    With ``motion=plain`` an expression rises from neutral to an apex at a random time and fades again; a person shows
    each emotion in turn. With ``motion=direction`` a smile that comes slowly and goes at once repeats, from a random
    moment on; each clip is followed by the same frames in reverse order under the other label. Any frame is then as
    likely in one class as in the other, at each place of the clip, so that their order alone tells the two apart.

    Attributes:
        seed: Number of the data set.
        subjects: Number of people; they follow each other and return.
        fps: Frames a second.
        seconds: Length of a clip.
        motion: plain or direction.
    """

    seed: int
    subjects: int
    fps: float
    seconds: float
    motion: str

    def draw_clip(self, index: int) -> DrawnClip:
        """Draw clip ``index``. Raises ValueError for an unknown motion.

        Examples:
            >>> clip = ClipSeries(seed=0, subjects=30, fps=8, seconds=2, motion="plain").draw_clip(3)
            >>> clip.emotion, clip.draw_frames(48).shape
            ('happiness', (16, 48, 48, 3))
        """
        if self.motion not in MOTIONS:
            raise ValueError(f"unknown motion {self.motion!r}; there are {', '.join(MOTIONS)}")
        if self.motion == "plain":
            turn, kind = divmod(index, len(EMOTIONS))
            return self._compose_clip(turn, EMOTIONS[kind], np.random.default_rng((self.seed, 1, index)))
        pair, is_reversed = divmod(index, 2)
        clip = self._compose_clip(pair, ONSET, np.random.default_rng((self.seed, 2, pair)))
        return clip.reverse(OFFSET) if is_reversed else clip

    @cached_property
    def times(self) -> np.ndarray:
        """Seconds of the frames of every clip (T,)."""
        return np.arange(max(round(self.seconds * self.fps), 1)) / self.fps

    def _compose_clip(self, turn: int, emotion: str, rng: np.random.Generator) -> DrawnClip:
        """A clip of the person whose turn it is."""
        subject = turn % self.subjects
        identity = Identity.sample(np.random.default_rng((self.seed, 0, subject)))
        rest = sample_actions("neutral", 0.0, rng)
        weakest = 0.45 if self.motion == "plain" else 0.8
        apex = sample_actions(emotion, weakest + (1.0 - weakest) * rng.beta(2.0, 1.3), rng)
        weights = self._draw_rise(rng) if self.motion == "plain" else self._draw_repeated_smile(rng)
        poses = self._draw_poses(rng)
        moments = tuple(
            rest.interpolate(apex, float(weight)).replace_pose(*pose)
            for weight, pose in zip(weights, poses, strict=True)
        )
        scene = replace(Scene.sample(rng), noise=0.0, occluder="none")
        seeds = tuple(int(seed) for seed in rng.integers(2**31, size=len(self.times)))
        return DrawnClip(subject, emotion, identity, scene, moments, self.times, float(rng.uniform(1.0, 4.0)), seeds)

    def _draw_rise(self, rng: np.random.Generator) -> np.ndarray:
        """How much of the expression shows in each frame: it rises, and fades to half."""
        apex = rng.uniform(0.35, 0.95) * self.seconds
        rise, fade = rng.uniform(0.3, 0.8) * apex, rng.uniform(0.3, 0.8) * self.seconds
        risen = np.clip((self.times - apex + rise) / rise, 0.0, 1.0)
        return risen * risen * (3.0 - 2.0 * risen) * (1.0 - 0.5 * np.clip((self.times - apex) / fade, 0.0, 1.0))

    def _draw_repeated_smile(self, rng: np.random.Generator) -> np.ndarray:
        """How much of the smile shows in each frame, equally likely at any moment of its course."""
        phase = (self.times / rng.uniform(1.3, 1.9) + rng.random()) % 1.0
        return np.where(phase < _RISING, phase / _RISING, (1.0 - phase) / (1.0 - _RISING))

    def _draw_poses(self, rng: np.random.Generator) -> list[tuple[float, float, float]]:
        """Yaw, pitch and roll in each frame, degrees: slow waves, which look alike in either direction of time."""
        courses = [
            rng.normal(0.0, spread)
            + rng.uniform(0.3, 1.0) * spread * np.sin(math.tau * (rng.uniform(0.2, 0.5) * self.times + rng.random()))
            for spread in (4.0, 2.0, 2.0)
        ]
        yaw, pitch, roll = (np.clip(course, -25.0, 25.0).tolist() for course in courses)
        return list(zip(yaw, pitch, roll, strict=True))


def write_clips(folder: Path, series: ClipSeries, count: int) -> Path:
    """Write the first clips of a series as videos, H.264 in MP4, and a table of their labels.

    Args:
        folder: Where; video i is clip-0000i.mp4.
        series: The clips; ``fps`` must be a whole number.
        count: How many.

    Returns:
        The table, clips.csv, with the columns path, label and subject.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("path", "label", "subject"))
    height, width = _FRAME_SIZE
    for index in range(count):
        clip, name = series.draw_clip(index), f"clip-{index:05d}.mp4"
        write_video(folder / name, clip.draw_scenes(), (width, height), round(series.fps))
        rows.writerow((name, clip.emotion, f"person-{clip.subject:03d}"))
    write_text(folder / TABLE, text.getvalue())
    return folder / TABLE
