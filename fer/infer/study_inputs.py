"""A study as the input of a run: its recordings with consent, the copy that the run keeps, and what a resume takes."""

import logging
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fer.config import Config
from fer.config.study import Study
from fer.core.extras import require_packages
from fer.core.installation import format_command
from fer.core.io import compute_sha256, write_text
from fer.core.object_uri import is_object_uri
from fer.core.run_layout import STUDY_YAML
from fer.errors import ConfigError
from fer.runs.run_directory import Run, load_run_config, read_provenance
from fer.study.checks import count_denied, has_consent, keep_consenting, list_consenting
from fer.study.file_checks import identify_file
from fer.study.preparation import PreparedStudy, prepare_study, read_checked_study
from fer.study.reading import KEY, dump_study, read_study
from fer.video.media import Media

HEADER = """\
# The study of this run as it was understood. It is what a resumed run goes by; analyse it anew with
#   extraction.study=THIS_FILE
"""
_DENIED = "# Left out of this copy, for want of consent: {recordings} recording(s) of {respondents} respondent(s).\n"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunStudy:
    """A study that a run is about to take up, and what provenance.json will say of it."""

    study: Study
    facts: dict[str, Any]


def start_study(config: Config) -> RunStudy | None:
    """Read and check the study that a configuration names, and say what is left out; None where it names none.

    Raises:
        ConfigError: What is wrong with it, a line each.
        UserError: A package is not installed that an export or a contrast needs.
    """
    if config.extraction.study is None:
        return None
    _check_exports(config)
    prepared = prepare_study(Path(config.extraction.study))
    if any(contrast.kind == "mixed" for contrast in prepared.study.contrasts):
        require_packages("statsmodels", purpose=f"{KEY}={config.extraction.study}: a contrast of kind mixed")
    for caution in prepared.cautions:
        log.warning("%s", caution)
    return RunStudy(prepared.study, _describe(config.extraction.study, prepared))


def _check_exports(config: Config) -> None:
    """Check that what the report will write can be written. Raises UserError where a package is not installed."""
    if "report" in config.extraction.stages:
        # It reads videos and writes many formats, and few runs have a study.
        from fer.study.exports.export import check_formats

        check_formats(config.extraction.exports)


def _describe(path: str, prepared: PreparedStudy) -> dict[str, Any]:
    return {
        "file": path,
        "sha256": prepared.sha256,
        "cautions": list(prepared.cautions),
        # Who did not agree is named nowhere in a run.
        "excluded": count_denied(prepared.study),
    }


def list_study_inputs(study: Study) -> tuple[str, ...]:
    """The files of recordings that may be opened, each once."""
    return tuple(dict.fromkeys(item.file for item in list_consenting(study)))


def list_inputs_of_file(path: str) -> tuple[str, ...]:
    """The same of a study's file, of which names alone are checked. Raises ConfigError."""
    return list_study_inputs(read_checked_study(Path(path)))


def map_media_names(study: Study, media: Sequence[Media]) -> dict[str, str]:
    """Map each recording that a run looks at to its video's name in the emotion table.

    Args:
        study: A study with absolute paths.
        media: What the run looks at.

    Returns:
        Names by ``Recording.file``; recordings without consent, and those that the run does not have, are absent.
    """
    names = {item.remote or str(item.path): item.name for item in media}
    return {item.file: names[item.file] for item in list_consenting(study) if item.file in names}


def check_media(study: Study, media: Sequence[Media], source: str, run: Path = Path("RUN")) -> None:
    """Check that a run looks at every recording that has consent, and at none without. Raises ConfigError."""
    names = map_media_names(study, media)
    allowed = set(list_study_inputs(study))
    if missing := sorted(allowed - set(names)):
        raise ConfigError(
            f"{source}: the run does not look at {missing[0]}"
            + (" as one video; name a single object" if is_object_uri(missing[0]) else "; start a new run")
        )
    _refuse_denied(study, media, study, source, run)


def _refuse_denied(study: Study, media: Sequence[Media], kept: Study, source: str, run: Path) -> None:
    """Refuse media without consent, which are known by their files, or by whose they are in a run's own copy."""
    denied = {identify_file(item.file): item.respondent for item in study.recordings if not has_consent(study, item)}
    people = {name for name, person in study.respondents.items() if not person.consent}
    known = {item.file: item.respondent for item in kept.recordings}
    for item in media:
        file = item.remote or str(item.path)
        key = identify_file(file)
        if key in denied or known.get(file) in people:
            # Forgetting goes by the run's copy.
            who = known.get(file) or denied[key]
            command = f"{format_command('fer.privacy.forget')} {shlex.quote(str(run))} {shlex.quote(who)}"
            raise ConfigError(
                f"{source}: {file} is without consent, and this run has looked at it already; delete what it holds of "
                f"the respondent with `{command}`, or start a new run"
            )


def keep_study(run: Run, found: RunStudy) -> None:
    """Write the study as it was understood into a run, without who did not agree, and record where it comes from."""
    run.update_provenance(study=found.facts)
    write_study(run.directory, keep_consenting(found.study))


def write_study(directory: Path, study: Study) -> None:
    """Write the study of a run; how many it lacks stands in its provenance."""
    denied = (read_provenance(directory).get("study") or {}).get("excluded") or {}
    comment = _DENIED.format(**denied) if any(denied.values()) else ""
    text = yaml.safe_dump(dump_study(study), sort_keys=False, allow_unicode=True, width=1000)
    write_text(directory / STUDY_YAML, HEADER + comment + text)


def read_run_study(directory: Path) -> Study:
    """Read the study of a run, as it was understood. Raises ConfigError."""
    return read_study(directory / STUDY_YAML, "study")


def resume_study(config: Config, directory: Path, media: Sequence[Media]) -> RunStudy | None:
    """The study that a resumed run goes on with.

    Its own copy, unless the configuration names another file than before; whose recordings must be those of the run.

    Args:
        config: The configuration to go on with.
        directory: The run directory.
        media: What the run looks at.

    Returns:
        A study that is to replace the copy; None where it stays.

    Raises:
        ConfigError: A study is not that of the run's recordings, or something is wrong with it.
        UserError: A package is not installed that an export or a contrast needs.
    """
    named, copy = config.extraction.study, directory / STUDY_YAML
    if named is None:
        return None
    if named != load_run_config(directory, "infer").extraction.study and Path(named) != copy.resolve():
        found = start_study(config)
        assert found is not None
        check_media(found.study, media, f"{KEY}={named}", directory)
        return found
    _check_exports(config)
    kept = read_checked_study(copy)
    check_media(kept, media, str(copy), directory)
    facts = read_provenance(directory).get("study") or {}
    if Path(named) != copy.resolve() and (how := _find_change(Path(named), facts.get("sha256"))):
        if Path(named).is_file():
            _check_consent_now(Path(named), media, kept, directory)
        log.warning(
            "%s=%s %s; the run goes on with its own copy, %s: change that for other contrasts, or start a new run",
            *(KEY, named, how, copy),
        )
    return None


def _find_change(path: Path, sha256: object) -> str | None:
    try:
        return "has changed since" if compute_sha256(path) != sha256 else None
    except OSError:
        return "is not there any more"


def _check_consent_now(path: Path, media: Sequence[Media], kept: Study, run: Path) -> None:
    """Check that the file of a run's study still gives consent to what it looks at. Raises ConfigError."""
    try:
        now = read_study(path)
    except ConfigError as error:
        # `consent: withdrawn` is no flag, and is meant as one.
        raise ConfigError(
            f"{error}\n{KEY}={path}: has changed since the run was begun, and may take back consent; mend it, or go by "
            f"the run's own copy: {KEY}={run / STUDY_YAML}"
        ) from None
    _refuse_denied(now, media, kept, f"{KEY}={path}", run)
    if gone := {item.respondent for item in kept.recordings} - set(now.respondents):
        log.warning(
            "%s=%s lacks %d respondent(s) of the run; delete from it who has withdrawn consent: `%s %s RESPONDENT`",
            *(KEY, path, len(gone), format_command("fer.privacy.forget"), shlex.quote(str(run))),
        )
