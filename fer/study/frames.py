"""From the emotion table to a study's frames: the respondent's face on the clock of the stimulus, with its measures."""

from collections.abc import Mapping
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from fer.config.study import Study, Window
from fer.core.tables import TIME_TOLERANCE_S
from fer.emotions import CONTEMPT, EMOTIONS
from fer.study.measures import MEASURES, compute_measures, list_measures
from fer.study.respondents import select_respondent_rows

KEYS = ("respondent", "stimulus", "condition")
RECORDING_KEYS = ("recording", *KEYS)
# `emotion` is the one that leads after smoothing, which changes from a baseline do not tell.
FRAME_COLUMNS = (*RECORDING_KEYS, "frame", "recording_s", "time_s", "status", "emotion")


def list_recordings(study: Study, names: Mapping[str, str], durations: Mapping[str, float | None]) -> pd.DataFrame:
    """List a study's recordings.

    Args:
        study: The study.
        names: The name in the emotion table of each recording's file; those that were not opened may be absent.
        durations: Length of each stimulus, seconds; None, or absent, where it is unknown.

    Returns:
        A row a recording of the study, in its order: ``recording, file, respondent, stimulus, condition, onset_s,
        offset_s``. The offset is the recording's own or the end of the stimulus, whichever is earlier, and empty where
        neither is known.
    """
    rows = []
    for item in study.recordings:
        duration = durations.get(item.stimulus)
        ends = [] if item.offset_s is None else [item.offset_s]
        ends += [] if duration is None else [item.onset_s + duration]
        name = names.get(item.file, PurePosixPath(item.file).name)
        keys = (name, item.file, item.respondent, item.stimulus, item.condition)
        rows.append((*keys, item.onset_s, min(ends, default=np.nan)))
    columns = ["recording", "file", *KEYS, "onset_s", "offset_s"]
    return pd.DataFrame(rows, columns=columns).astype({"onset_s": "float64", "offset_s": "float64"})


def cut_frames(table: pd.DataFrame, recordings: pd.DataFrame, baseline: Window | None) -> pd.DataFrame:
    """Cut the respondents' frames out of the emotion table.

    Args:
        table: The emotion table, smoothed.
        recordings: As ``list_recordings`` gives them.
        baseline: The study's.

    Returns:
        The sampled frames of each recording from its onset until before its offset, and those of the baseline, in the
        order of the recordings and of time: the columns of the emotion table for the respondent's face, RECORDING_KEYS,
        those of ``compute_measures``, ``place`` (index of ``recordings``), ``recording_s``, ``time_s`` (seconds from
        the onset), ``in_stimulus`` and ``in_baseline``.
    """
    rows = select_respondent_rows(table[table["video"].isin(recordings["recording"])])
    rows = rows.drop(columns="emotion").rename(columns={"time_s": "recording_s", "smoothed_emotion": "emotion"})
    measures = compute_measures(rows)
    rows = rows.drop(columns=list(measures.columns), errors="ignore").join(measures)
    shown = recordings[[*RECORDING_KEYS, "onset_s", "offset_s"]].rename_axis("place").reset_index()
    frames = shown.merge(rows, left_on="recording", right_on="video")
    frames["time_s"] = frames["recording_s"] - frames["onset_s"]
    ends = frames["offset_s"].fillna(np.inf)
    frames["in_stimulus"] = (frames["time_s"] >= -TIME_TOLERANCE_S) & (frames["recording_s"] < ends - TIME_TOLERANCE_S)
    frames["in_baseline"] = False if baseline is None else is_within(frames["time_s"], baseline.start_s, baseline.end_s)
    frames = frames[frames["in_stimulus"] | frames["in_baseline"]]
    return frames.sort_values(["place", "time_s"], kind="stable", ignore_index=True)


def is_within(times: pd.Series, start_s: float, end_s: float) -> pd.Series:
    """Which times lie from a start until before an end; an end of NaN is none."""
    end = np.inf if np.isnan(end_s) else end_s
    return (times >= start_s - TIME_TOLERANCE_S) & (times < end - TIME_TOLERANCE_S)


def build_frames(study: Study, table: pd.DataFrame, recordings: pd.DataFrame) -> pd.DataFrame:
    """Build ``StudyData.frames``.

    Args:
        study: The study.
        table: The emotion table, smoothed.
        recordings: ``StudyData.recordings``; only those with ``included`` are taken.

    Returns:
        FRAME_COLUMNS and a column a measure. With a baseline the measures that have one (``Measure.has_baseline``: all
        but attention and people) are less their mean over the recording's own frames in it.
    """
    frames = cut_frames(table, recordings[recordings["included"].astype(bool)], study.baseline)
    measures = list_measures(name for name in (*EMOTIONS, CONTEMPT) if f"s_{name}" in table)
    if study.baseline is not None:
        changing = [name for name in measures if MEASURES[name].has_baseline]
        means = frames[frames["in_baseline"]].groupby("place")[changing].mean()
        frames[changing] -= means.reindex(frames["place"]).to_numpy()
    return frames[[*FRAME_COLUMNS, *measures]]


def build_steps(frames: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Build ``StudyData.steps``.

    Args:
        frames: ``StudyData.frames``.
        study: Whose ``step_s`` is the length of a step.

    Returns:
        A row a respondent, stimulus, condition and step from the onset on in which any measure has a value: KEYS,
        ``second`` (its beginning), the mean of each measure over the frames that have it, and leads_<emotion>: 1 where
        the emotion leads a usable frame of the step, 0 where it does not, empty without a usable frame. A step in
        which the respondent has looked away all the time has an attention of 0 and no emotions.
    """
    measures = list_measures(frames.columns)
    shown = frames[frames["time_s"] >= -TIME_TOLERANCE_S]
    emotions = [name for name in measures if name in (*EMOTIONS, CONTEMPT)]
    usable = shown["emotion"].notna()
    leads = {f"leads_{name}": (shown["emotion"] == name).astype("float64").where(usable) for name in emotions}
    step = np.floor(shown["time_s"] / study.step_s + TIME_TOLERANCE_S).clip(lower=0)
    rows = shown[[*KEYS, *measures]].assign(second=step * study.step_s, **leads)
    groups = rows.groupby([*KEYS, "second"], sort=False)
    steps = groups[measures].mean().join(groups[list(leads)].max())
    return steps.dropna(how="all", subset=measures).reset_index()
