"""train.py, run as a user runs it: what a run leaves, and what it refuses."""

import csv
import json
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from fer.config import Config
from fer.emotions import EMOTIONS
from fer.serving import Predictor
from fer.synthetic import draw_dataset_face
from tests.helpers.paths import PROJECT
from tests.helpers.programs import (
    FAST,
    FAST_ANY_DATA,
    Program,
    environment,
    metrics_of,
    provenance_of,
    start,
)

FILES = {
    *("run.yaml", "provenance.json", "manifest.parquet", "exclusions.parquet", "metrics.json", "history.csv"),
    *("predictions_val.parquet", "predictions_test.parquet", "report.html", "train.log"),
    *("checkpoints/best.ckpt", "checkpoints/last.ckpt"),
    *("bundle/weights.safetensors", "bundle/bundle.yaml", "bundle/model_card.md"),
    *("bundle/samples.npz", "bundle/baseline.json"),
}


def test_a_run_leaves_exactly_the_promised_files(finished: Path) -> None:
    left = {file.relative_to(finished).as_posix() for file in finished.rglob("*") if file.is_file()}
    assert left == FILES


def test_run_yaml_holds_the_whole_configuration_and_no_place(finished: Path) -> None:
    text = (finished / "run.yaml").read_text()
    content = yaml.safe_load(text)
    assert content.pop("defaults") == ["base", "_self_"]
    assert list(content) == list(Config.model_fields)
    assert content["trainer"]["max_epochs"] == 2
    assert content["dataset"]["sources"]["synthetic"]["count"] == 140
    assert str(finished) not in text
    assert "${" not in text


def test_provenance_says_where_the_figures_come_from(finished: Path) -> None:
    known = provenance_of(finished)
    assert known["status"] == "finished"
    assert known["command"][0] == "train.py"
    assert "trainer.max_epochs=2" in known["command"]
    assert known["threads"] == 1
    assert known["device"] == "cpu"
    assert known["packages"]["torch"] == torch.__version__.split("+")[0]
    assert re.fullmatch("[0-9a-f]{64}", known["data_fingerprint"])
    assert known["start"] <= known["end"]
    assert 200 < known["peak_memory_mib"] < 3000


def test_manifest_has_a_row_for_each_image_used_and_a_reason_for_each_other(finished: Path) -> None:
    used, excluded = pd.read_parquet(finished / "manifest.parquet"), pd.read_parquet(finished / "exclusions.parquet")
    assert len(used) + len(excluded) == 140
    wanted = ["sample_id", "source", "path", "split", "label", "weight", "content_hash", "perceptual_hash"]
    assert {*wanted, "duplicate_group", "votes_anger", "votes_unknown"} <= set(used.columns)
    assert set(used["split"]) == {"train", "val", "test"}
    assert set(used["label"]) <= set(EMOTIONS)
    assert used["sample_id"].is_unique
    assert excluded["reason"].str.len().min() > 5


@pytest.mark.parametrize("part", ["val", "test"])
def test_figures_are_those_of_the_written_predictions(finished: Path, part: str) -> None:
    figures = metrics_of(finished)[part]
    table = pd.read_parquet(finished / f"predictions_{part}.parquet")
    columns = [f"p_{emotion}" for emotion in EMOTIONS]
    assert list(table.columns) == ["sample_id", "label", *columns]
    np.testing.assert_allclose(table[columns].sum(axis=1), 1, atol=1e-5)
    predicted = np.array(EMOTIONS)[table[columns].to_numpy().argmax(1)]
    assert figures["samples"] == len(table)
    assert figures["accuracy"]["value"] == pytest.approx((predicted == table["label"]).mean())
    recalls = [(predicted[rows] == emotion).mean() for emotion, rows in table.groupby("label").indices.items()]
    assert figures["balanced_accuracy"]["value"] == pytest.approx(np.mean(recalls))
    assert np.sum(figures["confusion_matrix"]) == len(table)
    assert figures["accuracy"]["low"] <= figures["accuracy"]["value"] <= figures["accuracy"]["high"]


def test_history_has_a_row_an_epoch_and_the_best_epoch_is_its_best(finished: Path) -> None:
    with (finished / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    metrics = metrics_of(finished)
    accuracies = [float(row["val_accuracy"]) for row in rows]
    assert metrics["best_epoch"] == accuracies.index(max(accuracies)) + 1
    assert metrics["val"]["accuracy"]["value"] == pytest.approx(max(accuracies))
    assert all(float(row["images_per_second"]) > 0 for row in rows)


def test_the_bundle_predicts_what_the_run_did(finished: Path) -> None:
    table = pd.read_parquet(finished / "predictions_test.parquet")
    numbers = table["sample_id"].str.extract(r"(\d+)$")[0].astype(int)
    pictures = [draw_dataset_face(0, number, 48).image for number in numbers]
    found = Predictor.load(str(finished)).predict(pictures)
    expected = table[[f"p_{emotion}" for emotion in EMOTIONS]].to_numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    described = yaml.safe_load((finished / "bundle" / "bundle.yaml").read_text())
    assert described["faces"] == {"side": 48, "colour": True}
    assert described["weights_sha256"] == metrics_of(finished)["weights_sha256"]


def test_checkpoints_load_without_running_code(finished: Path) -> None:
    for name in ("best.ckpt", "last.ckpt"):
        state = torch.load(finished / "checkpoints" / name, map_location="cpu", weights_only=True)
        assert "RandomState" in state["callbacks"]
        assert isinstance(state["hyper_parameters"]["settings"]["lr"], float)


def test_the_report_is_one_file_and_shows_the_figures(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert f"{100 * metrics_of(finished)['test']['accuracy']['value']:.1f}" in page
    assert "python -m fer.replay" in page
    assert not re.search(r"""(src|href)=["']https?:""", page)


def test_the_log_names_accuracy_and_report(finished: Path) -> None:
    log = (finished / "train.log").read_text()
    assert re.search(r"Test \(\d+ images\): accuracy 0\.\d+ \[", log)
    assert f"Report: {finished / 'report.html'}" in log
    assert re.search(r"Epoch 2/2: train_loss [\d.]+, val_loss [\d.]+, val_accuracy [\d.]+ \(best .*\d+ images/s", log)


def test_an_existing_run_is_never_overwritten(train: Program, finished: Path) -> None:
    before = {file: file.read_bytes() for file in finished.rglob("*") if file.is_file() and file.name != "train.log"}
    done = train(*FAST, f"hydra.run.dir={finished}")
    assert done.returncode == 1
    assert "already holds a run, which is never overwritten" in done.stderr
    assert "Traceback" not in done.stderr
    assert all(file.read_bytes() == content for file, content in before.items())


def test_two_starts_in_one_second_get_two_directories(
    workplace: Path, tmp_path: Path, stopped: Callable[[subprocess.Popen[str]], None]
) -> None:
    command = (str(PROJECT / "train.py"), *FAST, "trainer=debug", f"dataset.cache_dir={workplace / 'outputs/cache'}")
    both = [start(*command, "trainer.threads=1", cwd=tmp_path) for _ in range(2)]
    for process in both:
        stopped(process)
    deadline = time.monotonic() + 200
    while len(list(tmp_path.glob("outputs/train/*/*/manifest.parquet"))) < 2:
        assert all(process.poll() is None for process in both) and time.monotonic() < deadline
        time.sleep(0.05)


def test_a_bundle_is_judged_on_other_data(train: Program, finished: Path, face_folder: Path, workplace: Path) -> None:
    directory = workplace / "judged"
    done = train(
        *("dataset=folder", f"dataset.sources.folder.root={face_folder}", "trainer=cpu", "trainer.threads=1"),
        *("trainer.stages=[test]", f"model_uri={finished}", f"hydra.run.dir={directory}"),
    )
    assert done.returncode == 0, done.stderr
    metrics = metrics_of(directory)
    assert metrics["weights_sha256"] == metrics_of(finished)["weights_sha256"]
    assert metrics["temperature"] == metrics_of(finished)["temperature"]
    assert metrics["test"]["samples"] > 0
    assert (directory / "report.html").is_file()


def test_a_sweep_gives_a_run_directory_a_job(train: Program, workplace: Path) -> None:
    done = train("-m", *FAST, "trainer=debug", "trainer.threads=1", "seed=1,2", "hydra.sweep.dir=sweep")
    assert done.returncode == 0, done.stderr
    seeds = [yaml.safe_load((workplace / "sweep" / job / "run.yaml").read_text())["seed"] for job in ("0", "1")]
    assert seeds == [1, 2]
    hashes = [metrics_of(workplace / "sweep" / job)["weights_sha256"] for job in ("0", "1")]
    assert hashes[0] != hashes[1]


def test_a_mistake_is_answered_in_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    process = start(str(PROJECT / "train.py"), "+trainer.max_epoch=3", cwd=tmp_path)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert output.splitlines()[0] == (
        "train.py: trainer.max_epoch=3: there is no such key; did you mean trainer.max_epochs?"
    )
    assert "Traceback" not in output
    assert not list(tmp_path.glob("outputs/train/*/*"))


def test_a_progress_bar_is_shown_in_a_terminal(tmp_path: Path, workplace: Path) -> None:
    command = [sys.executable, str(PROJECT / "train.py"), *FAST, f"dataset.cache_dir={workplace / 'outputs/cache'}"]
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [*command, "trainer.max_epochs=2", "dataset.batch_size=8"],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=its,
        stderr=its,
    )
    os.close(its)
    shown = b""
    # A terminal that its last process has left cannot be read.
    with os.fdopen(ours, "rb", buffering=0) as terminal, suppress(OSError):
        while part := terminal.read(1 << 16):
            shown += part
    assert process.wait(30) == 0, shown.decode()
    assert re.search(r"Epoch 1/2: +\d+%.*loss \d", shown.decode())
    assert "images/s" in shown.decode()


def test_json_metrics_are_plain_json(finished: Path) -> None:
    json.loads((finished / "metrics.json").read_text(), parse_constant=lambda name: pytest.fail(name))


def test_two_sources_and_eight_classes_train_together(
    train: Program, ferplus_like: Path, face_folder: Path, workplace: Path
) -> None:
    directory = workplace / "eight"
    done = train(
        *("dataset=[ferplus,folder]", f"dataset.sources.ferplus.root={ferplus_like}", "dataset.classes=8"),
        *(
            f"dataset.sources.folder.root={face_folder}",
            *FAST_ANY_DATA,
            "trainer.max_epochs=1",
            "dataset.split=stratified",
        ),
        *(
            "dataset.balance=class_weights",
            "model.loss.kind=focal",
            "optimizer=adamw_cosine",
            "trainer.gradient_clip=1",
        ),
        *("dataset.augment.mixup=0.4", "dataset.augment.cutmix=1", "model.head_epochs=1", "trainer.ema_decay=0"),
        *("dataset.sources.ferplus.label_rule=probability", f"hydra.run.dir={directory}"),
    )
    assert done.returncode == 0, done.stderr
    used = pd.read_parquet(directory / "manifest.parquet")
    assert set(used["source"]) == {"ferplus", "folder"}
    assert "contempt" in set(used["label"])
    metrics = metrics_of(directory)
    assert np.shape(metrics["val"]["confusion_matrix"]) == (8, 8)
    assert set(metrics["val"]["by_source"]) == {"ferplus", "folder"}
    described = yaml.safe_load((directory / "bundle" / "bundle.yaml").read_text())
    # Gray faces of 48 pixels beside colour ones: the network must be shown colour.
    assert described["faces"] == {"side": 48, "colour": True}
    assert described["classes"][-1] == "contempt"
