"""Tracks: ids at once, in order, over missed samples, and never swapped by people who pass each other."""

import numpy as np
import pytest

from fer.video.detectors import Face, YuNetDetector
from fer.video.tracker import FaceTracker
from tests.helpers.faces import drawn_frame, face, person, yunet_weights

Place = tuple[float, float]


def ids_of(samples: list[list[Place]], side: float = 60.0, max_missed: int = 2) -> list[list[int]]:
    tracker = FaceTracker(max_missed)
    return [tracker.update([face(*place, side) for place in places]) for places in samples]


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
        assert tracker.update([face(1000.0 * (k % 2), 10_000.0 * (k % 7))] if k % 4 == 0 else []) in ([], [k // 4])
    assert len(tracker._tracker.tracks) <= 1


@pytest.mark.slow
def test_drawn_people_who_walk_past_each_other() -> None:
    """The person in front covers the other for some samples; both keep their ids."""
    detector = YuNetDetector(yunet_weights())
    tracker, seen = FaceTracker(), []
    left, right = person(1), person(4)
    for t in np.linspace(0, 1, 40):
        frame = drawn_frame([(left, (110 + 420 * t, 150), 110), (right, (530 - 420 * t, 230), 130)])
        faces = detector.detect(frame)
        for found, track in zip(faces, tracker.update(faces), strict=True):
            seen.append((track, abs(middle(found) - (110 + 420 * t)) < abs(middle(found) - (530 - 420 * t)), t))
    assert {track for track, _, _ in seen} == {0, 1}
    first = next(is_left for track, is_left, _ in seen if track == 0)
    apart = [(track, is_left) for track, is_left, t in seen if not 0.4 < t < 0.6]
    assert len(apart) >= 60
    assert all(is_left == (first if track == 0 else not first) for track, is_left in apart)


def middle(found: Face) -> float:
    return found.x + 0.5 * found.width
