"""Tracks: ids at once, in order, over missed samples, and never swapped by people who pass each other."""

from collections.abc import Sequence

import numpy as np
import pytest

from fer.video.detectors import Face, YuNetDetector
from fer.video.sampling import IntervalSampler
from fer.video.tracker import FaceTracker, _build_tracker
from tests.helpers.faces import drawn_frame, face, person, yunet_weights

Place = tuple[float, float]


def ids_of(
    samples: list[list[Place]], side: float = 60.0, max_missed: int | None = 2, times: Sequence[float] | None = None
) -> list[list[int]]:
    """Ids of the faces of samples, one a second where no times are given."""
    tracker = FaceTracker(max_missed)
    moments = range(len(samples)) if times is None else times
    return [
        tracker.update([face(*place, side) for place in places], time_s)
        for places, time_s in zip(samples, moments, strict=True)
    ]


def passing(samples: int, height: float, jitter: float = 0.0) -> list[list[Place]]:
    """Two people who change sides between x = 80 and x = 560, ``height`` apart; the first starts at the left."""
    rng = np.random.default_rng(0)
    places = []
    for t in np.linspace(0, 1, samples):
        (left_x, left_y), (right_x, right_y) = rng.normal(0, jitter, (2, 2)) + 180
        places.append([(left_x - 100 + 480 * t, left_y), (right_x + 380 - 480 * t, right_y + height)])
    return places


def test_every_face_has_an_id_at_once_in_order_of_appearance() -> None:
    assert ids_of([[], [(300, 200)], [(300, 200), (100, 100)], [(500, 300), (101, 100), (302, 200)]]) == [
        [],
        [0],
        [0, 1],
        [2, 1, 0],
    ]


@pytest.mark.parametrize("missed", [1, 2])
def test_an_id_survives_missed_samples(missed: int) -> None:
    samples: list[list[Place]] = [[(300, 200)], [(305, 200)], *([[]] * missed), [(310, 203)], [(311, 203)]]
    assert ids_of(samples) == [[0], [0], *([[]] * missed), [0], [0]]


@pytest.mark.parametrize(("max_missed", "missed", "after"), [(0, 0, 0), (0, 1, 1), (2, 2, 0), (2, 3, 1), (5, 5, 0)])
def test_the_limit_of_missed_samples_is_exact(max_missed: int, missed: int, after: int) -> None:
    samples: list[list[Place]] = [[(300, 200)]] * 3 + [[]] * missed + [[(300, 200)]]
    assert ids_of(samples, max_missed=max_missed)[-1] == [after]


@pytest.mark.parametrize(("rate", "missed", "after"), [(8, 15, 0), (8, 16, 1), (25, 49, 0), (25, 50, 1), (0.2, 2, 0)])
def test_without_a_limit_of_samples_an_id_lasts_two_seconds(rate: float, missed: int, after: int) -> None:
    samples: list[list[Place]] = [[(300, 200)]] * 3 + [[]] * missed + [[(300, 200)]]
    times = [100 + k / rate for k in range(len(samples))]
    assert ids_of(samples, max_missed=None, times=times)[-1] == [after]


def test_two_people_of_whom_many_frames_show_none_are_two() -> None:
    """Sampled densely, faces are overlooked for many frames in a row: 8 frames a second for 20 seconds."""
    rng = np.random.default_rng(3)
    hidden = np.array([[(k + shift) % 11 < 6 for shift in (0, 4)] for k in range(160)])
    samples = [
        [place for place, away in zip(rng.normal((150, 450), 2, (2, 2)).T, row, strict=True) if not away]
        for row in hidden
    ]
    times = [k / 8 for k in range(160)]
    assert {number for ids in ids_of(samples, max_missed=None, times=times) for number in ids} == {0, 1}
    assert {number for ids in ids_of(samples, max_missed=2, times=times) for number in ids} > {0, 1}


@pytest.mark.parametrize("rate", [1.0, 7.0, 23.976, 25.0, 30.0])
def test_at_one_frame_a_second_two_seconds_are_two_samples(rate: float) -> None:
    """The ids of earlier versions, also of uneven times that a container rounds to milliseconds."""
    rng = np.random.default_rng(round(rate))
    sampler = IntervalSampler(1.0)
    shown = np.cumsum(rng.uniform(0.5, 1.5, round(80 * rate)) / rate).round(3)
    times = [float(time_s) for k, time_s in enumerate(shown) if sampler.should_sample(k, time_s)]
    samples: list[list[Place]] = [[(300, 200)] if rng.random() < 0.4 else [] for _ in times]
    found = ids_of(samples, max_missed=None, times=times)
    assert found == ids_of(samples, max_missed=2) and max(found)[0] > 2


def test_someone_at_another_place_is_someone_else() -> None:
    assert ids_of([[(100, 100)], [(500, 300)]]) == [[0], [1]]


def test_a_head_that_moves_by_its_own_width_between_samples_stays_the_same() -> None:
    swaying: list[list[Place]] = [[(300 + 30 * (-1) ** (k // 2), 200)] for k in range(12)]
    assert ids_of(swaying, side=60) == [[0]] * 12


@pytest.mark.parametrize("samples", [12, 30, 120, 600])
@pytest.mark.parametrize("jitter", [0.0, 2.0])
def test_people_who_pass_each_other_keep_their_ids(samples: int, jitter: float) -> None:
    assert ids_of(passing(samples, height=50, jitter=jitter)) == [[0, 1]] * samples


def test_the_order_of_the_faces_does_not_matter() -> None:
    samples = passing(60, height=50)
    assert ids_of([places[::-1] if k % 3 else places for k, places in enumerate(samples)]) == [
        [1, 0] if k % 3 else [0, 1] for k in range(60)
    ]


def test_a_long_video_leaves_nothing_behind() -> None:
    tracker = FaceTracker()
    for k in range(300):
        faces = [face(1000.0 * (k % 2), 10_000.0 * (k % 7))] if k % 4 == 0 else []
        assert tracker.update(faces, float(k)) in ([], [k // 4])
    assert len(tracker._tracker.tracks) <= 1 and len(tracker._times) <= 4


def test_a_second_frame_goes_on_as_if_the_tracker_had_been_there_from_the_first() -> None:
    faces = [face(100.0, 0.0), face(100.0, 0.0), face(900.0, 500.0)]
    tracker = FaceTracker()
    assert tracker.update(faces, 0.0) == [0, 1, 2]
    assert tracker.update(faces[::-1], 1.0)[0] == 2


@pytest.mark.slow
def test_drawn_people_who_walk_past_each_other() -> None:
    """The person in front covers the other for some samples; both keep their ids."""
    detector = YuNetDetector(yunet_weights())
    tracker, seen = FaceTracker(), []
    left, right = person(1), person(4)
    for t in np.linspace(0, 1, 40):
        frame = drawn_frame([(left, (110 + 420 * t, 150), 110), (right, (530 - 420 * t, 230), 130)])
        faces = detector.detect(frame)
        for found, track in zip(faces, tracker.update(faces, 3 * float(t)), strict=True):
            seen.append((track, abs(middle(found) - (110 + 420 * t)) < abs(middle(found) - (530 - 420 * t)), t))
    assert {track for track, _, _ in seen} == {0, 1}
    first = next(is_left for track, is_left, _ in seen if track == 0)
    apart = [(track, is_left) for track, is_left, t in seen if not 0.4 < t < 0.6]
    assert len(apart) >= 60
    assert all(is_left == (first if track == 0 else not first) for track, is_left in apart)


def middle(found: Face) -> float:
    return found.x + 0.5 * found.width


def test_the_first_frame_alone_gives_the_ids_that_the_association_gives() -> None:
    """An image has but one frame, for which the tracker is not even built."""
    rng = np.random.default_rng(0)
    for count in (0, 1, 2, 5, 30):
        places = [tuple(map(float, place)) for place in rng.uniform(0, 400, (count, 2))]
        faces = [face(*place, side) for place, side in zip(places, rng.uniform(10, 120, count), strict=True)]
        # The same box twice, and boxes that hide each other.
        faces += faces[:2]
        alone = FaceTracker()
        associated = alone._follow(_build_tracker(), faces, 0.0)
        assert FaceTracker().update(faces, 0.0) == associated == list(range(len(faces)))
