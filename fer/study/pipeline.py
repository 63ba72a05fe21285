"""The analysis of a study: from the emotion table to its tables and its page."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from fer.config import Config
from fer.config.study import Study


def analyze_study(
    config: Config, directory: Path, study: Study, table: pd.DataFrame, media_names: Mapping[str, str], seed: int
) -> None:
    """Stand in for the analysis, which joins the parts of issue 15 when they are merged."""
