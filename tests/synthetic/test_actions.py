import numpy as np
import pytest

from fer.emotions import EMOTIONS
from fer.synthetic import FaceActions, sample_actions
from fer.synthetic.actions import ACTION_RANGES, PROTOTYPES


def test_every_emotion_has_prototypes_and_neutral_is_the_relaxed_face() -> None:
    assert tuple(PROTOTYPES) == EMOTIONS
    assert PROTOTYPES["neutral"] == (FaceActions(),)


def test_an_action_out_of_range_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"jaw_drop must be in 0\.0\.\.1\.0, not 1\.2"):
        FaceActions(jaw_drop=1.2)
    with pytest.raises(ValueError, match=r"yaw must be in -40\.0\.\.40\.0, not -90"):
        FaceActions(yaw=-90)


def test_an_unknown_emotion_or_intensity_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="unknown emotion 'joy'; there are anger, disgust"):
        sample_actions("joy", 1.0, rng)
    with pytest.raises(ValueError, match=r"intensity must be in 0\.\.1, not 1\.5"):
        sample_actions("fear", 1.5, rng)


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_intensity_scales_the_expression(emotion: str) -> None:
    def strength(intensity: float) -> float:
        return float(
            np.mean(
                [
                    np.abs(sample_actions(emotion, intensity, np.random.default_rng(s)).to_vector()).sum()
                    for s in range(30)
                ]
            )
        )

    if emotion == "neutral":
        assert strength(1.0) == pytest.approx(strength(0.0))
    else:
        assert strength(0.0) < 0.6 < strength(0.5) < 0.6 * strength(1.0)


def test_toward_meets_both_ends_and_the_middle() -> None:
    start, end = FaceActions(lip_corner=-1.0, yaw=-10.0), FaceActions(lip_corner=1.0, jaw_drop=0.5, yaw=20.0)
    assert start.interpolate(end, 0.0) == start
    assert start.interpolate(end, 1.0) == end
    middle = start.interpolate(end, 0.5)
    assert (middle.lip_corner, middle.jaw_drop, middle.yaw) == (0.0, 0.25, 5.0)
    assert set(ACTION_RANGES) == set(vars(middle))
