"""Ten people look at a face and vote: a model of perception in the space of facial actions.

Each annotator sees the actions with a gain, a bias and a noise of their own, compares them with the emotions'
prototypes at the strength that fits best, and votes for the nearest; so votes spread where an expression
is weak, blended, or hidden, as FERPlus's do (Barsoum et al., 2016).
"""

import numpy as np

from fer.emotions import EMOTIONS
from fer.synthetic.actions import EXPRESSIVE_ACTIONS, PROTOTYPES
from fer.synthetic.scene import Scene

ANNOTATORS = 10
UNKNOWN = "unknown"

_GAIN_SPREAD = 0.12  # how differently annotators weigh the same strength
_BIAS_SPREAD = 0.06  # what an annotator always sees too much or too little of
_NOISE_SPREAD = 0.19  # what an annotator misreads in one face
_WEAKEST_MATCH = 0.6  # an emotion is compared at this strength or more; below lies neutral
_NEUTRAL_READINESS = 0.1  # spread of how readily annotators call a face neutral, as a distance
_NO_MATCH = 1.25  # distance to the nearest prototype from which a face shows nothing known

_MOUTH = (
    "upper_lip_raise",
    "lip_corner",
    "chin_raise",
    "lip_stretch",
    "lip_press",
    "lips_part",
    "jaw_drop",
    "tongue_show",
)
_BROWS_AND_EYES = ("inner_brow_raise", "outer_brow_raise", "brow_lower", "upper_lid", "lid_tighten")
# What an occluder leaves of the actions it covers: a hand or a lock of hair shows the face's other half.
_VISIBILITY: dict[str, tuple[tuple[str, ...], float]] = {
    "none": ((), 1.0),
    "hand": (_MOUTH, 0.6),
    "hair": (_BROWS_AND_EYES, 0.6),
    "scarf": (_MOUTH, 0.1),
}

_ROWS = [(emotion, prototype) for emotion in EMOTIONS for prototype in PROTOTYPES[emotion]]
_PROTOTYPES = np.stack([prototype.to_vector() for _, prototype in _ROWS])
_ROW_EMOTIONS = np.array([EMOTIONS.index(emotion) for emotion, _ in _ROWS])
_NEUTRAL_ROW = next(row for row, (emotion, _) in enumerate(_ROWS) if emotion == "neutral")


def simulate_votes(expression: np.ndarray, scene: Scene, rng: np.random.Generator) -> dict[str, int]:
    """Simulate the votes of ten annotators on a face: emotion or "unknown" -> count, ten in all.

    ``expression``: the face's EXPRESSIVE_ACTIONS (``FaceActions.to_vector()``).
    """
    shape = (ANNOTATORS, len(EXPRESSIVE_ACTIONS))
    gain = rng.normal(1.0, _GAIN_SPREAD, (ANNOTATORS, 1))
    perceived = gain * expression + rng.normal(0.0, _BIAS_SPREAD, shape) + rng.normal(0.0, _NOISE_SPREAD, shape)
    distance = _compute_distances(perceived, _compute_visibility_weights(scene))
    distance[:, _NEUTRAL_ROW] += rng.normal(0.0, _NEUTRAL_READINESS, ANNOTATORS)
    nearest = distance.argmin(axis=1)
    votes = dict.fromkeys((*EMOTIONS, UNKNOWN), 0)
    for annotator, row in enumerate(nearest):
        matches = distance[annotator, row] <= _NO_MATCH
        votes[EMOTIONS[_ROW_EMOTIONS[row]] if matches else UNKNOWN] += 1
    return votes


def _compute_visibility_weights(scene: Scene) -> np.ndarray:
    covered, visible = _VISIBILITY[scene.occluder]
    return np.array([visible if name in covered else 1.0 for name in EXPRESSIVE_ACTIONS])


def _compute_distances(perceived: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(annotators, prototypes): distance of what each saw to each prototype at its best strength."""
    weighted = _PROTOTYPES * weights
    energy = (weighted * _PROTOTYPES).sum(axis=1)
    along = perceived @ weighted.T
    strength = np.clip(along / np.maximum(energy, 1e-9), _WEAKEST_MATCH, 1.0)
    square = (perceived * perceived * weights).sum(axis=1)[:, None] - 2.0 * strength * along + strength**2 * energy
    return np.sqrt(np.maximum(square, 0.0))
