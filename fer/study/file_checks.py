"""The files that a study names: whether they are there, what its videos declare. Without consent none is opened."""

import os
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from fer.config.study import Study
from fer.config.study_loading import shorten_name
from fer.core.object_uri import is_object_uri
from fer.core.progress import track_progress
from fer.study.checks import format_recording, has_consent
from fer.video.reader import VideoError, VideoInfo, open_video


def find_missing_files(study: Study) -> Iterable[str]:
    """Find files that are not there; recordings without consent are not looked for.

    Args:
        study: A study with absolute paths.

    Returns:
        A sentence each, with the file of the nearest name.
    """
    for index, item in enumerate(study.recordings):
        if has_consent(study, item) and not is_object_uri(item.file):
            problem = _explain_missing_file(item.file)
            if problem:
                yield f"{format_recording(index, item)}: file={item.file}: {problem}"
    for name, stimulus in study.stimuli.items():
        place = f"stimuli.{shorten_name(name)}"
        if stimulus.file is not None and (problem := _explain_missing_file(stimulus.file)):
            yield f"{place}.file={stimulus.file}: {problem}"
        if stimulus.file is None and stimulus.cuts:
            yield f"{place}.cuts: are found in its video; name it (file), or leave cuts out"
    for number, norm in enumerate(study.norms, 1):
        if not Path(norm).is_dir():
            yield f"norms.{number}={norm}: there is no such directory; name the run directory of an earlier study"


def identify_file(file: str) -> tuple[int, int] | str:
    """What a file is known by under all its names, links too, without opening it; its name where it is not there."""
    try:
        found = os.stat(file)
    except (OSError, ValueError):
        return file
    # Some file systems of Windows number no files.
    return (found.st_dev, found.st_ino) if found.st_ino else os.path.realpath(file)


def find_denied_files(study: Study) -> Iterable[str]:
    """Find recordings without consent that a study names again, as somebody's recording or as a stimulus.

    Args:
        study: A study with absolute paths.

    Returns:
        A sentence each. No file is opened.
    """
    denied: dict[object, int] = {}
    for index, item in enumerate(study.recordings):
        if not has_consent(study, item):
            denied.setdefault(identify_file(item.file), index)
    if not denied:
        return
    # The same name of two people is told by ``find_problems``.
    names = {study.recordings[index].file for index in denied.values()}
    named = [
        *(
            (f"{format_recording(index, item)}: file", item.file)
            for index, item in enumerate(study.recordings)
            if has_consent(study, item) and item.file not in names
        ),
        *((f"stimuli.{shorten_name(name)}.file", item.file) for name, item in study.stimuli.items() if item.file),
    ]
    for place, file in named:
        if (number := denied.get(identify_file(file))) is not None:
            yield (
                f"{place}={file}: is the file of recordings.{number + 1}, which is without consent and never opened; "
                "name another, or leave it out"
            )


def _explain_missing_file(file: str) -> str | None:
    """Why there is no file of this name; None where there is one."""
    path = Path(file)
    try:
        if path.is_file():
            return None
        if "://" in file:
            return "is an address; download the video, and name its file"
        if path.is_dir():
            return "is a directory; name one video"
        if not path.parent.is_dir():
            return f"there is no such file, nor the directory {path.parent}"
        names = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    except (OSError, ValueError) as error:
        return f"cannot be looked for ({getattr(error, 'strerror', None) or error})"
    near = get_close_matches(path.name[:300], names, n=1, cutoff=0.6)
    return f"there is no such file{f'; did you mean {near[0]}?' if near else ''}"


def open_recordings(study: Study) -> tuple[dict[str, VideoInfo], list[str]]:
    """Look into the recordings of this machine that have consent, each file once.

    Args:
        study: A study whose files are there.

    Returns:
        What they declare, by file; and a sentence for each that cannot be read, which leaves the run without it.
    """
    files = [item.file for item in study.recordings if has_consent(study, item) and not is_object_uri(item.file)]
    infos: dict[str, VideoInfo] = {}
    unreadable = []
    unique = list(dict.fromkeys(files))
    for file in track_progress(unique, len(unique), "Checking", "recordings"):
        try:
            infos[file] = open_video(Path(file))
        except VideoError as error:
            unreadable.append(f"{file}: is left out: {error.reason}")
    return infos, unreadable
