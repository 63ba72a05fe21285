"""`python -m fer.privacy.forget RUN RESPONDENT`: delete everything about a respondent from a run of infer.py.

Rows, crops, frames, thumbnails, annotated copies, the entries of study, groups, labels and of the list of recordings,
and what command line and logs tell; then tables and pages are made anew from who is left. At the end all files are
searched for the id and the names of the recordings, packed ones too; for an id that is short or a common word, tables
and lists alone. A call that was interrupted is finished by the next one.

The recording itself is not touched: delete it as well. Out of reach are copies that have left the run: what was sent
to somebody, put into a bucket, or logged to a tracker or registry.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fer.config import Config
from fer.core.installation import format_documentation, get_program_name
from fer.errors import ExitCode, UserError
from fer.infer.inputs import load_media
from fer.infer.report import write_report
from fer.privacy.erasure import Plan, ReportWriter, build_plan, forget, load_plan, remove_run
from fer.privacy.ids import find_id
from fer.privacy.respondents import find_respondent
from fer.privacy.search import find_mentions
from fer.runs.program import user_errors_to_exit_code
from fer.runs.run_directory import Run, load_run_config, read_status, return_to_directory
from fer.video.media import Media


def forget_respondent(
    run: Path, respondent: str | None = None, video: str | None = None, report: ReportWriter | None = None
) -> int:
    """Delete everything about a respondent from a run, and print what that was.

    Args:
        run: The run directory of infer.py.
        respondent: An id of its study or of ``extraction.groups``; None with ``video``, or to finish what was
            interrupted.
        video: A recording, by its name in the tables.
        report: Writes tables and pages anew; None is ``fer.infer.report.write_report``.

    Returns:
        The exit code: 1 where something still tells of the respondent.

    Raises:
        UserError: Something that a user can correct.

    Examples:
        >>> forget_respondent(Path("outputs/infer/2026-03-01/10-00-00-panel"), "r07")
        0
    """
    run = run.resolve()
    plan = load_plan(run)
    resumed = plan is not None
    if plan is None:
        plan = _plan_anew(run, respondent, video)
    # Relative paths of the configuration begin there.
    return_to_directory(run)
    if not plan.left:
        _tell(run, plan, remove_run(run, plan))
        return ExitCode.OK
    _tell(run, plan, forget(run, load_run_config(run, "infer"), plan, report or _write_report))
    who, named = plan.who, [] if plan.who.id is None else find_id(run, plan.who.id)
    if mentions := sorted({*find_mentions(run, who.texts), *named}):
        print("Still told there, which is not of this program's making; look at it yourself:")
        print("\n".join(f"  {path}" for path in mentions))
        return ExitCode.ERROR
    print("Searched all files: neither the id nor a recording's name is left.")
    if who.id is not None and who.id not in who.texts:
        print(
            f"{who.id}: as the id is short, or a word that stands in files for other reasons, it was searched for in "
            "tables and lists, not in free text."
        )
    if resumed and (respondent or video) and respondent != plan.who.id:
        print("This has finished an interrupted call; now call it again for the respondent that you named.")
        return ExitCode.PARTIAL
    return ExitCode.OK


def _plan_anew(run: Path, respondent: str | None, video: str | None) -> Plan:
    if (respondent is None) == (video is None):
        raise UserError("name a RESPONDENT, or a recording with --video NAME; one of them")
    config = load_run_config(run, "infer")
    media = load_media(run)
    who = find_respondent(run, config, media, respondent, video)
    return build_plan(run, who, media, str(read_status(run) or "finished"))


def _write_report(config: Config, run: Run, media: Sequence[Media]) -> None:
    # The annotated copies of others are as they were.
    write_report(config, run, media, redraw=False)


def _tell(run: Path, plan: Plan, removed: list[str]) -> None:
    count = len(plan.who.media)
    print(
        f"{run}: forgot {count} {'recording' if count == 1 else 'recordings'}. Removed, or written anew without them:"
    )
    print("\n".join(f"  {name}" for name in removed))
    if not plan.left:
        print("The run was about nobody else, so that all of it is gone.")
    for item in plan.who.media.values():
        print(f"Not touched: {item.remote or item.path}; delete it as well")
    print("Out of reach: what was passed on, put into a bucket, or logged to a tracker or registry.")


def main() -> int:
    """Forget the respondent that the command line names."""
    parser = argparse.ArgumentParser(
        prog=get_program_name("python -m fer.privacy.forget"),
        description=format_documentation(__doc__),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the run directory of infer.py")
    parser.add_argument(
        "respondent", nargs="?", metavar="RESPONDENT", help="an id of the study, or of extraction.groups"
    )
    parser.add_argument("--video", metavar="NAME", help="instead: a recording by its name in the tables")
    args = parser.parse_args()
    with user_errors_to_exit_code():
        return forget_respondent(args.run, args.respondent, args.video)


if __name__ == "__main__":
    sys.exit(main())
