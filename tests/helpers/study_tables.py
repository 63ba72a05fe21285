"""A made-up study: every number was drawn, and the moments at which respondents react were planted."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fer.emotions import EMOTIONS
from fer.reports.study import StudyMedia, StudyPage
from fer.reports.study_data import StudyData

DERIVED = ("valence", "arousal", "expressiveness", "positive", "negative", "engagement", "attention")
POSE = ("yaw", "pitch", "roll", "people")
MEASURES = (*EMOTIONS, *DERIVED, *POSE)
TESTED = ("happiness", "valence", "expressiveness")
STATISTICS = ("mean", "peak", "time_to_peak_s", "area", "change")
PLANTED_S = 12  # when happiness is strongest in the first stimulus
HOSTILE = ("</script><b>bold</b>", "'\"><img src=x onerror=document.title=1>", "受访者甲", "long " * 40, "{{7*7}}<!--")


def study_data(
    respondents: int | Sequence[str] = 24,
    seconds: int = 30,
    stimuli: Sequence[str] = ("spot A", "spot B"),
    groups: Mapping[str, Sequence[str]] | None = None,
    conditions: Sequence[str] = ("",),
    seed: int = 0,
    **fields: Any,
) -> StudyData:
    """Happiness rises around PLANTED_S in the first stimulus, more so in the first group; the rest is flat."""
    random = np.random.default_rng(seed)
    names = [f"R{number:03d}" for number in range(respondents)] if isinstance(respondents, int) else list(respondents)
    groups = {"gender": ("women", "men"), "age": ("18–29", "30–49", "50+")} if groups is None else groups
    people = pd.DataFrame({"respondent": names, "consent": True})
    for column, values in groups.items():
        people[column] = [values[number % len(values)] for number in range(len(names))]
    steps = _draw_steps(people, stimuli, conditions, seconds, groups, random)
    segments = [
        {"stimulus": stimulus, "kind": kind, "segment": name, "start_s": start, "end_s": end}
        for stimulus in stimuli
        for kind, name, start, end in (
            ("whole", "whole", 0.0, float(seconds)),
            ("scene", "kitchen", 0.0, seconds / 3),
            ("scene", "dog comes in", seconds / 3, seconds * 2 / 3),
            ("scene", "brand", seconds * 2 / 3, float(seconds)),
            ("event", "joke", float(PLANTED_S), PLANTED_S + 2.0),
            ("event", "logo", seconds - 4.0, seconds - 2.0),
        )
    ]
    found: dict[str, Any] = {
        "name": "Two spots",
        "measures": TESTED,
        "group_columns": tuple(groups),
        "has_baseline": False,
        "stimuli": pd.DataFrame(
            {"stimulus": stimuli, "file": [f"{name}.webm" for name in stimuli], "duration_s": float(seconds)}
        ),
        "segments": pd.DataFrame(segments),
        "respondents": people,
        "recordings": _list_recordings(people, stimuli, conditions, seconds),
        "frames": pd.DataFrame(),
        "steps": steps,
        "curves": _compute_curves(steps, people, groups),
        "segment_values": pd.DataFrame(),
        "segment_summary": _summarize_segments(pd.DataFrame(segments), conditions, len(names), random),
        "contrasts": _list_contrasts(stimuli, groups, len(names)),
        "clusters": pd.DataFrame(columns=["contrast", "stimulus", "measure", "start_s", "end_s", "mass", "p"]),
        "mixed": _list_terms(),
        "reliability": _list_reliability(stimuli, conditions, len(names)),
        "moments": _list_moments(stimuli, conditions, len(names)),
        "norms": pd.DataFrame(
            [(s, "whole", "happiness", 0.2, 71.0, 4, 9) for s in stimuli],
            columns=["stimulus", "segment", "measure", "value", "percentile", "studies", "stimuli"],
        ),
        "cautions": ("Group 50+ has few respondents: its curve tells little.",),
    }
    if groups:
        column, values = next(iter(groups.items()))
        cluster = (f"{column}: {values[0]} – {values[1]}", stimuli[0], "happiness", 10.0, 15.0, 21.3, 0.004)
        found["clusters"] = pd.DataFrame([cluster], columns=list(found["clusters"]))
    return StudyData(**{**found, **fields})


def study_page(data: StudyData | None = None, **fields: Any) -> StudyPage:
    complete: dict[str, Any] = {
        "data": study_data() if data is None else data,
        "created": "2026-11-28 12:00 UTC",
        "command": "python infer.py extraction.study=study.yaml",
        "model": {"Model": "outputs/train/run"},
        "environment": {"python": "3.11.2"},
        "config_yaml": "seed: 3\nname: spots\n",
        "notes": ["One note."],
        "performance": None,
        "media": StudyMedia({}, {}),
        "definitions": {
            "positive": "the probability of happiness; surprise counts neither as positive nor as negative",
            "valence": "how pleasant the expression looks",
        },
    }
    return StudyPage(**{**complete, **fields})


def empty_data(data: StudyData, **fields: Any) -> StudyData:
    """The same study of which nothing could be analysed: every table has its columns and no row."""
    names = ("steps", "curves", "segment_values", "segment_summary", "contrasts", "clusters", "mixed", "reliability")
    tables = {name: getattr(data, name).iloc[:0] for name in (*names, "moments", "norms")}
    left_out = data.recordings.assign(included=False, reason="its file cannot be opened")
    return StudyData(**{**vars(data), **tables, "recordings": left_out, **fields})


def _draw_steps(
    people: pd.DataFrame,
    stimuli: Sequence[str],
    conditions: Sequence[str],
    seconds: int,
    groups: Mapping[str, Sequence[str]],
    random: np.random.Generator,
) -> pd.DataFrame:
    time = np.arange(seconds, dtype=float)
    parts = []
    first = next(iter(groups), None)
    for place, stimulus in enumerate(stimuli):
        for condition in conditions:
            for number, respondent in enumerate(people["respondent"]):
                logits = random.normal(0, 0.5, (seconds, len(EMOTIONS))) + random.normal(0, 0.4, len(EMOTIONS))
                logits[:, EMOTIONS.index("neutral")] += 2
                bump = np.exp(-((time - PLANTED_S - 0.5) ** 2) / 8)
                strong = first is None or people[first].iloc[number] == groups[first][0]
                logits[:, EMOTIONS.index("happiness")] += (3.4 if strong else 1.8) * bump * (1 if place == 0 else 0.3)
                shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
                table = pd.DataFrame(shares, columns=list(EMOTIONS))
                table["positive"] = table["happiness"]
                table["negative"] = table[["anger", "disgust", "fear", "sadness"]].sum(axis=1)
                table["valence"] = table["positive"] - table["negative"]
                table["arousal"] = table["surprise"] + table["anger"] - table["sadness"]
                table["expressiveness"] = 1 - table["neutral"]
                table["engagement"] = table["expressiveness"] * 0.9
                table["attention"] = random.uniform(0.7, 1.0, seconds).round(1)
                for name in ("yaw", "pitch", "roll"):
                    table[name] = random.normal(0, 8, seconds)
                table["people"] = 1.0
                for column, emotion in enumerate(EMOTIONS):
                    table[f"leads_{emotion}"] = shares.argmax(axis=1) == column
                table.insert(0, "second", time)
                table.insert(0, "condition", condition)
                table.insert(0, "stimulus", stimulus)
                table.insert(0, "respondent", respondent)
                # Some seconds of everybody show no usable face.
                parts.append(table[random.random(seconds) > 0.03])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _compute_curves(steps: pd.DataFrame, people: pd.DataFrame, groups: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    found = []
    known = steps.merge(people.drop(columns="consent"), on="respondent")
    for column in ("", *groups):
        parts = [("all", known)] if not column else [(str(name), rows) for name, rows in known.groupby(column)]
        for group, rows in parts:
            keys = ["stimulus", "condition", "second"]
            grouped = rows.groupby(keys, sort=False)
            count = grouped.size()
            means, errors = grouped[list(MEASURES)].mean(), grouped[list(MEASURES)].std(ddof=1)
            for measure in MEASURES:
                half: pd.Series = 2 * errors[measure] / np.sqrt(count)
                table = pd.DataFrame(
                    {"respondents": count, "mean": means[measure], "low": means[measure] - half}
                ).assign(high=means[measure] + half, share=np.nan)
                if measure in EMOTIONS:
                    table["share"] = grouped[f"leads_{measure}"].mean()
                table = table.reset_index().assign(group_column=column, group=group, measure=measure)
                found.append(table.loc[table["respondents"] > 0])
    return pd.concat(found, ignore_index=True)


def _list_recordings(
    people: pd.DataFrame, stimuli: Sequence[str], conditions: Sequence[str], seconds: int
) -> pd.DataFrame:
    rows = [
        {
            "recording": f"{respondent}-{stimulus}{condition}.webm",
            "file": f"{respondent}-{stimulus}{condition}.webm",
            "respondent": respondent,
            "stimulus": stimulus,
            "condition": condition,
            "onset_s": 2.0,
            "offset_s": 2.0 + seconds,
            "frames": seconds * 5,
            "usable_share": 0.97,
            "tracking_losses": 1,
            "brightness": 0.47,
            "people": 1.0,
            "included": True,
            "reason": "",
        }
        for stimulus in stimuli
        for condition in conditions
        for respondent in people["respondent"]
    ]
    left_out = {**rows[0], "recording": "dark.webm", "respondent": "R900", "usable_share": 0.21, "included": False}
    left_out["reason"] = "only 21 % of its frames have a usable face"
    withdrawn = {**rows[0], "recording": "secret.webm", "respondent": "R901", "usable_share": np.nan, "included": False}
    withdrawn |= {"reason": "no consent: it was not opened", "frames": 0}
    return pd.DataFrame([*rows, left_out, withdrawn])


def _summarize_segments(
    segments: pd.DataFrame, conditions: Sequence[str], people: int, random: np.random.Generator
) -> pd.DataFrame:
    rows = []
    for segment in segments.to_dict("records"):
        for condition in conditions:
            for measure in TESTED:
                strong = segment["segment"] in ("joke", "dog comes in") and measure == "happiness"
                level = 0.4 if strong else float(random.uniform(0.05, 0.2))
                for statistic in STATISTICS:
                    value = 1.5 if statistic == "time_to_peak_s" else level
                    known = {key: segment[key] for key in ("stimulus", "kind", "segment")}
                    known |= {"condition": condition, "group_column": "", "group": "all", "measure": measure}
                    known |= {"statistic": statistic, "respondents": people, "mean": value}
                    rows.append({**known, "low": value - 0.03, "high": value + 0.03})
    return pd.DataFrame(rows)


def contrast_row(**fields: Any) -> dict[str, Any]:
    """A clear difference; its keyword arguments replace fields."""
    known: dict[str, Any] = {"contrast": "gender: women – men", "kind": "between", "factor": "gender"}
    known |= {"a": "women", "b": "men", "stimulus": "spot A", "segment": "whole", "measure": "happiness"}
    known |= {"n_a": 12, "n_b": 12, "mean_a": 0.31, "mean_b": 0.19, "difference": 0.12, "difference_low": 0.05}
    known |= {"difference_high": 0.19, "p": 0.0004, "p_corrected": 0.0024, "p_smallest": 1e-6, "power": 0.91}
    known |= {"hedges_g": 1.21, "hedges_g_low": 0.4, "hedges_g_high": 2.0}
    return {**known, "cliffs_delta": 0.68, "cliffs_delta_low": 0.3, "cliffs_delta_high": 0.88, **fields}


def _list_contrasts(stimuli: Sequence[str], groups: Mapping[str, Sequence[str]], people: int) -> pd.DataFrame:
    rows = []
    weak = {"mean_b": 0.3, "difference": 0.01, "difference_low": -0.04, "difference_high": 0.06, "p": 0.7}
    weak |= {"p_corrected": 1.0, "hedges_g": 0.1, "power": 0.41}
    for column, values in groups.items():
        between = {"contrast": f"{column}: {values[0]} – {values[1]}", "factor": column, "a": values[0], "b": values[1]}
        sizes = {"n_a": people // len(values), "n_b": people // len(values)}
        for place, stimulus in enumerate(stimuli):
            for measure in TESTED:
                shown = place == 0 and column == next(iter(groups)) and measure == "happiness"
                rows.append(
                    contrast_row(**between, **sizes, stimulus=stimulus, measure=measure, **({} if shown else weak))
                )
    if len(stimuli) > 1:
        within = {"contrast": "stimulus: A – B", "kind": "within", "factor": "stimulus", "stimulus": ""}
        within |= {"a": stimuli[0], "b": stimuli[1]}
        rows.append(contrast_row(**within, n_a=people, n_b=people))
    return pd.DataFrame(rows, columns=list(contrast_row()))


def _list_terms() -> pd.DataFrame:
    terms = [("intercept", 0.2, 0.15, 0.25, 1e-5, 1e-4), ("gender[men]", -0.1, -0.16, -0.04, 0.002, 0.006)]
    rows = [("gender × stimulus", "happiness", *term) for term in terms]
    return pd.DataFrame(rows, columns=["contrast", "measure", "term", "estimate", "low", "high", "p", "p_corrected"])


def _list_reliability(stimuli: Sequence[str], conditions: Sequence[str], people: int) -> pd.DataFrame:
    known = {"respondents": people, "split_half": 0.82, "split_half_low": 0.7, "split_half_high": 0.9, "icc": 0.8}
    known |= {"icc_low": 0.68, "icc_high": 0.89, "band": 0.05, "needed_respondents": 31}
    keys = [(s, c, m) for s in stimuli for c in conditions for m in TESTED]
    return pd.DataFrame([{"stimulus": s, "condition": c, "measure": m, **known} for s, c, m in keys])


def _list_moments(stimuli: Sequence[str], conditions: Sequence[str], people: int) -> pd.DataFrame:
    rows = []
    for stimulus in stimuli:
        for condition in conditions:
            for measure in TESTED:
                for rank in (1, 2):
                    start = 10.0 if rank == 1 else 20.0
                    times = {"start_s": start, "peak_s": start + 2, "end_s": start + 5}
                    known = {"stimulus": stimulus, "condition": condition, "measure": measure, "rank": rank, **times}
                    value = 0.62 / rank
                    rows.append(
                        {**known, "value": value, "low": value - 0.07, "high": value + 0.07, "respondents": people}
                    )
    return pd.DataFrame(rows)
