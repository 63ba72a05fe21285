"""The sheet of doubtful labels: ``label_issues.html``."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fer.reports.page import render, write_page

# Pictures of more would make a page of tens of megabytes; the CSV has all.
MAX_SHOWN = 300
_MAX_PAIRS = 10


@dataclass(frozen=True)
class LabelIssuesPage:
    """What the sheet is made of.

    Attributes:
        title: Heading.
        counts: Images that were ``examined``, and those ``contradicted``, ``conflicting`` and ``listed``.
        images_total: Images that the data have.
        issues: The listed ones: sample_id, given_label, suggested_label, score, reason; the most doubtful first.
        pictures: Gives the picture of a sample, (H, W) gray or (H, W, 3) RGB uint8.
        csv: Name of the table beside the page.
        accuracy: Share of the examined images in which the model agrees with the label.
        trusted: Whether that is enough for its doubts to mean something.
        contradicted: The reason of those that the model contradicts.
        conflicting: The reason of duplicates in conflict.
    """

    title: str
    counts: Mapping[str, int]
    images_total: int
    issues: Sequence[Mapping[str, Any]]
    pictures: Callable[[str], np.ndarray]
    csv: str
    accuracy: float
    trusted: bool
    contradicted: str
    conflicting: str


def write_label_issues_page(page: LabelIssuesPage, path: Path) -> None:
    """Write the page; it appears only once it is complete.

    Args:
        page: What it shows.
        path: The HTML file.
    """
    sections = []
    for anchor, title, reason in (
        ("contradicted", "Labels that the model contradicts", page.contradicted),
        ("conflicting", "Duplicates with different labels", page.conflicting),
    ):
        listed = [issue for issue in page.issues if reason in issue["reason"]]
        shown = [{**issue, "image": page.pictures(issue["sample_id"])} for issue in listed[:MAX_SHOWN]]
        pairs = Counter(
            (issue["given_label"], issue["suggested_label"]) for issue in listed if issue["suggested_label"]
        )
        sections.append(
            {
                "anchor": anchor,
                "title": title,
                "total": len(listed),
                "issues": shown,
                "pairs": [(*pair, number) for pair, number in pairs.most_common(_MAX_PAIRS)],
            }
        )
    write_page(render("label_issues.html.j2", {"page": page, "sections": sections}), path)
