"""Images that are finished many at a time: the tables are those of a folder for each, also after a kill."""

import shutil
from pathlib import Path
from typing import Any

import cv2
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fer.config import Config
from fer.config.compose import load_overrides
from fer.errors import DataError, ExitCode
from fer.infer import classify, extract
from fer.infer.image_batch import BATCH_RECORDS, BATCH_TABLE, ImageBatch, load_batches, split_batches
from fer.infer.inputs import load_media
from fer.infer.pipeline import infer
from fer.infer.resume import resume
from fer.infer.video_stores import open_video_stores
from fer.privacy.forget import forget_respondent
from fer.runs.run_directory import load_run_config
from fer.synthetic import draw_dataset_face
from tests.helpers.photographs import write_photograph

pytestmark = pytest.mark.slow

TABLES = ("predictions.parquet", "predictions.csv", "videos.parquet", "videos.csv", "persons.parquet", "persons.csv")
IMAGES = 9


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of two, one and no faces, damaged ones, a moving one under a still one's name, and a small one."""
    images = tmp_path_factory.mktemp("images")
    for number, people in enumerate((2, 1, 0, 1)):
        write_photograph(images / f"{number}.jpg", people, seed=10 * number)
    whole = (images / "0.jpg").read_bytes()
    (images / "4.jpg").write_bytes(whole[: len(whole) // 3])
    (images / "5.png").write_bytes(b"no image at all\0")
    frames = [Image.open(images / name) for name in ("1.jpg", "3.jpg")]
    frames[0].save(images / "6.png", save_all=True, append_images=frames[1:], duration=1000)
    face = draw_dataset_face(0, 0, 96).image
    (images / "7.png").write_bytes(cv2.imencode(".png", face[..., ::-1])[1].tobytes())
    write_photograph(images / "8.jpg", 2, seed=80)
    return images


def configure(folder: Path, *overrides: str) -> Config:
    chosen = (f"extraction.input={folder}", "extraction=haar", "extraction.faces=all", "trainer.threads=1")
    return load_overrides([*chosen, *overrides], "infer")


@pytest.fixture
def in_threes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "CHUNK_FRAMES", 3)


@pytest.fixture(scope="module")
def apart(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run as earlier versions left it: a folder for each image."""
    run = tmp_path_factory.mktemp("runs") / "apart"
    with pytest.MonkeyPatch.context() as patch:
        separate_images(patch)
        assert infer(configure(folder), run) == ExitCode.PARTIAL
    assert len(list(run.glob("parts/*/video.json"))) == IMAGES and not load_batches(run)
    return run


def separate_images(patch: pytest.MonkeyPatch) -> None:
    """Have images finished as earlier versions did."""
    initialize = extract.FaceExtractor.__init__

    def without_batches(self: extract.FaceExtractor, *args: Any) -> None:
        initialize(self, *args, batch_images=False)

    patch.setattr(extract.FaceExtractor, "__init__", without_batches)


def read_tables(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in TABLES}


@pytest.mark.usefixtures("in_threes")
def test_the_tables_are_those_of_images_one_by_one(folder: Path, apart: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert infer(configure(folder, "extraction.annotate=true"), run) == ExitCode.PARTIAL
    # Nothing is drawn into what is damaged.
    drawn = {file.name for file in (run / "annotated").iterdir()}
    assert drawn == {*(f"{number}.jpg.png" for number in (0, 1, 2, 3, 8)), "6.png.mp4", "7.png"}
    batches = [[image.number for image in batch.images] for batch in load_batches(run)]
    # What turns out to be moving has a folder of its own.
    assert batches == [[0, 1, 2], [3, 4, 5], [7, 8]]
    assert (run / "parts" / "00006" / "video.json").is_file()
    assert read_tables(run) == read_tables(apart)
    table = pd.read_parquet(run / "predictions.parquet")
    assert set(table["status"]) == {"ok", "no_face", "decode_error"}
    assert table.groupby("video").size().to_dict() == {**dict.fromkeys(["1.jpg", "2.jpg", "3.jpg", "4.jpg"], 1)} | {
        "0.jpg": 2,
        "6.png": 2,
        "7.png": 1,
        "8.jpg": 2,
    }


@pytest.mark.usefixtures("in_threes")
def test_a_killed_run_loses_one_batch_and_goes_on(
    folder: Path, apart: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    mark_complete, done = ImageBatch.mark_complete, list[ImageBatch]()

    def kill(batch: ImageBatch) -> None:
        if done:
            raise KeyboardInterrupt
        done.append(batch)
        mark_complete(batch)

    with monkeypatch.context() as patch:
        patch.setattr(ImageBatch, "mark_complete", kill)
        with pytest.raises(KeyboardInterrupt):
            infer(configure(folder), run)
    first, second = run / "parts" / "00000", run / "parts" / "00003"
    assert (second / BATCH_TABLE).is_file() and not (second / BATCH_RECORDS).exists()
    moment = (first / BATCH_TABLE).stat().st_mtime_ns
    assert resume(load_run_config(run, "infer"), run) == ExitCode.PARTIAL
    assert (first / BATCH_TABLE).stat().st_mtime_ns == moment
    assert read_tables(run) == read_tables(apart)


@pytest.mark.usefixtures("in_threes")
def test_a_run_that_an_earlier_version_has_begun_goes_on(folder: Path, apart: Path, tmp_path: Path) -> None:
    """Killed between an image's rows and its mark; the images behind it are not begun."""
    run = Path(shutil.copytree(apart, tmp_path / "run"))
    (run / "parts" / "00002" / "video.json").unlink()
    for number in range(3, IMAGES):
        shutil.rmtree(run / "parts" / f"{number:05d}")
    for name in TABLES:
        (run / name).unlink()
    assert resume(load_run_config(run, "infer"), run) == ExitCode.PARTIAL
    assert (run / "parts" / "00002" / "video.json").is_file()
    assert [batch.images[0].number for batch in load_batches(run)] == [3, 7]
    assert read_tables(run) == read_tables(apart)


@pytest.mark.usefixtures("in_threes")
def test_faces_that_were_only_extracted_are_classified_later(folder: Path, apart: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert infer(configure(folder, "extraction.stages=[extract]"), run) == ExitCode.PARTIAL
    records = (run / "parts" / "00000" / BATCH_RECORDS).read_bytes()
    config = load_run_config(run, "infer")
    stages = config.extraction.model_copy(update={"stages": ("predict", "report")})
    assert resume(config.model_copy(update={"extraction": stages}), run) == ExitCode.PARTIAL
    assert (run / "parts" / "00000" / BATCH_RECORDS).read_bytes() == records
    assert read_tables(run) == read_tables(apart)


@pytest.mark.usefixtures("in_threes")
def test_pictures_are_kept_of_what_the_page_may_show(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classify, "PICTURED_IMAGES", 2)
    run = tmp_path / "run"
    infer(configure(folder), run)
    pictured = [batch.table["picture"].is_valid().to_pylist() for batch in load_batches(run)]
    # Two faces of the first image, one of the second; no face in the third.
    assert pictured == [[True, True, True, False], [False, False], [False, False, False]]
    batch = load_batches(run)[0]
    batch.drop_pictures()
    assert pq.read_table(batch.folder / BATCH_TABLE)["picture"].null_count == 4 == batch.table["picture"].null_count


@pytest.mark.usefixtures("in_threes")
def test_an_image_can_be_forgotten_where_others_stand_beside_it(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    infer(configure(folder, "extraction.save=crops"), run)
    before = pd.read_parquet(run / "predictions.parquet")
    # What a killed process has left of a batch is somebody's as well.
    leftover = run / "parts" / "00005" / BATCH_TABLE
    leftover.parent.mkdir()
    leftover.write_bytes(b"rows")
    assert forget_respondent(run, video="1.jpg") == 0
    assert not list(run.glob(f"parts/*/{BATCH_TABLE}")) and not load_batches(run)
    assert len(load_media(run)) == IMAGES - 1
    left = before[before["video"] != "1.jpg"].reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.read_parquet(run / "predictions.parquet"), left)


@pytest.mark.usefixtures("in_threes")
def test_images_of_a_batch_can_be_told_apart(folder: Path, apart: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    infer(configure(folder), run)
    together, single = (open_video_stores(path, range(IMAGES)) for path in (run, apart))
    columns = ["video", "frame", "status", "face_x"]
    for number in range(IMAGES):
        assert together[number].completion_record() == single[number].completion_record()
        assert together[number].count_usable() == single[number].count_usable()
        assert together[number].has_rows() == single[number].has_rows()
        pd.testing.assert_frame_equal(together[number].read(columns), single[number].read(columns))
    split_batches(run)
    for number, store in open_video_stores(run, range(IMAGES)).items():
        chunks, expected = (list(found.iter_chunks()) for found in (store, single[number]))
        types = [[chunk.schema.field("emotion").type for chunk in found] for found in (chunks, expected)]
        assert types[0] == types[1]
        assert store.completion_record() == single[number].completion_record()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (BATCH_RECORDS, b'{"images": [{"number": 0}]}'),
        (BATCH_RECORDS, b"{"),
        (BATCH_RECORDS, b'{"images": [{"number": 0, "rows": 2, "record": {}}]}'),
        *(
            (
                BATCH_RECORDS,
                b'{"images": [{"number": %s, "rows": %s, "record": {"video": "1.jpg", "problem": ""}}]}' % pair,
            )
            for pair in ((b"1e999", b"1"), (b"0", b"-1"), (b"0", b"1.5"), (b"1", b"1"))
        ),
        (BATCH_TABLE, b"PAR1, and then nothing"),
    ],
)
def test_a_damaged_batch_is_a_sentence(name: str, content: bytes, folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    infer(configure(folder / "1.jpg", "extraction.stages=[extract]"), run)
    (run / "parts" / "00000" / name).write_bytes(content)
    with pytest.raises(
        DataError, match="is damaged .*; remove the directory .*00000 and resume, which does these images"
    ):
        open_video_stores(run, [0])[0].count_usable()
