"""A drawn clip: two people, known emotions over time, and a stretch without a face."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from fer.core.io import atomic_write, write_text
from fer.synthetic.actions import FaceActions, sample_actions
from fer.synthetic.identity import Identity
from fer.synthetic.render import paste_face
from fer.synthetic.scene import Scene

WIDTH, HEIGHT, FPS = 640, 360, 25
SECONDS = 20.0
FADE_S = 0.4  # how long a face takes from one emotion to the next
CLIP, TRUTH = "clip.mp4", "truth.csv"
TRUTH_COLUMNS = ("frame", "time_s", "person", "emotion", "settled", "center_x", "center_y", "face_height")


@dataclass(frozen=True)
class _Person:
    """``script`` holds (second, emotion from then on, None while out of the frame), by rising second."""

    identity_seed: int
    center: tuple[float, float]
    face_height: float
    script: tuple[tuple[float, str | None], ...]


PEOPLE = (
    _Person(
        8,
        (230.0, 185.0),
        190.0,
        (
            (0.0, "neutral"),
            (2.0, "happiness"),
            (4.5, "surprise"),
            (7.0, None),
            (9.5, "sadness"),
            (12.0, "anger"),
            (14.5, "disgust"),
            (17.0, "fear"),
            (19.0, "neutral"),
        ),
    ),
    _Person(5, (490.0, 190.0), 150.0, ((0.0, None), (11.0, "neutral"), (13.0, "happiness"), (17.5, None))),
)


@dataclass(frozen=True)
class _VisiblePerson:
    """One person in one frame: the emotion meant, and whether the face has settled on it."""

    number: int
    emotion: str
    settled: bool
    actions: FaceActions
    center: tuple[float, float]
    face_height: float


def _find_visible_person(
    number: int, person: _Person, identity: Identity, poses: dict[str, FaceActions], time_s: float
) -> _VisiblePerson | None:
    """Return how a person looks at a time, None while out of the frame."""
    index = max(index for index, (start, _) in enumerate(person.script) if start <= time_s)
    start, emotion = person.script[index]
    if emotion is None:
        return None
    previous = person.script[index - 1][1] if index else emotion
    fraction = min((time_s - start) / FADE_S, 1.0) if previous else 1.0
    # A head is never quite still.
    yaw, pitch = 8.0 * np.sin(0.9 * time_s + number), 4.0 * np.sin(1.3 * time_s + 2 * number)
    actions = (
        poses[previous or emotion]
        .interpolate(poses[emotion], fraction)
        .replace_pose(float(yaw), float(pitch), float(0.5 * yaw))
    )
    center = (person.center[0] + 14.0 * np.sin(0.7 * time_s), person.center[1] + 6.0 * np.sin(1.1 * time_s))
    return _VisiblePerson(number, emotion, fraction >= 1.0, actions, center, person.face_height)


def _render_frames(seconds: float = SECONDS) -> Iterator[tuple[np.ndarray, list[_VisiblePerson]]]:
    """Yield each frame (HEIGHT, WIDTH, 3) uint8 RGB with the people in it."""
    rng = np.random.default_rng(20)
    backdrop = np.linspace(205, 150, HEIGHT)[:, None, None] * np.array([1.0, 1.02, 1.04]) + rng.normal(
        0, 2, (HEIGHT, WIDTH, 1)
    )
    still = np.clip(backdrop, 0, 255).astype(np.uint8)
    identities = [Identity.sample(np.random.default_rng(person.identity_seed)) for person in PEOPLE]
    poses = {
        name: sample_actions(name, 0.9, np.random.default_rng(3))
        for person in PEOPLE
        for _, name in person.script
        if name is not None
    }
    for index in range(round(seconds * FPS)):
        canvas = still.copy()
        visible = [
            appearance
            for number, (person, identity) in enumerate(zip(PEOPLE, identities, strict=True))
            if (appearance := _find_visible_person(number, person, identity, poses, index / FPS)) is not None
        ]
        for appearance in visible:
            paste_face(
                canvas,
                appearance.actions,
                identities[appearance.number],
                Scene(),
                appearance.center,
                appearance.face_height,
            )
        yield canvas, visible


def write_clip(folder: Path, seconds: float = SECONDS) -> Path:
    """Write clip.mp4 (H.264, which browsers play) and truth.csv, a row a person and frame; returns the clip's path."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(TRUTH_COLUMNS)
    with atomic_write(folder / CLIP) as tmp_path, av.open(str(tmp_path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "20", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index, (rgb, visible) in enumerate(_render_frames(seconds)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
            for person in visible:
                position = (round(person.center[0], 2), round(person.center[1], 2), person.face_height)
                rows.writerow(
                    (index, round(index / FPS, 4), person.number, person.emotion, int(person.settled), *position)
                )
        container.mux(stream.encode())
    write_text(folder / TRUTH, text.getvalue())
    return folder / CLIP
