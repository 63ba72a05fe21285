"""fer annotate: labels in batches, their agreement, drift, and the table to train on."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer.annotate import pipeline
from fer.annotate.__main__ import expand_arguments
from fer.annotate.batches import BatchStore
from fer.annotate.corrections import build_final_table
from fer.annotate.labels import join_labels
from fer.annotate.pipeline import annotate, resume
from fer.config import Config
from fer.config.compose import load_overrides
from fer.core.io import atomic_write
from fer.emotions import EMOTIONS
from fer.errors import ConfigError, DataError, ExitCode, UserError
from fer.runs.run_directory import load_run_config
from tests.helpers.annotating import Says, write_faces, write_flat_faces

pytestmark = pytest.mark.slow

RESULTS = (
    *("labels.parquet", "labels.csv", "agreement.csv", "label_monitor_log.csv"),
    *("final_emotion_dataset.parquet", "report.html"),
)
# Which faces of values 0, 1, 2… get which label.
FIRST = ("anger", "fear", "happiness", "sadness")
SECOND = ("anger", "fear", "neutral", "sadness")
THIRD = ("anger", "disgust", "surprise", "")


@pytest.fixture
def open_as(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Says]]:
    """Have annotators of a run say what a test wants."""

    def give(*labels: Sequence[str]) -> list[Says]:
        annotators = [Says(name, said) for name, said in zip("abc", labels, strict=False)]
        monkeypatch.setattr(pipeline, "open_annotators", lambda config, folder: annotators)
        return annotators

    monkeypatch.setattr(pipeline, "_pin_annotators", lambda config: config)
    return give


def configure(faces: Path, *overrides: str) -> Config:
    return load_overrides([f"annotation.input={faces}", "annotation.batch_size=40", *overrides], "annotate")


def read_results(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in RESULTS}


def test_a_real_model_and_an_ensemble(tmp_path: Path) -> None:
    """The shipped model, twice under one name, would be one annotator: here it stands alone."""
    faces, run = write_faces(tmp_path / "faces", 10), tmp_path / "run"
    assert annotate(configure(faces, "inference.flip=true"), run) == ExitCode.OK
    labels = pd.read_parquet(run / "labels.parquet")
    assert labels["annotator"].str.startswith("pretrained@sha256:").all()
    probabilities = labels[[f"p_{name}" for name in EMOTIONS]].to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert labels["label"].tolist() == [EMOTIONS[column] for column in probabilities.argmax(axis=1)]
    np.testing.assert_allclose(labels["confidence"], probabilities.max(axis=1))
    csv = pd.read_csv(run / "labels.csv")
    assert csv["image"].tolist() == labels["image"].tolist() == [f"face-{index:02d}.png" for index in range(10)]
    # Drawn faces are told apart, so that it is no accident.
    assert labels["label"].nunique() > 2


def test_labels_agreement_and_the_table(tmp_path: Path, open_as: Callable[..., list[Says]]) -> None:
    faces = write_flat_faces(tmp_path / "faces", range(100))
    (faces / "013.png").write_bytes(b"no picture")
    open_as(FIRST, SECOND, THIRD)
    run = tmp_path / "run"
    assert annotate(configure(faces, "annotation.by=[a,b,c]"), run) == ExitCode.PARTIAL
    labels = pd.read_parquet(run / "labels.parquet")
    assert len(labels) == 300
    damaged = labels[labels["image"] == "013.png"]
    assert damaged["label"].tolist() == [""] * 3 and set(damaged["problem"]) == {"not an image"}
    assert (labels["label"] == "").sum() == 25 + 3

    agreement = pd.read_csv(run / "agreement.csv").set_index(["annotators", "measure"])
    # 13 is 1 modulo 4. Of the others three of four are the same for a and b.
    assert agreement.loc[("a, b", "Cohen"), "faces"] == 99
    assert agreement.loc[("a, b", "Cohen"), "agreement"] == pytest.approx(74 / 99, abs=1e-6)
    assert agreement.loc[("a, b", "Cohen"), "kappa"] == pytest.approx(_cohen(), abs=1e-6)
    assert agreement.loc[("all", "Fleiss"), "faces"] == 74

    final = pd.read_parquet(run / "final_emotion_dataset.parquet").set_index("path")
    row = final.loc["004.png"]
    assert (row["label"], row["annotator"], row["agreement"]) == ("anger", "a; b; c", 1)
    assert row["confidence"] == pytest.approx(0.7)
    assert (final.loc["001.png", "label"], final.loc["001.png", "annotator"]) == ("fear", "a; b")
    assert final.loc["001.png", "agreement"] == pytest.approx(2 / 3, abs=1e-6)
    # Three labels: the first of equal probability. The one who cannot tell has no vote.
    assert (final.loc["002.png", "label"], final.loc["002.png", "annotator"]) == ("happiness", "a")
    assert final.loc["003.png", "agreement"] == 1
    assert (final.loc["013.png", "label"], final.loc["013.png", "annotator"]) == ("", "")
    assert "age" not in final


def _cohen() -> float:
    """Kappa of a and b by its definition."""
    values = [value for value in range(100) if value != 13]
    table = np.zeros((len(EMOTIONS), len(EMOTIONS)))
    for value in values:
        table[EMOTIONS.index(FIRST[value % 4]), EMOTIONS.index(SECOND[value % 4])] += 1 / len(values)
    chance = float(table.sum(0) @ table.sum(1))
    return (float(np.trace(table)) - chance) / (1 - chance)


def test_drift_is_told_by_batch(
    tmp_path: Path, open_as: Callable[..., list[Says]], caplog: pytest.LogCaptureFixture
) -> None:
    faces = write_flat_faces(tmp_path / "faces", [*range(160), *range(160), *[2] * 160, 1, 2, 3])
    open_as(FIRST)
    run = tmp_path / "run"
    annotate(configure(faces, "annotation.by=a", "annotation.batch_size=160"), run)
    log = pd.read_csv(run / "label_monitor_log.csv")
    # Of three faces nothing can be told.
    assert log["state"].tolist() == ["reference", "stable", "shift", "few"]
    assert log["faces"].tolist() == log["labelled"].tolist() == [160, 160, 160, 3]
    assert log["share_happiness"].tolist()[:3] == [0.25, 0.25, 1]
    assert np.isnan(log["psi"][0]) and log["psi"][1] == 0 and log["psi"][2] > 0.25
    assert log["mean_confidence"].tolist() == pytest.approx([0.7] * 4)
    assert "Batch 2 of a: its labels have shifted" in caplog.text
    page = (run / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 2 and "Shifted: batch 2 of a" in page

    # Against another run, whose batches are all of the last kind.
    others = write_flat_faces(tmp_path / "others", [2] * 100)
    compared = ("annotation.batch_size=100", f"annotation.reference={run}")
    annotate(configure(others, "annotation.by=a", *compared), tmp_path / "second")
    log = pd.read_csv(tmp_path / "second" / "label_monitor_log.csv")
    assert log["state"].tolist() == ["shift"]
    with pytest.raises(DataError, match="has no labels of b; name a run with the same annotators"):
        annotate(configure(others, "annotation.by=b", *compared), tmp_path / "third")
    # Known before hours of work.
    assert not (tmp_path / "third").exists()


def test_a_killed_run_goes_on_to_the_same_bytes(
    tmp_path: Path, open_as: Callable[..., list[Says]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while a batch is written; what was finished before is not judged again."""
    faces = write_flat_faces(tmp_path / "faces", range(100))
    config = configure(faces, "annotation.by=[a,b]")
    open_as(FIRST, SECOND)
    annotate(config, tmp_path / "whole")
    with monkeypatch.context() as patched:
        written: list[Path] = []

        def write(path: Path) -> object:
            written.append(path)
            if len(written) == 2:
                raise KeyboardInterrupt
            return atomic_write(path)

        patched.setattr("fer.annotate.batches.atomic_write", write)
        with pytest.raises(KeyboardInterrupt):
            annotate(config, tmp_path / "killed")
    assert not any((tmp_path / "killed" / name).exists() for name in RESULTS)
    # Pictures that have come since are none of this run's.
    write_flat_faces(tmp_path / "faces" / "later", [1])
    first, _ = open_as(FIRST, SECOND)
    assert resume(load_run_config(tmp_path / "killed", "annotate"), tmp_path / "killed") == ExitCode.OK
    assert first.judged == 60
    killed, whole = read_results(tmp_path / "killed"), read_results(tmp_path / "whole")
    pages = [content.pop("report.html").replace(b"killed", b"whole") for content in (killed, whole)]
    assert killed == whole
    assert pages[0] == pages[1]


def test_whole_photographs_come_few_at_a_time_to_the_same_labels(
    tmp_path: Path, open_as: Callable[..., list[Says]], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure(write_flat_faces(tmp_path / "faces", range(45)), "annotation.by=a")
    open_as(FIRST)
    annotate(config, tmp_path / "whole")
    # Of 8 times 8 bytes each.
    monkeypatch.setattr("fer.annotate.batches.BLOCK_BYTES", 100)
    [annotator] = open_as(FIRST)
    sizes: list[int] = []

    def judge(faces: Sequence[np.ndarray]) -> object:
        sizes.append(len(faces))
        return Says.judge(annotator, faces)

    annotator.judge = judge  # type: ignore[method-assign, assignment]
    annotate(config, tmp_path / "parts")
    assert sizes == [2] * 22 + [1]
    assert (tmp_path / "parts" / RESULTS[0]).read_bytes() == (tmp_path / "whole" / RESULTS[0]).read_bytes()


def test_an_annotator_that_fails_loses_nothing(
    tmp_path: Path, open_as: Callable[..., list[Says]], caplog: pytest.LogCaptureFixture
) -> None:
    faces = write_flat_faces(tmp_path / "faces", range(100))
    config, run = configure(faces, "annotation.by=a"), tmp_path / "run"
    [annotator] = open_as(FIRST)
    closed: list[bool] = []

    def fail(faces: Sequence[np.ndarray]) -> object:
        if annotator.judged >= 40:
            raise UserError("annotation.by=deepface: no answer to 3 faces in a row")
        return Says.judge(annotator, faces)

    annotator.judge = fail  # type: ignore[method-assign, assignment]
    annotator.close = lambda: closed.append(True)  # type: ignore[method-assign, assignment, return-value]
    with pytest.raises(UserError, match="no answer to 3 faces in a row"):
        annotate(config, run)
    assert closed == [True]
    assert "What is labelled stays; go on with: python -m fer.annotate resume=" in caplog.text
    assert BatchStore(run, 40).list_missing(100) == [1, 2]
    open_as(FIRST)
    annotate(config, tmp_path / "whole")
    [annotator] = open_as(FIRST)
    assert resume(load_run_config(run, "annotate"), run) == ExitCode.OK
    assert annotator.judged == 60
    assert (run / "labels.parquet").read_bytes() == (tmp_path / "whole" / "labels.parquet").read_bytes()


def test_one_that_says_nothing_at_all_is_an_error(tmp_path: Path, open_as: Callable[..., list[Says]]) -> None:
    faces = write_flat_faces(tmp_path / "faces", range(4))
    open_as(FIRST, ("",))
    assert annotate(configure(faces, "annotation.by=[a,b]"), tmp_path / "run") == ExitCode.ERROR
    assert "No face could be labelled by b." in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    agreement = pd.read_csv(tmp_path / "run" / "agreement.csv")
    assert agreement["faces"].tolist() == [0] and agreement["kappa"].isna().all()


def test_other_annotators_cannot_go_on(tmp_path: Path, open_as: Callable[..., list[Says]]) -> None:
    faces, run = write_flat_faces(tmp_path / "faces", range(4)), tmp_path / "run"
    open_as(FIRST)
    annotate(configure(faces, "annotation.by=a"), run)
    with pytest.raises(ConfigError, match="differs from what the finished part"):
        resume(configure(faces, "annotation.by=b"), run)
    run_two = tmp_path / "train"
    run_two.mkdir()
    (run_two / "run.yaml").write_bytes((run / "run.yaml").read_bytes())
    with pytest.raises(UserError, match=r"holds no run of python -m fer\.annotate"):
        resume(load_run_config(run_two, "annotate"), run_two)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], r"annotation.input: name the faces, such as `python -m fer\.annotate FACES`"),
        (["annotation.input={empty}"], "there are no pictures of faces; found .* extract the faces anew"),
        (["annotation.input={empty}/none"], "no such file or directory"),
        (["annotation.input={empty}", "inference.device=gpu"], "labels are computed on CPUs"),
    ],
)
def test_what_cannot_be_labelled_is_one_sentence(overrides: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match=message):
        annotate(load_overrides([text.format(empty=tmp_path) for text in overrides], "annotate"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_ages_become_groups() -> None:
    labels = pd.DataFrame(
        {
            "image": ["x", "y"],
            "annotator": "deepface",
            "label": "fear",
            "confidence": 1.0,
            "p_fear": 1.0,
            "age": [3.0, 70.0],
            "gender": ["woman", "man"],
            "problem": "",
        }
    )
    joined = join_labels(labels, ["x", "y"])
    final = build_final_table(joined, pd.Series(["", ""]), pd.DataFrame(columns=["image", "label", "person"]))
    assert final["age"].tolist() == ["0-3", "70+"]
    assert final["gender"].tolist() == ["woman", "man"]


def test_the_command_line(tmp_path: Path) -> None:
    typed = ["RUN", "by=[a,deepface]", "deepface.environment=DIR", "batch_size=9", "seed=1", "inference.flip=true"]
    assert expand_arguments(typed) == [
        "hydra.job.name=annotate",
        "annotation.input=RUN",
        "annotation.by=[a,deepface]",
        "annotation.deepface.environment=DIR",
        "annotation.batch_size=9",
        "seed=1",
        "inference.flip=true",
    ]
    with pytest.raises(ConfigError, match="name one folder of faces"):
        expand_arguments(["A", "B"])
    with pytest.raises(ConfigError, match="one run takes several annotators"):
        expand_arguments(["A", "-m"])
