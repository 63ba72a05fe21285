from dataclasses import replace

import numpy as np
import pytest

from fer.emotions import EMOTIONS
from fer.synthetic import FaceActions, Scene, sample_actions
from fer.synthetic.actions import PROTOTYPES
from fer.synthetic.annotators import ANNOTATORS, simulate_votes


def mean_votes(actions: list[FaceActions], scene: Scene) -> dict[str, float]:
    """Mean share of the votes each label gets."""
    votes = [simulate_votes(face.to_vector(), scene, np.random.default_rng((1, k))) for k, face in enumerate(actions)]
    return {label: float(np.mean([vote[label] for vote in votes])) / ANNOTATORS for label in votes[0]}


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_a_full_prototype_is_perceived_as_its_own_emotion(emotion: str) -> None:
    for prototype in PROTOTYPES[emotion]:
        assert mean_votes([prototype] * 40, Scene())[emotion] > 0.8


@pytest.mark.parametrize("emotion", [emotion for emotion in EMOTIONS if emotion != "neutral"])
def test_votes_spread_where_an_expression_is_weak(emotion: str) -> None:
    def seen_as_meant(intensity: float) -> dict[str, float]:
        return mean_votes([sample_actions(emotion, intensity, np.random.default_rng(k)) for k in range(60)], Scene())

    strong, weak, none = seen_as_meant(1.0), seen_as_meant(0.3), seen_as_meant(0.0)
    assert strong[emotion] > 0.9
    assert none[emotion] + 0.2 < weak[emotion] < strong[emotion] - 0.1
    assert strong["neutral"] < weak["neutral"] < none["neutral"]


def test_an_even_blend_divides_the_annotators_between_its_emotions() -> None:
    blend = PROTOTYPES["fear"][1].interpolate(PROTOTYPES["surprise"][0], 0.5)
    votes = mean_votes([blend] * 60, Scene())
    assert min(votes["fear"], votes["surprise"]) > 0.15
    assert votes["fear"] + votes["surprise"] > 0.9


def test_a_scarf_hides_what_only_the_mouth_tells() -> None:
    smile = [FaceActions(lip_corner=0.6, lips_part=0.4)] * 40
    assert mean_votes(smile, Scene())["happiness"] > 0.8
    assert mean_votes(smile, replace(Scene(), occluder="scarf"))["happiness"] < 0.5


def test_a_face_that_shows_everything_at_once_is_unknown() -> None:
    everything = FaceActions(
        brow_lower=1.0, upper_lid=-1.0, nose_wrinkle=1.0, lip_corner=1.0, lip_press=1.0, jaw_drop=1.0
    )
    assert mean_votes([everything] * 20, Scene())["unknown"] > 0.8
