"""The map from names of folders and labels to emotions."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from fer.config.base import name_entries
from fer.emotions import CONTEMPT, EMOTIONS, normalize_label


def _check_class_map(value: dict[str, str | None]) -> dict[str, str | None]:
    """Check that every folder is mapped to an emotion or left out."""
    for folder, emotion in value.items():
        if emotion is not None and normalize_label(emotion) is None:
            raise ValueError(
                f"folder {folder!r} is mapped to {emotion!r}, which is no emotion; allowed are "
                f"{', '.join((*EMOTIONS, CONTEMPT))}, and null to leave the folder out"
            )
    return value


# YAML reads the name 0 as a number.
ClassMap = Annotated[dict[str, str | None], BeforeValidator(name_entries), AfterValidator(_check_class_map)]
