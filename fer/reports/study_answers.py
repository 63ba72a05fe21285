"""What a study answers, in plain sentences: its strongest moments, and what each contrast shows."""

from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from fer.metrics.multiple_tests import correct_p_values
from fer.reports.formats import NO_BREAK, clock, p_value, percent, signed
from fer.reports.group_page import SIGNIFICANT
from fer.reports.study_data import StudyData
from fer.reports.study_measures import Measure
from fer.reports.study_tables import list_rows

Correction = Literal["holm", "fdr_bh"]
# shown: a difference; open: none was shown; blind: none could have been; untested: nothing was computed.
Verdict = Literal["shown", "open", "blind", "untested"]
VERDICTS: dict[Verdict, str] = {
    "shown": "a difference",
    "open": "none shown",
    "blind": "too few to see",
    "untested": "not tested",
}
# With less power a difference of the size that the study is planned for is missed too often.
ENOUGH_POWER = 0.8
_SIZES = ((0.8, "large"), (0.5, "medium"), (0.2, "small"), (0.0, "very small"))


@dataclass(frozen=True)
class Answer:
    """What a row of the contrasts says."""

    about: str
    sentence: str
    verdict: Verdict

    @property
    def word(self) -> str:
        """The verdict in words."""
        return VERDICTS[self.verdict]


@dataclass(frozen=True)
class Moment:
    """A strongest moment, and where it is on the page's curves; one that is not certain is only the highest point."""

    row: dict[str, Any]
    about: str
    measure: Measure
    certain: bool = True

    @property
    def sentence(self) -> str:
        """When it is, and how strong."""
        row = self.row
        interval = self.measure.write_range(row["low"], row["high"])
        known = f" (95{NO_BREAK}% interval {interval})" if interval else ""
        people = "" if pd.isna(row["respondents"]) else f", in {count_people(row['respondents'])}"
        value = self.measure.write(row["value"])
        name, at = self.measure.name, clock(row["peak_s"])
        said = f"{name} is strongest at" if self.certain else f"no moment of {name} is certain; the highest is at"
        return f"{said} {at}: {value}{known}{people}."


def list_whole_names(data: StudyData) -> set[str]:
    """The names by which tables call a whole stimulus."""
    whole = data.segments[data.segments["kind"] == "whole"]["segment"]
    return {"", "whole", *whole}


def count_people(number: float) -> str:
    """A number of respondents in words."""
    return f"{int(number)} {'respondent' if number == 1 else 'respondents'}"


def name_place(stimulus: str, condition: str = "") -> str:
    """A stimulus, and how it was shown."""
    return f"{stimulus}, {condition}" if condition else str(stimulus)


def list_moments(data: StudyData, measures: dict[str, Measure]) -> list[Moment]:
    """All moments of measures that the page knows, by rank; one without time or value is none."""
    rows = list_rows(data.moments.dropna(subset=["peak_s", "value"]).sort_values("rank", kind="stable"))
    return [
        Moment(row, name_place(row["stimulus"], row["condition"]), measures[row["measure"]])
        for row in rows
        if row["measure"] in measures
    ]


def list_uncertain_moments(data: StudyData, measures: dict[str, Measure], moments: list[Moment]) -> list[Moment]:
    """The highest point of each curve of a tested measure in which no moment was found."""
    keys = ["stimulus", "condition", "measure"]
    known = {tuple(moment.row[key] for key in keys) for moment in moments}
    curves = data.curves[(data.curves["group_column"] == "") & (data.curves["second"] >= 0)]
    curves = curves[curves["measure"].isin(set(data.measures) & set(measures))].dropna(subset="mean")
    highest = curves.loc[curves.groupby(keys, sort=False)["mean"].idxmax()]
    return [
        Moment(row, name_place(row["stimulus"], row["condition"]), measures[row["measure"]], certain=False)
        for row in list_rows(highest.rename(columns={"second": "peak_s", "mean": "value"}))
        if tuple(row[key] for key in keys) not in known
    ]


def add_reach(contrasts: pd.DataFrame, correction: Correction) -> pd.DataFrame:
    """Add to each row the ``tests`` of its contrast, and ``p_best``: its corrected p if all were as clear as can be."""
    found = contrasts.assign(tests=0, p_best=float("nan"))
    for _, rows in found.groupby("contrast", sort=False):
        smallest = rows["p_smallest"].where(rows["p"].notna())
        found.loc[rows.index, "tests"] = int(rows["p"].notna().sum())
        found.loc[rows.index, "p_best"] = correct_p_values(smallest.to_numpy(dtype=float), correction)
    return found


def build_answer(row: dict[str, Any], measure: Measure, whole: set[str], effect: float | None) -> Answer:
    """Say what a row of the contrasts shows.

    Args:
        row: The row, with what ``add_reach`` adds.
        measure: Its measure.
        whole: The names of whole stimuli, see `list_whole_names`.
        effect: The Hedges' g that the study is planned for; None where it is not known.
    """
    where = [str(row["contrast"])]
    where += [str(row["stimulus"])] if row["stimulus"] else []
    where += [str(row["segment"])] if row["segment"] not in whole else []
    about = ", ".join(where)
    a, b, sizes = row["a"], row["b"], f"{_write_size(row['n_a'])} against {_write_size(row['n_b'])} respondents"
    if row["kind"] == "within":
        sizes = "–" if pd.isna(row["n_a"]) else count_people(row["n_a"])
    if pd.isna(row["p_corrected"]):
        return Answer(about, f"{measure.name} could not be tested ({sizes}).", "untested")
    facts = [f"difference {measure.write_difference(row['difference'])}"]
    if interval := measure.write_range(row["difference_low"], row["difference_high"], difference=True):
        facts.append(f"95{NO_BREAK}% interval {interval}")
    facts.append(f"corrected p{NO_BREAK}{_write_p(row['p_corrected'])}")
    if row["p_corrected"] < SIGNIFICANT:
        if pd.notna(row["hedges_g"]):
            facts.append(f"Hedges’ g{NO_BREAK}{signed(row['hedges_g'])}, {name_size(row['hedges_g'])}")
        more = "higher" if row["difference"] > 0 else "lower"
        means = f"{measure.write(row['mean_a'])} against {measure.write(row['mean_b'])}"
        return Answer(about, f"{measure.name} is {more} in {a} than in {b}: {means}; {'; '.join(facts)}.", "shown")
    said = f"no difference in {measure.name} was shown: {'; '.join(facts)}."
    tests = f"{int(row['tests'])} tests"
    if row["difference_low"] > 0 or row["difference_high"] < 0:
        side = "above" if row["difference_low"] > 0 else "below"
        said = f"a difference in {measure.name} is likely, but not certain: {'; '.join(facts)}."
        said += f" The interval lies {side} 0, but of one test alone; with {sizes}"
        said += f" and {tests} that is not certain." if row["tests"] > 1 else " that is not certain."
    smallest = p_value(row["p_smallest"])
    if row["p_smallest"] >= SIGNIFICANT:
        said += f" It could not have been seen with so few: with {sizes} the smallest possible p is {smallest}."
        return Answer(about, said, "blind")
    if row["p_best"] >= SIGNIFICANT:
        said += (
            f" It could not have been seen: with {sizes} the smallest possible p is {smallest}, corrected for {tests} "
            f"{p_value(row['p_best'])}; name fewer measures or scenes, or ask more people."
        )
        return Answer(about, said, "blind")
    if row["power"] < ENOUGH_POWER:
        size = "the planned size" if effect is None else f"g{NO_BREAK}= {effect:g}"
        said += f" With {sizes}, {percent(1 - row['power'])} of studies would miss one of {size}."
    return Answer(about, said, "open")


def choose_answers(data: StudyData, measures: dict[str, Measure], effect: float | None, limit: int) -> list[Answer]:
    """The answers for the top of the page: of each contrast those on whole stimuli and the clearest, which comes first.

    Where there are more than ``limit``, every contrast has one before any has two.
    """
    whole = list_whole_names(data)
    tested = data.contrasts[data.contrasts["measure"].isin(list(measures)) & (data.contrasts["kind"] != "mixed")]
    by_contrast: list[list[dict[str, Any]]] = []
    for _, rows in tested.groupby("contrast", sort=False):
        is_whole = rows["segment"].isin(whole)
        # Of equal ps that on a whole stimulus comes first.
        ordered = rows.assign(aside=~is_whole).sort_values(["p", "aside"], kind="stable", na_position="last")
        keep = is_whole.loc[ordered.index] if is_whole.any() else pd.Series(True, index=ordered.index)
        keep.iloc[0] = True
        by_contrast.append(list_rows(ordered[keep]))
    kept = [0] * len(by_contrast)
    for _ in range(min(limit, sum(map(len, by_contrast)))):
        left = [number for number, rows in enumerate(by_contrast) if kept[number] < len(rows)]
        kept[min(left, key=lambda number: kept[number])] += 1
    return [
        build_answer(row, measures[row["measure"]], whole, effect)
        for rows, number in zip(by_contrast, kept, strict=True)
        for row in rows[:number]
    ]


def name_size(effect: float) -> str:
    """What Cohen called an effect of such a size."""
    return next(word for least, word in _SIZES if abs(effect) >= least)


def _write_p(value: float) -> str:
    return p_value(value) if value < 0.001 else f"= {p_value(value)}"


def _write_size(value: float) -> str:
    return "–" if pd.isna(value) else str(int(value))
