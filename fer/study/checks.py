"""What is wrong with a study before anything runs: names that do not meet, questions that nobody can answer."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from fer.config.study import MEASURES, BetweenContrast, MixedContrast, Recording, Study, WithinContrast
from fer.config.study_loading import shorten_name, suggest_name
from fer.study.tables import fold_name

# Columns of the analysis, which a group column would hide.
RESERVED = (
    *("recording", "file", "respondent", "stimulus", "condition", "consent", "onset_s", "offset_s", "frames", "frame"),
    *("usable_share", "tracking_losses", "brightness", "included", "reason", "time_s", "recording_s", "status"),
    *("second", "segment", "kind", "measure", "group", "group_column", *MEASURES),
)
# A group column that people call so is common, and means the group column itself.
_ALLOWED_AS_COLUMN = ("group",)


def list_group_columns(study: Study) -> tuple[str, ...]:
    """The group columns of the respondents, in the order in which they are first named."""
    return tuple(dict.fromkeys(column for person in study.respondents.values() for column in person.groups))


def list_consenting(study: Study) -> list[Recording]:
    """The recordings that may be opened: those of respondents who agreed."""
    return [item for item in study.recordings if has_consent(study, item)]


def has_consent(study: Study, recording: Recording) -> bool:
    """Whether a recording may be opened; that of somebody unknown may not."""
    person = study.respondents.get(recording.respondent)
    return person is not None and person.consent


def keep_consenting(study: Study) -> Study:
    """A study without who has not agreed: they are counted (``count_denied``), and in nothing that is kept."""
    people = {name: person for name, person in study.respondents.items() if person.consent}
    return study.model_copy(update={"respondents": people, "recordings": tuple(list_consenting(study))})


def count_denied(study: Study) -> dict[str, int]:
    """How many recordings are without consent, and of how many respondents."""
    denied = [item.respondent for item in study.recordings if not has_consent(study, item)]
    return {"recordings": len(denied), "respondents": len(set(denied))}


def describe_denied(recordings: int, respondents: int) -> str:
    """The sentence about recordings without consent, which names nobody."""
    left_out = f"{recordings} recording{'s' * (recordings != 1)} of {respondents} respondent{'s' * (respondents != 1)}"
    return f"{left_out} without consent {'was' if recordings == 1 else 'were'} left out, and not opened"


def format_recording(index: int, recording: Recording) -> str:
    """What messages call a recording: its number from one, and its file."""
    return f"recordings.{index + 1} ({Path(recording.file).name})"


def find_problems(study: Study) -> list[str]:
    """Find what is wrong with the names of a study, without a look at any file.

    Args:
        study: The study, as it was read.

    Returns:
        A sentence for each mistake, with the nearest name; none for a study that can be analysed.
    """
    return [
        *_find_unknown_names(study),
        *_find_lookalikes(study),
        *_find_repetitions(study),
        *_find_reserved_columns(study),
        *_find_missing_consent(study),
        *_find_unknown_measures(study),
        *(problem for index, _ in enumerate(study.contrasts) for problem in _find_in_contrast(study, index)),
    ]


def _find_unknown_names(study: Study) -> Iterable[str]:
    for index, item in enumerate(study.recordings):
        place = format_recording(index, item)
        for key, known in (("respondent", study.respondents), ("stimulus", study.stimuli)):
            name = getattr(item, key)
            if name not in known:
                section = "respondents" if key == "respondent" else "stimuli"
                hint = suggest_name(name, list(known)) or f"; name it under {section}"
                yield f"{place}: {key}={shorten_name(name)}: there is no such {key}{hint}"


def _find_lookalikes(study: Study) -> Iterable[str]:
    """Names that differ in capitals, spaces or leading zeros alone: one thing, written in two ways."""
    groups = {
        f"values of the group column {shorten_name(column)}": [
            person.groups[column] for person in study.respondents.values() if column in person.groups
        ]
        for column in list_group_columns(study)
    }
    kinds: dict[str, Sequence[str]] = {
        "respondents": list(study.respondents),
        "stimuli": list(study.stimuli),
        "group columns": list_group_columns(study),
        "conditions": [item.condition for item in study.recordings],
        **groups,
    }
    for what, names in kinds.items():
        written: dict[str, dict[str, None]] = {}
        for name in names:
            written.setdefault(fold_name(name), {})[name] = None
        for same in written.values():
            if len(same) > 1:
                shown = " and ".join(repr(shorten_name(name)) for name in same)
                yield f"{what}: {shown} differ only in how they are written; write one of them everywhere"


def _find_repetitions(study: Study) -> Iterable[str]:
    by_file: dict[str, list[int]] = {}
    by_viewing: dict[tuple[str, str, str], int] = {}
    for index, item in enumerate(study.recordings):
        place = format_recording(index, item)
        for other in by_file.setdefault(item.file, []):
            earlier = study.recordings[other]
            if earlier.respondent != item.respondent:
                yield (
                    f"{place}: is a recording of {shorten_name(earlier.respondent)} in recordings.{other + 1}, and of "
                    f"{shorten_name(item.respondent)} here; leave one out"
                )
            elif _overlap(earlier, item):
                yield (
                    f"{place}: stands twice, in recordings.{other + 1} too; leave one out, or name onset_s and "
                    "offset_s of each, where it shows one stimulus after the other"
                )
            else:
                continue
            break
        else:
            viewing = (item.respondent, item.stimulus, item.condition)
            other = by_viewing.setdefault(viewing, index)
            if other != index:
                under = f" under the condition {shorten_name(item.condition)}" if item.condition else ""
                yield (
                    f"{place}: {shorten_name(item.respondent)} saw {shorten_name(item.stimulus)}{under} in "
                    f"{format_recording(other, study.recordings[other])} too; tell them apart by their condition, or "
                    "leave one out"
                )
        by_file[item.file].append(index)
    for name, stimulus in study.stimuli.items():
        for kind, parts in (("events", stimulus.events), ("scenes", stimulus.scenes)):
            for twice in _find_twice([part.name for part in parts]):
                yield f"stimuli.{shorten_name(name)}.{kind}: {shorten_name(twice)} stands twice; give each its own name"


def _overlap(one: Recording, other: Recording) -> bool:
    """Whether two stretches of the same file have a moment in common; an end that is not named is the file's."""
    first, second = sorted((one, other), key=lambda item: item.onset_s)
    return first.offset_s is None or first.offset_s > second.onset_s


def _find_twice(names: Sequence[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _find_reserved_columns(study: Study) -> Iterable[str]:
    for column in list_group_columns(study):
        if column.casefold() in RESERVED and column.casefold() not in _ALLOWED_AS_COLUMN:
            yield (
                f"respondents: a group column cannot be called {column}, which tables of the analysis have already; "
                f"call it {column}_group"
            )


def _find_missing_consent(study: Study) -> Iterable[str]:
    if not list_consenting(study) and not any(_find_unknown_names(study)):
        yield (
            "respondents: nobody who was recorded has given consent, so no recording may be opened; set "
            "`consent: true` (a table: yes in the column consent) for those who agreed"
        )


def _find_unknown_measures(study: Study) -> Iterable[str]:
    places = {"measures": study.measures}
    places |= {f"contrasts.{number}.measures": item.measures or () for number, item in enumerate(study.contrasts, 1)}
    for place, measures in places.items():
        for name in measures:
            if name not in MEASURES:
                hint = suggest_name(name, MEASURES, most=len(MEASURES))
                yield f"{place}: {shorten_name(name)}: there is no such measure{hint}"
        for twice in _find_twice(measures):
            yield f"{place}: {shorten_name(twice)} stands twice; name it once"


def _find_in_contrast(study: Study, index: int) -> Iterable[str]:
    contrast, place = study.contrasts[index], f"contrasts.{index + 1}"
    if contrast in study.contrasts[:index]:
        yield f"{place}: is contrasts.{study.contrasts.index(contrast) + 1} again; leave one out"
    elif isinstance(contrast, MixedContrast):
        yield from _find_in_factors(study, contrast, place)
    elif contrast.a == contrast.b:
        yield f"{place}: a and b are both {shorten_name(contrast.a)}; name two that differ"
    elif isinstance(contrast, BetweenContrast):
        yield from _find_in_between(study, contrast, place)
    else:
        yield from _find_in_within(study, contrast, place)


def _find_unknown_value(place: str, key: str, value: str, known: Sequence[str], what: str) -> Iterable[str]:
    if value not in known:
        yield f"{place}.{key}={shorten_name(value)}: there is no such {what}{suggest_name(value, known)}"


def _list_levels(study: Study, factor: str, recordings: Iterable[Recording]) -> list[str]:
    """The values that a factor has over some recordings, each once; unknown people have none."""
    if factor in ("stimulus", "condition"):
        return list(dict.fromkeys(getattr(item, factor) for item in recordings if getattr(item, factor)))
    people = (study.respondents.get(item.respondent) for item in recordings)
    return list(dict.fromkeys(p.groups[factor] for p in people if p is not None and p.groups.get(factor)))


def _find_in_between(study: Study, contrast: BetweenContrast, place: str) -> Iterable[str]:
    columns = (*list_group_columns(study), "condition")
    if contrast.factor == "stimulus":
        yield f"{place}.factor=stimulus: is seen by the same people; use kind: within"
        return
    if contrast.factor not in columns:
        yield from _find_unknown_value(place, "factor", contrast.factor, columns, "group column")
        return
    for name in contrast.stimuli or ():
        yield from _find_unknown_value(place, "stimuli", name, list(study.stimuli), "stimulus")
    if contrast.stimuli is not None and not contrast.stimuli:
        yield f"{place}.stimuli: there is none; leave the key out to compare in all"
    what = "condition" if contrast.factor == "condition" else f"value of the group column {contrast.factor}"
    everybody = _list_all_levels(study, contrast.factor)
    chosen = [item for item in list_consenting(study) if item.stimulus in (contrast.stimuli or study.stimuli)]
    analysed = _list_levels(study, contrast.factor, chosen)
    for key, value in (("a", contrast.a), ("b", contrast.b)):
        if value not in everybody:
            yield from _find_unknown_value(place, key, value, everybody, what)
        elif value not in analysed and chosen:
            yield f"{place}.{key}={shorten_name(value)}: nobody with consent and a recording belongs to it"


def _list_all_levels(study: Study, factor: str) -> list[str]:
    if factor in ("stimulus", "condition"):
        return _list_levels(study, factor, study.recordings)
    return list(dict.fromkeys(p.groups[factor] for p in study.respondents.values() if p.groups.get(factor)))


def _find_in_within(study: Study, contrast: WithinContrast, place: str) -> Iterable[str]:
    known = list(study.stimuli) if contrast.factor == "stimulus" else _list_all_levels(study, "condition")
    unknown = [
        problem
        for key, value in (("a", contrast.a), ("b", contrast.b))
        for problem in _find_unknown_value(place, key, value, known, contrast.factor)
    ]
    yield from unknown
    consenting = list_consenting(study)
    if unknown or not consenting:
        return
    saw: dict[str, set[tuple[str, str]]] = {contrast.a: set(), contrast.b: set()}
    for item in consenting:
        level = getattr(item, contrast.factor)
        if level in saw:
            # Conditions are compared in the same stimulus, stimuli under the same condition or none.
            saw[level].add((item.respondent, item.stimulus if contrast.factor == "condition" else ""))
    if not saw[contrast.a] & saw[contrast.b]:
        yield (
            f"{place}: nobody with consent saw both {shorten_name(contrast.a)} and {shorten_name(contrast.b)}; compare "
            "different people by a group column (kind: between), or leave it out"
        )


def _find_in_factors(study: Study, contrast: MixedContrast, place: str) -> Iterable[str]:
    known = (*list_group_columns(study), "stimulus", "condition")
    for twice in _find_twice(contrast.factors):
        yield f"{place}.factors: {shorten_name(twice)} stands twice; name it once"
    consenting = list_consenting(study)
    for factor in dict.fromkeys(contrast.factors):
        if factor not in known:
            yield from _find_unknown_value(place, "factors", factor, known, "factor")
        elif consenting and len(_list_levels(study, factor, consenting)) < 2:
            yield f"{place}.factors: {shorten_name(factor)} has fewer than two values over the recordings with consent"
