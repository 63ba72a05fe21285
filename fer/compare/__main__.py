"""`python -m fer.compare DIR…`: runs and sweeps side by side, in the terminal, as CSV and as one page."""

import argparse
import logging
import sys
from pathlib import Path

from fer.cli import reported
from fer.compare.groups import seed_groups
from fer.compare.hyperparameters import shown_columns
from fer.compare.importance import importance
from fer.compare.page import notes_on, report_of
from fer.compare.pairs import compare_pairs
from fer.compare.ranking import choose, ranked
from fer.compare.runs import find_runs, printable
from fer.compare.tables import groups_table, pairs_table, runs_table, write_csv
from fer.compare.terminal import print_groups, print_runs
from fer.errors import UserError
from fer.reports.comparison import write_comparison
from fer.runs.provenance import now
from fer.runs.run_directory import fresh_directory

log = logging.getLogger(__name__)


def compare(places: list[Path], out: Path | None) -> None:
    """Print the table of the runs below ``places`` and write the rest to ``out``. Raises UserError."""
    runs, skipped = find_runs(places)
    for line in skipped:
        log.warning("Skipped: %s", printable(line))
    if not runs:
        raise UserError("there is no training to compare; name directories of runs or sweeps of train.py")
    choice = choose(runs)
    columns = shown_columns(runs)
    if choice is None:
        print_runs(runs, columns, None)
        raise UserError(f"none of the {len(runs)} runs has figures yet, so there is nothing to compare")
    runs = ranked(runs, choice)
    notes = notes_on(runs, choice, columns, skipped)
    groups = seed_groups(runs, choice)
    print_runs(runs, columns, choice)
    if groups:
        print_groups(groups, columns, choice)
    for note in notes[: len(notes) - len(skipped)]:
        log.info("%s", note)
    pairs = compare_pairs(runs, choice.part)
    report = report_of(runs, choice, columns, groups, importance(runs, choice), pairs, notes)
    directory = out or Path(fresh_directory(f"outputs/compare/{now()[:10]}/{now()[11:19].replace(':', '-')}"))
    write_csv(runs_table(runs), directory / "comparison.csv")
    if groups:
        write_csv(groups_table(groups, runs), directory / "groups.csv")
    if len(pairs.table):
        write_csv(pairs_table(pairs, runs), directory / "pairs.csv")
    write_comparison(report, directory / "comparison.html")
    best, command = report.runs[report.best].label, printable(report.commands[0][1])
    log.info("Best by %s: run %s; do it again with `%s`", report.ranked.name, best, command)
    log.info("Comparison: %s", directory / "comparison.html")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m fer.compare", description=__doc__)
    parser.add_argument(
        "places", nargs="+", type=Path, metavar="DIR", help="directories of runs or sweeps, or above them"
    )
    parser.add_argument("--out", type=Path, help="where to write; outputs/compare/DATE/TIME unless given")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    with reported():
        compare(arguments.places, arguments.out)


if __name__ == "__main__":
    main()
