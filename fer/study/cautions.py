"""What a reader has to know of a study's data: sentences that change with them."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from fer.config.study import Study
from fer.emotions import CONTEMPT, EMOTIONS
from fer.metrics.multiple_tests import correct_p_values
from fer.metrics.power import ALPHA, WANTED_POWER, find_needed_count
from fer.metrics.small_samples import MIN_RESPONDENTS
from fer.reports.study_data import count_reasons
from fer.study.panel import list_groups

# So few respondents have wide bands and find large effects only.
FEW_RESPONDENTS = 15
LOW_USABLE_SHARE = 0.8
LOSSES_PER_MINUTE = 3.0
WEAK_RECALL = 0.6
MANY_TESTS = 20
MOST_NAMES = 5
# The emotions from which other measures are computed.
SOURCES: dict[str, tuple[str, ...]] = {
    "valence": EMOTIONS,
    "arousal": EMOTIONS,
    "expressiveness": ("neutral",),
    "engagement": ("neutral",),
    "positive": ("happiness",),
    "negative": ("anger", "disgust", "fear", "sadness"),
}


def list_cautions(
    study: Study,
    recordings: pd.DataFrame,
    steps: pd.DataFrame,
    contrasts: pd.DataFrame,
    performance: Mapping[str, Any] | None,
) -> tuple[str, ...]:
    """Build ``StudyData.cautions``.

    Args:
        study: The study.
        recordings: ``StudyData.recordings``.
        steps: ``StudyData.steps``.
        contrasts: ``StudyData.contrasts``.
        performance: What is known of the model, as ``fer.bundle.performance.read_performance`` gives it.

    Returns:
        Sentences, the weightiest first; none where nothing is amiss.
    """
    included = recordings[recordings["included"].astype(bool)]
    return (
        *_judge_panel(study, steps),
        *_judge_exclusions(study, recordings),
        *_judge_quality(included),
        *_judge_model(study, performance),
        *_judge_contrasts(study, contrasts),
    )


def _judge_panel(study: Study, steps: pd.DataFrame) -> Iterator[str]:
    if steps.empty:
        yield "No recording could be analysed, so nothing can be said."
        return
    for (stimulus, condition), rows in steps.groupby(["stimulus", "condition"], sort=False):
        people = list(dict.fromkeys(rows["respondent"]))
        where = f"{stimulus!r} ({condition})" if condition else f"{stimulus!r}"
        if len(people) < MIN_RESPONDENTS:
            yield (
                f"{_count(len(people), 'respondent')} saw {where}: too few for a band, of which "
                f"{MIN_RESPONDENTS} is the least. The curve says how they reacted, not how others would."
            )
        elif len(people) < FEW_RESPONDENTS:
            yield (
                f"{_count(len(people), 'respondent')} saw {where}: bands are wide, and differences are found only "
                "where they are large."
            )
        small = [
            f"{column} {group} ({members.sum()})"
            for column, group, members in list_groups(people, study)
            if column and members.sum() < MIN_RESPONDENTS
        ]
        if small and len(people) >= MIN_RESPONDENTS:
            yield f"Groups of {where} with fewer than {MIN_RESPONDENTS} respondents have no band: {_list(small)}."


def _judge_exclusions(study: Study, recordings: pd.DataFrame) -> Iterator[str]:
    left_out = recordings[~recordings["included"].astype(bool)]
    if len(left_out):
        reasons = count_reasons(left_out["reason"])
        yield (
            f"{_count(len(left_out), 'recording')} of {len(recordings)} "
            f"{'is' if len(left_out) == 1 else 'are'} left out: "
            f"{_list([f'{reason} ({count})' for reason, count in reasons], '; ')}."
        )
    if study.baseline is not None:
        early = [item.file for item in study.recordings if item.onset_s + study.baseline.start_s < 0]
        if early:
            yield (
                f"{_count(len(early), 'recording')} {_begin(early)} after the baseline does, {study.baseline.start_s:g}"
                f" s from the onset; what there is of it counts: {_list(early)}."
            )
    else:
        yield (
            "There is no baseline: values hold each face's own level, also what it looks like at rest; differences "
            "between people are not differences between reactions."
        )


def _judge_quality(included: pd.DataFrame) -> Iterator[str]:
    shares = included["usable_share"].astype("float64")
    low = included[shares < LOW_USABLE_SHARE]
    if len(low):
        yield (
            f"{_count(len(low), 'recording')} of {len(included)} {_show(low)} the face in less than "
            f"{LOW_USABLE_SHARE:.0%} of the time (median of all: {shares.median():.0%}): {_list_recordings(low)}."
        )
    seconds = (included["offset_s"] - included["onset_s"]).astype("float64")
    lost = included[included["tracking_losses"].astype("float64") > LOSSES_PER_MINUTE * seconds / 60]
    # One loss in a clip of some seconds is no pattern.
    lost = lost[lost["tracking_losses"].astype("float64") >= LOSSES_PER_MINUTE]
    if len(lost):
        yield (
            f"The face was lost more than {LOSSES_PER_MINUTE:g} times a minute in "
            f"{_count(len(lost), 'recording')}: {_list_recordings(lost)}."
        )
    crowded = included[included["people"].astype("float64") > 1]
    if len(crowded):
        yield (
            f"{_count(len(crowded), 'recording')} {_show(crowded)} several people, of whom one is taken for the "
            f"respondent: {_list_recordings(crowded)}."
        )


def _judge_model(study: Study, performance: Mapping[str, Any] | None) -> Iterator[str]:
    recalls = (performance or {}).get("recalls") or {}
    if not recalls:
        yield "How well the model recognises each emotion is not known, so neither is what its curves are worth."
        return
    used = {
        emotion
        for measure in study.measures
        for emotion in SOURCES.get(measure, (measure,))
        if emotion in (*EMOTIONS, CONTEMPT)
    }
    weak = [
        f"{name} ({values['value']:.0%})"
        for name, values in recalls.items()
        if name in used and values.get("value") is not None and values["value"] < WEAK_RECALL
    ]
    if weak:
        unit = (performance or {}).get("unit", "images")
        yield (
            f"The model recognises some emotions of these measures in fewer than {WEAK_RECALL:.0%} of the {unit} that "
            f"show them, so their curves may miss reactions and show others': {_list(weak, limit=len(weak))}."
        )


def _judge_contrasts(study: Study, contrasts: pd.DataFrame) -> Iterator[str]:
    tested = contrasts[contrasts["p"].notna()]
    for name, rows in contrasts.groupby("contrast", sort=False):
        known = rows[rows["p"].notna()]
        if known.empty:
            yield f"The contrast {name!r} could not be tested: a side has fewer than two respondents."
            continue
        smallest = known["p_smallest"].astype("float64")
        # If all rows were as clear as can be; the marks of the page ask the same.
        least = correct_p_values(smallest.to_numpy(), study.correction).min()
        if least >= ALPHA:
            yield (
                f"The contrast {name!r} cannot become significant: so few respondents give a p of "
                f"{smallest.min():.2g} at best, corrected for {_count(len(known), 'test')} {least:.2g}."
            )
            continue
        power = float(known["power"].astype("float64").median())
        if power < WANTED_POWER:
            is_paired = known["kind"].iloc[0] == "within"
            needed = find_needed_count(study.effect, is_paired)
            yield (
                f"The contrast {name!r} finds an effect of {study.effect:g} with a chance of {power:.0%}, before "
                f"correction; {WANTED_POWER:.0%} need {needed} respondents{'' if is_paired else ' in each group'}. "
                "That nothing is found does not mean that there is nothing."
            )
    if len(tested) >= MANY_TESTS:
        yield (
            f"{len(tested)} tests were done; without a correction {len(tested) * ALPHA:.0f} would be below {ALPHA:g} "
            "if nothing differed. Read `p_corrected`."
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _begin(items: list[str]) -> str:
    return "begins" if len(items) == 1 else "begin"


def _show(rows: pd.DataFrame) -> str:
    return "shows" if len(rows) == 1 else "show"


def _list(items: list[str], separator: str = ", ", limit: int = MOST_NAMES) -> str:
    rest = len(items) - limit
    return separator.join(items[:limit]) + (f"{separator}and {rest} more" if rest > 0 else "")


def _list_recordings(rows: pd.DataFrame) -> str:
    return _list([str(name) for name in np.unique(rows["recording"].astype(str))])
