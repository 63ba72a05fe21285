"""Tables as files: what people read loses nothing that counts."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

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
