"""`python -m tests.helpers.drawn_study RUN STUDY_DIR`: what the analysis of a drawn study found against what is in it.

Each function returns sentences, one for each thing that was missed or that is not there.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd

ALPHA = 0.05
# A reaction begins up to 0.7 s late and fades; smoothing and steps of a second widen what is found, seconds.
REACH_S = 2.0


def compare_with_truth(run: Path, study: Path) -> list[str]:
    """Everything in which a run's tables differ from the truth of the study that was drawn into ``study``."""
    truth = json.loads((study / "truth.json").read_text())
    tables = {path.stem: pd.read_parquet(path) for path in (run / "study").glob("*.parquet")}
    return [
        *check_exclusions(tables["recordings"], pd.read_parquet(run / "predictions.parquet"), truth),
        *check_moments(tables["moments"], truth),
        *check_contrasts(tables["contrasts"], truth),
        *check_clusters(tables["clusters"], truth),
    ]


def check_exclusions(recordings: pd.DataFrame, predictions: pd.DataFrame, truth: dict[str, Any]) -> list[str]:
    """Nobody without consent was looked at, and exactly the two bad recordings were left out, with reasons."""
    looked_at = {str(name).partition("_")[0] for name in predictions["video"].unique()}
    wrong = [f"{name} was looked at without consent" for name in truth["without_consent"] if name in looked_at]
    opened = recordings[~recordings["respondent"].isin(truth["without_consent"])]
    excluded = {Path(file).name for file in opened.loc[~opened["included"].astype(bool), "file"]}
    if excluded != set(truth["bad_recordings"]):
        wrong.append(f"left out: {sorted(excluded)}, not {truth['bad_recordings']}")
    return wrong + [
        f"{row.file} is left out without a reason"
        for row in recordings[~recordings["included"].astype(bool)].itertuples()
        if not row.reason
    ]


def check_moments(moments: pd.DataFrame, truth: dict[str, Any]) -> list[str]:
    """Every planted moment is found, and no other."""
    wrong = [f"missed: {item}" for item in truth["planted"] if not any(map(_meets(item), moments.to_dict("records")))]
    return wrong + [
        f"nothing is planted at {row['stimulus']} {row['measure']} {row['start_s']:g} to {row['end_s']:g} s"
        for row in moments.to_dict("records")
        if not any(_meets(item)(row) for item in truth["planted"])
    ]


def _meets(planted: dict[str, Any]) -> Any:
    def meets(row: dict[str, Any]) -> bool:
        inside = planted["start_s"] - 1 <= row["start_s"] and row["end_s"] <= planted["end_s"] + REACH_S
        peaks = planted["start_s"] - 1 < row["peak_s"] < planted["end_s"]
        return (row["stimulus"], row["measure"]) == (planted["stimulus"], planted["emotion"]) and inside and peaks

    return meets


def check_contrasts(contrasts: pd.DataFrame, truth: dict[str, Any]) -> list[str]:
    """The group difference and the difference of A and B are found where they are, with their signs, and no other."""
    significant = contrasts[contrasts["p_corrected"] <= ALPHA]
    wrong = []
    (group,), (within,) = truth["differences"]["between"], truth["differences"]["within"]
    expected = {
        "between": (group["stimulus"], group["event"], group["measure"]),
        "within": (None, within["event"], within["measure"]),
    }
    for kind, (stimulus, event, measure) in expected.items():
        own = significant[significant["kind"] == kind]
        there = own[(own["measure"] == measure) & ((own["stimulus"] == stimulus) | (stimulus is None))]
        if event not in set(there["segment"]):
            wrong.append(f"missed: {kind} {measure} at {event}")
        if (there["difference"] <= 0).any():
            wrong.append(f"{kind} {measure}: the wrong sign")
        for row in own.drop(there.index).itertuples():
            wrong.append(f"no difference is planted {kind} {row.stimulus} {row.segment} {row.measure}: p {row.p:.3g}")
    return wrong


def check_clusters(clusters: pd.DataFrame, truth: dict[str, Any]) -> list[str]:
    """When they differ is when it was planted, and never else."""
    (group,), (within,) = truth["differences"]["between"], truth["differences"]["within"]
    wrong = []
    times = {(item["stimulus"], item["event"]): (item["start_s"], item["end_s"]) for item in truth["planted"]}
    spans = {
        group["measure"]: times[group["stimulus"], group["event"]],
        within["measure"]: times["spot_a", within["event"]],
    }
    significant = clusters[clusters["p"] <= ALPHA]
    for row in significant.itertuples():
        start, end = spans[row.measure]
        if row.end_s <= start or row.start_s >= end + REACH_S:
            wrong.append(f"no difference is planted {row.contrast} {row.measure} {row.start_s:g} to {row.end_s:g} s")
    if missed := set(spans) - set(significant["measure"]):
        wrong.append(f"missed: when {', '.join(sorted(missed))} differs")
    return wrong


if __name__ == "__main__":
    found = compare_with_truth(Path(sys.argv[1]), Path(sys.argv[2]))
    print("\n".join(found) or "what was planted is found, and nothing else")
    sys.exit(bool(found))
