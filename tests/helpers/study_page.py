"""The page of a study as the tests read it."""

import base64
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer.reports.study import StudyPage, write_study_page
from fer.reports.study_data import StudyData
from tests.helpers.html import Page
from tests.helpers.study_tables import (
    contrast_row,
)


def write(page: StudyPage, folder: Path) -> str:
    path = folder / "study.html"
    write_study_page(page, path)
    return path.read_text(encoding="utf-8")


def text_of(html: str) -> str:
    return Page(html).text.replace("\u00a0", " ")


def drawn_of(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="drawn">(.*?)</script>', html)
    assert found
    return dict(json.loads(found[1]))


def numbers_of(html: str, name: str, kind: str) -> np.ndarray:
    found = re.search(rf'<script type="text/plain" id="{name}">(.*?)</script>', html)
    assert found
    return np.frombuffer(base64.b64decode(found[1]), kind)


def with_contrast(data: StudyData, **fields: Any) -> StudyData:
    return replace(data, contrasts=pd.DataFrame([contrast_row(**fields)]))
