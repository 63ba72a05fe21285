"""Tables of labelled images, CSV and Parquet."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer.config.compose import load_overrides
from fer.config.dataset import list_source_paths
from fer.data.image_store import fingerprint_sources, open_image_store
from fer.data.manifest import ManifestConfig, build_manifest
from fer.data.sources import Source, read_source
from fer.errors import DataError
from tests.helpers.image_data import Laid, encoded

CSV = """image,label,split,weight,subject,p_anger
a/1.png,Happy,train,2,ann,0.1
a/2.png,sadness,valid,,bob,0.2
'=3.png,anger,test,1,,0.3
a/4.png,,train,1,ann,
a/5.png,grumpy,train,1,ann,
a/6.png,anger,train,0,ann,
a/6.png,anger,sometimes,1,ann,
a/1.png,anger,train,1,ann,
../labels.csv,anger,train,1,ann,
"""
IMAGES = {f"a/{number}.png": encoded(number) for number in range(1, 8)} | {"=3.png": encoded(3)}


def read(root: str, table: str, class_map: dict[str, str | None] | None = None) -> Source:
    return read_source("mine", "table", table=table, root=root, class_map=class_map or {})


def test_csv_with_all_columns(lay: Laid, tmp_path: Path) -> None:
    """Names, weights and groups are read; each row that is no sample is told with its line."""
    table = tmp_path / "labels.csv"
    table.write_text(CSV, encoding="utf-8")
    source = read(lay(IMAGES), str(table), {"grumpy": None})
    assert lay.rows(source) == [
        ("=3.png", "test", "anger"),
        ("a/1.png", "train", "happiness"),
        ("a/2.png", "val", "sadness"),
    ]
    assert source.table["weight"].tolist() == [2.0, 1.0, 1.0]
    assert source.groups is not None and source.groups.to_dict("list") == {"subject": ["ann", "bob", None]}
    assert [reason for _, reason in source.problems] == [
        "row with the weight '0', which is no number above 0",
        "row with the split 'sometimes'; allowed are " + source.problems[1][1].partition("allowed are ")[2],
        "row of an image that was named before",
        "row without an image",
    ]
    assert source.problems[2][0] == "labels.csv, line 9 (a/1.png)"
    assert dict(source.unused) == {
        "a/4.png": "row without a label",
        "a/5.png": "label left out by class_map",
        "a/3.png": "image that the table does not name",
        "a/6.png": "image that the table does not name",
        "a/7.png": "image that the table does not name",
    }


def test_parquet_with_paths_in_an_archive(lay_any: Laid, tmp_path: Path) -> None:
    table = tmp_path / "labels.parquet"
    paths = [f"{lay_any.top}a/{number}.png" for number in (1, 2)]
    pd.DataFrame({"path": paths, "label": ["fear", None], "age": [31.0, None]}).to_parquet(table)
    source = read(lay_any(IMAGES), str(table))
    assert lay_any.rows(source) == [("a/1.png", "", "fear")]
    assert "weight" not in source.table
    assert source.groups is not None and source.groups["age"].tolist() == ["31.0"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,label\n", "has the columns file, label, and none is path"),
        ("path\n", "and none is label"),
        ("", "of an empty file"),
        ("path,label,label\n", "has the column 'label' twice; leave one out"),
        ("path,label,source\n", "has a column source, which is the manifest's own"),
    ],
)
def test_tables_that_cannot_be_used(content: str, message: str, lay: Laid, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read(lay(IMAGES), str(table))


def test_paths_of_another_machine_are_told_as_such(lay: Laid, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(
        f"path,label\n/home/x/a/1.png,fear\nC:\\a\\1.png,fear\n{next(iter(IMAGES))},fear\n"
    )
    source = read(lay(IMAGES), str(tmp_path / "labels.csv"))
    assert len(source.table) == 1
    assert {reason for _, reason in source.problems} == {
        "row with an absolute path, which must begin in the source's root"
    }


def test_files_that_are_no_table(lay: Laid, tmp_path: Path) -> None:
    (tmp_path / "labels.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match="labels.parquet: cannot be read as Parquet"):
        read(lay(IMAGES), str(tmp_path / "labels.parquet"))
    with pytest.raises(DataError, match="is no table; name a .csv or .parquet file"):
        read(lay(IMAGES), str(tmp_path))


def test_weights_count_in_training_alone_and_in_the_fingerprint(lay: Laid, tmp_path: Path) -> None:
    root = lay(IMAGES)
    table = tmp_path / "labels.csv"
    rows = [(1, "train", 2), (2, "train", 0.5), (4, "val", 3), (5, "test", 3)]

    def build(factor: float) -> tuple[str, np.ndarray]:
        lines = [f"a/{number}.png,anger,{split},{weight * factor}" for number, split, weight in rows]
        table.write_text("path,label,split,weight\n" + "\n".join(lines), encoding="utf-8")
        source = read(root, str(table))
        store = open_image_store([source], 48, str(tmp_path / "cache"))
        config = ManifestConfig({}, 7, "official", (0.8, 0.1, 0.1), "drop", -1, "error", "ignore", "none", None, seed=0)
        samples = build_manifest([source], store, config).samples
        return fingerprint_sources([source])[0], samples["weight"].to_numpy()

    (first, weights), (second, doubled) = build(1), build(2)
    assert weights.tolist() == [2, 0.5, 1, 1]
    assert doubled.tolist() == [4, 1, 1, 1]
    assert first != second


def test_paths_begin_beside_the_table_unless_a_root_is_named(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.touch()
    (tmp_path / "images").mkdir()
    overrides = ["dataset=table", f"dataset.sources.table.table={table}"]
    source = load_overrides(overrides).dataset.sources["table"]
    assert list_source_paths(source) == {"table": str(table), "root": str(tmp_path)}
    source = load_overrides([*overrides, f"dataset.sources.table.root={tmp_path / 'images'}"]).dataset.sources["table"]
    assert list_source_paths(source)["root"] == str(tmp_path / "images")
