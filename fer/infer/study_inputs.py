"""A study as the input of a run: its recordings with consent, the copy that the run keeps, and what a resume takes."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fer.config import Config
from fer.config.study import Study
from fer.core.extras import require_packages
from fer.core.io import compute_sha256, write_text
from fer.core.run_layout import STUDY_YAML
from fer.errors import ConfigError
from fer.runs.run_directory import Run, load_run_config, read_provenance
from fer.study.checks import count_denied, keep_consenting, list_consenting
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
    if "report" in config.extraction.stages:
        # It reads videos and writes many formats, and few runs have a study.
        from fer.study.exports.export import check_formats

        check_formats(config.extraction.exports)
    prepared = prepare_study(Path(config.extraction.study))
    if any(contrast.kind == "mixed" for contrast in prepared.study.contrasts):
        require_packages("statsmodels", purpose=f"{KEY}={config.extraction.study}: a contrast of kind mixed")
    for caution in prepared.cautions:
        log.warning("%s", caution)
    return RunStudy(prepared.study, _describe(config.extraction.study, prepared))


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


def check_media(study: Study, media: Sequence[Media], source: str) -> None:
    """Check that a run looks at every recording that has consent, and at none without. Raises ConfigError."""
    names = map_media_names(study, media)
    allowed = set(list_study_inputs(study))
    if missing := sorted(allowed - set(names)):
        raise ConfigError(
            f"{source}: the run does not look at {missing[0]}"
            + (" as one video; name a single object of S3" if missing[0].startswith("s3://") else "; start a new run")
        )
    denied = {item.file for item in study.recordings} - allowed
    for item in media:
        if (file := item.remote or str(item.path)) in denied:
            raise ConfigError(
                f"{source}: {file} is without consent, and this run has looked at it already; delete what it holds of "
                "the respondent, or start a new run"
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
    """
    named, copy = config.extraction.study, directory / STUDY_YAML
    if named is None:
        return None
    if named != load_run_config(directory, "infer").extraction.study and Path(named) != copy.resolve():
        found = start_study(config)
        assert found is not None
        check_media(found.study, media, f"{KEY}={named}")
        return found
    check_media(read_checked_study(copy), media, str(copy))
    facts = read_provenance(directory).get("study") or {}
    if Path(named) != copy.resolve():
        _warn_of_change(Path(named), facts.get("sha256"), copy)
    return None


def _warn_of_change(path: Path, sha256: object, copy: Path) -> None:
    try:
        changed = compute_sha256(path) != sha256
        how = "has changed since"
    except OSError:
        changed, how = True, "is not there any more"
    if changed:
        log.warning(
            "%s=%s %s; the run goes on with its own copy, %s: change that for other contrasts, or start a new run",
            *(KEY, path, how, copy),
        )
