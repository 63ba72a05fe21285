"""`python -m fer.study init DIR`: write a first study.yaml from the names of the recordings in a folder.

Understood are names such as p01_spotA.mp4, spotA/p01.mp4, control/P-03 - spotB.mov, sub-01_task-spot_video.mp4; videos
in a folder `stimuli` are what was shown. No recording is opened: consent is yours to tell.
"""

import argparse
import shlex
import sys
from collections import Counter
from pathlib import Path

from fer.core.installation import format_command, format_documentation, get_program_name
from fer.core.visible import make_visible
from fer.runs.program import user_errors_to_exit_code
from fer.study.init import FirstStudy, write_first_study

_MAX_LISTED = 8


def main() -> None:
    """Write the first study that the command line asks for."""
    parser = argparse.ArgumentParser(
        prog=get_program_name("python -m fer.study"),
        description=format_documentation(__doc__),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    init = commands.add_parser("init", help="write a first study.yaml from a folder's file names")
    init.add_argument("folder", type=Path, metavar="DIR", help="the folder with the recordings, and all below it")
    init.add_argument(
        "-o", "--out", type=Path, default=Path("study.yaml"), help="the file to write; study.yaml unless given"
    )
    args = parser.parse_args()
    with user_errors_to_exit_code():
        found = write_first_study(args.folder, args.out)
        print(make_visible(_describe(found, args.out)))


def _describe(found: FirstStudy, target: Path) -> str:
    """What was understood, and what to do next."""
    counts = Counter(guess.stimulus for guess in found.guesses)
    conditions = Counter(guess.condition for guess in found.guesses if guess.condition)
    groups = Counter(group for group in found.groups.values() if group)
    lines = [f"{target}: {_count(len(found.guesses), 'recording')} of {_count(len(found.groups), 'respondent')}"]
    lines.append(f"  respondents: {_list(list(found.groups))}")
    videos = {name: file for name, file in found.stimuli.items() if file}
    shown = [f"{name} ({counts[name]}{', with its video' if name in videos else ''})" for name in found.stimuli]
    lines.append(f"  stimuli:     {_list(shown)}")
    for title, found_counts in (("conditions: ", conditions), ("groups:     ", groups)):
        if found_counts:
            lines.append(f"  {title} {_list([f'{name} ({count})' for name, count in found_counts.items()])}")
    command = f"{format_command('infer.py')} {shlex.quote(f'extraction.study={target}')}"
    unknown = [guess.file for guess in found.guesses if not guess.is_recognised]
    if unknown:
        lines.append(f"  no respondent recognised, so the file's name stands for one: {_list(unknown)}")
    # Names that differ in capitals or signs alone are taken for one.
    if takes := [f"{guess.file} (take {guess.take})" for guess in found.guesses if guess.take > 1]:
        lines.append(f"  same respondent, stimulus and condition as another recording: {_list(takes)}")
    steps = [
        "Guessed from names; check every line.",
        *(["Say who is in the recordings whose names do not tell (respondent)."] if unknown else []),
        "Set consent: true for everybody who agreed; without it no recording is opened.",
        *(
            ["Name the length of stimuli without a video (duration_s), or their video (file)."]
            if len(videos) < len(found.stimuli)
            else []
        ),
        "Set onset_s where a recording begins before the stimulus; add events, scenes, groups and contrasts.",
        f"Then: {command}",
    ]
    return "\n".join([*lines, "", "Next:", *(f"  {number}. {step}" for number, step in enumerate(steps, 1))])


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _list(names: list[str]) -> str:
    more = f" … and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return ", ".join(names[:_MAX_LISTED]) + more


if __name__ == "__main__":
    main()
    sys.exit(0)
