"""Who a respondent of a run is: which recordings are theirs, and by which names files tell of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fer.config import Config
from fer.config.study import Study
from fer.core.csv import read_csv, write_csv
from fer.core.object_uri import is_object_uri
from fer.core.run_layout import STUDY_YAML
from fer.errors import UserError
from fer.infer.group_analysis import GROUP_COLUMNS
from fer.infer.study_inputs import read_run_study, write_study
from fer.monitoring.ground_truth import OPTIONAL, REQUIRED
from fer.privacy.ids import is_searchable
from fer.privacy.search import build_pattern
from fer.runs.provenance import ENVIRONMENT_KEYS
from fer.runs.run_directory import read_provenance
from fer.study.reading import dump_study
from fer.video.media import Media

# What extraction.groups and extraction.labels name, without the lines of who was forgotten.
GROUPS_CSV, LABELS_CSV = "groups.csv", "labels.csv"


@dataclass(frozen=True)
class Respondent:
    """Who is to be forgotten.

    Attributes:
        id: As the study or the groups name them; None where only a recording was named.
        media: Their recordings of the run, by number.
        texts: Names by which files tell of them, the id among them where it can be searched for.
    """

    id: str | None
    media: dict[int, Media]
    texts: list[str]


def find_respondent(
    run: Path, config: Config, media: Sequence[Media], respondent: str | None, video: str | None
) -> Respondent:
    """Find a respondent's recordings.

    Args:
        run: The run directory.
        config: Its configuration.
        media: What it looks at.
        respondent: An id of the study, or of ``extraction.groups``.
        video: Instead of it, a recording by the name that the tables give it.

    Returns:
        The respondent; without recordings where the run has opened none of them.

    Raises:
        UserError: There is nobody of this id, or no such recording.
    """
    study, groups = read_study(run), _read_groups(config)
    if video is not None:
        numbers = [number for number, item in enumerate(media) if video in (item.name, item.path.name)]
        if len(numbers) != 1:
            names = ", ".join(item.name for item in media[:10])
            raise UserError(
                f"--video {video}: {'several recordings' if numbers else 'no recording'} of {run}; it has {names}"
            )
        others = {item.name for number, item in enumerate(media) if number not in numbers}
        respondent = _find_id(study, groups, media[numbers[0]], others, media)
    else:
        files = [] if study is None else [item.file for item in study.recordings if item.respondent == respondent]
        named = [] if groups is None else groups.loc[groups["respondent"] == respondent, "video"].tolist()
        is_known = (study is not None and respondent in study.respondents) or files or named
        if not is_known:
            known = sorted(
                {*([] if study is None else study.respondents), *([] if groups is None else groups["respondent"])}
            )
            where = "the study" if study is not None else "extraction.groups" if groups is not None else "no list"
            hint = f" names {', '.join(known[:10])}" if known else " of respondents is in this run; name --video NAME"
            raise UserError(f"{respondent}: nobody in {run} has this id; {where}{hint}")
        numbers = [
            number
            for number, item in enumerate(media)
            if item.name in named or any(is_recording(item, file) for file in files)
        ]
    own = {number: media[number] for number in numbers}
    words = _collect_words(run, study, groups, respondent)
    searchable = respondent if respondent and is_searchable(respondent, words) else None
    return Respondent(respondent, own, _collect_texts(respondent, searchable, own, media, study))


def _collect_words(run: Path, study: Study | None, groups: Any, respondent: str | None) -> list[str]:
    """What files of a run tell of others than the respondent, or of nobody."""
    provenance = read_provenance(run)
    words = [json.dumps({key: provenance.get(key) for key in ENVIRONMENT_KEYS}, ensure_ascii=False)]
    if study is not None:
        left = {name: person for name, person in study.respondents.items() if name != respondent}
        rest = study.model_copy(update={"respondents": left, "recordings": ()})
        words.append(yaml.safe_dump(dump_study(rest), allow_unicode=True, width=1000))
    if groups is not None:
        left_groups = groups.loc[groups["respondent"] != respondent].drop(columns="video")
        words += [str(value) for column in left_groups for value in left_groups[column].unique()]
    return words


def is_recording(item: Media, file: str) -> bool:
    """Whether a recording of a study is this one: by its whole path, or by the end of it."""
    if item.remote or is_object_uri(file):
        return item.remote == file
    parts = [part for part in Path(file).parts if part not in (".", "..")]
    return bool(parts) and list(item.path.parts[-len(parts) :]) == parts


def _find_id(study: Study | None, groups: Any, item: Media, others: set[str], media: Sequence[Media]) -> str | None:
    """The id of a person who has no other recording in the run than this one; None for others, who keep their id."""
    if groups is not None:
        ids = set(groups.loc[groups["video"] == item.name, "respondent"])
        ids -= set(groups.loc[groups["video"].isin(others), "respondent"])
        if ids:
            return str(ids.pop())
    if study is None:
        return None
    own = {entry.respondent for entry in study.recordings if is_recording(item, entry.file)}
    own -= {
        entry.respondent
        for entry in study.recordings
        if not is_recording(item, entry.file) and any(is_recording(other, entry.file) for other in media)
    }
    return own.pop() if own else None


def _collect_texts(
    respondent: str | None, searchable: str | None, own: dict[int, Media], media: Sequence[Media], study: Study | None
) -> list[str]:
    texts = {searchable} if searchable else set()
    for item in own.values():
        texts |= {item.name, item.name.replace("/", "-"), item.path.name, str(item.path), item.remote} - {""}
    if study is not None:
        texts |= {entry.file for entry in study.recordings if entry.respondent == respondent}
    left = [
        str(text)
        for number, item in enumerate(media)
        if number not in own
        for text in (item.path, item.remote, item.name)
    ]
    # What names others as well tells nothing of this one: `clip.mp4` in a folder for each person.
    patterns = {text: build_pattern([text]) for text in texts}
    return sorted(text for text, pattern in patterns.items() if pattern and not any(map(pattern.search, left)))


def read_study(run: Path) -> Study | None:
    """The study of a run, as it keeps it; None where it is of none. Raises ConfigError."""
    return read_run_study(run) if (run / STUDY_YAML).is_file() else None


def _read_groups(config: Config) -> Any:
    path = config.extraction.groups
    return None if path is None else read_csv(Path(path), "extraction.groups", GROUP_COLUMNS)


def remove_from_lists(run: Path, config: Config, who: Respondent, media: Sequence[Media]) -> Config:
    """Write study, groups and labels without a respondent into the run.

    Args:
        run: The run directory.
        config: Its configuration.
        who: The respondent.
        media: The recordings that are left.

    Returns:
        The configuration, which names what was written, and no recording of the respondent.
    """
    names = {item.name for item in who.media.values()}
    changes: dict[str, Any] = {}
    if config.extraction.groups is not None:
        groups = read_csv(Path(config.extraction.groups), "extraction.groups", GROUP_COLUMNS)
        left = groups[~groups["video"].isin(names) & (groups["respondent"] != (who.id or ""))]
        changes["groups"] = _write_list(left, run / GROUPS_CSV)
    if config.extraction.labels is not None:
        labels = read_csv(Path(config.extraction.labels), "extraction.labels", REQUIRED, OPTIONAL)
        changes["labels"] = _write_list(labels[~labels["video"].isin(names)], run / LABELS_CSV)
    if (study := read_study(run)) is not None:
        write_study(run, _leave_out(study, who))
        if config.extraction.study is not None:
            changes["study"] = str((run / STUDY_YAML).resolve())
    inputs = config.extraction.input
    entries = (inputs,) if isinstance(inputs, str) else inputs or ()
    pattern = build_pattern(who.texts)
    if any(
        (pattern and pattern.search(entry)) or who.id in Path(entry).parts or not _names_any(entry, media)
        for entry in entries
    ):
        changes["input"] = tuple(item.remote or str(item.path) for item in media)
    name = "removed" if pattern and pattern.search(config.name) else config.name
    return config.model_copy(update={"name": name, "extraction": config.extraction.model_copy(update=changes)})


def _names_any(entry: str, media: Sequence[Media]) -> bool:
    """Whether a file, directory, glob or prefix of a bucket may stand for any of the recordings."""
    if is_object_uri(entry):
        return any(item.remote.startswith(entry) for item in media)
    path = Path(entry).absolute()
    return any(char in entry for char in "*?[") or any(item.path.is_relative_to(path) for item in media)


def _write_list(table: Any, path: Path) -> str | None:
    """The file with these lines; None where there are none, which no list may be."""
    if table.empty:
        path.unlink(missing_ok=True)
        return None
    write_csv(table, path)
    return str(path.resolve())


def _leave_out(study: Study, who: Respondent) -> Study:
    """The study without a respondent and the recordings of them."""
    recordings = tuple(
        item
        for item in study.recordings
        if item.respondent != who.id and not any(is_recording(media, item.file) for media in who.media.values())
    )
    respondents = {name: person for name, person in study.respondents.items() if name != who.id}
    return study.model_copy(update={"recordings": recordings, "respondents": respondents})
