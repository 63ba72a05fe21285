"""Facts about the people in a data set, and images that the user leaves out."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from fer.data.exclude import read_excluded
from fer.data.image_store import fingerprint_sources
from fer.data.manifest import Manifest
from fer.data.sources import read_source
from fer.errors import DataError
from tests.helpers.image_data import Laid, array_source, encoded, noise

ManifestOf = Callable[..., Manifest]
POINTS = "20.0\t40.0\n80.0\t40.0\n{nose}\t60.0\n30.0\t80.0\n70.0\t80.0\n"


def official(attributes: dict[str, str]) -> dict[str, bytes | str]:
    """RAF-DB of four images; attributes: name of the image: content of its file."""
    names = ["train_00001", "train_00002", "test_0001", "test_0002"]
    return {
        "EmoLabel/list_patition_label.txt": "".join(f"{name}.jpg 4\n" for name in names),
        **{f"Image/aligned/{name}_aligned.jpg": encoded(n, suffix=".jpg") for n, name in enumerate(names)},
        **{f"Annotation/manual/{name}_manu_attri.txt": text for name, text in attributes.items()},
        **{f"Annotation/auto/{name}_auto_attri.txt": "1\t2\n" for name in attributes},
    }


def test_rafdb_annotations_of_people_and_the_turn_of_the_head(lay_any: Laid) -> None:
    content = official(
        {
            "train_00001": POINTS.format(nose="50.0") + "0\n0\n2\n",
            "test_0001": POINTS.format(nose="68.0").replace("\t", " ") + "1\n2\n0\n",
            "test_0002": POINTS.format(nose="50.0") + "2\n1\n4",
        }
    )
    source = read_source("raf", "rafdb", root=lay_any(content))
    assert source.groups is not None
    groups = source.groups.set_index(source.table["path"].str.extract(r"(\w+)_aligned", expand=False))
    assert groups.columns.tolist() == ["gender", "race", "age", "yaw"]
    assert groups.loc["train_00001"].tolist() == ["male", "Caucasian", "20-39", 0.0]
    # The nose stands 18 of 60 pixels beside the middle, as of a head turned by 26.6 degrees: 0.3 / 0.6 = tan.
    assert groups.loc["test_0001"].tolist() == ["female", "Asian", "0-3", 26.6]
    assert groups.loc["test_0002"].tolist()[:3] == ["unsure", "African-American", "70+"]
    assert groups.loc["train_00002"].isna().all()
    assert not source.unused and not source.notes


def test_groups_leave_the_fingerprint_as_it_is(lay: Laid) -> None:
    plain, annotated = official({}), official({"train_00001": POINTS.format(nose="50") + "0\n0\n2\n"})
    sources = [read_source("raf", "rafdb", root=lay(content)) for content in (plain, annotated)]
    assert sources[0].groups is None and sources[1].groups is not None
    assert fingerprint_sources(sources[:1]) == fingerprint_sources(sources[1:])


@pytest.mark.parametrize("tail", ["0\n0\n", "0\n3\n1\n", "0\n-1\n1\n", "male\n0\n1\n", "0\n0\n1\n1\n"])
def test_rafdb_annotations_that_are_malformed_are_told_and_left_empty(tail: str, lay: Laid) -> None:
    content = official(
        {"train_00001": POINTS.format(nose="50") + tail, "test_0001": POINTS.format(nose="50") + "0\n0\n2"}
    )
    source = read_source("raf", "rafdb", root=lay(content))
    assert source.groups is not None and source.groups["gender"].notna().sum() == 1
    assert "left empty: 1, such as " in source.notes[0] and "train_00001_manu_attri.txt" in source.notes[0]


def folders(table: str) -> dict[str, bytes | str]:
    return {"happy/a.png": encoded(1), "sad/b.png": encoded(2), "sad/c.png": encoded(3), "groups.csv": table}


def test_groups_of_a_folder_reach_the_manifest(lay_any: Laid, manifest_of: ManifestOf) -> None:
    source = read_source(
        "own", "folder", class_map={}, root=lay_any(folders("path, site,yaw\nhappy/a.png,Bern ,-12.5\nsad/c.png,,3\n"))
    )
    assert not source.unused and not source.problems
    other = array_source([noise(n, 48) for n in range(10, 16)], ["train", "val"] * 3, ["fear"] * 6)
    manifest = manifest_of([other, source], split="stratified", on_empty_class="ignore")
    assert manifest.samples.columns.tolist()[-3:] == ["duplicate_group", "site", "yaw"]
    rows = manifest.samples.assign(file=manifest.samples["path"].str.rsplit("/").str[-1]).set_index("file")
    assert rows.loc["a.png", ["site", "yaw"]].tolist() == ["Bern", -12.5]
    assert pd.isna(rows.loc["c.png", "site"]) and rows.loc["c.png", "yaw"] == 3
    assert rows.loc[rows["source"] == "drawn", ["site", "yaw"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("image,site\n", "has the columns image, site; one must be path"),
        ("", "has the columns of an empty file; one must be path"),
        ("path,label\n", "has a column label, which is the manifest's own"),
        ("path,p_anger\n", "has a column p_anger, which is the manifest's own"),
        ("path,site,site\n", "has the column 'site' twice"),
        ("path,the site\n", "has the column 'the site' twice, or one that is no name"),
        ("path,yaw\nhappy/a.png,left\n", "the column yaw holds numbers from -180 to 180, not 'left'"),
    ],
)
def test_groups_that_cannot_be_read(table: str, message: str, lay: Laid) -> None:
    with pytest.raises(DataError, match=message):
        read_source("own", "folder", class_map={}, root=lay(folders(table)))


def test_rows_of_groups_without_image_are_problems(lay: Laid) -> None:
    table = "path,site\nhappy/a.png,Bern\nhappy/z.png,Bern\nhappy/a.png,Genf\n"
    source = read_source("own", "folder", class_map={}, root=lay(folders(table)))
    assert [(path.partition(" (")[0], reason) for path, reason in source.problems] == [
        ("groups.csv, line 3", "row of groups.csv without an image"),
        ("groups.csv, line 4", "row of an image that was named before"),
    ]


def test_listed_images_are_left_out_counted_and_told(manifest_of: ManifestOf, tmp_path: Path) -> None:
    source = array_source([noise(n, 24) for n in range(8)], ["train"] * 5 + ["val"] * 3, ["fear"] * 8)
    path = tmp_path / "label_issues.csv"
    path.write_text("sample_id,score,reason\ndrawn/00001.png,0.1,the model disagrees\ndrawn/00006.png,0.2,\n")
    manifest = manifest_of([source], exclude=read_excluded(path), on_empty_class="ignore")
    assert manifest.samples.index.tolist() == [0, 2, 3, 4, 5, 7]
    assert manifest.excluded[["sample_id", "reason"]].to_numpy().tolist() == [
        ["drawn/00001.png", "listed in dataset.exclude: the model disagrees"],
        ["drawn/00006.png", "listed in dataset.exclude"],
    ]
    assert ("listed in dataset.exclude", 1, "left out") in manifest.findings


def test_an_unreadable_image_can_be_listed(manifest_of: ManifestOf) -> None:
    images = [noise(n, 24) for n in range(6)]
    source = array_source(images, ["train"] * 3 + ["val"] * 3, ["fear"] * 6)
    broken = {**dict(zip(source.table["path"], images, strict=True)), "00001.png": b"no image"}
    source = type(source)("drawn", source.table, broken.__getitem__)
    with pytest.raises(DataError, match="on_corrupt=skip"):
        manifest_of([source], on_empty_class="ignore", on_corrupt="error")
    manifest = manifest_of([source], on_empty_class="ignore", on_corrupt="error", exclude={"drawn/00001.png": "listed"})
    assert len(manifest.samples) == 5


def test_ids_of_other_data_are_refused(manifest_of: ManifestOf) -> None:
    source = array_source([noise(n, 24) for n in range(4)], ["train", "val"] * 2, ["fear"] * 4)
    with pytest.raises(
        DataError, match=r"1 of 2 ids are not among .* such as other/00001.png; an id that there is: drawn/"
    ):
        manifest_of([source], exclude={"drawn/00001.png": "x", "other/00001.png": "x"}, on_empty_class="ignore")


@pytest.mark.parametrize(
    ("text", "message"), [("path\na\n", "lacks sample_id"), ("sample_id,reason\na,1\n,2\n", "line 3 has no")]
)
def test_lists_that_cannot_be_read(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_excluded(path)
