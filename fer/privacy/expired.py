"""`python -m fer.privacy.expired DIR`: the runs of infer.py below a directory that are past the date of their deletion.

The date is the day of the run's start and extraction.retention_days; runs without it are left alone. They are listed,
and nothing else happens; --delete deletes what was listed. The recordings lie elsewhere and are not touched.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from fer.core.documents import read_json_object
from fer.core.installation import format_documentation, get_program_name
from fer.core.run_layout import PROVENANCE_JSON, RUN_YAML
from fer.errors import DataError, ExitCode, UserError
from fer.runs.program import user_errors_to_exit_code
from fer.runs.run_directory import acquire_lock


def find_expired(directory: Path, today: date) -> Iterator[tuple[Path, date]]:
    """Find the runs that should have been deleted before today, in the order of their paths.

    Args:
        directory: It is searched with all below it; links are not followed.
        today: The day, in UTC as the dates of runs.

    Yields:
        The run directory, and the last day on which it was to be kept.

    Raises:
        DataError: There is no such directory.
    """
    if not directory.is_dir():
        raise DataError(f"{directory}: there is no such directory")
    for folder, folders, files in os.walk(directory):
        folders.sort()
        if PROVENANCE_JSON not in files or RUN_YAML not in files:
            continue
        # Inside of a run there are none.
        folders.clear()
        try:
            last = date.fromisoformat(str(read_json_object(Path(folder, PROVENANCE_JSON)).get("delete_after")))
        except (OSError, ValueError):
            continue
        if last < today:
            yield Path(folder), last


def main() -> int:
    """List the runs that are past their date, and delete them on request."""
    parser = argparse.ArgumentParser(
        prog=get_program_name("python -m fer.privacy.expired"),
        description=format_documentation(__doc__),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="where the runs are, such as outputs/infer")
    parser.add_argument("--delete", action="store_true", help="delete them, after they were listed")
    args = parser.parse_args()
    with user_errors_to_exit_code():
        return _list_expired(args.directory, args.delete)


def _list_expired(directory: Path, delete: bool) -> int:
    runs = list(find_expired(directory, datetime.now(UTC).date()))
    for run, last in runs:
        print(f"{run}: was to be deleted after {last.isoformat()}")
    if not runs:
        print(f"{directory}: no run is past its date")
        return ExitCode.OK
    if not delete:
        print(f"Nothing is deleted; {len(runs)} would be with --delete")
        return ExitCode.OK
    busy = 0
    for run, _ in runs:
        try:
            lock = acquire_lock(run)
        except UserError as error:
            print(f"Kept: {error}", file=sys.stderr)
            busy += 1
            continue
        shutil.rmtree(run)
        lock.release()
    print(f"Deleted: {len(runs) - busy} of {len(runs)}")
    return ExitCode.PARTIAL if busy else ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
