"""Tables as files: exactly for programs, as CSV for people."""

from pathlib import Path

import pandas as pd

from fer.core.csv import write_csv
from fer.core.io import atomic_write

# What counts seconds from a beginning: six significant digits would lose 50 ms after three hours.
TIME_COLUMNS = (
    *("time_s", "second", "duration_s", "start_s", "first_s", "last_s"),
    *("end_s", "peak_s", "time_to_peak_s", "onset_s", "offset_s", "recording_s"),
)
# Times that differ by less are the same time: what a container's time base and floats leave, seconds.
TIME_TOLERANCE_S = 1e-5


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write the same rows as .parquet and as .csv, for people: microseconds, and otherwise six significant digits.

    Args:
        table: The table.
        path: The files' path, whose suffix does not matter.
    """
    with atomic_write(path.with_suffix(".parquet")) as temporary:
        table.to_parquet(temporary, index=False)
    # A group column of a study may have the name of a time, and texts.
    formats = {
        str(name): "%.6f" if name in TIME_COLUMNS else "%.6g"
        for name, column in table.items()
        if pd.api.types.is_float_dtype(column) or (name in TIME_COLUMNS and pd.api.types.is_numeric_dtype(column))
    }
    write_csv(table, path.with_suffix(".csv"), formats, lineterminator="\n")
