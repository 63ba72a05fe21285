"""Which parts of which frames are covered, so that nobody is recognised, and the covering itself."""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fer.core.prefetch import map_in_threads
from fer.core.progress import track_progress
from fer.video.detectors import Face
from fer.video.face_finder import FaceFinder
from fer.video.reader import Frame, iter_frames, open_video
from fer.video.sampling import AllFramesSampler
from fer.video.tracker import FaceTracker

# Left, top, right and bottom edge, pixels.
Box = tuple[float, float, float, float]

# One gray for all: what is painted over tells nothing, not even a tone of skin, and no average over frames does.
COVER_GRAY = 127
# Added to each side of a face's box, as a fraction of it: chin, ears and most of the hair.
_MARGIN = 0.3
# A face that is not found for so long is taken to be where it was before and after, and in between.
_BRIDGED_S = 2.0
# So long before a face is found first, and after it is found last, it may have been there already or still.
_HELD_S = 0.5
_TOLERANCE_S = 1e-6  # differences of times are not exact
# Where nothing was found, the face may have moved.
_UNSEEN_MARGIN = 0.2
_SAME_FACE = 0.3  # intersection over union
# Covering may leave something that looks like a face to a detector; each time less.
_MAX_LOOKS = 5


@dataclass(frozen=True)
class KnownFaces:
    """Where an analysis says that the faces are which stay visible.

    Attributes:
        boxes: Boxes by the number of the frame; frames between them are not known.
    """

    boxes: Mapping[int, Sequence[Box]]


@dataclass
class CoverPlan:
    """What is covered in each frame of a video.

    Attributes:
        hidden: Boxes of faces to be covered, by the number of the frame.
        kept: Boxes of faces that stay visible.
        tracks: The frames in which each person was found.
        times: Time of each frame, seconds.
        lost: How many frames cannot be decoded.
    """

    hidden: dict[int, list[Box]] = field(default_factory=dict)
    kept: dict[int, list[Box]] = field(default_factory=dict)
    tracks: dict[int, int] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    lost: int = 0


def plan_cover(
    path: Path, finders: Sequence[FaceFinder], keep: Collection[int] | KnownFaces = (), title: str = "Finding faces"
) -> CoverPlan:
    """Look at every frame of a video or image for what is to be covered.

    Args:
        path: The file.
        finders: One for each thread.
        keep: The faces that stay visible: numbers of persons, who are counted from 0 in the order in which they appear,
            or where an earlier analysis found them. In doubt a face is covered.
        title: Of the progress.

    Returns:
        The plan, for all frames that can be decoded.

    Raises:
        VideoError: The file cannot be opened.
    """
    info = open_video(path)
    frames = iter_frames(info, AllFramesSampler())
    found = map_in_threads(frames, [_Look(finder) for finder in finders])
    tracker = FaceTracker(max_missed=max(1, round(_BRIDGED_S * (info.fps or 1))))
    plan, indices = CoverPlan(), list[int]()
    sightings: dict[int, dict[int, Box]] = {}
    for index, time_s, faces in track_progress(found, max(info.frames, 1), title, "frames"):
        if faces is None:
            plan.lost += 1
            continue
        position = len(indices)
        indices.append(index)
        plan.times.append(time_s)
        for face, track in zip(faces, tracker.update(faces, time_s), strict=True):
            sightings.setdefault(track, {})[position] = get_box(face)
    plan.tracks = {track: len(boxes) for track, boxes in sightings.items()}
    verdicts = _judge_sightings(sightings, indices, keep)
    for track, boxes in sightings.items():
        positions = sorted(boxes)
        for position, box, seen in _bridge(boxes, plan.times):
            visible = verdicts[track][position] if seen else _is_between_kept(verdicts[track], positions, position)
            target = plan.kept if visible else plan.hidden
            target.setdefault(indices[position], []).append(box)
    return plan


@dataclass(frozen=True)
class _Look:
    finder: FaceFinder

    def __call__(self, frame: Frame) -> tuple[int, float, list[Face] | None]:
        return frame.index, frame.time_s, None if frame.bgr is None else self.finder.find(frame.bgr)


def get_box(face: Face) -> Box:
    """The edges of a face's box."""
    return face.x, face.y, face.x + face.width, face.y + face.height


def _bridge(boxes: Mapping[int, Box], times: Sequence[float]) -> Iterator[tuple[int, Box, bool]]:
    """(position, box, whether it was found there) of one person, with the frames in which no face was found."""
    positions = sorted(boxes)
    for position in positions:
        yield position, boxes[position], True
    for before, after in zip(positions, positions[1:], strict=False):
        if times[after] - times[before] <= _BRIDGED_S + _TOLERANCE_S:
            for position in range(before + 1, after):
                share = (times[position] - times[before]) / (times[after] - times[before])
                middle = [
                    first + share * (last - first) for first, last in zip(boxes[before], boxes[after], strict=True)
                ]
                yield position, _grow((middle[0], middle[1], middle[2], middle[3]), _UNSEEN_MARGIN), False
        else:
            yield from _hold(boxes[before], before, times, range(before + 1, after))
            yield from _hold(boxes[after], after, times, range(after - 1, before, -1))
    yield from _hold(boxes[positions[0]], positions[0], times, range(positions[0] - 1, -1, -1))
    yield from _hold(boxes[positions[-1]], positions[-1], times, range(positions[-1] + 1, len(times)))


def _hold(box: Box, start: int, times: Sequence[float], positions: range) -> Iterator[tuple[int, Box, bool]]:
    for position in positions:
        if abs(times[position] - times[start]) > _HELD_S + _TOLERANCE_S:
            return
        yield position, _grow(box, _UNSEEN_MARGIN), False


def _judge_sightings(
    sightings: Mapping[int, Mapping[int, Box]], indices: Sequence[int], keep: Collection[int] | KnownFaces
) -> dict[int, dict[int, bool]]:
    """Whether the face stays visible, for each person and position where it was found."""
    if not isinstance(keep, KnownFaces):
        return {track: dict.fromkeys(boxes, track in keep) for track, boxes in sightings.items()}
    votes: dict[int, dict[int, bool]] = {track: {} for track in sightings}
    for position, index in enumerate(indices):
        if not (known := keep.boxes.get(index, ())):
            continue
        present = {track: boxes[position] for track, boxes in sightings.items() if position in boxes}
        if not present:
            continue
        # Each known face is one of those that are there; the others are somebody else then.
        wanted = {max(present, key=lambda track: _compute_overlap(present[track], box)) for box in known}
        for track, box in present.items():
            votes[track][position] = track in wanted and any(is_same_face(box, other) for other in known)
    return {track: _spread_votes(votes[track], list(boxes)) for track, boxes in sightings.items()}


def _spread_votes(votes: Mapping[int, bool], positions: Sequence[int]) -> dict[int, bool]:
    """The verdict for all positions: yes where the votes before and after say so, as far as there are any."""
    voted = sorted(votes)
    verdicts = {}
    for position in positions:
        at = bisect_left(voted, position)
        around = voted[at : at + 1] if position in votes else voted[max(at - 1, 0) : at + 1]
        verdicts[position] = bool(around) and all(votes[other] for other in around)
    return verdicts


def _is_between_kept(verdicts: Mapping[int, bool], positions: Sequence[int], position: int) -> bool:
    """Whether a person who is not found is one who stays visible before and after, as far as there are frames."""
    at = bisect_left(positions, position)
    return all(verdicts[other] for other in positions[max(at - 1, 0) : at + 1])


def is_same_face(box: Box, other: Box) -> bool:
    """Whether two boxes, of two detectors, may be of one face."""
    middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    inside = other[0] <= middle[0] <= other[2] and other[1] <= middle[1] <= other[3]
    return inside or _compute_overlap(box, other) >= _SAME_FACE


def _compute_overlap(box: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    common = max(width, 0.0) * max(height, 0.0)
    areas = ((edges[2] - edges[0]) * (edges[3] - edges[1]) for edges in (box, other))
    return common / max(sum(areas) - common, 1e-9)


def _grow(box: Box, margin: float) -> Box:
    across, down = margin * (box[2] - box[0]), margin * (box[3] - box[1])
    return box[0] - across, box[1] - down, box[2] + across, box[3] + down


def cover_frame(bgr: np.ndarray, hidden: Sequence[Box], kept: Sequence[Box], finder: FaceFinder) -> None:
    """Paint over the faces of a frame, and over what a detector still takes for one; in place.

    Args:
        bgr: The frame, (H, W, 3) uint8.
        hidden: Boxes of the faces.
        kept: Boxes of faces that stay. Of what surrounds a hidden face they are left out; of the face they are not.
        finder: Looks for what is left.
    """
    _paint(bgr, hidden, kept)
    for _ in range(_MAX_LOOKS):
        left = [
            box
            for box in map(get_box, finder.find_left(bgr))
            if not any(is_same_face(box, other) or is_same_face(other, box) for other in kept)
        ]
        if not left:
            return
        _paint(bgr, left, kept)


def _paint(bgr: np.ndarray, hidden: Sequence[Box], kept: Sequence[Box]) -> None:
    mask = np.zeros(bgr.shape[:2], bool)
    for boxes, value in (([_grow(box, _MARGIN) for box in hidden], True), (kept, False), (hidden, True)):
        for left, top, right, bottom in boxes:
            mask[max(int(top), 0) : max(int(bottom) + 1, 0), max(int(left), 0) : max(int(right) + 1, 0)] = value
    bgr[mask] = COVER_GRAY


def iter_covered_frames(
    path: Path, plan: CoverPlan, finders: Sequence[FaceFinder], title: str = "Covering faces"
) -> Iterator[Frame]:
    """All frames of a video or image that can be decoded, covered as planned. Raises VideoError."""

    def cover(finder: FaceFinder, frame: Frame) -> Frame:
        if frame.bgr is not None:
            cover_frame(frame.bgr, plan.hidden.get(frame.index, ()), plan.kept.get(frame.index, ()), finder)
        return frame

    frames = iter_frames(path, AllFramesSampler())
    workers = [lambda frame, finder=finder: cover(finder, frame) for finder in finders]
    for frame in track_progress(map_in_threads(frames, workers), len(plan.times), title, "frames"):
        if frame.bgr is not None:
            yield frame
