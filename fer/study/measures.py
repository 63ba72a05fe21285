"""What is measured of a face in a frame, beside the emotions: each with its formula, unit, range, source and caveat."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fer.emotions import AFFECT, CONTEMPT, EMOTIONS

# (valence, arousal) from -1 to 1. Russell and Mehrabian 1977, "Evidence for a three-factor theory of emotions", Journal
# of Research in Personality 11, 273-294: mean pleasure and arousal of the terms angry, disgusted, fearful, happy, sad
# and surprised. Neutral is the origin of their scales. Contempt comes from Warriner, Kuperman and Brysbaert 2013,
# Behavior Research Methods 45, 1191-1207: the noun's 3.22 and 4.61 on scales from 1 to 9, less 5, over 4.
COORDINATES: dict[str, tuple[float, float]] = {
    "anger": (-0.51, 0.59),
    "disgust": (-0.60, 0.35),
    "fear": (-0.64, 0.60),
    "happiness": (0.81, 0.51),
    "neutral": (0.0, 0.0),
    "sadness": (-0.63, -0.27),
    "surprise": (0.40, 0.67),
    CONTEMPT: (-0.445, -0.0975),
}
NEGATIVE = ("anger", "disgust", "fear", "sadness", CONTEMPT)
# Degrees either way. From 60 cm a screen of 24 inches reaches 24 degrees to each side of its middle, and 27 below a
# camera on its upper edge. The head takes two thirds of that (Stiefelhagen and Zhu 2002); the rest is for the estimate.
ATTENTION_YAW, ATTENTION_PITCH = 25.0, 25.0

_RUSSELL = "Russell and Mehrabian 1977, J. Res. Pers. 11, 273-294; contempt: Warriner et al. 2013"
_POSE_CAVEAT = "An estimate from five points; a person's own face and camera shift it by a constant"
_DERIVED_CAVEAT = "Derived from the categories, not measured: it knows nothing that the emotions do not tell"


@dataclass(frozen=True)
class Measure:
    """What a column of measures holds.

    Attributes:
        formula: How it is computed from the emotion table.
        unit: Of its values.
        low: The smallest value that it can have.
        high: The greatest.
        source: Where the definition comes from.
        caveat: What a reader has to know.
        has_baseline: Whether a study's baseline is subtracted from it.
    """

    formula: str
    unit: str
    low: float
    high: float
    source: str
    caveat: str
    has_baseline: bool = True

    @property
    def meaning(self) -> str:
        """Formula, source and caveat in one line."""
        return f"{self.formula} ({self.source}). {self.caveat}"


def _define_emotion(name: str) -> Measure:
    return Measure(
        formula=f"s_{name}",
        unit="probability",
        low=0.0,
        high=1.0,
        source="the model: calibrated and smoothed",
        caveat="What the face shows, not what the person feels",
    )


MEASURES: dict[str, Measure] = {
    **{name: _define_emotion(name) for name in (*EMOTIONS, CONTEMPT)},
    "valence": Measure(
        formula="sum of s_EMOTION times the emotion's valence",
        unit="from -1 to 1",
        low=-0.64,
        high=0.81,
        source=_RUSSELL,
        caveat=f"{_DERIVED_CAVEAT}. Surprise counts as pleasant there, which on a face it need not be",
    ),
    "arousal": Measure(
        formula="sum of s_EMOTION times the emotion's arousal",
        unit="from -1 to 1",
        low=-0.27,
        high=0.67,
        source=_RUSSELL,
        caveat=f"{_DERIVED_CAVEAT}. A calm and a tense face without expression both have 0",
    ),
    "expressiveness": Measure(
        formula="1 - s_neutral",
        unit="probability",
        low=0.0,
        high=1.0,
        source="complement of the neutral class",
        caveat="A model that is unsure whether a face is neutral raises it",
    ),
    "positive": Measure(
        formula="s_happiness",
        unit="probability",
        low=0.0,
        high=1.0,
        source="the one class that is pleasant without doubt",
        caveat="Polite smiles count; surprise is in neither of positive and negative",
    ),
    "negative": Measure(
        formula="s_anger + s_disgust + s_fear + s_sadness, and s_contempt with eight classes",
        unit="probability",
        low=0.0,
        high=1.0,
        source="the unpleasant classes",
        caveat="A concentrated face is easily taken for anger or sadness",
    ),
    "engagement": Measure(
        formula="expressiveness times attention",
        unit="probability",
        low=0.0,
        high=1.0,
        source="ours; Affectiva calls expressiveness alone engagement, here it counts towards the camera only",
        caveat="Someone who watches spellbound without moving a muscle has none; other vendors' figures differ",
    ),
    "attention": Measure(
        formula=f"1 where |yaw| <= {ATTENTION_YAW:g} and |pitch| <= {ATTENTION_PITCH:g}, 0 where not or without a face",
        unit="share of frames",
        low=0.0,
        high=1.0,
        source="head orientation stands for gaze: Stiefelhagen and Zhu 2002, CHI '02 Extended Abstracts, 858-859",
        caveat="The head's direction, not the eyes'; it needs the detector's points",
        has_baseline=False,
    ),
    "yaw": Measure(
        formula="yaw",
        unit="degrees, to the image's right",
        low=-90.0,
        high=90.0,
        source="the detector's points under weak perspective",
        caveat=_POSE_CAVEAT,
    ),
    "pitch": Measure(
        formula="pitch",
        unit="degrees, downwards",
        low=-180.0,
        high=180.0,
        source="the detector's points under weak perspective",
        caveat=f"{_POSE_CAVEAT}. A wide smile lifts the mouth's corners and seems a nod of a few degrees",
    ),
    "roll": Measure(
        formula="roll",
        unit="degrees, clockwise",
        low=-180.0,
        high=180.0,
        source="the line through the eyes",
        caveat=_POSE_CAVEAT,
    ),
    "people": Measure(
        formula="faces",
        unit="faces",
        low=0.0,
        high=np.inf,
        source="the detector",
        caveat="Posters and reflections count; small faces may be overlooked beside a large one",
        has_baseline=False,
    ),
}


# Of a model that has learnt them from ratings.
_LEARNT = {
    name: Measure(
        formula=f"smoothed_{name}",
        unit="from -1 to 1",
        low=-1.0,
        high=1.0,
        source="the model, which has learnt it from ratings of faces, smoothed",
        caveat="What people read in the face, not what the person feels",
    )
    for name in AFFECT
}


def define_measures(table: pd.DataFrame) -> dict[str, Measure]:
    """Say what the measures of an emotion table are: MEASURES, but for what its model has learnt itself."""
    learnt = {name: measure for name, measure in _LEARNT.items() if measure.formula in table}
    return {name: learnt.get(name, MEASURES[name]) for name in list_measures(table.columns)}


def list_bounds(definitions: Mapping[str, Measure], has_baseline: bool) -> dict[str, tuple[float, float]]:
    """List the smallest and the greatest value of each measure, or of its change where there is a baseline."""
    return {
        name: (measure.low - measure.high, measure.high - measure.low)
        if has_baseline and measure.has_baseline
        else (measure.low, measure.high)
        for name, measure in definitions.items()
    }


def list_measures(columns: Iterable[object]) -> list[str]:
    """The measures that a table has as columns, or would have, in their order.

    Args:
        columns: Of a table of measures or of an emotion table; contempt counts where it is there.
    """
    known = {str(column).removeprefix("s_") for column in columns}
    return [name for name in MEASURES if name != CONTEMPT or CONTEMPT in known]


def compute_measures(table: pd.DataFrame) -> pd.DataFrame:
    """Compute all measures of each row of an emotion table.

    Args:
        table: The emotion table, smoothed; of earlier versions too, whose poses and numbers of faces are empty.

    Returns:
        A column a measure (float64), as ``list_measures`` names them, with the rows of ``table``. The emotions and what
        is computed from them are empty without a usable face. Attention is 0 in a frame without a face, and empty where
        the frame could not be read or nothing tells how the face is turned.
    """
    emotions = [name for name in (*EMOTIONS, CONTEMPT) if f"s_{name}" in table]
    smoothed = table[[f"s_{name}" for name in emotions]].to_numpy(float)
    found = pd.DataFrame(smoothed, columns=emotions, index=table.index)
    places = np.array([COORDINATES[name] for name in emotions])
    found["valence"], found["arousal"] = (smoothed @ places).T
    for name, learnt in _LEARNT.items():
        if learnt.formula in table:
            found[name] = table[learnt.formula].astype("float64")
    found["expressiveness"] = 1.0 - found["neutral"]
    found["positive"] = found["happiness"]
    found["negative"] = found[[name for name in emotions if name in NEGATIVE]].sum(axis=1, skipna=False)
    attention = _compute_attention(table)
    found["engagement"] = found["expressiveness"] * attention
    found["attention"] = attention
    for name, column in (("yaw", "yaw"), ("pitch", "pitch"), ("roll", "roll"), ("people", "faces")):
        found[name] = table[column].astype("float64") if column in table else np.nan
    return found[list_measures(emotions)]


def _compute_attention(table: pd.DataFrame) -> pd.Series:
    """1, 0 or empty, as ``compute_measures`` says; all empty where no face of the table has a pose."""
    pose = table.reindex(columns=["yaw", "pitch"]).abs()
    has_face, has_pose = table["face_w"].notna(), pose.notna().all(axis=1)
    attention = pd.Series(np.nan, index=table.index)
    # Without poses only the frames without a face would have a value, and every mean would be 0.
    if has_pose.any() or not has_face.any():
        is_towards = (pose["yaw"] <= ATTENTION_YAW) & (pose["pitch"] <= ATTENTION_PITCH)
        attention[has_pose] = is_towards[has_pose].astype("float64")
        attention[~has_face & (table["status"] != "decode_error")] = 0.0
    return attention
