"""The comparison page as text: its figures, what it says about missing ones, and that nothing in it is code."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fer.reports.comparison import ComparisonReport, Setting, write_comparison
from fer.reports.comparison_data import build_axis, build_curves, build_pair_rows
from tests.helpers.comparison_report import comparison_report, failed_run, pair_table, run_row
from tests.helpers.html import Page

pytestmark = pytest.mark.slow


def written(report: ComparisonReport, place: Path) -> tuple[Page, str]:
    """The page, and its text without spaces that do not break."""
    write_comparison(report, place / "comparison.html")
    page = Page((place / "comparison.html").read_text(encoding="utf-8"))
    return page, page.text.replace("\u00a0", " ").replace("\u2011", "-")


def data_of(place: Path) -> Any:
    html = (place / "comparison.html").read_text(encoding="utf-8")
    return json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)[0])


def test_page_holds_every_figure(tmp_path: Path) -> None:
    page, text = written(comparison_report(), tmp_path)
    assert "13 runs 12 finished, 1 not · outputs/sweeps" in text
    assert "Best run, by validation accuracy lr/0 weight_decay 0.0001, model.name mobilenetv2_050, seed 0" in text
    assert "Its test accuracy 79.0 % 76.0–81.0" in text
    row = "lr/3 0.0001 mobilenetv2_100 0 77.0 % 74.0–79.0 76.0 % 73.0–78.0 72.0 % 69.0–74.0 73.0 % 70.0–75.0 0.050"
    assert f"{row} 1 min 3 s 297 finished" in text
    assert "lr/12 0.0001 mobilenetv2_050 2 – – – – – – – failed out of memory; lower dataset.batch_size" in text
    assert "2 0.0001 mobilenetv2_050 77.0 % ± 4.2 % 76.0 % ± 4.2 %" in text and "0.050 ± 0.010 lr/0, lr/6" in text
    assert "optimizer.weight_decay 70.0 % model.name + model.drop_rate 20.0 % seed 10.0 %" in text
    assert "It rests on 12 runs, which is few" in text and "The share of seed is noise" in text
    assert "This page holds 66 such tests." in text and "needs a p below 0.00076 (Bonferroni), which 2,000" in text
    assert "lr/1 79.0 % 77.0 % 75.0 % 73.0 % 71.0 % 69.0 % 67.0 %" in text
    assert "python -m fer.replay outputs/sweeps/lr/0" in text
    assert len(page.attributes("tr")) == 14 + 2 + 4 + 13


def test_equal_reports_give_equal_bytes(tmp_path: Path) -> None:
    write_comparison(comparison_report(), tmp_path / "one.html")
    write_comparison(comparison_report(), tmp_path / "two.html")
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_page_loads_nothing_and_runs_only_its_own_scripts(tmp_path: Path) -> None:
    page, _ = written(comparison_report(), tmp_path)
    policies = [meta.get("content") for meta in page.attributes("meta") if meta.get("http-equiv")]
    assert len(policies) == 1
    policy = str(policies[0])
    assert "default-src 'none'" in policy and "unsafe-inline'; script-src 'sha256-" in policy
    assert {attributes.get("src") for attributes in page.attributes("script")} == {None}


def test_names_are_text_and_never_code(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    history = pd.DataFrame({evil: [0.5]}, index=[1])
    names = {"label": evil, "directory": evil, "status": evil, "reason": evil}
    run = run_row(0, 0.8, **names, recalls={evil: 0.5}, history=history)
    report = comparison_report(
        [run, run_row(1, 0.7, settings=(Setting(evil), Setting(evil), Setting(evil)))],
        root=evil,
        notes=[evil],
        importance=[(evil, 1.0)],
        commands=[(evil, evil)],
        classes=[evil],
        untested={1: evil},
    )
    page, text = written(report, tmp_path)
    assert page.attributes("img") == [] and len(page.attributes("script")) == 4
    assert evil in text
    data = data_of(tmp_path)
    assert data["runs"][0] == evil and list(data["curves"][0]) == ["epoch", evil]


def test_one_run_is_a_page_too(tmp_path: Path) -> None:
    report = comparison_report(
        [run_row(0, 0.8, settings=())],
        columns=[],
        groups=[],
        importance=[],
        importance_reason="The finished runs do not differ in any hyper-parameter.",
        pairs=pd.DataFrame(),
        notes=[],
    )
    _, text = written(report, tmp_path)
    assert "1 run 1 finished ·" in text
    assert "There are no two runs whose predictions can be read." in text
    assert "The runs do not differ in any hyper-parameter." in text
    assert "The finished runs do not differ in any hyper-parameter." in text


def test_runs_without_curves_or_recalls_are_said_so(tmp_path: Path) -> None:
    runs = [run_row(0, 0.8, history=pd.DataFrame(), recalls={}), failed_run(1, "no")]
    _, text = written(comparison_report(runs, classes=[], pairs=pd.DataFrame()), tmp_path)
    assert "No run has completed an epoch." in text and "No run has figures by emotion." in text


def test_runs_without_the_ranking_figure_are_shown(tmp_path: Path) -> None:
    page, text = written(comparison_report([run_row(place, 0.7, score=None) for place in range(2)]), tmp_path)
    assert "No run has the figure that ranks." in text
    assert "parallel-drawing" not in [attributes.get("id") for attributes in page.attributes("div")]


def test_two_hundred_runs_stay_a_light_page(tmp_path: Path) -> None:
    runs = [run_row(place, 0.8 - place / 1000) for place in range(200)]
    page, text = written(comparison_report(runs), tmp_path)
    assert (tmp_path / "comparison.html").stat().st_size < 4e6
    assert "This page holds 19,900 such tests. Were all runs equally good, about 995 of them" in text
    # Long tables scroll inside themselves, under their headings.
    assert [attributes.get("class") for attributes in page.attributes("div")].count("scroll tall") == 2


def test_curves_keep_their_first_and_last_epoch_and_their_gaps() -> None:
    history = pd.DataFrame({"val_loss": [0.1, float("nan"), 0.3], "seconds": 1.0}, index=[1, 2, 3])
    assert build_curves(history) == {"epoch": [1, 2, 3], "val_loss": [0.1, None, 0.3]}
    long = pd.DataFrame({"val_loss": range(5000)}, index=range(1, 5001))
    found = build_curves(long)
    assert (len(found["epoch"]), found["epoch"][0], found["epoch"][-1]) == (200, 1, 5000)
    assert build_curves(pd.DataFrame()) == {}
    assert list(build_curves(history.assign(lr=float("nan")))) == ["epoch", "val_loss"]


def test_axes_are_numbers_or_categories() -> None:
    assert build_axis("lr", ["0.1", "0.001"], [0.1, 0.001])["logarithmic"]
    assert not build_axis("decay", ["0", "10"], [0, 10])["logarithmic"]
    mixed = build_axis("threads", ["null", "16", "2", "2"], [None, 16, 2, 2])
    assert (mixed["categories"], mixed["values"]) == (["2", "16", "null"], [2, 1, 0, 0])


def test_pairs_without_common_images_have_no_figures() -> None:
    table = pd.concat([pair_table(2), pair_table(2, images=0, same_data=None)])
    full, empty = build_pair_rows(table)
    assert full[:5] == [0, 1, 1200, True, ""]
    assert full[5:11] == [0.8, 0.79, 0.01, -0.01, 0.03, 0.25]
    assert full[11:17] == [0.8, 0.79, 0.013, -0.007, 0.033, 0.25]
    assert full[17:] == [0.8, 0.79, 0.015, -0.005, 0.035, 0.25]
    assert empty == [0, 1, 0, None, ""]


def test_no_run_is_called_the_best_where_there_is_none(tmp_path: Path) -> None:
    _, text = written(comparison_report(best=None, best_metrics=[], commands=[]), tmp_path)
    assert "Best run none the runs are not known to be of the same data and label rules" in text
    assert "Rows are sorted by validation accuracy, which is no ranking here." in text
    assert "Reproduce a run" in text and "first in the table" in text
    assert "best run" not in text.replace("the best run.", "")
