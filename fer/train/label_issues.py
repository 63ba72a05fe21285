"""Doubtful labels of a run's data, as a CSV that dataset.exclude takes and as a sheet with pictures."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from fer.audit.label_issues import (
    CONFLICTING,
    CONTRADICTED,
    average_predictions,
    find_conflicting_duplicates,
    find_contradicted_labels,
    join_issues,
)
from fer.core.csv import write_csv
from fer.core.image import squeeze_gray
from fer.core.run_layout import LABEL_ISSUES_CSV, LABEL_ISSUES_HTML
from fer.metrics.bootstrap import extract_predictions
from fer.reports.label_issues import LabelIssuesPage, write_label_issues_page
from fer.train.clip_inputs import find_pictures
from fer.train.inputs import PreparedData

# Below this agreement with the labels a model is too weak to doubt them.
TRUSTED_ACCURACY = 0.6
log = logging.getLogger(__name__)


def write_label_issues(
    predictions: Sequence[pd.DataFrame], data: PreparedData, directory: Path, title: str
) -> dict[str, int]:
    """Write label_issues.csv and label_issues.html.

    Args:
        predictions: Of each model, what it says of images that it was not trained on: sample_id, label, p_<emotion>.
        data: The data, whose manifest has all of the images.
        directory: Where to write.
        title: Heading of the sheet.

    Returns:
        How many images were ``examined``, and how many are listed: ``contradicted`` by the model, ``conflicting`` with
        a duplicate, and ``listed`` for either.

    Raises:
        DataError: The models' predictions cannot be averaged.
    """
    samples = data.manifest.samples
    examined = average_predictions(predictions)
    contradicted = find_contradicted_labels(examined)
    conflicting = find_conflicting_duplicates(samples)
    issues = join_issues(contradicted, conflicting, samples)
    write_csv(issues, directory / LABEL_ISSUES_CSV, float_format="%.4f")
    answers = extract_predictions(examined, "sample_id")
    accuracy = float((answers["predicted"] == answers["label"]).mean())
    counts = {
        "examined": len(examined),
        "contradicted": len(contradicted),
        "conflicting": len(conflicting),
        "listed": len(issues),
    }
    rows = pd.Series(find_pictures(data.store, samples.index.to_numpy()), index=samples["sample_id"])
    page = LabelIssuesPage(
        title=title,
        counts=counts,
        images_total=len(samples),
        issues=[{str(key): value for key, value in row.items()} for row in issues.to_dict("records")],
        pictures=lambda sample: squeeze_gray(data.store.images[rows[sample]]),
        csv=LABEL_ISSUES_CSV,
        accuracy=accuracy,
        trusted=accuracy >= TRUSTED_ACCURACY,
        contradicted=CONTRADICTED,
        conflicting=CONFLICTING,
    )
    write_label_issues_page(page, directory / LABEL_ISSUES_HTML)
    if accuracy < TRUSTED_ACCURACY:
        log.warning(
            "Labels: the model agrees with only %.0f %% of them, so most of what it contradicts is its own mistake",
            100 * accuracy,
        )
    log.info(
        "Labels: %d of %d examined images contradicted, %d duplicates in conflict: %s",
        *(counts["contradicted"], counts["examined"], counts["conflicting"], directory / LABEL_ISSUES_HTML),
    )
    return counts
