"""Norms: percentiles by hand, and directories that tell nothing."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer.config.study import Window
from fer.study.norms import NORM_COLUMNS, compare_with_norms
from tests.helpers.study_panel import draw_steps, draw_study, summarize_steps


def write_run(folder: Path, **happiness: float) -> Path:
    """A run of a study of which each stimulus has such a mean."""
    study = draw_study(3, list(happiness))
    values = summarize_steps(draw_steps(study, seconds=3))
    values.loc[values["measure"] == "happiness", "mean"] = values["stimulus"].map(happiness)
    (folder / "study").mkdir(parents=True)
    values.to_parquet(folder / "study" / "segment_values.parquet")
    return folder


def own_values(**happiness: float) -> pd.DataFrame:
    values = summarize_steps(draw_steps(draw_study(3, list(happiness)), seconds=3))
    values.loc[values["measure"] == "happiness", "mean"] = values["stimulus"].map(happiness)
    return values


def test_percentiles_are_those_among_all_earlier_stimuli(tmp_path: Path) -> None:
    write_run(tmp_path / "old" / "one", a=0.1, b=0.2)
    write_run(tmp_path / "old" / "two", a=0.3, b=0.5)
    study = draw_study(3, ["x", "y"], norms=(str(tmp_path / "old"), str(tmp_path / "old" / "two")))
    found, cautions = compare_with_norms(own_values(x=0.3, y=0.05), study)
    assert cautions == () and tuple(found.columns) == NORM_COLUMNS
    rows = found[found["measure"] == "happiness"].set_index("stimulus")
    # Two of four are below 0.3 and one is equal; a study that is named twice counts once.
    assert rows["percentile"].to_dict() == {"x": 62.5, "y": 0.0}
    assert rows["studies"].tolist() == [2, 2] and rows["stimuli"].tolist() == [4, 4]
    assert rows["value"].to_dict() == pytest.approx({"x": 0.3, "y": 0.05}) and set(rows["segment"]) == {"whole"}


def test_what_tells_nothing_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    damaged = write_run(tmp_path / "damaged", a=0.1)
    (damaged / "study" / "segment_values.parquet").write_bytes(b"PAR1 or not")
    write_run(tmp_path / "changes", a=-0.1)
    texts = write_run(tmp_path / "texts", a=0.1)
    pd.read_parquet(texts / "study" / "segment_values.parquet").assign(mean="much").to_parquet(
        texts / "study" / "segment_values.parquet"
    )
    names = ("missing", "empty", "damaged", "changes", "texts")
    study = draw_study(3, ["x"], norms=tuple(str(tmp_path / name) for name in names))
    found, cautions = compare_with_norms(own_values(x=0.3), study)
    assert found.empty and tuple(found.columns) == NORM_COLUMNS and len(cautions) == 5
    reasons = ("hold no run", "hold no run", "segment_values", "changes from a baseline", "no numbers")
    for name, words, caution in zip(names, reasons, cautions, strict=True):
        assert str(tmp_path / name) in caution and words in caution


def test_changes_are_compared_with_changes(tmp_path: Path) -> None:
    write_run(tmp_path / "as they are", a=0.1)
    write_run(tmp_path / "changes", a=-0.1)
    study = draw_study(3, ["x"], norms=(str(tmp_path),), baseline=Window(start_s=-2, end_s=0))
    found, cautions = compare_with_norms(own_values(x=0.0), study)
    row = found[found["measure"] == "happiness"].iloc[0]
    assert (row["percentile"], row["studies"]) == (100, 1) and len(cautions) == 1


def test_no_norms_and_no_values(tmp_path: Path) -> None:
    write_run(tmp_path / "one", a=0.1)
    values = own_values(x=0.3)
    assert tuple(compare_with_norms(values, draw_study(3, ["x"]))[0].columns) == NORM_COLUMNS
    study = draw_study(3, ["x"], norms=(str(tmp_path),))
    assert compare_with_norms(values.head(0), study)[0].empty
    assert compare_with_norms(values.assign(mean=np.nan), study)[0].empty


def test_a_study_is_no_norm_of_itself(tmp_path: Path) -> None:
    write_run(tmp_path / "earlier", a=0.1)
    own = write_run(tmp_path / "own", x=0.3)
    study = draw_study(3, ["x"], norms=(str(tmp_path),))
    found, _ = compare_with_norms(own_values(x=0.3), study, own)
    assert found.loc[found["measure"] == "happiness", "studies"].tolist() == [1]
