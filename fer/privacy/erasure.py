"""Deleting a respondent from a run, step after step: each can be done again, so that an interrupted one is finished."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fer.config import Config
from fer.core.documents import read_json_object
from fer.core.io import write_text
from fer.core.run_layout import (
    ANNOTATED_DIR,
    FORGET_JSON,
    LOCK_FILE,
    MONITORING_JSON,
    PARTS_DIR,
    PERSONS_TABLE,
    PROVENANCE_JSON,
    REPORT_HTML,
    STUDY_DIR,
    STUDY_HTML,
    STUDY_YAML,
    VIDEO_PREDICTIONS,
    VIDEOS_PARQUET,
)
from fer.errors import DataError, shorten_error
from fer.infer.extract import CROPS, FRAMES
from fer.infer.image_batch import split_batches
from fer.infer.inputs import save_media
from fer.infer.report import GROUP_COMPARISON, GROUP_CURVES
from fer.infer.transform.stage import SHARDS
from fer.privacy.ids import build_list_pattern
from fer.privacy.respondents import GROUPS_CSV, LABELS_CSV, Respondent, remove_from_lists
from fer.privacy.search import build_pattern
from fer.runs.provenance import ENVIRONMENT_KEYS
from fer.runs.run_directory import Run, acquire_lock
from fer.video.annotated_copies import AnnotatedCopies
from fer.video.media import Media

# Directories with a folder for each recording, named by its number.
_NUMBERED = (PARTS_DIR, CROPS, FRAMES)
# Made by the stage report from what is left.
_TABLES = (VIDEO_PREDICTIONS, Path(VIDEOS_PARQUET).stem, PERSONS_TABLE, GROUP_CURVES, GROUP_COMPARISON)
_DERIVED = (
    *(f"{name}{suffix}" for name in _TABLES for suffix in (".parquet", ".csv")),
    *(MONITORING_JSON, REPORT_HTML, STUDY_HTML, STUDY_DIR),
)
_REMOVED = "(removed)"

# What writes tables and pages anew: configuration, run, recordings.
ReportWriter = Callable[[Config, Run, Sequence[Media]], Any]


@dataclass
class Plan:
    """Who is forgotten, and how far it has come. It stands in the run until all is done.

    Attributes:
        who: The respondent.
        left: The recordings that stay, with their numbers before.
        status: How the run had ended.
        reported: Whether it has a page, which is to be made anew.
        erased: Whether what is theirs alone is gone.
        renamed: How many folders of others have their new numbers.
    """

    who: Respondent
    left: dict[int, Media]
    status: str
    reported: bool
    erased: bool = False
    renamed: int = 0

    def save(self, run: Path) -> None:
        """Write it into the run."""
        content = asdict(self)
        write_text(run / FORGET_JSON, json.dumps(content, default=str) + "\n")


def load_plan(run: Path) -> Plan | None:
    """Load the plan of an interrupted deletion; None where there is none. Raises DataError."""
    path = run / FORGET_JSON
    if not path.is_file():
        return None
    try:
        content = read_json_object(path)
        who = content.pop("who")
        return Plan(
            who=Respondent(who["id"], _parse_media(who["media"]), list(who["texts"])),
            left=_parse_media(content.pop("left")),
            **content,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: is damaged ({shorten_error(error)}); delete the run, or restore the file") from None


def _parse_media(content: dict[str, Any]) -> dict[int, Media]:
    return {int(number): Media(**{**item, "path": Path(item["path"])}) for number, item in content.items()}


def forget(directory: Path, config: Config, plan: Plan, write_report: ReportWriter) -> list[str]:
    """Delete a respondent from a run of infer.py, and compute all that is over several people anew.

    Args:
        directory: The run directory.
        config: Its configuration.
        plan: Who, and what is done already.
        write_report: Writes tables and pages anew.

    Returns:
        What was removed, by name.
    """
    plan.save(directory)
    removed: list[str] = []
    media = list(plan.left.values())
    config = remove_from_lists(directory, config, plan.who, media)
    run = Run.resume(directory, config, "infer.py", command=["-m", "fer.privacy.forget", _REMOVED])
    pattern = build_pattern(plan.who.texts)
    _clean_provenance(run, plan.who, pattern)
    removed += [name for name in (GROUPS_CSV, LABELS_CSV, STUDY_YAML) if (directory / name).exists()]
    removed += [PROVENANCE_JSON, "run.yaml"]
    if not plan.erased:
        split_batches(directory)
        removed += _erase_own(directory, plan)
        plan.erased = True
        plan.save(directory)
    _renumber(directory, plan)
    save_media(media, directory)
    removed += [name for name in _DERIVED if _remove(directory / name)]
    removed += _clean_logs(directory, plan.who, pattern)
    if plan.reported:
        write_report(config, run, media)
    # What a killed process has left half written, the plan among it.
    for path in directory.rglob(".*.part"):
        _remove(path)
    times = int(run.provenance.get("forgotten", 0)) + 1
    # Last of all, and before the run is released: until then it can be finished.
    (directory / FORGET_JSON).unlink()
    run.finish(plan.status, forgotten=times)
    return removed


def _erase_own(directory: Path, plan: Plan) -> list[str]:
    """Remove the files that are about the respondent alone, and what cannot be told apart."""
    paths = [directory / SHARDS]
    copies = AnnotatedCopies(directory / ANNOTATED_DIR, [*plan.who.media.values(), *plan.left.values()])
    for number, item in plan.who.media.items():
        paths += [directory / name / f"{number:05d}" for name in _NUMBERED]
        paths += copies.list_all(item)
        # Fetched from a bucket, or drawn: it lies in the run. All others belong to somebody else.
        if item.path.absolute().is_relative_to(directory.absolute()):
            paths.append(item.path)
    return [path.relative_to(directory).as_posix() for path in paths if _remove(path)]


def _remove(path: Path) -> bool:
    """Remove a file or directory; False where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.exists() or path.is_symlink():
        path.unlink()
    else:
        return False
    return True


def _renumber(directory: Path, plan: Plan) -> None:
    """Let the folders of those who are left have numbers without a gap."""
    steps = [
        (directory / root / f"{old:05d}", directory / root / f"{new:05d}")
        for root in _NUMBERED
        for new, old in enumerate(plan.left)
        if new != old
    ]
    for done, (source, target) in enumerate(steps[plan.renamed :], plan.renamed + 1):
        # One that is not there was moved just before an interruption, or never was.
        if source.is_dir() and not target.exists():
            source.rename(target)
        plan.renamed = done
        plan.save(directory)


def _clean_provenance(run: Run, who: Respondent, pattern: Any) -> None:
    """Remove what provenance.json tells of the respondent; facts about code and machine are about nobody."""
    listed = None if who.id is None else build_list_pattern(who.id)

    def clean(text: str) -> str:
        if listed and (match := listed.search(text)):
            text = text[: match.start(1)] + _REMOVED + text[match.end(1) :]
        return pattern.sub(_REMOVED, text) if pattern else text

    def is_theirs(value: Any) -> bool:
        return isinstance(value, dict) and who.id is not None and value.get("respondent") == who.id

    def clean_all(content: Any) -> Any:
        if isinstance(content, dict):
            return {key: clean_all(value) for key, value in content.items()}
        if isinstance(content, list):
            return [clean_all(value) for value in content if not is_theirs(value)]
        return clean(content) if isinstance(content, str) else content

    run.provenance = {
        key: value if key in ENVIRONMENT_KEYS else clean_all(value) for key, value in run.provenance.items()
    }
    run.update_provenance()


def _clean_logs(directory: Path, who: Respondent, pattern: Any) -> list[str]:
    """Remove the lines that tell of the respondent."""
    patterns = [pattern, None if who.id is None else build_list_pattern(who.id)]
    cleaned = []
    for path in directory.glob("*.log"):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        left = [line for line in lines if not any(pattern and pattern.search(line) for pattern in patterns)]
        if len(left) < len(lines):
            write_text(path, "".join(left))
            cleaned.append(path.name)
    return cleaned


def remove_run(directory: Path, plan: Plan) -> list[str]:
    """Remove a run that is about one respondent alone, and say what was in it. Raises UserError where it is at work."""
    acquire_lock(directory)
    # It goes last, so that an interrupted call is finished by the next one.
    plan.save(directory)
    names = sorted(path.name for path in directory.iterdir() if path.name not in (FORGET_JSON, LOCK_FILE))
    for name in names:
        _remove(directory / name)
    shutil.rmtree(directory)
    return names


def build_plan(directory: Path, who: Respondent, media: Sequence[Media], status: str) -> Plan:
    """What forgetting takes, before any of it is done."""
    left = {number: item for number, item in enumerate(media) if number not in who.media}
    return Plan(who, left, status, (directory / REPORT_HTML).exists())
