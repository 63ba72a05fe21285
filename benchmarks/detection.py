"""`python -m benchmarks.detection --yunet FILE CLIP…`: which faces are found, and at what cost, by their size.

Faces of 20, 30, 40 and 80 pixels, drawn ones and those of the clips, are put into frames of 1280x720 pixels: one a
frame, beside nothing else. Every way to look goes over the same frames; its processor time is a ratio to that of YuNet
on the whole frame, frame by frame. Then the clips as they are: frames with a face, and in how many frames a way says
the same as YuNet on the whole frame.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from fer.synthetic import FaceActions, Identity, Scene, paste_face
from fer.video.detectors import Detector, Face, HaarDetector, YuNetDetector
from fer.video.detectors.base import sort_by_area

SIZES, FRAME_SIZE = (20, 30, 40, 80), (1280, 720)
# Below every face that is to be found, for boxes vary; and the default, whose second look is at a smaller frame.
SMALL, DEFAULT = 16, 30
BORDER = 0.4  # of a face's side, kept around it
BACKGROUND = (196, 204, 208)
WHOLE = "YuNet, whole frame"
Picture = tuple[np.ndarray, Face]


@dataclass(frozen=True)
class Way:
    """A way to look for faces, with its name in the table."""

    name: str
    detect: Callable[[np.ndarray], list[Face]]


class _OneLook(YuNetDetector):
    """YuNet on a frame of this longer side, and no second look."""

    def _choose_scales(self, side: int) -> tuple[float, ...]:
        return super()._choose_scales(side)[:1]


def build_ways(weights: Path) -> list[Way]:
    """The ways to look, the whole frame first."""

    def yunet(kind: type[YuNetDetector], max_side: int | None, min_size: int = SMALL) -> Detector:
        return kind(weights, min_size=min_size, max_side=max_side)

    haar = HaarDetector(min_score=1, min_size=SMALL)
    return [
        Way(WHOLE, yunet(YuNetDetector, None).detect),
        Way("YuNet, 320, one look", yunet(_OneLook, 320).detect),
        Way(f"YuNet, 320, min_size={SMALL}", yunet(YuNetDetector, 320).detect),
        Way(f"YuNet, 320, min_size={DEFAULT}", yunet(YuNetDetector, 320, DEFAULT).detect),
        Way(f"YuNet, 640, min_size={DEFAULT}", yunet(YuNetDetector, 640, DEFAULT).detect),
        Way("Haar, whole frame", haar.detect),
        Way("Haar, 320, then whole", partial(detect_in_two_looks, haar, 320)),
    ]


def detect_in_two_looks(haar: HaarDetector, max_side: int, bgr: np.ndarray) -> list[Face]:
    """Haar as it might do it: at a reduced frame, then at the whole one where nothing was found."""
    scale = min(1.0, max_side / max(bgr.shape[:2]))
    reduced = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    found = [
        replace(face, x=face.x / scale, y=face.y / scale, width=face.width / scale, height=face.height / scale)
        for face in haar.detect(reduced)
    ]
    return sort_by_area(found) or haar.detect(bgr)


def read_frames(clip: Path, step: int) -> list[np.ndarray]:
    """Every ``step``-th frame (H, W, 3) uint8 BGR."""
    capture, frames, index = cv2.VideoCapture(str(clip)), [], 0
    while (answer := capture.read())[0]:
        if index % step == 0:
            frames.append(answer[1])
        index += 1
    capture.release()
    return frames


def draw_faces(count: int) -> list[Picture]:
    """Drawn people, each in a picture of its own; the box is that of YuNet's kind, from the brows to the chin."""
    pictures = []
    for seed in range(count):
        canvas = np.full((400, 400, 3), BACKGROUND, np.uint8)
        identity = Identity.sample(np.random.default_rng(seed))
        paste_face(canvas, FaceActions(), identity, Scene(), (200.0, 200.0), 260.0)
        pictures.append((cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR), Face(105, 120, 190, 200, 1.0)))
    return pictures


def find_real_faces(clips: Sequence[Path], detector: Detector, count: int) -> list[Picture]:
    """About ``count`` faces of each clip, with the boxes that the whole frame gives."""
    pictures: list[Picture] = []
    for clip in clips:
        found = [(frame, faces[0]) for frame in read_frames(clip, 6) if (faces := detector.detect(frame))]
        pictures += found[:: max(len(found) // count, 1)][:count]
    return pictures


def place_face(picture: Picture, side: int, background: np.ndarray, rng: np.random.Generator) -> Picture:
    """Put a face, its smaller side ``side`` pixels, somewhere into a frame; returns the frame and the face's box."""
    image, face = picture
    border = BORDER * max(face.width, face.height)
    left, top = (max(int(edge - border), 0) for edge in (face.x, face.y))
    cut = image[top : int(face.y + face.height + border), left : int(face.x + face.width + border)]
    scale = side / min(face.width, face.height)
    small = cv2.resize(cut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    x, y = (int(rng.integers(0, whole - part)) for whole, part in zip(FRAME_SIZE, small.shape[1::-1], strict=True))
    frame = background.copy()
    frame[y : y + small.shape[0], x : x + small.shape[1]] = small
    box = Face(
        x + (face.x - left) * scale, y + (face.y - top) * scale, face.width * scale, face.height * scale, face.score
    )
    return frame, box


def is_hit(found: Face, wanted: Face) -> bool:
    """Whether the middle of one box lies well inside the other."""
    return all(
        abs(ours + 0.5 * our_side - theirs - 0.5 * their_side) < 0.4 * their_side
        for ours, our_side, theirs, their_side in (
            (found.x, found.width, wanted.x, wanted.width),
            (found.y, found.height, wanted.y, wanted.height),
        )
    )


def time_ways(
    ways: Sequence[Way], frames: Sequence[np.ndarray]
) -> tuple[dict[str, list[list[Face]]], dict[str, float]]:
    """What each way finds in each frame, and the median over frames of its time as a ratio to the first way's."""
    found: dict[str, list[list[Face]]] = {way.name: [] for way in ways}
    ratios: dict[str, list[float]] = {way.name: [] for way in ways}
    for frame in frames:
        seconds = {}
        for way in ways:
            start = time.process_time()
            found[way.name].append(way.detect(frame))
            seconds[way.name] = time.process_time() - start
        for name, value in seconds.items():
            ratios[name].append(value / seconds[ways[0].name])
    return found, {name: statistics.median(values) for name, values in ratios.items()}


def print_recall(title: str, pictures: Sequence[Picture], backgrounds: Sequence[np.ndarray], ways: list[Way]) -> None:
    """Print, for each way, found faces of each size, wrong ones, and time."""
    rng = np.random.default_rng(0)
    rows: dict[str, list[str]] = {way.name: [] for way in ways}
    for side in SIZES:
        placed = [
            place_face(picture, side, backgrounds[index % len(backgrounds)], rng)
            for index, picture in enumerate(pictures)
        ]
        found, ratios = time_ways(ways, [frame for frame, _ in placed])
        for name, results in found.items():
            pairs = list(zip(results, placed, strict=True))
            hits = sum(any(is_hit(face, box) for face in faces) for faces, (_, box) in pairs)
            wrong = sum(not is_hit(face, box) for faces, (_, box) in pairs for face in faces)
            rows[name].append(f"{hits}/{len(placed)}{f' +{wrong} wrong' if wrong else ''} × {ratios[name]:.2f}")
    print(f"\n| {title} | " + " | ".join(f"{side} px" for side in SIZES) + " |\n| --- |" + " --- |" * len(SIZES))
    for name, cells in rows.items():
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def print_clip(clip: Path, step: int, ways: list[Way]) -> None:
    """Print, for each way, in how many frames it finds a face, in how many the same as the first way, and time."""
    frames = read_frames(clip, step)
    found, ratios = time_ways(ways, frames)
    height, width = frames[0].shape[:2]
    print(f"\n{clip.name}, {len(frames)} frames of {width}x{height}")
    for name, results in found.items():
        same = sum(
            bool(ours and theirs and is_hit(ours[0], theirs[0])) or not (ours or theirs)
            for ours, theirs in zip(results, found[ways[0].name], strict=True)
        )
        print(f"  {name}: hits {sum(map(bool, results))}, as {WHOLE} in {same}, time × {ratios[name]:.2f}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection", description=__doc__)
    parser.add_argument("--yunet", type=Path, required=True, help="YuNet's ONNX file")
    parser.add_argument("--faces", type=int, default=8, help="faces of each clip, and drawn ones")
    parser.add_argument("--step", type=int, default=4, help="every so manyth frame of the clips")
    parser.add_argument("clips", nargs="*", type=Path)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    ways = build_ways(args.yunet)
    empty = np.full((FRAME_SIZE[1], FRAME_SIZE[0], 3), BACKGROUND[::-1], np.uint8)
    print_recall("drawn faces", draw_faces(args.faces), [empty], ways)
    if args.clips:
        whole = YuNetDetector(args.yunet, max_side=None)
        real = find_real_faces(args.clips, whole, args.faces)
        noise = np.random.default_rng(0).integers(0, 256, (45, 80, 3), dtype=np.uint8)
        print_recall("faces of the clips", real, [cv2.resize(noise, FRAME_SIZE)], ways)
    for clip in args.clips:
        print_clip(clip, args.step, ways)


if __name__ == "__main__":
    main()
