"""The content of the comparison page, from runs, groups, importance and tests."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fer.compare.comparability import are_comparable, count_unknown_data, find_differences
from fer.compare.groups import SeedGroup
from fer.compare.hyperparameters import SEED, Hyperparameter, find_varying_keys, format_value, get_value, has_effect
from fer.compare.importance import ImportanceResult
from fer.compare.pairs import PairedTests
from fer.compare.ranking import METRIC_NAMES, SPLIT_NAMES, Metric, MetricValue, Ranking, find_best_run, get_recalls
from fer.compare.runs import FINISHED, ComparedRun, make_printable, parse_number
from fer.core.installation import format_command
from fer.emotions import CONTEMPT, EMOTIONS
from fer.reports.comparison import Column, ComparisonReport, GroupRow, MetricColumn, RunRow, Setting

MAX_NAMED = 6
HEADLINE_METRICS = ("accuracy", "macro_f1")
NO_BEST = "their figures do not say who is better, so none is called the best"


def build_report(
    runs: Sequence[ComparedRun],
    ranking: Ranking,
    columns: Sequence[Hyperparameter],
    groups: Sequence[SeedGroup],
    importance: ImportanceResult,
    pairs: PairedTests,
    notes: Sequence[str],
) -> ComparisonReport:
    """Build what the page shows. ``runs`` are ranked."""
    best = find_best_run(runs, ranking) if are_comparable(runs, ranking.split) else None
    class_names = {name for run in runs for name in get_recalls(run, ranking.split)}
    known = [name for name in (*EMOTIONS, CONTEMPT) if name in class_names]
    return ComparisonReport(
        root=make_printable(_find_common_directory(runs)),
        split=SPLIT_NAMES[ranking.split],
        metrics=[MetricColumn(metric.name, metric.is_fraction) for metric in ranking.metrics],
        ranked=MetricColumn(ranking.metric.name, ranking.metric.is_fraction),
        ranked_on_split=ranking.metric.split == ranking.split,
        columns=[Column(column.key, column.short) for column in columns],
        runs=[_build_run_row(run, ranking, columns) for run in runs],
        best=None if best is None else list(runs).index(best),
        best_metrics=[]
        if best is None
        else [(METRIC_NAMES[key], _build_bounds(Metric(ranking.split, key).get(best))) for key in HEADLINE_METRICS],
        commands=[] if best is None else _build_commands(best),
        groups=[_build_group_row(group, columns) for group in groups],
        importance=[(" + ".join((item.key, *item.tied_keys)), fraction) for item, fraction in importance.fractions],
        importance_reason=importance.reason,
        importance_runs=importance.num_runs,
        pairs=pairs.table,
        untested=pairs.untested,
        classes=[*known, *sorted(class_names - set(known))],
        notes=[*notes],
    )


def _find_common_directory(runs: Sequence[ComparedRun]) -> str:
    """Find the directory that all runs are in, relative to the working directory where it is below."""
    directory = Path(os.path.commonpath([run.directory.resolve().parent for run in runs]))
    return str(directory.relative_to(Path.cwd()) if Path.cwd() in directory.parents else directory)


def _build_run_row(run: ComparedRun, ranking: Ranking, columns: Sequence[Hyperparameter]) -> RunRow:
    return RunRow(
        label=run.label,
        directory=make_printable(str(run.directory)),
        status=run.status,
        reason=run.reason,
        settings=tuple(_build_setting(get_value(run, column.key)) for column in columns),
        metrics=tuple(_build_bounds(metric.get(run)) for metric in ranking.metrics),
        score=ranking.score(run),
        recalls={name: recall.value for name, recall in get_recalls(run, ranking.split).items()},
        seconds=run.seconds,
        images_per_second=run.images_per_second,
        history=run.history,
    )


def _build_bounds(value: MetricValue) -> dict[str, float | None]:
    return {"value": value.value, "low": value.low, "high": value.high}


def _build_setting(value: Any) -> Setting:
    return Setting(format_value(value), parse_number(value))


def _build_group_row(group: SeedGroup, columns: Sequence[Hyperparameter]) -> GroupRow:
    return GroupRow(
        runs=tuple(run.label for run in group.runs),
        settings=tuple(
            None if column.key == SEED else _build_setting(get_value(group.runs[0], column.key)) for column in columns
        ),
        metrics=tuple((stats.mean, stats.std) for stats in group.metrics.values()),
    )


def _build_commands(best: ComparedRun) -> list[tuple[str, str]]:
    """Build (purpose, command) of what repeats a run."""
    directory = shlex.quote(str(best.directory))
    train = format_command("train.py")
    rerun = ("Run it again; overrides may follow:", f"{train} --config-dir {directory} --config-name run")
    if best.status != FINISHED:
        return [rerun]
    return [
        (
            "Run it again and compare every figure and the weights, bit for bit:",
            f"{format_command('fer.replay')} {directory}",
        ),
        rerun,
    ]


def build_notes(
    runs: Sequence[ComparedRun], ranking: Ranking, columns: Sequence[Hyperparameter], skipped: Sequence[str]
) -> list[str]:
    """Build notes on what a reader should know before comparing metrics."""
    notes = []
    evaluated = [run for run in runs if run.metrics]
    if ranking.split != "test":
        without = sum("test" not in run.metrics for run in evaluated)
        notes.append(
            f"{without} of {len(evaluated)} evaluated runs have no test figures, so those of validation are shown, on "
            "which epochs were chosen."
        )
    without_metrics = [run for run in evaluated if ranking.split not in run.metrics]
    if without_metrics:
        notes.append(
            f"Without figures of {SPLIT_NAMES[ranking.split]}: {', '.join(run.label for run in without_metrics)}."
        )
    if differences := find_differences(runs, ranking.split):
        notes.append(
            f"The runs differ in their {', '.join(differences)}: {NO_BEST}. Two runs tested against each other are "
            "compared on the images that both classified."
        )
    elif not are_comparable(runs, ranking.split):
        unknown = count_unknown_data(runs)
        notes.append(f"Of {unknown} of {len(evaluated)} evaluated runs the data are not known: {NO_BEST}.")
    elif evaluated:
        best = find_best_run(runs, ranking)
        equal = [run.label for run in runs if run is not best and ranking.score(run) == ranking.score(best)]
        if equal and ranking.score(best) is not None:
            notes.append(f"As good as {best.label}, the best one, by {ranking.metric.name}: {_join_first(equal)}.")
    for column in columns:
        if column.tied_keys:
            notes.append(
                f"{column.key} always changed together with {_join_first(column.tied_keys)}; no figure can part them."
            )
    shown = {key for column in columns for key in (column.key, *column.tied_keys)}
    hidden = [key for key in find_varying_keys(runs) if has_effect(key) and key not in shown]
    if hidden:
        notes.append(f"Also different, and only in comparison.csv: {_join_first(hidden)}.")
    return [*notes, *(f"Skipped: {make_printable(line)}." for line in skipped)]


def _join_first(names: Sequence[str]) -> str:
    return ", ".join(names[:MAX_NAMED]) + (" and others" if len(names) > MAX_NAMED else "")
