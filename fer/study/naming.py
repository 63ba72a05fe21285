"""Who and what a recording shows, guessed from the names of its file and of the folders around it."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any

from fer.video.media import VIDEO_SUFFIXES

# Keys of BIDS names, sub-01_task-spot_acq-sound, and what their values are here.
_BIDS = re.compile(r"(sub|subj|subject|task|stim|stimulus|cond|condition|acq|ses|run)-([A-Za-z0-9]+)", re.IGNORECASE)
_BIDS_RESPONDENT, _BIDS_STIMULUS = ("sub", "subj", "subject"), ("task", "stim", "stimulus")
# p01, P-03, VP_7, respondent 12, 007.
_PERSON = (
    r"(?:p|pp|s|r|vp|tn|id|sub|subj|subject|part|participant|person|proband|probandin|resp|respondent|teilnehmer|user|"
    r"panelist|viewer)[ _-]?\d{1,6}"
)
_RESPONDENT = re.compile(rf"{_PERSON}[a-z]?", re.IGNORECASE)
# p01spotA, without anything between.
_JOINED = re.compile(rf"({_PERSON})([a-z]{{2,}}.*)", re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,5}")
_SHOWN = (
    r"(?:spot|ad|advert|stim|stimulus|clip|video|film|movie|trailer|tvc|teaser|page|task|trial|ver|version|werbung)"
)
_STIMULUS = re.compile(rf"{_SHOWN}(?:[a-z0-9]{{0,3}}|[ _-](?:[a-z]|\d{{1,2}}))", re.IGNORECASE)
# Both with a separator inside, which divides nothing.
_WHOLE = (
    rf"{_PERSON}[a-z]?(?![A-Za-z0-9])",
    rf"{_SHOWN}[ _-](?:[a-z]|\d{{1,2}})(?![A-Za-z0-9])",
)
# Days and times of day, as cameras write them.
_DATE = re.compile(r"(?:19|20)\d{2}-?[01]\d-?[0-3]\d(?:T?\d{4,6})?|\d{2}[-.h]\d{2}[-.m]\d{2}s?|\d{6,}")
# Letters for what a camera is, and the copies that systems make.
_EDGES = " -_.,:;()[]{}#"
_NOISE = re.compile(
    r"(?:cam|camera|webcam|face|facecam|rec|recording|final|copy|kopie|edit|hd|mp4|mov|img|dsc|mvi|vid|gopr)\d*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Guess:
    """What the name of a recording says.

    Attributes:
        file: Relative to the folder, with slashes.
        respondent: Whose face; the name of the file where nothing else tells.
        stimulus: What was shown; `stimulus` where nothing tells.
        condition: What is left of the file's name.
        group: What is left of its folders' names.
        is_recognised: Whether the name tells the respondent; otherwise it is that of the file.
        take: 2 and more for a further recording of the same respondent, stimulus and condition.
    """

    file: str
    respondent: str
    stimulus: str
    condition: str = ""
    group: str = ""
    is_recognised: bool = field(default=True, repr=False)
    take: int = field(default=1, repr=False)


@dataclass(frozen=True)
class _Token:
    """A part of a name."""

    text: str
    is_folder: bool


def guess_recordings(files: Sequence[str], stimuli: Sequence[str] = ()) -> list[Guess]:
    """Guess respondent, stimulus, condition and group of recordings from their names.

    What is written in two ways (`P01`, `p-01`) is called as it is first. Two recordings of the same respondent,
    stimulus and condition get `take 2`, `take 3`… for a condition.

    Args:
        files: Paths relative to a folder, with slashes.
        stimuli: Names of stimuli that are known, such as those of their videos.

    Examples:
        >>> guess_recordings(["p01_spotA.mp4"])
        [Guess(file='p01_spotA.mp4', respondent='p01', stimulus='spotA', condition='', group='')]
    """
    tokens = [_split_name(file, stimuli) for file in files]
    counts = Counter(text for own in tokens for text in {_fold(token.text) for token in own})
    guesses = [_guess(file, own, stimuli, counts, len(files)) for file, own in zip(files, tokens, strict=True)]
    return _number_takes(_unify(guesses, stimuli))


def _fold(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).casefold()


def remove_suffixes(name: str) -> str:
    """The name of a video without its suffix, and without that of the video it was made from (`p01.mkv.mp4`)."""
    path = PurePath(PurePath(name).stem)
    while path.suffix.lower() in VIDEO_SUFFIXES:
        path = path.with_suffix("")
    return path.name


def _split_name(file: str, stimuli: Sequence[str]) -> list[_Token]:
    path = PurePath(file)
    tokens = [_Token(part, True) for folder in path.parts[:-1] for part in _split_text(folder, stimuli)]
    return tokens + [_Token(part, False) for part in _split_text(remove_suffixes(path.name), stimuli)]


def _split_text(text: str, stimuli: Sequence[str]) -> list[str]:
    """The parts of a name; those of BIDS, and names of stimuli that are known, stay whole."""
    text = text.strip(_EDGES)
    if len(_BIDS.findall(text)) > 1 or re.fullmatch(_BIDS, text):
        return [part for part in text.split("_") if part]
    named = [rf"{_join_parts(stimulus)}(?![A-Za-z0-9])" for stimulus in sorted(stimuli, key=len, reverse=True)]
    for pattern in (*named, *_WHOLE):
        found = re.search(rf"(?<![A-Za-z0-9]){pattern}", text, re.IGNORECASE)
        if found and found[0] == text:
            return [text]
        if found:
            before, after = text[: found.start()], text[found.end() :]
            return [*_split_text(before, stimuli), found[0], *_split_text(after, stimuli)]
    for separator in (r"\s+-+\s+|\s*,\s*", r"_+|--+", r"\s+", r"(?<![A-Za-z])-+|-+(?=[A-Za-z])", r"\.+"):
        if len(parts := [part for part in re.split(separator, text) if part.strip(_EDGES)]) > 1:
            if re.fullmatch(_RESPONDENT, text) or re.fullmatch(_DATE, text):
                break
            return [inner for part in parts for inner in _split_text(part, stimuli)]
    if joined := re.fullmatch(_JOINED, text):
        return [joined[1], *_split_text(joined[2], stimuli)]
    return [text] if text else []


def _join_parts(name: str) -> str:
    """A pattern for a name with other separators: my_spot, my-spot, my spot."""
    return r"[ _-]?".join(re.escape(part) for part in re.split(r"[ _-]+", name))


def _guess(file: str, tokens: Sequence[_Token], stimuli: Sequence[str], counts: Counter[str], total: int) -> Guess:
    pairs = {match[1].casefold(): match[2] for token in tokens if (match := re.fullmatch(_BIDS, token.text))}
    respondent = next((pairs[key] for key in _BIDS_RESPONDENT if key in pairs), None)
    stimulus = next((pairs[key] for key in _BIDS_STIMULUS if key in pairs), None)
    rest = [token for token in tokens if not re.fullmatch(_BIDS, token.text)]
    left = [token for token in rest if not re.fullmatch(_DATE, token.text)]
    if stimulus is None:
        stimulus = _take(left, _find_stimulus(left, stimuli, counts, total, respondent is not None))
    if respondent is None:
        respondent = _take(left, _find_respondent(left, counts))
    if stimulus is None:
        stimulus = _take(left, _find_most_common(left, counts, total))
    conditions = [pairs[key] for key in ("cond", "condition", "acq", "ses", "run") if key in pairs]
    # What every name has tells nothing apart.
    told = [
        token
        for token in left
        if (counts[_fold(token.text)] < total or total == 1) and not _NOISE.fullmatch(token.text)
    ]
    conditions += [token.text for token in told if not token.is_folder]
    return Guess(
        file,
        respondent or remove_suffixes(PurePath(file).name),
        stimulus or (stimuli[0] if len(stimuli) == 1 else "stimulus"),
        " ".join(conditions),
        " ".join(token.text for token in told if token.is_folder),
        is_recognised=respondent is not None,
    )


def _take(left: list[_Token], token: _Token | None) -> str | None:
    if token is None:
        return None
    left.remove(token)
    return token.text


def _find_stimulus(
    tokens: Sequence[_Token], stimuli: Sequence[str], counts: Counter[str], total: int, has_respondent: bool
) -> _Token | None:
    """A token that is the name of a stimulus, or looks like one."""
    known = {_fold(stimulus) for stimulus in stimuli}
    certain = [token for token in tokens if _fold(token.text) in known]
    likely = [token for token in tokens if re.fullmatch(_STIMULUS, token.text)]
    # Of names that look like it the one that the file itself has.
    found = certain or [token for token in likely if not token.is_folder] or likely
    return found[-1] if found and (len(tokens) > 1 or has_respondent) else None


def _find_respondent(tokens: Sequence[_Token], counts: Counter[str]) -> _Token | None:
    """A token that looks like an id; otherwise the one that the fewest names have."""
    for pattern in (_RESPONDENT, _NUMBER):
        if found := [token for token in tokens if re.fullmatch(pattern, token.text)]:
            return next((token for token in found if not token.is_folder), found[0])
    candidates = [token for token in tokens if not _NOISE.fullmatch(token.text)]
    return min(candidates, key=lambda token: counts[_fold(token.text)], default=None)


def _find_most_common(tokens: Sequence[_Token], counts: Counter[str], total: int) -> _Token | None:
    """The token that most names share, of the file's own name where it has any; the last one of several."""
    told = [token for token in tokens if not _NOISE.fullmatch(token.text)]
    varying = [token for token in told if counts[_fold(token.text)] < total] or told
    own = [token for token in varying if not token.is_folder] or varying
    return max(reversed(own), key=lambda token: counts[_fold(token.text)], default=None)


def _unify(guesses: Sequence[Guess], stimuli: Sequence[str]) -> list[Guess]:
    """Write the same name in the same way everywhere: a stimulus as its video, others as they are first written."""
    written: dict[tuple[str, str], str] = {("stimulus", _fold(name)): name for name in stimuli}
    unified = []
    for guess in guesses:
        values: dict[str, Any] = {}
        for key in ("respondent", "stimulus", "condition", "group"):
            text = getattr(guess, key)
            folded = _fold(text)
            # p1 and p01 are one person.
            folded = re.sub(r"(?<!\d)0+(?=\d)", "", folded) if key == "respondent" else folded
            values[key] = written.setdefault((key, folded), text)
        unified.append(replace(guess, **values))
    return unified


def _number_takes(guesses: Sequence[Guess]) -> list[Guess]:
    seen = Counter[tuple[str, str, str]]()
    numbered = []
    for guess in guesses:
        viewing = (guess.respondent, guess.stimulus, guess.condition)
        seen[viewing] += 1
        take = f"{guess.condition} take {seen[viewing]}".strip() if seen[viewing] > 1 else guess.condition
        numbered.append(replace(guess, condition=take, take=seen[viewing]))
    return numbered
