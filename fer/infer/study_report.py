"""A study's tables, exports and page in a run directory."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fer.config import Config
from fer.core.run_layout import ANNOTATED_DIR, STUDY_DIR, STUDY_HTML
from fer.infer.study_inputs import map_media_names, read_run_study
from fer.reports.study import StudyMedia, StudyPage, write_study_page
from fer.runs.run_directory import Run
from fer.study.contrasts import name_contrasts
from fer.study.exports.export import export_study
from fer.study.measures import define_measures
from fer.study.pipeline import StudyInput, analyze_study
from fer.video.annotated_copies import AnnotatedCopies
from fer.video.media import Media


def write_study_report(
    config: Config,
    run: Run,
    media: Sequence[Media],
    table: pd.DataFrame,
    videos: pd.DataFrame,
    page_facts: Mapping[str, Any],
) -> None:
    """Analyse the study of a run, by its own copy of the study's file, and write all that comes of it.

    Args:
        config: The configuration of infer.py.
        run: The run.
        media: What it looks at.
        table: The emotion table, smoothed.
        videos: The table of videos.
        page_facts: What the page tells of the run beside the study: fields of ``StudyPage``.

    Raises:
        UserError: A package is not installed that a format needs, or the study's file is damaged.
    """
    study = read_run_study(run.directory)
    names = map_media_names(study, media)
    found = StudyInput(
        study=study,
        table=table,
        names=names,
        problems=dict(zip(videos["video"], videos["problem"], strict=True)),
        performance=page_facts["performance"],
        cautions=tuple((run.provenance.get("study") or {}).get("cautions", ())),
        directory=run.directory,
        max_gap_s=config.extraction.smoothing.max_gap_s,
    )
    data = analyze_study(found, config.seed)
    definitions = define_measures(table)
    stimuli = {name: Path(stimulus.file) for name, stimulus in study.stimuli.items() if stimulus.file}
    page = StudyPage(
        data=data,
        media=StudyMedia(stimuli, _find_recordings(config, run.directory, media)),
        effect=study.effect,
        definitions={name: measure.meaning for name, measure in definitions.items()},
        correction=study.correction,
        not_over_time={
            name
            for name, contrast in zip(name_contrasts(study), study.contrasts, strict=True)
            if contrast.kind != "mixed" and not contrast.over_time
        },
        **page_facts,
    )
    # The page first: a format that fails leaves it.
    write_study_page(page, run.directory / STUDY_HTML)
    export_study(
        data,
        run.directory / STUDY_DIR,
        config.extraction.exports,
        {name: (measure.meaning, measure.unit) for name, measure in definitions.items()},
        {name: path for name, path in stimuli.items() if path.is_file()},
    )


def _find_recordings(config: Config, directory: Path, media: Sequence[Media]) -> dict[str, Path | str | None]:
    """What the page may play of each recording: where faces are to be covered, the covered copy or nothing."""
    if config.extraction.blur == "none":
        return {item.name: item.remote or item.path for item in media}
    copies = AnnotatedCopies(directory / ANNOTATED_DIR, media)
    return {item.name: copies.find(item) for item in media}
