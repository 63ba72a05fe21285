"""What a study's analysis gives, as the page and the exports take it: one table each, in plain columns."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class StudyData:
    """The tables of a study.

    Times are seconds, from the onset of the stimulus where nothing else is said. ``condition`` is "" where a study has
    none. A measure is a column where a table is wide, and a value of ``measure`` where it is long. Where the study has
    a baseline, values are changes from it, but for attention and people, which stay as they are.

    Attributes:
        name: The study's title.
        measures: The measures that are tested and ranked, in their order.
        group_columns: The group columns of the respondents.
        has_baseline: Whether values are changes.
        stimuli: `stimulus, file, duration_s`; file is None where there is none.
        segments: `stimulus, kind, segment, start_s, end_s`; kind is `whole`, `scene` or `event`.
        respondents: `respondent, consent`, and each of ``group_columns``; who has not agreed is in no table.
        recordings: `recording, file, respondent, stimulus, condition, onset_s, offset_s, frames, usable_share,
            tracking_losses, brightness, people, included, reason`; ``recording`` is the name of the video in the
            emotion table, and reason says in words why one is not included, what is its own after a colon.
        frames: A row a sampled frame of each included recording, between onset and offset and in the baseline:
            `recording, respondent, stimulus, condition, frame, recording_s, time_s, status`, `emotion` (the one that
            leads, empty without a usable face), and every measure.
        steps: A row a respondent, stimulus, condition and step from the onset on with any measure: `respondent,
            stimulus, condition, second`, every measure, and `leads_<emotion>` (1 where it leads a frame of the step,
            else 0). Without a usable face only attention and people have values, the rest is empty.
        curves: `stimulus, condition, group_column, group, measure, second, respondents, mean, low, high, share`; all
            respondents together have group_column "" and group "all"; low and high are the 95 % band of the mean,
            share that of the respondents in whom the emotion leads (empty for other measures).
        segment_values: A row a respondent, stimulus, condition, segment and measure: `respondent, stimulus, condition,
            kind, segment, measure, mean, peak, time_to_peak_s, area, change, usable_share`.
        segment_summary: The same over respondents: `stimulus, condition, kind, segment, group_column, group, measure,
            statistic, respondents, mean, low, high`; statistic is `mean`, `peak`, `time_to_peak_s`, `area`, `change`.
        contrasts: `contrast, kind, factor, a, b, stimulus, segment, measure, n_a, n_b, mean_a, mean_b, difference,
            difference_low, difference_high, p, p_corrected, p_smallest, hedges_g, hedges_g_low, hedges_g_high,
            cliffs_delta, cliffs_delta_low, cliffs_delta_high, power`.
        clusters: When two differ: `contrast, stimulus, measure, start_s, end_s, mass, p`.
        mixed: Terms of the mixed models: `contrast, measure, term, estimate, low, high, p, p_corrected`.
        reliability: `stimulus, condition, measure, respondents, split_half, split_half_low, split_half_high, icc,
            icc_low, icc_high, band, needed_respondents`.
        moments: The strongest moments: `stimulus, condition, measure, rank, start_s, peak_s, end_s, value, low, high,
            respondents`.
        norms: `stimulus, segment, measure, value, percentile, studies, stimuli`.
        cautions: What a reader has to know of these data, sentences.
        step_s: Length of a step, seconds.
    """

    name: str
    measures: tuple[str, ...]
    group_columns: tuple[str, ...]
    has_baseline: bool
    stimuli: pd.DataFrame
    segments: pd.DataFrame
    respondents: pd.DataFrame
    recordings: pd.DataFrame
    frames: pd.DataFrame
    steps: pd.DataFrame
    curves: pd.DataFrame
    segment_values: pd.DataFrame
    segment_summary: pd.DataFrame
    contrasts: pd.DataFrame
    clusters: pd.DataFrame
    mixed: pd.DataFrame
    reliability: pd.DataFrame
    moments: pd.DataFrame
    norms: pd.DataFrame
    cautions: tuple[str, ...]
    step_s: float = 1.0


def count_reasons(reasons: pd.Series) -> list[tuple[str, int]]:
    """Count why recordings are left out, the most frequent first; those alike up to a colon are of a kind."""
    texts = reasons.astype(str)
    kinds = texts.str.split(": ", n=1).str[0]
    alone = texts.groupby(kinds).transform("nunique") == 1
    return [(str(reason), int(number)) for reason, number in texts.where(alone, kinds).value_counts().items()]
