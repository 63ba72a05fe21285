"""The emotion classes, their fixed order, and how each data set's names map to them.

This is the one place that knows the class order; every table, matrix and network output follows it.
"""

from collections.abc import Iterable

EMOTIONS: tuple[str, ...] = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
CONTEMPT = "contempt"
# What a model may have learnt beside them, in the order of its outputs; each from -1 to 1.
AFFECT = ("valence", "arousal")

# Columns of FERPlus's votes, in the file's order (microsoft/FERPlus, fer2013new.csv). The last two count annotators
# who recognised no emotion, or no face.
FERPLUS_VOTES: tuple[str, ...] = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
)

# RAF-DB's label numbers (list_patition_label.txt).
RAFDB_LABELS: dict[int, str] = {
    1: "surprise",
    2: "fear",
    3: "disgust",
    4: "happiness",
    5: "sadness",
    6: "anger",
    7: "neutral",
}

# FER2013's label numbers (fer2013.csv, column `emotion`).
FER2013_LABELS: dict[int, str] = {
    0: "anger",
    1: "disgust",
    2: "fear",
    3: "happiness",
    4: "sadness",
    5: "surprise",
    6: "neutral",
}

# Spellings that data sets use for the same class, so that a folder of theirs is read as it is.
SYNONYMS: dict[str, str] = {
    "angry": "anger",
    "disgusted": "disgust",
    "fearful": "fear",
    "afraid": "fear",
    "happy": "happiness",
    "sad": "sadness",
    "surprised": "surprise",
}


def get_class_names(count: int) -> tuple[str, ...]:
    """Return the names of the classes in the order of a network's outputs.

    Args:
        count: 7 emotions, or 8 with contempt.

    Raises:
        ValueError: For any other count.

    Examples:
        >>> get_class_names(7)[3]
        'happiness'
    """
    if count == len(EMOTIONS):
        return EMOTIONS
    if count == len(EMOTIONS) + 1:
        return (*EMOTIONS, CONTEMPT)
    raise ValueError(f"there are 7 classes, or 8 with contempt; not {count}")


def list_emotions(columns: Iterable[object]) -> list[str]:
    """The classes of a table with columns p_<emotion>, in their order; the table itself may be given for them."""
    return [str(column).removeprefix("p_") for column in columns if str(column).startswith("p_")]


def normalize_label(name: str) -> str | None:
    """Return the class that the name of a folder or a label stands for, or None.

    Args:
        name: The name, in any case and in one of the spellings that data sets use.

    Examples:
        >>> normalize_label("Happy")
        'happiness'
    """
    folded = name.strip().lower()
    folded = SYNONYMS.get(folded, folded)
    return folded if folded in (*EMOTIONS, CONTEMPT) else None
