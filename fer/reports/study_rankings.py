"""Tables of a study's page: scenes and events by strength, and what became of each recording."""

from dataclasses import dataclass
from typing import Any

from fer.reports.study_answers import name_place
from fer.reports.study_data import StudyData, count_reasons
from fer.reports.study_measures import Measure
from fer.reports.study_tables import list_rows

_SHOWN = ("mean", "peak", "time_to_peak_s", "change")


@dataclass(frozen=True)
class SegmentRanking:
    """Scenes and events, the strongest first. A row has where and when, and each statistic by its name.

    ``hidden`` are those that the page leaves out.
    """

    measure: Measure
    rows: list[dict[str, Any]]
    hidden: int


@dataclass(frozen=True)
class RecordingTotals:
    """What became of the recordings."""

    recordings: int
    used: int
    respondents: int
    respondents_used: int
    usable_share: float | None
    reasons: list[tuple[str, int]]


def rank_segments(data: StudyData, measures: dict[str, Measure], limit: int) -> list[SegmentRanking]:
    """Rank scenes and events by the mean of each tested measure over all respondents."""
    keys = ["stimulus", "condition", "kind", "segment"]
    summary = data.segment_summary
    summary = summary[(summary["group_column"] == "") & (summary["kind"] != "whole")]
    # Two of one name, such as a logo that comes twice, are told by the first of them.
    times = data.segments.drop_duplicates(["stimulus", "kind", "segment"])
    found = []
    for name in data.measures:
        rows = summary[summary["measure"] == name]
        if name not in measures or not len(rows):
            continue
        rows = rows.drop_duplicates([*keys, "statistic"])
        means = rows.pivot(index=keys, columns="statistic", values="mean").reindex(columns=list(_SHOWN)).reset_index()
        bounds = rows.loc[rows["statistic"] == "mean", [*keys, "low", "high"]]
        wide = means.merge(bounds, on=keys, how="left").merge(times, on=["stimulus", "kind", "segment"], how="left")
        wide = wide.sort_values("mean", ascending=False, kind="stable", na_position="last")
        records = list_rows(wide)
        for row in records:
            row["place"] = name_place(row["stimulus"], row["condition"])
        found.append(SegmentRanking(measures[name], records[:limit], max(0, len(records) - limit)))
    return found


def total_recordings(data: StudyData) -> RecordingTotals:
    """Count recordings and respondents, and why some are left out."""
    recordings = data.recordings
    used = recordings[recordings["included"]]
    shares = used["usable_share"].dropna()
    return RecordingTotals(
        recordings=len(recordings),
        used=len(used),
        respondents=max(len(data.respondents), recordings["respondent"].nunique()),
        respondents_used=used["respondent"].nunique(),
        usable_share=float(shares.median()) if len(shares) else None,
        reasons=count_reasons(recordings.loc[~recordings["included"], "reason"]),
    )


def sort_recordings(data: StudyData) -> list[dict[str, Any]]:
    """All recordings: first those left out, then by usable share, the lowest first, which needs a frame."""
    figures = ["usable_share", "tracking_losses"]
    looked_at = data.recordings["frames"] != 0
    recordings = data.recordings.assign(**{name: data.recordings[name].where(looked_at) for name in figures})
    order = recordings.sort_values(["included", "usable_share"], kind="stable", na_position="first")
    return [{**row, "place": name_place(row["stimulus"], row["condition"])} for row in list_rows(order)]
