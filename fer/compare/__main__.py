"""`python -m fer.compare DIR…`: runs and sweeps side by side, in the terminal, as CSV and as one page."""

import argparse
import logging
import sys
from pathlib import Path

from fer.compare.groups import find_seed_groups
from fer.compare.hyperparameters import select_columns
from fer.compare.importance import compute_importance
from fer.compare.page import build_notes, build_report
from fer.compare.pairs import compare_pairs
from fer.compare.ranking import choose_ranking, rank_runs
from fer.compare.runs import find_runs, make_printable
from fer.compare.tables import build_groups_table, build_pairs_table, build_runs_table, write_table
from fer.compare.terminal import print_groups, print_runs
from fer.core.installation import format_documentation, get_program_name
from fer.errors import UserError
from fer.reports.comparison import write_comparison
from fer.runs.program import user_errors_to_exit_code
from fer.runs.provenance import get_timestamp
from fer.runs.run_directory import create_unique_directory

log = logging.getLogger(__name__)


def compare(roots: list[Path], out: Path | None) -> None:
    """Print the table of runs and write CSV files and the page.

    Args:
        roots: Directories of runs or sweeps, or above them.
        out: Where to write; outputs/compare/DATE/TIME where None.

    Raises:
        UserError: A directory is missing, or no run has metrics.

    Examples:
        >>> compare([Path("outputs/sweeps/2026-01-31")], out=None)
    """
    runs, skipped = find_runs(roots)
    for line in skipped:
        log.warning("Skipped: %s", make_printable(line))
    if not runs:
        raise UserError("there is no training to compare; name directories of runs or sweeps of train.py")
    ranking = choose_ranking(runs)
    columns = select_columns(runs)
    if ranking is None:
        print_runs(runs, columns, None)
        raise UserError(f"none of the {len(runs)} runs has figures yet, so there is nothing to compare")
    runs = rank_runs(runs, ranking)
    notes = build_notes(runs, ranking, columns, skipped)
    groups = find_seed_groups(runs, ranking)
    print_runs(runs, columns, ranking)
    if groups:
        print_groups(groups, columns, ranking)
    for note in notes[: len(notes) - len(skipped)]:
        log.info("%s", note)
    pairs = compare_pairs(runs, ranking.split)
    report = build_report(runs, ranking, columns, groups, compute_importance(runs, ranking), pairs, notes)
    directory = out or _create_output_directory()
    write_table(build_runs_table(runs), directory / "comparison.csv")
    if groups:
        write_table(build_groups_table(groups, runs), directory / "groups.csv")
    if len(pairs.table):
        write_table(build_pairs_table(pairs, runs), directory / "pairs.csv")
    write_comparison(report, directory / "comparison.html")
    if report.best is not None:
        best, command = report.runs[report.best].label, make_printable(report.commands[0][1])
        log.info("Best by %s: run %s; do it again with `%s`", report.ranked.name, best, command)
    log.info("Comparison: %s", directory / "comparison.html")


def _create_output_directory() -> Path:
    timestamp = get_timestamp()
    return Path(create_unique_directory(f"outputs/compare/{timestamp[:10]}/{timestamp[11:19].replace(':', '-')}"))


def main() -> None:
    """Compare the runs of the command line."""
    parser = argparse.ArgumentParser(
        prog=get_program_name("python -m fer.compare"), description=format_documentation(__doc__)
    )
    parser.add_argument(
        "places", nargs="+", type=Path, metavar="DIR", help="directories of runs or sweeps, or above them"
    )
    parser.add_argument("--out", type=Path, help="where to write; outputs/compare/DATE/TIME unless given")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    with user_errors_to_exit_code():
        compare(args.places, args.out)


if __name__ == "__main__":
    main()
