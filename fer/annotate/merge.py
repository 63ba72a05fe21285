"""Take what a person has said on the page of doubtful labels into a run: its table to train on names who said what.

python -m fer.annotate.merge RUN corrections.csv
    the CSV that the page has saved, or one of your own: image, label (an emotion, or leave_out) and person
"""

import argparse
import logging
import sys
from pathlib import Path

from fer.annotate.corrections import add_corrections, read_corrections, read_saved_corrections
from fer.annotate.results import format_training, write_results
from fer.annotate.run import AnnotationRun, open_run
from fer.core.csv import write_csv
from fer.core.installation import format_documentation, get_program_name
from fer.core.run_layout import CORRECTIONS_CSV
from fer.runs.program import user_errors_to_exit_code
from fer.runs.run_directory import acquire_lock

log = logging.getLogger(__name__)


def merge(run: AnnotationRun, corrections: Path) -> int:
    """Take a person's answers into a run, and write its tables and page anew.

    All answers stay in corrections.csv of the run; of several to one face the last counts.

    Args:
        run: The run.
        corrections: The CSV: image, label and person.

    Returns:
        How many answers it holds.

    Raises:
        UserError: A row of it cannot be used, then nothing is taken; or another process is at work on the run.
    """
    added = read_corrections(corrections, run.faces.table["path"], set(run.annotators))
    lock = acquire_lock(run.directory)
    try:
        write_csv(add_corrections(read_saved_corrections(run.directory), added), run.directory / CORRECTIONS_CSV)
        write_results(run.config, run.directory, run.faces, run.labels, run.annotators)
    finally:
        lock.release()
    return len(added)


def main() -> None:
    """Merge the corrections of the command line."""
    parser = argparse.ArgumentParser(
        prog=get_program_name("python -m fer.annotate.merge"),
        description=format_documentation(__doc__),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="a finished run of fer annotate")
    parser.add_argument("corrections", type=Path, metavar="FILE", help="what the page has saved")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    with user_errors_to_exit_code():
        run = open_run(arguments.run)
        log.info(
            "%d answers are taken. Train on them: %s",
            merge(run, arguments.corrections),
            format_training(arguments.run, run.faces.root),
        )


if __name__ == "__main__":
    main()
