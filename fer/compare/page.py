"""From runs, groups, importance and tests to the content of the comparison page."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fer.compare.groups import Group
from fer.compare.hyperparameters import SEED, Parameter, all_differing, has_effect, text_of, value_of
from fer.compare.importance import Importance
from fer.compare.pairs import Pairs
from fer.compare.ranking import NAMES, PART_NAMES, Choice, Figure, Measure, best_of, recalls
from fer.compare.runs import FINISHED, ComparedRun, number, printable
from fer.emotions import CONTEMPT, EMOTIONS
from fer.reports.comparison import Column, ComparisonReport, FigureColumn, GroupRow, RunRow, Setting

MOST_NAMED = 6


def report_of(
    runs: Sequence[ComparedRun],
    choice: Choice,
    columns: Sequence[Parameter],
    groups: Sequence[Group],
    weighed: Importance,
    pairs: Pairs,
    notes: Sequence[str],
) -> ComparisonReport:
    """What the page shows. ``runs`` are ranked."""
    best = best_of(runs, choice)
    found = {name for run in runs for name in recalls(run, choice.part)}
    known = [name for name in (*EMOTIONS, CONTEMPT) if name in found]
    return ComparisonReport(
        place=printable(shared_place(runs)),
        part=PART_NAMES[choice.part],
        figures=[FigureColumn(figure.name, figure.is_share) for figure in choice.columns],
        ranked=FigureColumn(choice.ranked.name, choice.ranked.is_share),
        ranked_on_part=choice.ranked.part == choice.part,
        columns=[Column(column.key, column.short) for column in columns],
        runs=[run_row(run, choice, columns) for run in runs],
        best=list(runs).index(best),
        best_figures=[(NAMES[key], bounded(Figure(choice.part, key).of(best))) for key in ("accuracy", "macro_f1")],
        commands=commands(best),
        groups=[group_row(group, columns) for group in groups],
        importance=[(" + ".join((item.key, *item.along)), share) for item, share in weighed.shares],
        importance_reason=weighed.reason,
        importance_runs=weighed.runs,
        pairs=pairs.table,
        untested=pairs.missing,
        classes=[*known, *sorted(found - set(known))],
        notes=[*notes],
    )


def shared_place(runs: Sequence[ComparedRun]) -> str:
    """The directory that all runs are in, as seen from the working directory where it is below."""
    place = Path(os.path.commonpath([run.directory.resolve().parent for run in runs]))
    return str(place.relative_to(Path.cwd()) if Path.cwd() in place.parents else place)


def run_row(run: ComparedRun, choice: Choice, columns: Sequence[Parameter]) -> RunRow:
    return RunRow(
        label=run.label,
        directory=printable(str(run.directory)),
        status=run.status,
        reason=run.reason,
        settings=tuple(setting(value_of(run, column.key)) for column in columns),
        figures=tuple(bounded(figure.of(run)) for figure in choice.columns),
        score=choice.score(run),
        recalls={name: found.value for name, found in recalls(run, choice.part).items()},
        seconds=run.seconds,
        images_per_second=run.images_per_second,
        history=run.history,
    )


def bounded(found: Measure) -> dict[str, float | None]:
    return {"value": found.value, "low": found.low, "high": found.high}


def setting(value: Any) -> Setting:
    return Setting(text_of(value), number(value))


def group_row(group: Group, columns: Sequence[Parameter]) -> GroupRow:
    return GroupRow(
        runs=tuple(run.label for run in group.runs),
        settings=tuple(
            None if column.key == SEED else setting(value_of(group.runs[0], column.key)) for column in columns
        ),
        figures=tuple((found.mean, found.deviation) for found in group.figures.values()),
    )


def commands(best: ComparedRun) -> list[tuple[str, str]]:
    """What repeats a run, each with what it is for."""
    directory = shlex.quote(str(best.directory))
    again = ("Run it again; overrides may follow:", f"python train.py --config-dir {directory} --config-name run")
    if best.status != FINISHED:
        return [again]
    return [
        ("Run it again and compare every figure and the weights, bit for bit:", f"python -m fer.replay {directory}"),
        again,
    ]


def notes_on(
    runs: Sequence[ComparedRun], choice: Choice, columns: Sequence[Parameter], skipped: Sequence[str]
) -> list[str]:
    """What a reader should know before comparing figures."""
    notes = []
    judged = [run for run in runs if run.metrics]
    if choice.part != "test":
        without = sum("test" not in run.metrics for run in judged)
        notes.append(
            f"{without} of {len(judged)} judged runs have no test figures, so those of validation are shown, on which "
            "epochs were chosen."
        )
    lacking = [run for run in judged if choice.part not in run.metrics]
    if lacking:
        notes.append(f"Without figures of {PART_NAMES[choice.part]}: {', '.join(run.label for run in lacking)}.")
    prints = {str(run.facts.get("data_fingerprint")) for run in judged}
    sizes = {number(run.metrics.get(choice.part, {}).get("samples")) for run in judged}
    classes = {len(found) for run in judged if (found := recalls(run, choice.part))}
    differ = [
        *(["data fingerprints"] if len(prints) > 1 else []),
        *([f"numbers of {PART_NAMES[choice.part]} images"] if len(sizes) > 1 else []),
        *([f"classes ({' and '.join(map(str, sorted(classes)))})"] if len(classes) > 1 else []),
    ]
    if differ:
        notes.append(
            f"The runs differ in their {', '.join(differ)}: their figures are not of the same images. Two runs tested "
            "against each other are compared on the images that both judged."
        )
    for column in columns:
        if column.along:
            notes.append(
                f"{column.key} always changed together with {first_of(column.along)}; no figure can part them."
            )
    shown = {key for column in columns for key in (column.key, *column.along)}
    hidden = [key for key in all_differing(runs) if has_effect(key) and key not in shown]
    if hidden:
        notes.append(f"Also different, and only in comparison.csv: {first_of(hidden)}.")
    return [*notes, *(f"Skipped: {printable(line)}." for line in skipped)]


def first_of(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (" and others" if len(names) > MOST_NAMED else "")
