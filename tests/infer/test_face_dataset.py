"""extraction.save=dataset: a folder of wild photographs becomes a data set of faces."""

import hashlib
import json
from pathlib import Path

import cv2
import pandas as pd
import pytest

from fer.config import Config
from fer.config.compose import load_overrides
from fer.core.run_layout import DATASET_JSON, FACES_PARQUET, LEFT_OUT_CSV
from fer.errors import ConfigError, DataError, ExitCode
from fer.infer import extract, face_dataset
from fer.infer.face_dataset import write_face_dataset
from fer.infer.image_batch import ImageBatch, load_batches
from fer.infer.pipeline import infer
from fer.infer.resume import resume
from fer.runs.run_directory import load_run_config
from tests.helpers.photographs import write_wild_folder

pytestmark = pytest.mark.slow


def configure(folder: Path, *overrides: str) -> Config:
    return load_overrides(
        [
            f"extraction.input={folder}",
            *("extraction=haar", "extraction.save=dataset", "extraction.faces=all", "extraction.stages=[extract]"),
            *overrides,
        ],
        "infer",
    )


@pytest.fixture(scope="module")
def wild(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wild_folder(tmp_path_factory.mktemp("wild") / "flickr30k")


@pytest.fixture(scope="module")
def dataset(wild: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of crops of a run over them."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    assert infer(configure(wild), run) == ExitCode.PARTIAL
    return run / "crops"


def read_content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_face_is_kept_with_where_it_was(dataset: Path, wild: Path) -> None:
    faces = pd.read_parquet(dataset / FACES_PARQUET)
    assert faces.groupby("picture").size().to_dict() == {
        "flickr30k-images/1000.jpg": 2,
        "1001.jpg": 3,
        "crowd.png": 40,
        "more/1000.jpg": 1,
    }
    assert faces["path"].is_unique
    assert faces.groupby("picture")["face"].apply(list)["1001.jpg"] == [0, 1, 2]
    for row in faces.groupby("picture").head(1).itertuples():
        crop, source = (dataset / row.path).read_bytes(), Path(row.source).read_bytes()
        assert row.sha256 == hashlib.sha256(crop).hexdigest()
        assert row.source_sha256 == hashlib.sha256(source).hexdigest()
        assert (row.height, row.width) == cv2.imread(row.source).shape[:2]
        assert row.face_w > 50 and row.det_score > 1 and row.brightness > 0.1


def test_what_is_no_face_is_counted_and_listed(dataset: Path) -> None:
    left_out = pd.read_csv(dataset / LEFT_OUT_CSV).set_index("picture")
    assert left_out["status"].to_dict() == {
        "damaged.jpg": "decode_error",
        "huge.bmp": "unreadable",
        "nobody.jpg": "no_face",
    }
    assert left_out.loc["huge.bmp", "reason"] == "more than 128,000,000 pixels are too many"
    assert left_out["source_sha256"].str.len().tolist() == [64, 64, 64]
    assert json.loads((dataset / DATASET_JSON).read_text(encoding="utf-8")) == {
        "pictures": 7,
        "faces": 46,
        "most_faces_of_a_picture": 40,
        "left_out": {"decode_error": 1, "no_face": 1, "unreadable": 1},
    }


def test_faces_below_the_limits_are_listed_with_the_reason(wild: Path, tmp_path: Path) -> None:
    picture = wild / "flickr30k-images" / "1000.jpg"
    infer(configure(picture, "extraction.quality.min_size=1000"), tmp_path / "run")
    crops = tmp_path / "run" / "crops"
    assert pd.read_parquet(crops / FACES_PARQUET).empty
    left_out = pd.read_csv(crops / LEFT_OUT_CSV)
    assert left_out["status"].tolist() == ["low_quality"] * 2
    assert left_out["face"].tolist() == [0, 1]
    assert left_out["reason"].str.contains("pixels").all()


def test_a_killed_run_goes_on_to_the_same_bytes(
    wild: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the midst of a batch of pictures, with a half-written crop left behind."""
    run = tmp_path / "run"
    finished: list[ImageBatch] = []
    mark_complete = ImageBatch.mark_complete

    def kill(batch: ImageBatch) -> None:
        if len(finished) == 1:
            raise KeyboardInterrupt
        finished.append(batch)
        mark_complete(batch)

    with monkeypatch.context() as patched:
        patched.setattr(extract, "CHUNK_FRAMES", 3)
        patched.setattr(ImageBatch, "mark_complete", kill)
        with pytest.raises(KeyboardInterrupt):
            infer(configure(wild), run)
    (run / "crops" / "00000" / ".00000000-0.png.1.part").write_bytes(b"half")
    assert not (run / "crops" / FACES_PARQUET).exists()
    assert [len(batch.images) for batch in load_batches(run)] == [3]
    assert resume(load_run_config(run, "infer"), run) == ExitCode.PARTIAL
    assert read_content(run / "crops") == read_content(dataset)


def test_only_a_block_of_rows_is_held(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = pd.read_parquet(dataset / FACES_PARQUET)
    monkeypatch.setattr(face_dataset, "BLOCK_ROWS", 10)
    assert write_face_dataset(dataset.parent, 7) == 46
    assert pd.read_parquet(dataset / FACES_PARQUET).equals(before)


def test_a_crop_that_is_gone_is_a_sentence(wild: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    infer(configure(wild / "flickr30k-images" / "1000.jpg"), run)
    crop = run / "crops" / "00000" / "00000000-1.png"
    crop.unlink()
    with pytest.raises(DataError, match=r"00000000-1\.png: this crop cannot be read"):
        write_face_dataset(run, 1)


def test_what_cannot_be_a_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="save=dataset keeps faces and nothing else"):
        configure(tmp_path, "extraction.blur=all", "extraction.stages=[extract,predict,report]")
    (tmp_path / "study.yaml").touch()
    with pytest.raises(ConfigError, match="respondents gave no consent"):
        load_overrides([f"extraction.study={tmp_path / 'study.yaml'}", "extraction.save=dataset"], "infer")
