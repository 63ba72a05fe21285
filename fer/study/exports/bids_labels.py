"""Labels of BIDS: letters and digits alone, which stand in names of files for respondents, stimuli and conditions."""

import pandas as pd

from fer.reports.study_data import StudyData
from fer.study.exports.labels import make_labels

_MAX_LABEL = 40


def list_bids_labels(data: StudyData) -> pd.DataFrame:
    """List the labels of included recordings.

    Args:
        data: The study.

    Returns:
        `entity, name, label`; entity is `sub`, `task` or `acq`.
    """
    included = data.recordings[data.recordings["included"].astype(bool)]
    entities = {"sub": "respondent", "task": "stimulus", "acq": "condition"}
    rows = [
        (entity, name, label)
        for entity, column in entities.items()
        for name, label in make_labels(
            filter(None, included[column].dropna()), entity, "", _MAX_LABEL, letter_first=False
        ).items()
    ]
    return pd.DataFrame(rows, columns=["entity", "name", "label"], dtype="str")
