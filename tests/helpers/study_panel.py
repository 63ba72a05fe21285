"""Tables of a drawn study: what respondents show is planted, the rest is noise."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from fer.config.study import Recording, Respondent, Stimulus, Study

MEASURES = ("happiness", "neutral", "valence")


def draw_study(respondents: int = 24, stimuli: Sequence[str] = ("ad", "film"), **keys: object) -> Study:
    """Respondents p0, p1, … who see all stimuli; every other is of the gender `f`, the rest `m`."""
    people = {
        f"p{number}": Respondent(consent=True, groups={"gender": "fm"[number % 2]}) for number in range(respondents)
    }
    recordings = tuple(
        Recording(file=f"{name}-{stimulus}.mp4", respondent=name, stimulus=stimulus)
        for name in people
        for stimulus in stimuli
    )
    settings = {"measures": ("happiness", "valence"), **keys}
    return Study(
        stimuli={name: Stimulus() for name in stimuli}, respondents=people, recordings=recordings or EMPTY, **settings
    )


EMPTY = (Recording(file="none.mp4", respondent="nobody", stimulus="ad"),)


def draw_steps(
    study: Study,
    seconds: int = 30,
    effects: Mapping[tuple[str, str], Sequence[tuple[int, int, float]]] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Draw ``StudyData.steps``.

    Args:
        study: Whose recordings are drawn.
        seconds: Length of each.
        effects: For a stimulus and a gender ("" for both): from when, until when, and how much happier they are.
        seed: Of the noise.
    """
    random = np.random.default_rng(seed)
    level = {name: random.normal(0.3, 0.05) for name in study.respondents}
    parts = []
    for recording in study.recordings:
        if recording.respondent not in study.respondents:
            continue
        gender = study.respondents[recording.respondent].groups.get("gender", "")
        happiness = level[recording.respondent] + random.normal(0, 0.05, seconds)
        for key in ((recording.stimulus, ""), (recording.stimulus, gender)):
            for start, end, effect in (effects or {}).get(key, ()):
                happiness[start:end] += effect
        parts.append(
            pd.DataFrame(
                {
                    "respondent": recording.respondent,
                    "stimulus": recording.stimulus,
                    "condition": recording.condition,
                    "second": np.arange(seconds) * study.step_s,
                    "happiness": happiness,
                    "neutral": 1 - happiness,
                    "valence": random.normal(0, 0.1, seconds),
                    "leads_happiness": (happiness > 0.5).astype(float),
                    "leads_neutral": (happiness <= 0.5).astype(float),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def summarize_steps(steps: pd.DataFrame, scenes: Mapping[str, tuple[int, int]] | None = None) -> pd.DataFrame:
    """``StudyData.segment_values`` of steps: the whole of each stimulus, and scenes by their first and last second."""
    spans = {("whole", "whole"): (0, np.inf), **{("scene", name): span for name, span in (scenes or {}).items()}}
    parts = []
    for (kind, segment), (start, end) in spans.items():
        rows = steps[(steps["second"] >= start) & (steps["second"] < end)]
        long = rows.melt(["respondent", "stimulus", "condition"], list(MEASURES), "measure", "value")
        groups = long.groupby(["respondent", "stimulus", "condition", "measure"], sort=False)["value"]
        table = groups.agg(mean="mean", peak="max").reset_index()
        parts.append(
            table.assign(
                kind=kind, segment=segment, time_to_peak_s=1.0, area=table["mean"], change=np.nan, usable_share=1.0
            )
        )
    return pd.concat(parts, ignore_index=True)
