"""RAF-DB and FER2013: every layout, and what is wrong with others."""

import numpy as np
import pytest

from fer.data.sources import read_source
from fer.emotions import FER2013_LABELS, RAFDB_LABELS
from fer.errors import DataError
from tests.helpers.image_data import Laid, encoded, noise


def kaggle() -> dict[str, bytes | str]:
    """RAF-DB in Kaggle's layout: train_0001.jpg in folder 1, …, test_0001.jpg in folder 1, …"""
    content: dict[str, bytes | str] = {}
    for part in ("train", "test"):
        names = [f"{part}_{number:04d}_aligned.jpg" for number in RAFDB_LABELS]
        for number, name in zip(RAFDB_LABELS, names, strict=True):
            content[f"DATASET/{part}/{number}/{name}"] = encoded(number, 20, True, ".jpg")
        rows = "".join(f"{name},{number}\n" for number, name in zip(RAFDB_LABELS, names, strict=True))
        content[f"{part}_labels.csv"] = "image,label\n" + rows
    return content


@pytest.mark.parametrize("with_tables", [True, False])
def test_rafdb_from_kaggle(with_tables: bool, lay_any: Laid) -> None:
    content = {name: data for name, data in kaggle().items() if with_tables or not name.endswith(".csv")}
    source = read_source("raf", "rafdb", root=lay_any(content))
    assert lay_any.rows(source) == sorted(
        (f"DATASET/{part}/{number}/{part}_{number:04d}_aligned.jpg", part, emotion)
        for part in ("train", "test")
        for number, emotion in RAFDB_LABELS.items()
    )
    assert source.problems == () and source.table["votes_anger"].isna().all()
    for path in source.table["path"]:
        assert source.read(path) == content[path.removeprefix(lay_any.top)]


def test_rafdb_kaggle_images_of_one_name_in_two_folders(lay: Laid) -> None:
    """The row is of one of them; the other one's folder contradicts it, whichever comes first."""
    for number, wrong in ((4, 1), (1, 4)):
        content = kaggle()
        content["DATASET/train/1/same.jpg"] = content["DATASET/train/1/train_0001_aligned.jpg"]
        content["DATASET/train/4/same.jpg"] = content["DATASET/train/4/train_0004_aligned.jpg"]
        content["train_labels.csv"] = str(content["train_labels.csv"]) + f"same.jpg,{number}\n"
        source = read_source("raf", "rafdb", root=lay(content))
        says, folder = RAFDB_LABELS[number], RAFDB_LABELS[wrong]
        assert source.problems == (
            (f"DATASET/train/{wrong}/same.jpg", f"train_labels.csv says {says}, its folder {folder}"),
        )
        assert f"DATASET/train/{number}/same.jpg" in set(source.table["path"])


def test_rafdb_kaggle_tables_and_folders_that_disagree(lay: Laid) -> None:
    content = kaggle()
    content["train_labels.csv"] = (
        "image, label\n"  # blanks do not matter
        "train_0001_aligned.jpg, 1\n"
        "train_0002_aligned.jpg,3\n"
        "train_0003_aligned.jpg,3\ntrain_0004_aligned.jpg,4\ntrain_0005_aligned.jpg,5\ntrain_0006_aligned.jpg,6\n"
        "train_9999_aligned.jpg,7\n"
    )
    source = read_source("raf", "rafdb", root=lay(content))
    assert source.problems == (
        ("DATASET/train/2/train_0002_aligned.jpg", "train_labels.csv says disgust, its folder fear"),
        ("train_9999_aligned.jpg", "row of train_labels.csv without an image"),
        ("DATASET/train/7/train_0007_aligned.jpg", "image without a row in train_labels.csv"),
    )
    # What is a problem is no sample: otherwise skipping it would list it and use it all the same.
    assert source.table.loc[source.table["part"] == "train", "label"].tolist() == [
        *("surprise", "disgust", "happiness", "sadness", "anger")
    ]
    assert source.table.index.tolist() == list(range(12))

    content["train_labels.csv"] = "name,emotion\ntrain_0001_aligned.jpg,1\n"
    with pytest.raises(DataError, match=r"train_labels\.csv has the columns name, emotion; image, label were expected"):
        read_source("raf", "rafdb", root=lay(content))
    content["train_labels.csv"] = kaggle()["train_labels.csv"].replace("0001_aligned.jpg,1", "0001_aligned.jpg,8")
    source = read_source("raf", "rafdb", root=lay(content))
    assert source.problems == (
        (
            "DATASET/train/1/train_0001_aligned.jpg",
            "train_labels.csv: row with the label '8', which is out of range; RAF-DB's labels are 1 to 7",
        ),
    )
    assert len(source.table) == 13


def official() -> dict[str, bytes | str]:
    content: dict[str, bytes | str] = {}
    rows = []
    for part in ("train", "test"):
        for number in RAFDB_LABELS:
            content[f"basic/Image/aligned/{part}_{number:05d}_aligned.jpg"] = encoded(number, 20, True, ".jpg")
            rows.append(f"{part}_{number:05d}.jpg {number}\n")
    content["basic/EmoLabel/list_patition_label.txt"] = "".join(rows)
    content["basic/Image/original/train_00001.jpg"] = encoded(99)
    return content


def test_rafdb_official(lay_any: Laid) -> None:
    content = official()
    source = read_source("raf", "rafdb", root=lay_any(content))
    assert lay_any.rows(source) == sorted(
        (f"basic/Image/aligned/{part}_{number:05d}_aligned.jpg", part, emotion)
        for part in ("train", "test")
        for number, emotion in RAFDB_LABELS.items()
    )
    assert source.problems == ()
    for path in source.table["path"]:
        assert source.read(path) == content[path.removeprefix(lay_any.top)]


def test_rafdb_official_rows_and_images_that_do_not_meet(lay: Laid) -> None:
    content = official()
    del content["basic/Image/aligned/train_00001_aligned.jpg"]
    content["basic/Image/aligned/test_00100_aligned.jpg"] = encoded(5)
    source = read_source("raf", "rafdb", root=lay(content))
    table = "basic/EmoLabel/list_patition_label.txt"
    assert source.problems == (
        ("basic/Image/aligned/train_00001_aligned.jpg", f"row of {table} without an image"),
        ("basic/Image/aligned/test_00100_aligned.jpg", f"image without a row in {table}"),
    )
    assert len(source.table) == 13


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train_00001.jpg 0", "row with the label '0', which is out of range; RAF-DB's labels are 1 to 7"),
        ("train_00001.jpg 8", "row with the label '8', which is out of range; RAF-DB's labels are 1 to 7"),
        ("train_00001.jpg", "row with the label '', which is out of range; RAF-DB's labels are 1 to 7"),
        (
            "some_00001.jpg 1",
            "row of the unknown part 'some'; allowed are train (training), val (valid, validation, dev, PublicTest), "
            "test (testing, eval, PrivateTest, evaluation), in any case",
        ),
        ("train_00007.jpg 7", "row of an image that was named before"),
    ],
)
def test_rafdb_official_lines_that_are_wrong(line: str, message: str, lay: Laid) -> None:
    content = official()
    table = "basic/EmoLabel/list_patition_label.txt"
    content[table] = f"train_00007.jpg 7\n\n{line}\ntest_00001.jpg  1\n"
    source = read_source("raf", "rafdb", root=lay(content))
    assert source.problems[0] == (f"{table}, line 3 ({line.split()[0]})", message)
    assert source.table["label"].tolist() == ["neutral", "surprise"]


def test_rafdb_lists_whose_names_end_in_aligned_already(lay_any: Laid) -> None:
    content = official()
    table = "basic/EmoLabel/list_patition_label.txt"
    content[table] = str(content[table]).replace(".jpg", "_aligned.jpg")
    source = read_source("raf", "rafdb", root=lay_any(content))
    assert len(source.table) == 14 and source.problems == ()
    assert source.unused == ((f"{lay_any.top}basic/Image/original/train_00001.jpg", "image outside of the layout"),)


def test_fer2013_folders(lay_any: Laid) -> None:
    folders = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
    content = {
        f"archive/{part}/{folder}/{number}.jpg": encoded(number, suffix=".jpg")
        for part in ("train", "test")
        for number, folder in enumerate(folders)
    }
    source = read_source("fer", "fer2013", root=lay_any(content))
    emotions = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    assert lay_any.rows(source) == sorted(
        (f"archive/{part}/{folder}/{number}.jpg", part, emotions[number])
        for part in ("train", "test")
        for number, folder in enumerate(folders)
    )


def test_fer2013_plus_folders_with_contempt(lay_any: Laid) -> None:
    folders = ("anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    content = {f"{part}/{folder}/0.png": encoded(0) for part in ("train", "test", "validation") for folder in folders}
    source = read_source("fer", "fer2013", root=lay_any(content))
    assert sorted(source.table["label"][source.table["part"] == "val"]) == sorted(folders)
    assert source.table["part"].value_counts().to_dict() == {"train": 8, "val": 8, "test": 8}


@pytest.mark.parametrize(
    ("table", "header", "order"),
    [
        ("fer2013.csv", "emotion,pixels,Usage", ("emotion", "pixels", "usage")),
        ("icml_face_data.csv", "emotion, Usage, pixels", ("emotion", "usage", "pixels")),
    ],
)
def test_fer2013_tables(table: str, header: str, order: tuple[str, ...], lay_any: Laid) -> None:
    usages = ["Training"] * 4 + ["PublicTest"] * 2 + ["PrivateTest"]
    rows = []
    for number, usage in enumerate(usages):
        cells = {"emotion": str(number), "usage": usage, "pixels": " ".join(map(str, noise(number).ravel()))}
        rows.append(",".join(cells[name] for name in order))
    source = read_source("fer", "fer2013", root=lay_any({table: "\n".join([header, *rows]) + "\n"}))
    assert source.table["path"].tolist() == [f"{table}#{line}" for line in range(2, 9)]
    assert source.table["label"].tolist() == [FER2013_LABELS[number] for number in range(7)]
    assert source.table["part"].tolist() == ["train"] * 4 + ["val"] * 2 + ["test"]
    for number, path in enumerate(source.table["path"]):
        assert np.array_equal(source.read(path), noise(number))


GOOD = " ".join(["7"] * 48 * 48)


@pytest.mark.parametrize(
    "row",
    [
        f"7,{GOOD},Training",
        f"-1,{GOOD},Training",
        f"x,{GOOD},Training",
        f"1,{GOOD} 7,Training",
        f"1,{GOOD[:-2]},Training",
        f"1,{GOOD[:-1]}256,Training",
        f"1,{GOOD[:-1]}-1,Training",
        f"1,{GOOD[:-1]}99999999999999999999,Training",
        f"1,{GOOD[:-1]}?,Training",
        f"1,{GOOD}",
        "1,,Training",
    ],
)
def test_fer2013_rows_that_are_wrong_are_named(row: str, lay: Laid) -> None:
    root = lay({"fer2013.csv": f"emotion,pixels,Usage\n1,{GOOD},Training\n{row}\n2,{GOOD},dev\n"})
    source = read_source("fer", "fer2013", root=root)
    assert source.problems == (
        ("fer2013.csv, line 3", "row without an emotion from 0 to 6, 2304 pixels from 0 to 255 and a usage"),
    )
    assert source.table["path"].tolist() == ["fer2013.csv#2", "fer2013.csv#4"]
    assert source.table["part"].tolist() == ["train", "val"]


def test_fer2013_parts_are_named_in_any_way_and_unknown_ones_said(lay: Laid) -> None:
    usages = ["training", "TRAIN", "publictest", "Valid", "privatetest", "eval", "Holdout"]
    rows = "".join(f"1,{GOOD},{usage}\n" for usage in usages)
    source = read_source("fer", "fer2013", root=lay({"fer2013.csv": "emotion,pixels,Usage\n" + rows}))
    assert source.table["part"].tolist() == ["train", "train", "val", "val", "test", "test"]
    ((path, reason),) = source.problems
    assert path == "fer2013.csv, line 8" and reason.startswith("row of the unknown part 'Holdout'; allowed are train")


def test_fer2013_tables_with_other_columns_or_without_rows(lay: Laid) -> None:
    root = lay({"fer2013.csv": f"label,pixels,Usage\n1,{GOOD},Training\n"})
    with pytest.raises(DataError) as caught:
        read_source("fer", "fer2013", root=root)
    assert str(caught.value) == (
        f"{root}: fer2013.csv has the columns label, pixels, Usage; emotion, pixels, Usage were expected"
    )
    root = lay({"fer2013.csv": "emotion,pixels,Usage\n"})
    with pytest.raises(DataError, match="there are no images for the source 'fer'"):
        read_source("fer", "fer2013", root=root)
