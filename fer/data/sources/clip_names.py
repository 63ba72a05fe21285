"""What names of files tell in data sets of clips: the emotion and the person."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Livingstone and Russo 2018, "The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS)": modality,
# vocal channel, emotion, intensity, statement, repetition and actor.
_RAVDESS = re.compile(r"(0[123])-(0[12]-(0[1-8])-0[12]-0[12]-0[12]-(\d\d))")
_RAVDESS_EMOTIONS = {
    **{"01": "neutral", "02": "calm", "03": "happiness", "04": "sadness"},
    **{"05": "anger", "06": "fear", "07": "disgust", "08": "surprise"},
}
_VIDEO_ONLY = "02"
# Cao and others 2014, "CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset": actor, sentence, emotion and level.
_CREMA_D = re.compile(r"(\d{4})_[A-Z]{3}_(ANG|DIS|FEA|HAP|NEU|SAD)_(?:LO|MD|HI|XX?)")
_CREMA_D_EMOTIONS = {
    **{"ANG": "anger", "DIS": "disgust", "FEA": "fear"},
    **{"HAP": "happiness", "NEU": "neutral", "SAD": "sadness"},
}


@dataclass(frozen=True)
class NamedClip:
    """What a name tells.

    Attributes:
        label: The emotion, which may be none of the classes.
        subject: The person.
        repeats: Name of the file of which this is a copy, without its suffix; "" where it is none.
    """

    label: str
    subject: str
    repeats: str = ""


def parse_ravdess(stem: str) -> NamedClip | None:
    """Read a name such as 02-01-06-01-02-01-12: of the clips without sound there are copies with sound."""
    match = _RAVDESS.fullmatch(stem)
    if match is None:
        return None
    modality, recording, emotion, actor = match.groups()
    return NamedClip(_RAVDESS_EMOTIONS[emotion], actor, f"01-{recording}" if modality == _VIDEO_ONLY else "")


def parse_crema_d(stem: str) -> NamedClip | None:
    """Read a name such as 1001_DFA_ANG_XX."""
    match = _CREMA_D.fullmatch(stem)
    return None if match is None else NamedClip(_CREMA_D_EMOTIONS[match[2]], match[1])


NAMINGS: dict[str, Callable[[str], NamedClip | None]] = {"ravdess": parse_ravdess, "crema-d": parse_crema_d}


def find_naming(stems: Sequence[str]) -> str | None:
    """Find the data set whose names most of these are; None where they are of none."""
    for naming, parse in NAMINGS.items():
        if sum(parse(stem) is not None for stem in stems) * 2 > len(stems):
            return naming
    return None
