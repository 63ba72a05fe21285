"""The drawn data set: face ``index`` of ``seed``, with the votes of ten annotators."""

from dataclasses import dataclass

import numpy as np

from fer.emotions import EMOTIONS
from fer.synthetic.actions import FaceActions, sample_actions
from fer.synthetic.annotators import simulate_votes
from fer.synthetic.identity import Identity
from fer.synthetic.render import SMALLEST, draw_face
from fer.synthetic.scene import Scene

# To raise whenever the same seed and index give another image or other votes.
GENERATOR_VERSION = 1

# As unbalanced as collected sets are; in the order of EMOTIONS.
_FREQUENCIES = (0.13, 0.09, 0.09, 0.23, 0.17, 0.14, 0.15)
_BLENDED = 0.22  # fraction of faces that show two emotions
# Which second emotion a blend holds: mostly what people feel, or confuse, together.
_COMPANIONS: dict[str, tuple[str, ...]] = {
    "anger": ("disgust", "sadness", "neutral"),
    "disgust": ("anger", "sadness", "neutral"),
    "fear": ("surprise", "sadness", "neutral"),
    "happiness": ("surprise", "neutral", "disgust"),
    "neutral": ("sadness", "anger", "happiness", "surprise"),
    "sadness": ("fear", "anger", "neutral"),
    "surprise": ("fear", "happiness", "neutral"),
}


@dataclass(frozen=True)
class SyntheticFace:
    """One labelled face; its image is drawn when it is read, since the votes do not need it."""

    actions: FaceActions
    identity: Identity
    scene: Scene
    size: int  # pixels
    emotion: str  # the one it was meant to show
    votes: dict[str, int]  # over EMOTIONS and "unknown", ten in all

    @property
    def image(self) -> np.ndarray:
        """(size, size, 3) uint8 RGB."""
        return draw_face(self.actions, self.identity, self.scene, self.size)


def draw_dataset_face(seed: int, index: int, size: int) -> SyntheticFace:
    """Draw one face of a data set.

    Depends on its arguments alone: which other faces are drawn, and where, does not matter. The votes do not depend
    on ``size``.

    Args:
        seed: Number of the data set.
        index: Number of the face in it.
        size: Width and height of its image, pixels.

    Raises:
        ValueError: The seed or index is negative, or the size under 16.

    Examples:
        >>> face = draw_dataset_face(seed=0, index=3, size=64)
        >>> face.image.shape
        (64, 64, 3)
    """
    if size < SMALLEST:
        raise ValueError(f"size must be at least {SMALLEST} pixels, not {size}")
    rng = np.random.default_rng((seed, index))
    emotion = str(rng.choice(EMOTIONS, p=_FREQUENCIES))
    actions = _sample_expression(emotion, rng)
    actions = actions.replace_pose(
        *(float(np.clip(rng.normal(0.0, spread), -28.0, 28.0)) for spread in (3.0, 1.8, 1.8))
    )
    identity, scene = Identity.sample(rng), Scene.sample(rng)
    votes = simulate_votes(actions.to_vector(), scene, rng)
    return SyntheticFace(actions, identity, scene, size, emotion, votes)


def _sample_expression(emotion: str, rng: np.random.Generator) -> FaceActions:
    """Sample posed or spontaneous, pure or blended: most faces show their emotion clearly, some hardly."""
    actions = sample_actions(emotion, 0.25 + 0.75 * rng.beta(2.2, 1.3), rng)
    if rng.random() < _BLENDED:
        companions = _COMPANIONS[emotion]
        second = companions[rng.integers(len(companions))]
        actions = actions.interpolate(sample_actions(second, rng.uniform(0.6, 1.0), rng), rng.uniform(0.15, 0.5))
    return actions
