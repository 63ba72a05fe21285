"""monitoring.json: counts, figures against labels, warnings, and the command to train anew."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fer.bundle.locate import PRETRAINED_DIR
from fer.config.compose import load_overrides
from fer.core.places import hide_places_within
from fer.emotions import EMOTIONS
from fer.errors import DataError
from fer.infer.monitoring import build_run_baseline, format_retraining_command, write_monitoring
from fer.metrics.evaluation import Evaluation
from fer.monitoring.drift import BASELINE, build_baseline
from fer.monitoring.ground_truth import read_labels
from fer.monitoring.report import build_monitoring
from fer.runs.run_directory import Run
from tests.helpers.batches import Limits, batch, videos_of, with_empty_frames

COMMAND = "python train.py --config-dir RUN --config-name run"


def monitored(
    table: pd.DataFrame,
    baseline: dict[str, Any] | None = None,
    labels: pd.DataFrame | None = None,
    seconds: float = 0.0,
    problems: dict[str, str] | None = None,
    **limits: Any,
) -> dict[str, Any]:
    facts = {"model": "m", "baseline": "b", "retraining_command": COMMAND}
    found = build_monitoring(table, videos_of(table, problems), baseline, labels, seconds, Limits(**limits), facts)
    return json.loads(json.dumps(found, allow_nan=False))


def labels_of(**emotions: str) -> pd.DataFrame:
    """A label for the whole of each video."""
    known = pd.DataFrame({"video": [f"{name[1:]}.mp4" for name in emotions], "emotion": list(emotions.values())})
    return known.assign(start_s=-np.inf, end_s=np.inf, track_id=pd.array([pd.NA] * len(known), "Int64"))


def test_counts_failures_speed_and_confidence() -> None:
    table = with_empty_frames(batch(videos=4, faces=50), "1.mp4", 40)
    # A second person in a frame that has one already is another row of the same frame.
    table = pd.concat([table, table.iloc[:10].assign(track_id=1, status="low_quality", emotion=None)])
    found = monitored(table, seconds=8.0, problems={"bad.mp4": "is empty"})
    assert found["counts"] == {
        "videos": 5,
        "frames": 240,
        "faces": 200,
        "rows": {"low_quality": 10, "no_face": 40, "ok": 200},
    }
    assert found["failures"] == {"frames": 40, "share": pytest.approx(1 / 6), "videos": 1}
    assert found["images_per_s"] == 25 and found["seconds"] == 8
    ok = table[table["status"] == "ok"]
    assert found["confidence"]["mean"] == pytest.approx(ok["confidence"].mean())
    np.testing.assert_allclose(found["confidence"]["deciles"], np.quantile(ok["confidence"], np.arange(1, 10) / 10))
    assert sum(found["class_shares"].values()) == pytest.approx(1)
    assert found["class_shares"]["fear"] == pytest.approx((ok["emotion"] == "fear").mean())
    assert found["drift"] is found["labels"] is None and found["warnings"] == []


def test_a_batch_without_a_face_is_described_all_the_same() -> None:
    nobody = with_empty_frames(batch(videos=1, faces=1), "0.mp4", 5).iloc[1:]
    found = monitored(
        nobody, build_baseline(batch(), EMOTIONS), labels_of(_0="fear"), max_failures=0.9, min_accuracy=0.5
    )
    assert found["failures"]["share"] == 1
    assert found["confidence"] == {"mean": None, "deciles": None} and found["class_shares"] is None
    assert found["labels"]["accuracy"] == {"value": None, "low": None, "high": None}
    assert found["warnings"] == [
        "Failures: 5 of 5 sampled frames could not be analysed, 100.0%, above inference.monitor.max_failures=0.9",
        "Accuracy: no classified face has a label, so inference.monitor.min_accuracy=0.5 was not tested",
        f"To train anew: {COMMAND}",
    ]
    assert monitored(nobody.iloc[:0], problems={"bad.mp4": "is empty"})["failures"]["share"] == 1


def test_each_limit_that_is_passed_is_a_sentence() -> None:
    table = with_empty_frames(batch(darker=0.15), "0.mp4", 100)
    wrong = labels_of(_1="fear", _2="anger")
    arguments = {"baseline": build_baseline(batch(seed=1, faces=200), EMOTIONS), "labels": wrong}
    assert monitored(table, **arguments)["warnings"] == []
    found = monitored(table, **arguments, max_psi=0.25, max_failures=0.1, min_accuracy=0.9, min_macro_f1=0.8)
    drift, failures, accuracy, macro_f1, retraining = found["warnings"]
    own = found["drift"]["brightness"]
    assert drift == (
        f"Drift of brightness: population stability index {own['psi']:.3f} [{own['low']:.3f}, {own['high']:.3f}], "
        "the lower limit above inference.monitor.max_psi=0.25"
    )
    assert failures == (
        "Failures: 100 of 700 sampled frames could not be analysed, 14.3%, above inference.monitor.max_failures=0.1"
    )
    right = found["labels"]["accuracy"]["value"]
    assert accuracy == f"Accuracy: {right:.3f} on 120 labelled faces, below inference.monitor.min_accuracy=0.9"
    assert macro_f1.startswith("Macro-F1: 0.") and macro_f1.endswith("below inference.monitor.min_macro_f1=0.8")
    assert retraining == f"To train anew: {COMMAND}"
    # Neither too few faces nor a baseline of one size can warn.
    quiet = monitored(table, **arguments, max_psi=0.25, min_faces=1000)
    assert quiet["warnings"] == []
    constant = build_baseline(batch(seed=1, darker=0.15, face_w=48.0, face_h=48.0), EMOTIONS)
    assert monitored(table, constant, max_psi=0.25)["warnings"] == []


def test_figures_against_labels() -> None:
    table = batch(videos=10, emotion="happiness")
    table.loc[table["video"] == "0.mp4", "emotion"] = "fear"
    named = {f"_{number}": "happiness" for number in range(8)}
    found = monitored(table, labels=labels_of(**named, _9="contempt"))["labels"]
    # 0: fear for happiness; 1 to 7 right; 8 has no label; 9 is what the model has no class for.
    assert found["faces"] == 540
    assert found["accuracy"]["value"] == pytest.approx(7 / 9)
    assert found["accuracy"]["low"] < 0.6 < 0.9 < found["accuracy"]["high"]
    f1 = 2 * 7 / (8 + 8)
    assert found["per_class"]["happiness"]["f1"]["value"] == pytest.approx(f1)
    assert found["per_class"]["contempt"] == {"faces": 60, "f1": {"value": 0, "low": 0, "high": 0}}
    assert found["per_class"]["fear"]["f1"]["value"] is None
    assert found["macro_f1"]["value"] == pytest.approx(f1 / 2)


def test_figures_are_those_of_training() -> None:
    table = batch(videos=3)
    labels = table["video"].map({"0.mp4": "fear", "1.mp4": "anger", "2.mp4": "happiness"}).map(EMOTIONS.index)
    answers = np.eye(7)[table["emotion"].map(EMOTIONS.index)]
    expected = Evaluation(answers, labels.to_numpy(), tuple(EMOTIONS)).compute_metrics()
    found = monitored(table, labels=labels_of(_0="fear", _1="anger", _2="happiness"))["labels"]
    for name in ("accuracy", "balanced_accuracy", "macro_f1"):
        assert found[name]["value"] == pytest.approx(expected[name]["value"])
    for name, row in found["per_class"].items():
        assert row["f1"]["value"] == pytest.approx(expected["per_class"][name]["f1"]["value"])


def test_a_baseline_of_other_classes_is_refused() -> None:
    eight = build_baseline(batch(), (*EMOTIONS, "contempt"))
    with pytest.raises(DataError, match=r"contempt, this batch anger.*set inference\.monitor\.baseline to a run with"):
        monitored(batch(), eight)


def test_the_retraining_command_names_the_run_that_made_the_model(tmp_path: Path) -> None:
    run = tmp_path / "my run"
    (run / "bundle").mkdir(parents=True)
    (run / "run.yaml").touch()
    expected = f"python train.py --config-dir '{run}' --config-name run"
    assert format_retraining_command(str(run)) == format_retraining_command(str(run / "bundle")) == expected
    assert format_retraining_command("models:/fer@champion", run) == expected
    assert format_retraining_command("models:/fer@champion", tmp_path) == COMMAND
    assert format_retraining_command(None) == COMMAND
    shipped = format_retraining_command("pretrained")
    assert f"{PRETRAINED_DIR} --config-name run" in shipped and " dataset.sources.ferplus.root=…" in shipped


def test_a_run_is_compared_with_its_models_baseline_or_an_earlier_run(tmp_path: Path) -> None:
    earlier, table, labels = tmp_path / "earlier", batch(darker=0.2), tmp_path / "labels.csv"
    earlier.mkdir()
    batch(seed=1, faces=200).to_parquet(earlier / "predictions.parquet")
    labels.write_text("video,emotion\n3.mp4,happy\n")
    overrides = ["inference.monitor.max_psi=0.25", "inference.monitor.min_faces=100", f"extraction.labels={labels}"]

    def written(name: str, *more: str, baseline: dict[str, Any] | None = None) -> dict[str, Any]:
        run = Run(tmp_path / name, load_overrides([*overrides, *more], "infer"), "infer.py")
        run.update_provenance(judging_seconds=3.0)
        if baseline is not None:
            (run.directory / "parts").mkdir()
            (run.directory / "parts" / BASELINE).write_text(json.dumps(baseline))
        found = write_monitoring(load_overrides([*overrides, *more], "infer"), run, table, videos_of(table))
        assert json.loads((run.directory / "monitoring.json").read_text()) == hide_places_within(found)
        return found

    alone = written("alone")
    assert alone["drift"] is alone["baseline"] is None and alone["labels"]["faces"] == 60
    assert alone["images_per_s"] == 200
    kept = written("kept", baseline=build_baseline(batch(seed=1, faces=200), EMOTIONS))
    named = written("named", f"inference.monitor.baseline={earlier}", baseline=build_baseline(table, EMOTIONS))
    assert kept["baseline"] == "the model's training" and named["baseline"] == str(earlier)
    assert kept["drift"] == named["drift"]
    assert [text[:19] for text in kept["warnings"]] == ["Drift of brightness", "To train anew: pyth"]
    with pytest.raises(DataError, match=rf"inference\.monitor\.baseline={tmp_path}: cannot be read .*name a finished"):
        build_run_baseline(tmp_path, EMOTIONS)


def test_labels_and_table_meet_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("video,emotion,start_s,end_s\n0.mp4,neutral,0,3\n0.mp4,sad,3,6\n")
    table = batch(videos=1, emotion="neutral")
    found = monitored(table, labels=read_labels(path, ["0.mp4"]))["labels"]
    assert found["faces"] == 60 and found["accuracy"]["value"] == 0.5
