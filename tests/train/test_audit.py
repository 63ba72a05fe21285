"""Audits at the end of a training: what metrics.json, report and sheet of labels hold, and what comes of them."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer.config.compose import load_overrides
from fer.data.image_store import ImageStore
from fer.data.manifest import Manifest
from fer.emotions import EMOTIONS
from fer.errors import DataError, UserError
from fer.metrics.calibration import Calibration
from fer.models.network import FaceNetwork, predict_logits
from fer.synthetic import draw_dataset_face
from fer.train.audit import audit
from fer.train.evaluation import EvaluationResult
from fer.train.inputs import PreparedData
from fer.train.pipeline import train
from fer.train.review_labels import review_labels
from tests.helpers.networks import faces
from tests.helpers.programs import FAST_ANY_DATA, metrics_of

NETWORK = ("model.name=test_convnext", "model.image_size=32", "trainer.max_epochs=1", "trainer.threads=1")
PER_CLASS = 8


def write_folder(root: Path) -> None:
    """Drawn faces by class, each of which is there twice, once under another class; groups.csv has sites and yaws."""
    lines = ["path,site,yaw"]
    for number, emotion in enumerate(EMOTIONS * PER_CLASS):
        path = root / emotion / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_dataset_face(1, number, 32).image).save(path)
        lines.append(f"{emotion}/{path.name},{'here' if number % 3 else 'there'},{number % 40 - 20}")
    twin = root / "fear" / "twin.png"
    twin.write_bytes((root / "anger" / "00.png").read_bytes())
    (root / "groups.csv").write_text("\n".join(lines) + "\n")


def configure(root: Path, *overrides: str) -> list[str]:
    folder = ("dataset=folder", f"dataset.sources.folder.root={root}", "dataset.fractions=[0.4,0.3,0.3]")
    return [*FAST_ANY_DATA, *folder, *NETWORK, *overrides]


@pytest.mark.slow
def test_audits_of_a_training_and_a_second_one_without_what_they_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO)
    write_folder(tmp_path / "faces")
    audits = [
        *("evaluation.groups=[site]", "evaluation.min_group_size=3", "evaluation.slices=true"),
        *("evaluation.robustness=true", "evaluation.robustness_limit=10", "evaluation.label_issues=true"),
    ]
    run = tmp_path / "run"
    train(load_overrides(configure(tmp_path / "faces", *audits)), run)
    metrics, manifest = metrics_of(run), pd.read_parquet(run / "manifest.parquet").set_index("sample_id")
    for split in ("val", "test"):
        table = pd.read_parquet(run / f"predictions_{split}.parquet").set_index("sample_id")
        probabilities = table.filter(like="p_")
        right = probabilities.idxmax(axis=1).str.removeprefix("p_") == table["label"]
        sites = manifest.loc[table.index, "site"]
        assert metrics[split]["groups"]["site"]["unknown"] == sites.isna().sum()
        for site, row in metrics[split]["groups"]["site"]["groups"].items():
            assert row["samples"] == (sites == site).sum()
            assert row["accuracy"]["value"] == pytest.approx(right[(sites == site).to_numpy()].mean())
        assert set(metrics[split]["slices"]) == {"brightness", "contrast", "sharpness", "pose"}
        assert metrics[split]["slices_left_out"] == {"face_size": "32 in at least half of the images"}
        turned = manifest.loc[table.index, "yaw"].abs()
        last = list(metrics[split]["slices"]["pose"]["groups"].items())[-1]
        assert last[1]["samples"] == (turned > turned.quantile(0.75)).sum()
    assert metrics["test"]["robustness"]["samples"] == 10 and "robustness" not in metrics["val"]
    page = (run / "report.html").read_text()
    for section in ("groups", "slices", "robustness", "label-issues"):
        assert f'<section id="{section}"' in page and f'<a href="#{section}">' in page

    issues = pd.read_csv(run / "label_issues.csv")
    assert metrics["label_issues"]["listed"] == len(issues)
    twins = issues[issues["reason"].str.contains("a duplicate has another label")]
    assert set(twins["sample_id"]) == {"folder/anger/00.png", "folder/fear/twin.png"}
    assert metrics["label_issues"]["conflicting"] == 2
    sheet = (run / "label_issues.html").read_text()
    assert sheet.count("<figure>") >= 2 and "folder/fear/twin.png" in sheet

    # What is listed stays out of another training, of which exclusions.parquet tells.
    other = tmp_path / "other"
    exclude = f"dataset.exclude={run / 'label_issues.csv'}"
    issues.tail(3).to_csv(run / "label_issues.csv", index=False)
    monkeypatch.setattr("fer.train.results.write_report", lambda *_, **__: None)
    train(load_overrides(configure(tmp_path / "faces", exclude, "seed=1")), other)
    excluded = pd.read_parquet(other / "exclusions.parquet")
    assert set(excluded["sample_id"]) == set(issues.tail(3)["sample_id"])
    assert excluded["reason"].str.startswith("listed in dataset.exclude: ").all()
    assert "groups" not in metrics_of(other)["test"] and "label_issues" not in metrics_of(other)

    # Two runs that trained on other parts examine more images than either.
    counts = review_labels([run, other], tmp_path / "labels")
    tables = [
        pd.read_parquet(path / f"predictions_{split}.parquet") for path in (run, other) for split in ("val", "test")
    ]
    assert counts["examined"] == len(set(pd.concat(tables)["sample_id"]))
    assert {path.name for path in (tmp_path / "labels").iterdir()} == {"label_issues.csv", "label_issues.html"}
    assert "Not examined, since every run has trained on them" in caplog.text
    # The second left images out, which are not shown then.
    examined = set(pd.concat(tables)["sample_id"])
    left_out = examined - set(pd.read_parquet(other / "manifest.parquet")["sample_id"])
    assert review_labels([other, run], tmp_path / "fewer")["examined"] == len(examined) - len(left_out)
    assert f"leaves them out, whose data are shown: {len(left_out)} images" in caplog.text and left_out


def test_corrupted_images_are_decided_as_all_others_with_the_calibration(network: FaceNetwork, tmp_path: Path) -> None:
    """A bias of a class may change every decision; here all are for anger."""
    images, labels = faces(12, 48, 1), np.array([0] * 9 + [1, 2, 3])
    calibration = Calibration(1.0, (1.0,) * 7, (50.0, *[0.0] * 6))
    logits = predict_logits(network, images, np.arange(12))
    probabilities = calibration.compute_probabilities(logits)
    result = EvaluationResult(pd.DataFrame(index=range(12)), EMOTIONS, logits, probabilities, labels)
    data = PreparedData(
        ImageStore(images, pd.DataFrame(), "", 48, False), Manifest(*[pd.DataFrame()] * 2, EMOTIONS), []
    )
    metrics: dict[str, Any] = {"test": {}}
    config = load_overrides(["evaluation.robustness=true"])
    audit(config, data, images, network, calibration, {"test": result}, metrics, tmp_path)
    robustness = metrics["test"]["robustness"]
    assert robustness["clean"]["accuracy"]["value"] == 9 / 12
    levels = [level for figures in robustness["corruptions"].values() for level in figures["accuracy"]]
    assert {level["value"] for level in levels} == {9 / 12}


def test_groups_that_no_source_has_are_refused_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "faces")
    with pytest.raises(DataError, match="no source has race; the manifest has .*site, yaw"):
        train(load_overrides(configure(tmp_path / "faces", "evaluation.groups=[race]")), tmp_path / "run")


def test_runs_that_cannot_be_reviewed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no predictions of train.py"):
        review_labels([tmp_path], None)
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        pd.DataFrame({"sample_id": ["a"], "label": ["fear"], "p_fear": [1.0]}).to_parquet(
            folder / "predictions_val.parquet"
        )
        pd.DataFrame({"sample_id": ["a"]}).to_parquet(folder / "manifest.parquet")
        (folder / "provenance.json").write_text(f'{{"data_fingerprint": "{number}"}}')
    with pytest.raises(UserError, match="the runs are of different data"):
        review_labels([tmp_path / "0", tmp_path / "1"], None)
    assert np.all([not (tmp_path / str(number) / "label_issues.csv").exists() for number in range(2)])
