"""The page of a study: what ``study.html`` shows, and where each section comes from.

It has no picture of a respondent, so that ``report.faces`` changes nothing here. Recordings and stimuli are never
embedded: they are linked relatively to the page, and whoever opens it elsewhere chooses the file by hand.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from fer.core.object_uri import is_object_uri
from fer.emotions import EMOTIONS
from fer.metrics.small_samples import MIN_RESPONDENTS
from fer.reports.colors import EMOTION_COLOURS
from fer.reports.page import build_script_policy, encode_json_for_script, read_script, render, write_page
from fer.reports.performance import build_performance_content
from fer.reports.sources import find_sources
from fer.reports.study_answers import (
    Correction,
    add_reach,
    build_answer,
    choose_answers,
    list_moments,
    list_uncertain_moments,
    list_whole_names,
)
from fer.reports.study_data import StudyData
from fer.reports.study_measures import Measure, build_measure
from fer.reports.study_rankings import rank_segments, sort_recordings, total_recordings
from fer.reports.study_series import build_series
from fer.reports.study_tables import complete_tables, list_rows

__all__ = ["StudyMedia", "StudyPage", "write_study_page"]

# Longer pages are slow to open and awkward to send.
MAX_BYTES = 5_000_000
# Of each table; the tables beside the page have all rows.
MAX_ROWS = 300
MAX_SEGMENTS, MAX_TOP_ANSWERS, MAX_TOP_MOMENTS = 20, 8, 6
# Small charts of the summary.
MAX_SMALL_CHARTS = 6
# Of the steps: all other columns are measures, and which emotion leads.
_KEYS = {"respondent", "stimulus", "condition", "second"}
_SCRIPTS = (
    "svg.js",
    "study_series.js",
    "study_charts.js",
    "study_heat.js",
    "study_player.js",
    "study_side.js",
    "study.js",
)


@dataclass(frozen=True)
class StudyMedia:
    """Where the videos are, for the page to link to. None is one that is not there.

    Attributes:
        stimuli: Path of each stimulus' video, by its name.
        recordings: Path of each recording, by its name in the table of recordings.
    """

    stimuli: Mapping[str, Path | str | None]
    recordings: Mapping[str, Path | str | None]


@dataclass(frozen=True)
class StudyPage:
    """Everything the page is made of.

    Attributes:
        data: The study's tables.
        created: When the run started.
        command: What started it.
        model: Facts about the model, by name.
        environment: Facts about machine and code, by name.
        config_yaml: Text of the configuration.
        notes: Remarks for the top of the page.
        performance: What is known of the model, see ``fer.reports.performance``.
        media: The videos.
        effect: The Hedges' g that the study is planned for; None where it is not known.
        definitions: What each measure is, in words, by name.
        correction: For several tests: Holm's, or that of Benjamini and Hochberg.
        not_over_time: The contrasts that are not tested over time, by name.
    """

    data: StudyData
    created: str
    command: str
    model: Mapping[str, str]
    environment: Mapping[str, str]
    config_yaml: str
    notes: Sequence[str]
    performance: Mapping[str, Any] | None
    media: StudyMedia
    effect: float | None = None
    definitions: Mapping[str, str] = field(default_factory=dict)
    correction: Correction = "holm"
    not_over_time: Collection[str] = ()


@dataclass(frozen=True)
class _Detail:
    """How much can be looked at: all measures or the tested ones; how many steps are drawn as one; single people."""

    all_measures: bool
    merge: int
    people: bool


# The first whose page is within MAX_BYTES is taken.
_DETAILS = (
    *(_Detail(True, merge, True) for merge in (1, 2)),
    *(_Detail(False, merge, True) for merge in (1, 2, 5, 10)),
    *(_Detail(False, merge, False) for merge in (1, 10, 60, 600)),
)


def write_study_page(page: StudyPage, path: Path) -> None:
    """Write the page; it appears only once it is complete. Equal pages give equal bytes.

    Of a study so large that its page would be longer than MAX_BYTES, it offers the tested measures only, draws several
    steps as one, and at last leaves single respondents out; it says so.

    Args:
        page: What the page shows.
        path: The HTML file.

    Raises:
        OSError: The page cannot be written.
    """
    data = complete_tables(page.data)
    page = replace(page, data=replace(data, contrasts=add_reach(data.contrasts, page.correction)))
    content = _build_content(page, path.parent)
    for detail in _DETAILS:
        html = render("study.html.j2", {**content, **_build_drawings(page, content, detail)})
        if len(html.encode(errors="replace")) < MAX_BYTES:
            break
    write_page(html, path)


def _list_measures(data: StudyData) -> list[str]:
    """The tested measures first, then all others that steps or curves have."""
    columns = [str(column) for column in data.steps.columns if str(column) not in _KEYS]
    others = [column for column in columns if not column.startswith("leads_")]
    return list(dict.fromkeys([*data.measures, *others, *data.curves["measure"]]))


def _has_values(data: StudyData, measure: str) -> bool:
    """Whether there is anything to draw: without facial landmarks there is no pose, and no attention."""
    curve = data.curves.loc[data.curves["measure"] == measure, "mean"]
    return bool(curve.notna().any() or (measure in data.steps and data.steps[measure].notna().any()))


def _build_content(page: StudyPage, folder: Path) -> dict[str, Any]:
    data = page.data
    measures = {
        name: build_measure(name, data.has_baseline, page.definitions.get(name, "")) for name in _list_measures(data)
    }
    whole = list_whole_names(data)
    tested = data.contrasts[data.contrasts["measure"].isin(list(measures))]
    contrasts = [
        (row, build_answer(row, measures[row["measure"]], whole, page.effect))
        for row in list_rows(tested[tested["kind"] != "mixed"].head(MAX_ROWS))
    ]
    moments = list_moments(data, measures)
    uncertain = list_uncertain_moments(data, measures, moments)
    stimuli = [str(name) for name in data.stimuli["stimulus"]]
    answers = choose_answers(data, measures, page.effect, MAX_TOP_ANSWERS)
    order = {name: number for number, name in enumerate(stimuli)}
    first = sorted(
        [*(moment for moment in moments if moment.row["rank"] == 1), *uncertain],
        key=lambda moment: (
            not moment.certain,
            data.measures.index(moment.measure.name) if moment.measure.name in data.measures else len(data.measures),
            order.get(moment.row["stimulus"], len(order)),
        ),
    )
    performance = build_performance_content(page.performance, list(EMOTIONS))
    return {
        "page": page,
        "data": data,
        "measures": measures,
        "drawable": [measure for name, measure in measures.items() if _has_values(data, name)],
        "stimuli": stimuli,
        "totals": total_recordings(data),
        "top_moments": first[:MAX_TOP_MOMENTS],
        "answers": answers,
        "hidden_answers": int((tested["kind"] != "mixed").sum()) - len(answers),
        "moments": moments[:MAX_ROWS],
        "uncertain": uncertain[:MAX_ROWS],
        "hidden_moments": max(0, len(moments) - MAX_ROWS),
        "rankings": rank_segments(data, measures, MAX_SEGMENTS),
        "contrasts": contrasts,
        "hidden_contrasts": int((tested["kind"] != "mixed").sum()) - len(contrasts),
        **{
            name: list_rows(getattr(data, name).head(MAX_ROWS))
            for name in ("clusters", "mixed", "reliability", "norms")
        },
        "recordings": sort_recordings(data)[:MAX_ROWS],
        "performance": performance,
        "colours": EMOTION_COLOURS,
        "min_respondents": MIN_RESPONDENTS,
        "places": _find_places(page, stimuli, folder),
    }


def _find_places(page: StudyPage, stimuli: Sequence[str], folder: Path) -> dict[str, Any]:
    """The address of each stimulus, and of the recording of each respondent, stimulus and condition."""
    rows = list_rows(page.data.recordings[page.data.recordings["included"]])
    paths = [page.media.stimuli.get(name) for name in stimuli]
    paths += [page.media.recordings.get(row["recording"]) for row in rows]
    known = [str(path) for path in paths if path is not None and not is_object_uri(str(path))]
    urls = {path: source.url for path, source in zip(known, find_sources(known, folder, 0), strict=True)}
    addresses = [urls.get(str(path)) for path in paths]
    return {
        "stimuli": addresses[: len(stimuli)],
        "recordings": [(row, address) for row, address in zip(rows, addresses[len(stimuli) :], strict=True)],
    }


def _build_drawings(page: StudyPage, content: Mapping[str, Any], detail: _Detail) -> dict[str, Any]:
    """What the scripts draw, in such detail."""
    data = page.data
    stimuli, places = content["stimuli"], content["places"]
    measures: list[Measure] = [
        measure for measure in content["drawable"] if detail.all_measures or measure.name in data.measures
    ]
    series = build_series(data, measures, detail.merge, detail.people, page.not_over_time)
    conditions = series.index["conditions"]
    people = {str(name): number for number, name in enumerate(data.respondents["respondent"])}
    recordings = [
        [people[str(row["respondent"])], stimuli.index(row["stimulus"]), conditions.index(row["condition"])]
        + [address, round(row["onset_s"], 3) if row["onset_s"] > 0 else 0.0]
        for row, address in places["recordings"]
        if row["stimulus"] in stimuli and row["condition"] in conditions and str(row["respondent"]) in people
    ]
    timed = data.segments.dropna(subset=["start_s", "end_s"])
    files = data.stimuli["file"] if "file" in data.stimuli else data.stimuli["stimulus"]
    with_video = set(data.stimuli.loc[files.fillna("") != "", "stimulus"])
    drawn = {
        **series.index,
        "measures": [
            {
                "name": measure.name,
                "unit": measure.unit,
                "change": measure.change,
                "tested": measure.name in data.measures,
            }
            | {"colour": EMOTION_COLOURS.get(measure.name)}
            for measure in measures
        ],
        "stimuli": [
            {
                "name": name,
                "url": address,
                "has_video": name in with_video,
                "segments": [
                    [row.kind, str(row.segment), round(float(row.start_s), 3), round(float(row.end_s), 3)]
                    for row in timed[timed["stimulus"] == name].itertuples()
                    if row.kind != "whole"
                ],
            }
            for name, address in zip(stimuli, places["stimuli"], strict=True)
        ],
        "people": [
            [str(row["respondent"]), *(str(row[column]) for column in data.group_columns)]
            for row in list_rows(data.respondents)
        ],
        "recordings": recordings,
        "group_columns": list(data.group_columns),
        "small_charts": MAX_SMALL_CHARTS,
    }
    scripts = [read_script(name) for name in _SCRIPTS]
    return {
        "detail": detail,
        "hidden_measures": len(content["drawable"]) - len(measures),
        "drawn": encode_json_for_script(drawn),
        "conditions": conditions,
        "curve_numbers": Markup(series.curves),
        "cell_numbers": Markup(series.cells),
        "has_curves": bool(series.index["curves"]),
        "has_heat": bool(series.index["heat"]),
        "has_differences": bool(series.index["differences"]),
        "scripts": [Markup(script) for script in scripts],
        "policy": build_script_policy(scripts, "img-src data:; media-src blob: file: 'self'"),
    }
