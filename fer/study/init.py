"""A first study.yaml, written from the names of the files in a folder; none of the files is opened."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import yaml

from fer.config.study import MEASURES
from fer.core.file_tree import walk_files
from fer.core.installation import SCHEMAS
from fer.errors import DataError, UserError
from fer.study.naming import Guess, guess_recordings, remove_suffixes
from fer.video.media import VIDEO_SUFFIXES

STIMULI_FOLDERS = ("stimuli", "stimulus", "stimulus_videos")
_NO_GROUP = "{}"


@dataclass(frozen=True)
class FirstStudy:
    """What was understood from a folder.

    Attributes:
        guesses: A recording each.
        stimuli: The video of each stimulus by its name, relative to the folder; None where there is none.
    """

    guesses: Sequence[Guess]
    stimuli: dict[str, str | None]

    @property
    def groups(self) -> dict[str, str]:
        """The group of each respondent, "" for none, in the order of the recordings."""
        groups: dict[str, str] = {}
        for guess in self.guesses:
            groups[guess.respondent] = groups.get(guess.respondent) or guess.group
        return groups


def understand_folder(folder: Path) -> FirstStudy:
    """Guess a study from the names of the videos in a folder and all below it.

    Args:
        folder: The folder; videos in its folder `stimuli` are what was shown.

    Raises:
        DataError: There is no such folder, or no recording in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such directory; name the one that holds the recordings")
    files = list(_list_videos(folder))
    if odd := next((name for name in files if not name.isprintable() or not _is_text(name)), None):
        raise DataError(f"{folder}: the name {odd!a} is no printable text in UTF-8; rename the file")
    shown = [name for name in files if _lies_in_stimuli(name)]
    recordings = [name for name in files if name not in set(shown)]
    if not recordings:
        where = " beside those of its stimuli" if shown else ""
        raise DataError(f"{folder}: no video is there{where}, by suffix; name the directory that holds the recordings")
    stems = {remove_suffixes(PurePath(name).name): name for name in shown}
    guesses = guess_recordings(recordings, list(stems))
    named = dict.fromkeys(guess.stimulus for guess in guesses)
    return FirstStudy(guesses, {**dict.fromkeys(named), **stems})


def write_first_study(folder: Path, target: Path) -> FirstStudy:
    """Write a first study.

    Args:
        folder: As for ``understand_folder``.
        target: The YAML file, which must not be there yet.

    Raises:
        UserError: It is there already, or has another suffix than .yaml.
        DataError: As for ``understand_folder``.
    """
    if target.suffix.lower() not in (".yaml", ".yml"):
        raise UserError(f"-o {target}: must end with .yaml")
    found = understand_folder(folder)
    text = format_first_study(found, folder, target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UserError(f"{target}: is there already, and is never overwritten; choose another name with -o") from None
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error.strerror or error})") from None
    return found


def _list_videos(folder: Path) -> Iterator[str]:
    """Videos by their suffix, relative to the folder, in order of name: to look into one would open it."""

    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename}: this directory cannot be read ({error.strerror})") from None

    for place, names in walk_files(folder, refuse):
        for name in names:
            if Path(name).suffix.lower() in VIDEO_SUFFIXES:
                yield (Path(place) / name).relative_to(folder).as_posix()


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _lies_in_stimuli(name: str) -> bool:
    return any(part.casefold() in STIMULI_FOLDERS for part in PurePath(name).parts[:-1])


def format_first_study(found: FirstStudy, folder: Path, target: Path) -> str:
    """Format a study as YAML with comments for who has never seen one.

    Args:
        found: What was understood.
        folder: The folder, from which paths are told.
        target: The file, to which they are relative.
    """
    base = Path(os.path.relpath(folder.resolve(), target.parent.resolve()))
    return "\n".join(
        [
            f"# yaml-language-server: $schema={SCHEMAS / 'study.json'}",
            "# A study: what was shown to whom, and what is asked. Guessed from the names of files; check every line.",
            "# What each key means: docs/reference/study-file.md. Paths are relative to this file.",
            f"name: {_quote(folder.resolve().name)}",
            "",
            "# `file` is its video, which plays in the page; without one name its length: `duration_s: 30`.",
            "# Moments:  events: [{name: logo, time_s: 12.5}]   (end_s, or two seconds)",
            "# Parts:    scenes: [{name: intro, start_s: 0, end_s: 8}]   or cuts: true, one from each cut to the next",
            "stimuli:",
            *(_format_stimulus(name, file, base) for name, file in found.stimuli.items()),
            "",
            "# Who saw it. Set consent: true for who agreed to be analysed: WITHOUT IT NO RECORDING OF THEM IS OPENED.",
            "# groups: whatever tells people apart, such as {gender: f, age: 18-29}; the same keys for everybody.",
            "respondents:",
            *(_format_respondent(name, group) for name, group in found.groups.items()),
            "",
            "# The videos of their faces. onset_s: when the stimulus begins in the recording, seconds; offset_s: when",
            "# it ends, where that is not after its length. condition: how it was shown, where that differs.",
            "recordings:",
            *(_format_recording(guess, base) for guess in found.guesses),
            "",
            "# Take each measure as a change from its mean over this window around the onset, seconds:",
            "# baseline: {start_s: -2, end_s: 0}",
            "",
            "# What is to be compared.",
            *_format_contrasts(found),
            "",
            f"# Measures that are tested and ranked; there are {', '.join(MEASURES)}.",
            "measures: [happiness, valence, expressiveness]",
            "",
        ]
    )


def _quote(text: str) -> str:
    """A text as YAML takes it for one inside of braces, in quotes where it needs them."""
    return yaml.safe_dump([text], allow_unicode=True, width=10_000, default_flow_style=True).strip()[1:-1]


def _format_stimulus(name: str, file: str | None, base: Path) -> str:
    value = f"file: {_quote((base / file).as_posix())}" if file else "file: null, duration_s: null"
    return f"  {_quote(name)}: {{{value}}}"


def _format_respondent(name: str, group: str) -> str:
    groups = f"{{group: {_quote(group)}}}" if group else _NO_GROUP
    return f"  {_quote(name)}: {{consent: false, groups: {groups}}}"


def _format_recording(guess: Guess, base: Path) -> str:
    condition = f", condition: {_quote(guess.condition)}" if guess.condition else ""
    return (
        f"  - {{file: {_quote((base / guess.file).as_posix())}, respondent: {_quote(guess.respondent)}, "
        f"stimulus: {_quote(guess.stimulus)}, onset_s: 0{condition}}}"
    )


def _format_contrasts(found: FirstStudy) -> list[str]:
    """Examples, in comments: a question that is not asked needs no correction of the others."""
    stimuli = list(dict.fromkeys(guess.stimulus for guess in found.guesses))
    groups = [group for group in dict.fromkeys(found.groups.values()) if group]
    a, b = (stimuli + ["A", "B"])[:2] if len(stimuli) > 1 else ("A", "B")
    first, second = groups[:2] if len(groups) > 1 else ("f", "m")
    factor = "group" if len(groups) > 1 else "gender"
    return [
        "# contrasts:",
        f"#   - {{kind: within, factor: stimulus, a: {_quote(a)}, b: {_quote(b)}}}  # the same people, two stimuli",
        f"#   - {{kind: between, factor: {factor}, a: {_quote(first)}, b: {_quote(second)}}}  # different people",
    ]
