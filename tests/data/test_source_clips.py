"""Sources of clips: how they lie, what their names and tables tell, and what is wrong with them. Nothing is decoded."""

import tarfile
from pathlib import Path

import pytest

from fer.data.image_store import fingerprint_sources
from fer.data.joined_sources import check_source_problems
from fer.data.sources import Source, read_source
from fer.errors import DataError
from tests.helpers.image_data import Laid

VIDEO = b"\0 the content of a video"


def read(root: str, **options) -> Source:
    return read_source("own", "clips", root=root, **{"naming": "auto", "table": None, "class_map": {}, **options})


def files(*names: str) -> dict[str, bytes]:
    return {name: VIDEO + name.encode() for name in names}


def rows(source: Source) -> list[tuple[str, str, str, str | None]]:
    subjects = [None] * len(source.table) if source.groups is None else source.groups["subject"]
    table = source.table
    return list(zip(table["path"], table["part"], table["label"], subjects, strict=True))


def test_a_class_a_folder(lay_any: Laid):
    source = read(lay_any(files("happy/a.mp4", "happy/more/b.AVI", "Sad/c.webm")))
    assert lay_any.rows(source) == [
        *(("Sad/c.webm", "", "sadness"), ("happy/a.mp4", "", "happiness"), ("happy/more/b.AVI", "", "happiness"))
    ]
    assert source.groups is None and not source.problems and not source.unused
    video = source.table["path"][0]
    with source.clips.open_video(source.clips.spans[video].video) as path:
        assert path.read_bytes() == source.read(video) and path.suffix == Path(video).suffix


def test_parts_above_the_classes_and_those_of_afew(lay: Laid):
    source = read(lay(files("train/fear/a.mp4", "dev/fear/b.mp4", "test/angry/c.mp4")))
    assert lay.rows(source) == [
        *(
            ("dev/fear/b.mp4", "val", "fear"),
            ("test/angry/c.mp4", "test", "anger"),
            ("train/fear/a.mp4", "train", "fear"),
        )
    ]
    content = files("AFEW/Train_AFEW/Angry/000046280.avi", "AFEW/Val_AFEW/Happy/000149120.avi")
    for naming in ("auto", "afew"):
        assert [row[1:3] for row in rows(read(lay(content), naming=naming))] == [
            ("train", "anger"),
            ("val", "happiness"),
        ]


def test_names_of_ravdess(lay: Laid):
    content = files(
        "Actor_12/01-01-06-01-02-01-12.mp4",  # fearful
        "Actor_12/02-01-06-01-02-01-12.mp4",  # the same without its sound
        "Actor_12/02-01-08-02-02-01-12.mp4",
        "Actor_03/01-01-02-01-02-01-03.mp4",  # calm
        "Actor_03/01-02-01-01-01-02-03.mp4",
    )
    source = read(lay(content | {"Actor_03/03-01-05-01-01-01-03.wav": b"sound"}))
    assert rows(source) == [
        ("Actor_03/01-02-01-01-01-02-03.mp4", "", "neutral", "03"),
        ("Actor_12/01-01-06-01-02-01-12.mp4", "", "fear", "12"),
        ("Actor_12/02-01-08-02-02-01-12.mp4", "", "surprise", "12"),
    ]
    assert dict(source.unused) == {
        "Actor_03/01-01-02-01-02-01-03.mp4": "calm: emotion that is none of the classes",
        "Actor_12/02-01-06-01-02-01-12.mp4": "the same recording as another file, without its sound",
        "Actor_03/03-01-05-01-01-01-03.wav": "no video, by its suffix",
    }
    calm = read(lay(content), class_map={"calm": "neutral"})
    assert ("Actor_03/01-01-02-01-02-01-03.mp4", "", "neutral", "03") in rows(calm)


def test_names_of_crema_d(lay: Laid):
    source = read(lay(files("1001_DFA_ANG_XX.flv", "1001_IEO_HAP_HI.flv", "1040_ITH_SAD_X.flv", "1091_WSI_NEU_XX.flv")))
    assert [row[2:] for row in rows(source)] == [
        *(("anger", "1001"), ("happiness", "1001"), ("sadness", "1040"), ("neutral", "1091"))
    ]
    mixed = read(lay(files("1001_DFA_ANG_XX.flv", "1001_IEO_HAP_HI.flv", "trailer.mp4")))
    assert mixed.problems == (("trailer.mp4", "name that is none of naming=crema-d"),) and not mixed.unused
    with pytest.raises(DataError, match=r"own/trailer.mp4 \(name that is none of .*set dataset.on_corrupt=skip"):
        check_source_problems([mixed])


TABLE = """path,start_s,end_s,label,subject,part,site
b.mp4,2,4.5,happy,p1,train,north
a.mp4,,,Sad,p2,test,
b.mp4,0,2,angry,p1,train,north
"""


def test_a_table_of_stretches(lay_any: Laid):
    source = read(lay_any({"clips.csv": TABLE, **files("a.mp4", "b.mp4", "c.mp4")}), table="clips.csv")
    top = lay_any.top
    assert rows(source) == [
        (f"{top}a.mp4", "test", "sadness", "p2"),
        (f"{top}b.mp4#t=0,2", "train", "anger", "p1"),
        (f"{top}b.mp4#t=2,4.5", "train", "happiness", "p1"),
    ]
    assert source.groups["site"].tolist() == [None, "north", "north"]
    assert source.unused == ((f"{top}c.mp4", "video that the table does not name"),)
    span = source.clips.spans[f"{top}b.mp4#t=2,4.5"]
    assert (span.video, span.start_s, span.end_s) == (f"{top}b.mp4", 2, 4.5)
    minimal = read(lay_any({"clips.csv": "label,path\nfear,a.mp4\n", **files("a.mp4")}), table="clips.csv")
    assert minimal.groups is None and minimal.table["label"].tolist() == ["fear"]


WRONG_ROWS = {
    "c.mp4,,,fear": "row without a video",
    "b.mp4,,,bored": "row with the label 'bored', which is no emotion",
    "b.mp4,x,,fear": "row whose start_s or end_s is no time in seconds",
    "b.mp4,-1,,fear": "row whose start_s or end_s is no time in seconds",
    "b.mp4,nan,,fear": "row whose start_s or end_s is no time in seconds",
    "b.mp4,3,3,fear": "row that ends where it begins, or before",
    "b.mp4,3,1,fear": "row that ends where it begins, or before",
    "a.mp4,,,fear": "row of a clip that line 2 names already",
    "a.mp4,2,,anger": "row that overlaps with line 2, which has another label",
}


@pytest.mark.parametrize("row", WRONG_ROWS)
def test_a_wrong_row_is_a_problem_with_its_line(row: str, lay: Laid):
    table = f"path,start_s,end_s,label\na.mp4,,,fear\n{row}\n"
    source = read(lay({"clips.csv": table, **files("a.mp4", "b.mp4")}), table="clips.csv")
    assert rows(source) == [("a.mp4", "", "fear", None)]
    assert source.problems == ((f"clips.csv, line 3 ({row.split(',')[0]})", WRONG_ROWS[row]),)
    assert source.unused == ((("b.mp4", "video that the table does not name"),) if row[0] != "b" else ())


def test_rows_that_touch_or_agree_do_not_contradict_each_other(lay: Laid):
    table = "path,start_s,end_s,label\na.mp4,0,2,fear\na.mp4,2,4,anger\na.mp4,3,5,anger\na.mp4,5,,fear\n"
    source = read(lay({"clips.csv": table, **files("a.mp4")}), table="clips.csv")
    assert len(source.table) == 4 and not source.problems


def test_labels_and_folders_that_the_map_leaves_out(lay: Laid):
    table = "path,label\na.mp4,fear\nb.mp4,calm\nc.mp4,joy\n"
    root = lay({"clips.csv": table, **files("a.mp4", "b.mp4", "c.mp4")})
    source = read(root, table="clips.csv", class_map={"calm": None, "joy": "happiness"})
    assert [row[2] for row in rows(source)] == ["fear", "happiness"]
    assert source.unused == (("b.mp4", "label left out by class_map"),)
    source = read(lay(files("fear/a.mp4", "calm/b.mp4")), class_map={"calm": None})
    assert [row[2] for row in rows(source)] == ["fear"]
    assert source.unused == (("calm/b.mp4", "label left out by class_map"),)


REFUSED = {
    "an unknown folder": (files("happy/a.mp4", "suprise/b.mp4"), {}, "the folder 'suprise' names no emotion (did you "),
    "no class at all": (files("one/a.mp4", "two/b.mp4"), {}, "not laid out as clips; accepted are <class>/*.mp4"),
    "pictures alone": ({"happy/a.jpg": b"x"}, {}, "not laid out as clips; accepted are"),
    "a class beside a part": (
        files("train/fear/a.mp4", "fear/b.mp4"),
        {},
        "the folder fear lies in none that is named",
    ),
    "no such table": (files("a.mp4"), {"table": "clips.csv"}, "there is no table clips.csv; found a.mp4"),
    "a table without labels": (
        *({"clips.csv": "path,emotion\na.mp4,fear\n", **files("a.mp4")}, {"table": "clips.csv"}),
        "clips.csv has the columns path, emotion, and none is label",
    ),
    "a column of the manifest": (
        *({"clips.csv": "path,label,weight\na.mp4,fear,1\n", **files("a.mp4")}, {"table": "clips.csv"}),
        "clips.csv has a column weight, which is the manifest's own",
    ),
    "a table to be named": (files("a.mp4"), {"naming": "table"}, "naming=table needs the name of the table"),
    "a table and other names": (
        *(files("a.mp4"), {"naming": "ravdess", "table": "clips.csv"}),
        "the table clips.csv is not read with naming=ravdess",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_laid_out_otherwise_is_refused_in_a_sentence(case: str, lay: Laid):
    content, options, words = REFUSED[case]
    with pytest.raises(DataError) as refused:
        read(lay(content), **options)
    assert words in str(refused.value)


def test_the_fingerprint_is_that_of_bytes_stretches_and_labels(lay: Laid):
    videos = files("a.mp4", "b.mp4")

    def fingerprint(table: str = TABLE, content: dict[str, bytes] = videos) -> str:
        return fingerprint_sources([read(lay({"clips.csv": table, **content}), table="clips.csv")])[0]

    first = fingerprint()
    assert fingerprint() == first == fingerprint(TABLE.replace("north", "south"))
    assert fingerprint(TABLE.replace("4.5", "4.6")) != first
    assert fingerprint(TABLE.replace("happy", "fear")) != first
    assert fingerprint(content={**videos, "b.mp4": b"another"}) != first


def test_a_tar_of_clips_is_read_and_unpacked_for_as_long_as_needed(lay: Laid, tmp_path: Path):
    root = lay(files("fear/a.mp4", "anger/b.mp4"))
    archive = tmp_path / "clips.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(root, arcname="clips")
    source = read(str(archive))
    assert [row[2] for row in rows(source)] == ["anger", "fear"]
    with source.clips.open_video("clips/fear/a.mp4") as path:
        assert path.read_bytes() == VIDEO + b"fear/a.mp4"
    assert not path.exists()
