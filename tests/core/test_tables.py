"""Tables as files: what people read loses nothing that counts."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer.core import csv
from fer.core.csv import neutralise
from fer.core.tables import write_table


@pytest.mark.parametrize("column", ["time_s", "second", "duration_s", "start_s", "time_to_peak_s"])
def test_times_of_long_recordings_keep_microseconds(column: str, tmp_path: Path) -> None:
    times = [0.0, 0.000001, 10800.033367, 86399.999999, 604800.123456, -0.04, np.nan]
    write_table(pd.DataFrame({column: times, "p_fear": 0.123456789}), tmp_path / "table")
    text = pd.read_csv(tmp_path / "table.csv")
    np.testing.assert_allclose(text[column], times, rtol=0, atol=5e-7)
    assert (tmp_path / "table.csv").read_text().splitlines()[3] == "10800.033367,0.123457"
    assert pd.read_parquet(tmp_path / "table.parquet")[column].tolist()[:6] == times[:6]


def test_a_table_without_rows_is_a_file_too(tmp_path: Path) -> None:
    write_table(pd.DataFrame({"time_s": pd.Series(dtype="float64")}), tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == "time_s\n"


@pytest.mark.parametrize("block_rows", [3, 4096])
def test_numbers_are_written_as_pandas_writes_them(
    block_rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv, "BLOCK_ROWS", block_rows)
    floats = [0.1, -0.0, 1234567.0, 1e-7, np.nan, np.inf, -np.inf, 1 / 3]
    table = pd.DataFrame(
        {
            "double": floats,
            "single": np.array(floats, np.float32),
            "nullable": pd.array([None, *floats[1:4], None, 2.5, 1e20, -3.0], "Float64"),
            "whole": pd.array([1, None, 3, 4, 5, 6, 7, 123456789], "Int64"),
            "flag": [True, False] * 4,
            "=text": ["ok", "=1", "", "low_quality", "a,b", "ä", "-1", "+x"],
        }
    )
    write_table(table, tmp_path / "table")
    texts = table["=text"].map(neutralise)
    expected = table.assign(**{"=text": texts}).rename(columns=neutralise)
    expected.to_csv(tmp_path / "expected.csv", index=False, float_format="%.6g", lineterminator="\n")
    assert (tmp_path / "table.csv").read_bytes() == (tmp_path / "expected.csv").read_bytes()
