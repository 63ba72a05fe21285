"""A comparison from directories to files: at any width, of one run or two hundred, and the same again."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer.compare.__main__ import compare
from tests.helpers.compared_runs import make_run, predictions

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_fits_the_terminal(
    tmp_path: Path, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for number in range(3):
        settings = {"optimizer__lr": 0.003 * (number + 1), "optimizer__weight_decay": number, "seed": number}
        make_run(tmp_path / "sweep" / str(number), accuracy=0.76, **settings, model__drop_rate=number / 10)
    (make_run(tmp_path / "sweep" / "3", provenance={"status": "running"}) / "metrics.json").unlink()
    compare([tmp_path / "sweep"], tmp_path / "out")
    table = capsys.readouterr().out.partition("3 unfinished: ")[0]
    assert max(map(len, table.splitlines())) <= columns
    for said in ("76.0", "71.0\N{EN DASH}80.0", "0.040", "12.5\N{NO-BREAK SPACE}s", "250", "unfinished", "0.003"):
        assert said in table
    assert "\N{HORIZONTAL ELLIPSIS}" not in table


def test_one_run_is_enough_and_gives_the_same_bytes_again(tmp_path: Path) -> None:
    make_run(tmp_path / "alone")
    for name in ("one", "two"):
        compare([tmp_path / "alone"], tmp_path / name)
        assert sorted(file.name for file in (tmp_path / name).iterdir()) == ["comparison.csv", "comparison.html"]
    for name in ("comparison.csv", "comparison.html"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_two_hundred_runs_are_compared(tmp_path: Path) -> None:
    template = make_run(tmp_path / "template", epochs=2)
    text = (template / "run.yaml").read_text()
    for number in range(200):
        run = Path(shutil.copytree(template, tmp_path / "runs" / str(number)))
        (run / "run.yaml").write_text(text.replace("lr: 0.001", f"lr: {(number % 20 + 1) / 1000}"))
        predictions(np.random.default_rng(number).random(140) < 0.7).to_parquet(run / "predictions_test.parquet")
    compare([tmp_path / "runs"], tmp_path / "compared")
    assert len(pd.read_csv(tmp_path / "compared" / "pairs.csv")) == 200 * 199 // 2
    assert (tmp_path / "compared" / "comparison.html").stat().st_size < 5e6
