"""Reference statistics of an ensemble for monitoring, from those of its members: no picture is needed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from fer.bundle.metadata import BundleDescription
from fer.errors import ModelError
from fer.monitoring.drift import BASELINE, NEEDED, build_baseline, read_baseline

# What a baseline says of the pictures alone, whatever model looks at them.
OF_PICTURES = ("brightness", "sharpness", "face_size")


class NoBaselineError(Exception):
    """The members' baselines are none of their ensemble; the message says which and why."""


def derive_baseline(
    members: Sequence[BundleDescription], names: Sequence[str], probabilities: np.ndarray
) -> dict[str, Any]:
    """Derive the baseline of an ensemble.

    What it says of the pictures is that of the members, which must have measured the same ones; confidence and
    emotions are those of the ensemble's own answers.

    Args:
        members: The descriptions of its networks.
        names: What the user calls them.
        probabilities: (N, C) what the ensemble answers for the pictures of the members' baselines.

    Returns:
        The content of baseline.json.

    Raises:
        NoBaselineError: A member has no baseline, or one of other pictures.
    """
    found: list[dict[str, Any]] = []
    for name, member in zip(names, members, strict=True):
        if not (member.folder / BASELINE).is_file():
            raise NoBaselineError(f"{name} has none")
        try:
            found.append(read_baseline(member.folder / BASELINE))
        except ModelError as error:
            raise NoBaselineError(str(error)) from None
        if _select_pictures(found[-1]) != _select_pictures(found[0]):
            raise NoBaselineError(f"that of {name} is of other pictures, or of another size, than that of {names[0]}")
    classes = members[0].classes
    answers = pd.DataFrame({"confidence": probabilities.max(1), "emotion": np.array(classes)[probabilities.argmax(1)]})
    # The pictures' own quantities are taken from the members.
    own = build_baseline(answers.assign(**dict.fromkeys(set(NEEDED) - set(answers), 0.0)), classes)
    return {**own, "faces": found[0]["faces"], "numbers": {**own["numbers"], **_select_pictures(found[0])["numbers"]}}


def _select_pictures(baseline: dict[str, Any]) -> dict[str, Any]:
    return {"faces": baseline["faces"], "numbers": {name: baseline["numbers"][name] for name in OF_PICTURES}}
