"""The analysis of a study, from the emotion table to the tables of ``StudyData``; it reads from top to bottom."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fer.config.study import Study
from fer.reports.study_data import StudyData
from fer.study.cautions import list_cautions
from fer.study.checks import count_denied, describe_denied, keep_consenting, list_group_columns
from fer.study.clusters import find_contrast_clusters
from fer.study.contrasts import compute_contrasts
from fer.study.curves import compute_curves
from fer.study.frames import build_frames, build_steps
from fer.study.measures import define_measures, list_bounds, list_measures
from fer.study.mixed_model import fit_mixed_models
from fer.study.moments import find_moments
from fer.study.norms import compare_with_norms
from fer.study.quality import assess_recordings
from fer.study.reliability import compute_reliability
from fer.study.segment_summary import summarize_segments
from fer.study.segments import build_segments, compute_segment_values


@dataclass(frozen=True)
class StudyInput:
    """What a run knows of a study.

    Attributes:
        study: The study, as it was understood.
        table: The emotion table, smoothed.
        names: The name in the emotion table of each recording's file that was opened.
        problems: Why a video, by its name, cannot be read or ends early; "" where not.
        performance: What is known of the model, as ``fer.bundle.performance.read_performance`` gives it.
        cautions: What was found before anything ran, sentences.
        directory: The run.
        max_gap_s: The stretch without a face after which smoothing begins anew, seconds.
    """

    study: Study
    table: pd.DataFrame
    names: Mapping[str, str]
    problems: Mapping[str, str]
    performance: Mapping[str, Any] | None
    cautions: tuple[str, ...]
    directory: Path
    max_gap_s: float


def analyze_study(found: StudyInput, seed: int) -> StudyData:
    """Analyse a study.

    Args:
        found: What the run knows.
        seed: Of permutations and intervals.

    Returns:
        All tables, of those who have agreed alone; the same input gives the same.

    Raises:
        UserError: A study is to be compared with norms that are not there, or a package is not installed.
    """
    study, table = keep_consenting(found.study), found.table
    durations = {name: stimulus.duration_s for name, stimulus in study.stimuli.items()}
    recordings = assess_recordings(study, table, found.names, durations, found.problems)
    frames = build_frames(study, table, recordings)
    steps = build_steps(frames, study)
    segments = build_segments(study, durations, {})
    measures = list_measures(frames.columns)
    values = compute_segment_values(frames, segments, measures, study.baseline, found.max_gap_s)
    definitions = define_measures(table)
    curves = compute_curves(steps, study, list_bounds(definitions, study.baseline is not None), seed)
    contrasts = compute_contrasts(values, study, seed)
    mixed, unfitted = fit_mixed_models(values, study)
    norms, unread = compare_with_norms(values, study, found.directory)
    return StudyData(
        name=study.name,
        measures=tuple(name for name in dict.fromkeys(study.measures) if name in measures),
        group_columns=list_group_columns(study),
        has_baseline=study.baseline is not None,
        stimuli=_list_stimuli(study),
        segments=segments,
        respondents=_list_respondents(study),
        recordings=recordings,
        frames=frames,
        steps=steps,
        curves=curves,
        segment_values=values,
        segment_summary=summarize_segments(values, study, seed),
        contrasts=contrasts,
        clusters=find_contrast_clusters(steps, study, seed),
        mixed=mixed,
        reliability=compute_reliability(steps, curves, study, seed),
        moments=find_moments(steps, curves, study, seed),
        norms=norms,
        cautions=(
            *list_cautions(study, recordings, steps, contrasts, found.performance),
            *unfitted,
            *unread,
            *_find_short_steps(study, frames),
            *_count_denied(found),
            *found.cautions,
        ),
        step_s=study.step_s,
    )


def _find_short_steps(study: Study, frames: pd.DataFrame) -> Iterator[str]:
    """Steps that most frames leave empty tear moments and clusters apart."""
    between = frames["time_s"].groupby([frames["recording"], frames["stimulus"]]).diff().median()
    if study.step_s < between * 0.99:
        yield (
            f"Steps of {study.step_s:g} s are shorter than the time between two analysed frames ({between:.2g} s), so "
            "that moments and differences over time fall apart; set a longer step_s, or a larger extraction.fps."
        )


def _count_denied(found: StudyInput) -> list[str]:
    """The sentence about those without consent, unless it is among what was found before anything ran."""
    denied = count_denied(found.study)
    sentence = describe_denied(**denied)
    return [sentence] if denied["recordings"] and sentence not in found.cautions else []


def _list_stimuli(study: Study) -> pd.DataFrame:
    rows = [(name, stimulus.file, stimulus.duration_s) for name, stimulus in study.stimuli.items()]
    table = pd.DataFrame(rows, columns=["stimulus", "file", "duration_s"])
    return table.astype({"stimulus": "str", "file": "object", "duration_s": "float64"})


def _list_respondents(study: Study) -> pd.DataFrame:
    columns = list_group_columns(study)
    rows = [
        (name, person.consent, *(person.groups.get(column, "") for column in columns))
        for name, person in study.respondents.items()
    ]
    return pd.DataFrame(rows, columns=["respondent", "consent", *columns]).astype({"respondent": "str"})
