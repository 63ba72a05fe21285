"""`python -m fer.compare` as a process, on a real run and on made-up ones."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.helpers.compared_runs import edit, make_run, predictions
from tests.helpers.programs import Done, environment, metrics_of

Compare = Callable[..., Done]


@pytest.fixture
def compare(tmp_path: Path) -> Compare:
    """Run `python -m fer.compare` to its end, in an empty directory and a terminal of so many columns."""

    def run(*arguments: object, columns: int = 200) -> Done:
        return subprocess.run(
            [sys.executable, "-m", "fer.compare", *map(str, arguments)],
            cwd=tmp_path,
            env={**environment(), "COLUMNS": str(columns)},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """A sweep over learning rates and two seeds, in which three jobs did not finish."""
    for number in range(8):
        rate, seed = (0.001, 0.003, 0.01, 0.03)[number % 4], number // 4
        accuracy = 0.6 + 0.05 * (number % 4) + 0.01 * seed
        right = np.random.default_rng(number).random(140) < accuracy
        changes = {"optimizer__lr": rate, "seed": seed, "name": f"job-{number}"}
        make_run(tmp_path / "sweep" / str(number), accuracy=accuracy, table=predictions(right), **changes)
    for number, status in ((8, "failed"), (9, "pruned"), (10, "running")):
        directory = make_run(tmp_path / "sweep" / str(number), optimizer__lr=1.0, provenance={"status": status})
        (directory / "metrics.json").unlink()
        (directory / "job.json").write_text(json.dumps({"status": status, "reason": f"because of {number}"}))
    (tmp_path / "sweep" / "sweep.yaml").write_text("metric: val_accuracy\n")
    return tmp_path / "sweep"


def test_a_sweep_is_compared(compare: Compare, sweep: Path, tmp_path: Path) -> None:
    make_run(tmp_path / "infer", provenance={"command": ["infer.py"]})
    done = compare("sweep", "infer", "--out", "compared")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "Skipped: infer: is a run of infer.py, not a training" in lines
    rows = [re.sub(r"\s+", " ", line).strip() for line in lines]
    # Only what differs: the seed and the learning rate; best first.
    assert rows[3] == "run seed lr accuracy % accuracy % balanced % macro-F1 % ECE time img/s status"
    best = "7 1 0.03 76.0 [71.0\N{EN DASH}80.0] 76.0 [71.0\N{EN DASH}80.0] 74.0 [69.0\N{EN DASH}78.0]"
    assert rows[5] == f"{best} 73.0 [68.0\N{EN DASH}77.0] 0.040 12.5 s 250 finished"
    assert [row.split()[0] for row in rows[5:16]] == ["7", "3", "6", "2", "5", "1", "4", "0", "8", "9", "10"]
    assert rows[16:20] == [
        "",
        "8 failed: because of 8",
        "9 pruned: because of 9",
        "10 unfinished: because of 10",
    ]
    assert "lr=0.03 2 75.5 75.5 73.5 72.5 0.040" in rows
    assert lines[-2] == "Best by validation accuracy: run 7; do it again with `python -m fer.replay sweep/7`"
    assert lines[-1] == "Comparison: compared/comparison.html"
    table = pd.read_csv(tmp_path / "compared" / "comparison.csv")
    assert table["run"].tolist()[:2] == [7, 3] and len(table) == 11
    assert table.loc[0, ["status", "optimizer.lr", "name", "test.accuracy.low", "seconds"]].tolist() == pytest.approx(
        ["finished", 0.03, "job-7", 0.71, 12.5]
    )
    assert table.loc[8, ["status", "reason"]].tolist() == ["failed", "because of 8"]
    assert {"directory", "git_commit", "images_per_second", "test.per_class.fear.recall.high"} <= set(table)
    groups = pd.read_csv(tmp_path / "compared" / "groups.csv")
    assert groups.loc[0, ["seeds", "optimizer.lr", "test.accuracy.mean"]].tolist() == pytest.approx([2, 0.03, 0.755])
    assert groups.loc[0, "test.accuracy.deviation"] == pytest.approx(0.01 / 2**0.5)
    pairs = pd.read_csv(tmp_path / "compared" / "pairs.csv")
    # The runs that did not finish left predictions all the same.
    assert (len(pairs), pairs["images"].unique().tolist()) == (55, [140])
    page = (tmp_path / "compared" / "comparison.html").read_text()
    assert "python train.py --config-dir sweep/7 --config-name run" in page


def test_a_real_run_is_compared_beside_damaged_and_hostile_ones(
    compare: Compare, finished: Path, tmp_path: Path
) -> None:
    evil = tmp_path / "runs" / "<img src=x onerror=alert(1)>\x1b[2J"
    for place in (tmp_path / "runs" / "real", evil):
        shutil.copytree(finished, place, ignore=shutil.ignore_patterns("bundle", "checkpoints", "report.html"))
    (evil / "metrics.json").write_text("{half")
    make_run(tmp_path / "runs" / "other", data="unlike any other version")
    edit(tmp_path / "runs" / "other", "metrics.json", monitor="val_accuracy")
    done = compare("runs")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stdout and "damaged: metrics.json cannot be read (" in done.stdout
    (page,) = tmp_path.glob("outputs/compare/*/*/comparison.html")
    text = page.read_text()
    assert "<img" not in text and "\x1b" not in text and "&lt;img src=x" in text
    assert "The runs differ in their data fingerprints" in text
    table = pd.read_csv(page.parent / "comparison.csv").set_index("run")
    figures = metrics_of(finished)["test"]
    assert table.loc["real", "test.accuracy"] == figures["accuracy"]["value"]
    assert table.loc["real", "test.per_class.anger.f1.low"] == figures["per_class"]["anger"]["f1"]["low"]
    # The real run and its damaged twin decided alike; the made-up one judged other images.
    pairs = pd.read_csv(page.parent / "pairs.csv").set_index(["first", "second"])
    assert sorted(pairs["images"]) == [0, 0, figures["samples"]]
    assert pairs["accuracy_p"].max() == 1


@pytest.mark.parametrize(
    ("places", "said"),
    [
        (["nowhere"], "nowhere: no such directory; name directories of runs or sweeps"),
        (["empty"], "there is no training to compare; name directories of runs or sweeps of train.py"),
        (["failed"], "none of the 1 runs has figures yet, so there is nothing to compare"),
    ],
)
def test_without_anything_to_compare_there_is_one_sentence(
    compare: Compare, tmp_path: Path, places: list[str], said: str
) -> None:
    (tmp_path / "empty").mkdir()
    (make_run(tmp_path / "failed", provenance={"status": "failed", "error": "no room"}) / "metrics.json").unlink()
    done = compare(*places)
    assert done.returncode == 1
    assert done.stderr == f"python -m fer.compare: {said}\n"
    assert not (tmp_path / "outputs").exists()
    assert ("failed failed: no room" in done.stdout) == (places == ["failed"])
