import dataclasses
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer.metrics.protocols import describe_protocol
from fer.metrics.ranking import compute_class_curves
from fer.metrics.reliability import compute_reliability
from fer.reports.evaluation_figures import EvaluationCurves
from fer.reports.training import CaptionedImage, TrainingReport, write_training_report
from tests.helpers.html import Page

pytestmark = pytest.mark.slow

MakeReport = Callable[..., TrainingReport]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[TrainingReport], str]:
    def write(report: TrainingReport) -> str:
        path = tmp_path / "report.html"
        write_training_report(report, path)
        return path.read_text(encoding="utf-8")

    return write


Write = Callable[[TrainingReport], str]


def test_headline_is_of_the_test_split_where_there_is_one(make_report: MakeReport, write: Write) -> None:
    text = Page(write(make_report())).text
    headline = text[: text.index("Learning curves")]
    assert "Accuracy 86.1 % 84.9–87.3" in headline
    assert "Macro-F1 81.1 % 79.9–82.3" in headline
    assert "Balanced accuracy 76.1 % 74.9–77.3" in headline
    assert "Measured on the test split, 7,147 images." in headline
    assert "Validation split, 7,147 images: accuracy 87.8 % (86.5–88.9)" in headline
    assert "Finished · best epoch 3 of 4, chosen by val_accuracy" in headline
    assert "Labels follow the majority rule." in headline


def test_headline_is_of_validation_without_a_test_split(make_report: MakeReport, write: Write) -> None:
    page = Page(write(make_report(metrics={"test": None})))
    assert "Accuracy 87.8 % 86.5–88.9" in page.text
    assert "Measured on the validation split, 7,147 images; there are no figures of a test split." in page.text
    labels = [svg["aria-label"] or "" for svg in page.attributes("svg")]
    assert [label[:28] for label in labels if "matrix" in label] == ["Confusion matrix, validation"]


def test_sections_stand_in_order(make_report: MakeReport, write: Write) -> None:
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", write(make_report()))
    assert headings == [
        "Learning curves",
        "Confusion matrix",
        "Figures per class",
        "Calibration",
        "Class distribution",
        "Training samples",
        "Worst mistakes",
        "Data integrity",
        "Reproduce",
        "Environment",
        "Configuration",
        "What the figures mean, and what they do not",
    ]


def test_every_given_figure_appears_rounded(make_report: MakeReport, write: Write) -> None:
    page = Page(write(make_report()))
    for figure in ["1.214", "0.471", "0.449", "0.051", "0.019", "0.214"]:  # calibration
        assert figure in page.text
    # disgust: the second class, 0.5 + 0.0513
    assert "disgust 1,019 55.1 % 53.9–56.3 55.1 % 53.9–56.3 55.1 % 53.9–56.3" in page.text
    assert "ferplus 7,147 86.1 % 84.9–87.3" in page.text
    # epoch 2: rate, losses, accuracies of training and validation, seconds, images a second
    assert "2 0.0005 0.750 0.700 70.0 % 71.0 % 61.0 % 63.0 % 92.4 312" in page.text
    assert "pixel-identical images 1,853 kept in one split" in page.text
    assert "28,558 · 14.3 %" in page.text
    assert "sadness, predicted happiness 0.97" in page.text
    assert "git commit 4f1c9a7e" in page.text
    for given in [
        "9f86d081884c7d65",
        "seed=3",
        "--config-dir RUN --config-name run",
        "seed: 3 name: ferplus",
    ]:
        assert given in page.text


def test_validations_within_an_epoch_add_no_time(make_report: MakeReport, write: Write) -> None:
    rows = pd.concat([make_report().history] * 2, ignore_index=True)[:5]
    rows["epoch"], rows["seconds"] = [0.5, 1, 1.5, 2, 2.25], [40.0, 100, 60, 120, 30]
    text = Page(write(make_report(history=rows))).text
    assert "Epochs recorded 3 All of them 4 min 10 s One epoch, median 1 min 40 s" in text


def test_largest_confusions_are_shares_of_the_true_class(make_report: MakeReport, write: Write) -> None:
    report = make_report()
    matrix = np.diag([100] * 7)
    matrix[2, 6], matrix[1, 0] = 50, 60
    report.metrics["test"]["confusion_matrix"] = matrix.tolist()
    text = Page(write(report)).text
    assert (
        "Largest shares that went wrong: disgust predicted as anger (37.5 %, 60 of 160); "
        "fear predicted as surprise (33.3 %, 50 of 150)." in text
    )


def test_page_asks_for_nothing_from_outside(make_report: MakeReport, write: Write) -> None:
    html = write(make_report())
    page = Page(html)
    assert "http://" not in html and "https://" not in html
    assert not re.search(r"@import|url\((?!#)", html)
    assert {"script", "link", "iframe", "object"}.isdisjoint(tag for tag, _ in page.elements)
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href"):
            target = attributes.get(name)
            assert target is None or target.startswith(("data:image/png;base64,", "#"))
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in html


def test_page_is_accessible(make_report: MakeReport, write: Write) -> None:
    page = Page(write(make_report()))
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert max(ids.values()) == 1
    for _, attributes in page.elements:
        targets = [attributes.get("aria-labelledby"), (attributes.get("href") or "#").removeprefix("#")]
        assert all(target in ids for target in targets if target)
    assert all(image["alt"] for image in page.attributes("img"))
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in page.attributes("svg"))
    assert all(header.get("scope") for header in page.attributes("th"))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))
    assert page.attributes("html")[0]["lang"] == "en"


def test_hostile_text_stays_text(make_report: MakeReport, write: Write) -> None:
    hostile = "</code></pre><script>alert(1)</script><img src=x onerror='1'>\"&{{ 7 * 7 }}"
    classes = ["anger", "disgust", "fear", "happiness", "neutral", "sadness", hostile]
    report = make_report(
        classes=classes,
        title=hostile,
        command=hostile,
        reproduce=hostile,
        config_yaml=hostile,
        environment={hostile: hostile},
        notes=[hostile],
        findings=[(hostile, 1, hostile)],
        mistakes=[CaptionedImage(np.zeros((4, 4), np.uint8), hostile)],
        samples=[CaptionedImage(np.zeros((4, 4), np.uint8), hostile)],
    )
    report.metrics["test"]["by_source"] = {hostile: report.metrics["test"]["by_source"]["ferplus"]}
    page = Page(write(report))
    tags = Counter(tag for tag, _ in page.elements)
    assert tags["script"] == 0 and tags["img"] == 2
    assert all("onerror" not in attributes for _, attributes in page.elements)
    assert page.text.count("<script>alert(1)</script>") >= 9
    assert "49" not in re.findall(r"\b49\b", page.text)


def test_equal_reports_give_equal_bytes(make_report: MakeReport, write: Write) -> None:
    first, second = write(make_report()), write(make_report())
    assert first == second


def test_what_was_trained_on_clips_speaks_of_clips(make_report: MakeReport, write: Write) -> None:
    text = Page(write(make_report(unit="clips"))).text
    assert "Clips a second, median" in text and "Numbers are clips; the tint of a cell" in text
    # What this run has found speaks of images.
    sentences = re.findall(r"[^.]*\bimages?\b[^.]*", text, re.IGNORECASE)
    assert all("pixel-identical" in sentence for sentence in sentences), sentences


@pytest.mark.filterwarnings("error")
def test_single_epoch(make_report: MakeReport, write: Write) -> None:
    report = make_report(metrics={"best_epoch": 1, "epochs": 1})
    text = Page(write(TrainingReport(**{**vars(report), "history": report.history[:1]}))).text
    assert "best epoch 1 of 1" in text
    assert "Epochs recorded 1" in text


@pytest.mark.filterwarnings("error")
def test_interrupted_run_without_evaluation(make_report: MakeReport, write: Write) -> None:
    nothing = {"val": None, "test": None, "temperature": None, "weights_sha256": None}
    html = write(make_report(status="interrupted", metrics=nothing))
    text = Page(html).text
    assert "The run was interrupted: training ended before its planned end." in text
    assert "validation during training gave accuracy 76.0 %, macro-F1 68.0 % and balanced accuracy 66.0 %" in text
    assert 'id="confusion"' not in html and 'href="#confusion"' not in html
    assert "Learning rate over epochs" in html


@pytest.mark.filterwarnings("error")
def test_run_interrupted_in_its_first_epoch(make_report: MakeReport, write: Write) -> None:
    nothing = {"val": None, "test": None, "temperature": None, "weights_sha256": None, "best_epoch": None}
    report = make_report(status="interrupted", metrics=nothing, samples=[], mistakes=[], findings=[], notes=[])
    text = Page(write(TrainingReport(**{**vars(report), "history": report.history[:0]}))).text
    assert "Interrupted · no epoch was completed" in text
    assert "The run ended before its first epoch was complete." in text
    assert "The integrity checks found nothing." in text


@pytest.mark.filterwarnings("error")
def test_diverged_epochs_leave_gaps(make_report: MakeReport, write: Write) -> None:
    report = make_report()
    report.history.loc[2:, ["train_loss", "val_loss"]] = [np.inf, np.nan]
    text = Page(write(report)).text
    assert "inf –" in text


@pytest.mark.filterwarnings("error")
def test_eight_classes_of_which_some_have_no_images(make_report: MakeReport, write: Write) -> None:
    classes = [*make_report().classes, "contempt"]
    report = make_report(classes=classes)
    nothing = {"value": None, "low": None, "high": None}
    for name in ("disgust", "contempt"):
        row = classes.index(name)
        report.metrics["test"]["confusion_matrix"][row] = [0] * 8
        report.metrics["test"]["per_class"][name] = dict.fromkeys(("precision", "recall", "f1"), nothing)
        report.metrics["test"]["per_class"][name]["samples"] = 0
    report.metrics["test"]["kl_to_votes"] = None
    counts = report.class_counts.drop(index="contempt").assign(test=0)
    page = Page(write(TrainingReport(**{**vars(report), "class_counts": counts})))
    assert "contempt 0 – – –" in page.text
    assert "KL divergence to votes – 0.214" in page.text
    labels = " ".join(svg["aria-label"] or "" for svg in page.attributes("svg")).replace("\u00a0", " ")
    assert "Images a class, train: anger 28,558 · 14.3 %" in labels
    assert "contempt 0 · 0.0 %" in labels
    assert "Images a class, test" not in labels  # a split without any image has no bars


def test_long_configuration_is_folded_away(make_report: MakeReport, write: Write) -> None:
    lines = [f"key_{number}: {'value ' * 60}" for number in range(2000)]
    html = write(make_report(config_yaml="\n".join(lines)))
    details = html[html.index('id="configuration"') :]
    details = details[details.index("<details>") : details.index("</details>")]
    assert all(line in details for line in lines)


def test_text_that_is_not_unicode_is_replaced(make_report: MakeReport, write: Write) -> None:
    command = os.fsdecode(b"python train.py dataset.root=/data/\xff")
    assert "dataset.root=…/?" in write(make_report(command=command))


def test_matrix_of_another_size_than_the_classes_is_refused(make_report: MakeReport, tmp_path: Path) -> None:
    report = make_report()
    report.metrics["test"]["confusion_matrix"] = [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match=r"confusion matrix of test is \(2, 2\), but there are 7 classes"):
        write_training_report(report, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_behind_when_writing_fails(
    make_report: MakeReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    path.write_text("the page before")

    def fails(source: Path, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="disk full"):
        write_training_report(make_report(), path)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("report.html", "the page before")]


def test_room_stands_alone_and_leaves_pyplot_alone() -> None:
    """The room imports no other room, no heavy framework, and nothing with global figures."""
    program = (
        "import sys, fer.reports.training;"
        "print([name for name in sys.modules if name in ('matplotlib.pyplot', 'torch')"
        " or name.startswith('fer.')"
        " and name not in ('fer.core', 'fer.core.io', 'fer.core.places') and not name.startswith('fer.reports')])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_global_matplotlib_settings_are_untouched(make_report: MakeReport, write: Write) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    write(make_report())
    assert dict(matplotlib.rcParams) == before


def test_user_settings_of_matplotlib_do_not_show(make_report: MakeReport, write: Write) -> None:
    import matplotlib

    expected = write(make_report())
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert write(make_report()) == expected


def test_counts_may_come_as_floats(make_report: MakeReport, write: Write) -> None:
    """A pivot table with gaps holds floats and NaN."""
    report = make_report()
    counts = report.class_counts.astype(float)
    counts.loc["fear", "val"] = np.nan
    assert isinstance(counts, pd.DataFrame)
    labels = write(TrainingReport(**{**vars(report), "class_counts": counts}))
    assert "fear 0 · 0.0" in labels


def test_curves_subsets_and_protocol_have_sections_where_they_are_known(make_report: MakeReport, write: Write) -> None:
    report = make_report()
    random = np.random.default_rng(0)
    labels = random.integers(0, 6, 300)
    probabilities = random.dirichlet(np.ones(7), 300)
    one = compute_class_curves(probabilities[:, 0], labels == 0)
    assert one is not None
    reliability = compute_reliability(probabilities, labels)
    interval = {"value": 0.912, "low": 0.9, "high": 0.92}
    for metrics in (report.metrics["test"], report.metrics["val"]):
        for row in metrics["per_class"].values():
            row |= {"roc_auc": interval, "average_precision": interval}
        whole = {name: metrics[name] for name in ("samples", "accuracy", "balanced_accuracy", "macro_f1")}
        metrics |= dict.fromkeys(("roc_auc", "average_precision", "brier", "annotator_agreement"), interval)
        metrics["subsets"] = {"without_duplicates": {**whole, "samples": 7001, "annotator_agreement": interval}}
    report.metrics["protocol"] = describe_protocol(
        "ferplus7", {name: report.metrics[name] for name in ("val", "test")}, "drop"
    )
    curves = EvaluationCurves({"anger": one}, reliability, reliability)
    page = Page(write(dataclasses.replace(report, curves={"test": curves})))
    labels_of_figures = [svg["aria-label"] or "" for svg in page.attributes("svg")]
    for start in (
        "ROC curves, test. Area under the curve: anger 0.912.",
        "Precision-recall curves, test. Average precision: anger 0.912.",
        "Reliability, test. Expected calibration error before calibration 0.051, after 0.019.",
    ):
        assert any(label.startswith(start) for label in labels_of_figures), start
    assert "without duplicates 7,001 86.1 % 84.9–87.3" in page.text
    assert "The test part has 7,147 images, the published one 3,137; images that also stand in" in page.text
    assert "Protocol: FERPlus, official parts, majority of the votes, 7 classes" in page.text
