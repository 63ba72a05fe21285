"""A folder a class: with and without parts, mapped names, and folders that name nothing."""

import shlex

import pytest

from fer.config.compose import load_overrides
from fer.config.quoting import quote_overrides
from fer.data.sources import collect_label_rules, read_source
from fer.errors import DataError
from tests.helpers.image_data import Laid, encoded


def message(root: str, kind: str = "folder", **options: object) -> str:
    """What is said about a root that is refused, without its name."""
    with pytest.raises(DataError) as caught:
        read_source("own", kind, root=root, **({"class_map": {}} if kind == "folder" else {}), **options)
    assert str(caught.value).startswith(f"{root}: ")
    return str(caught.value).removeprefix(f"{root}: ")


def test_without_parts(lay_any: Laid) -> None:
    content = {
        "Happy/a.png": encoded(1),
        "happiness/b.JPG": encoded(2, suffix=".jpg"),
        "SAD/c.webp": encoded(3, suffix=".webp"),
        "sad/notes.txt": "no image",
        "sad/d.bmp": encoded(4, suffix=".bmp"),
        "sad/._d.bmp": b"a Mac's companion file",
    }
    source = read_source("own", "folder", root=lay_any(content), class_map={})
    assert lay_any.rows(source) == [
        ("Happy/a.png", "", "happiness"),
        ("SAD/c.webp", "", "sadness"),
        ("happiness/b.JPG", "", "happiness"),
        ("sad/d.bmp", "", "sadness"),
    ]
    for path in source.table["path"]:
        assert source.read(path) == content[path.removeprefix(lay_any.top)]


def test_with_parts(lay_any: Laid) -> None:
    content = {f"{part}/fear/{part}.png": encoded(0) for part in ("Training", "valid", "TEST")}
    source = read_source("own", "folder", root=lay_any(content), class_map={})
    assert lay_any.rows(source) == [
        ("TEST/fear/TEST.png", "test", "fear"),
        ("Training/fear/Training.png", "train", "fear"),
        ("valid/fear/valid.png", "val", "fear"),
    ]


def test_class_map_names_folders_and_leaves_some_out(lay_any: Laid) -> None:
    content = {f"{folder}/0.png": encoded(0) for folder in ("01", "02", "blurred", "fear", "sad")}
    class_map = {"01": "Happy", "02": "contempt", "blurred": None, "sad": None}
    source = read_source("own", "folder", root=lay_any(content), class_map=class_map)
    assert lay_any.rows(source) == [
        ("01/0.png", "", "happiness"),
        ("02/0.png", "", "contempt"),
        ("fear/0.png", "", "fear"),
    ]


def test_what_a_mac_adds_is_no_class(lay: Laid, lay_zip: Laid) -> None:
    content = {
        "fear/0.png": encoded(0),
        "sad/1.png": encoded(1),
        "__MACOSX/fear/._0.png": b"x",
        ".hidden/2.png": b"x",
        ".DS_Store": b"x",
    }
    for way in (lay, lay_zip):
        source = read_source("own", "folder", root=way(content), class_map={})
        assert source.table["path"].tolist() == ["fear/0.png", "sad/1.png"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "hint", "remedy"),
    [
        ("suprise", " (did you mean surprise?)", "or map it: '{key}={{suprise: surprise}}' (null leaves it out)"),
        ("Hapiness", " (did you mean happiness?)", "or map it: '{key}={{Hapiness: happiness}}' (null leaves it out)"),
        ("hapy", " (did you mean happy?)", "or map it: '{key}={{hapy: happiness}}' (null leaves it out)"),
        *(
            (folder, "", f"map it to an emotion, or leave it out: '{{key}}={{{{{folder}: null}}}}'")
            for folder in ("xyz", "ab-c_1", "0", "01", "1.5", "0. uvw xyz", "(1)", "a=b", "微笑")
        ),
        ("a: b", "", "map it to an emotion, or leave it out: '{key}={{\"a: b\": null}}'"),
        ("a, b", "", "map it to an emotion, or leave it out: '{key}={{\"a, b\": null}}'"),
        ("it's", "", "map it to an emotion, or leave it out: '{key}={{\"it'\"'\"'s\": null}}'"),
    ],
)
def test_an_unknown_folder_proposes_the_nearest_name_and_a_mapping_that_works(
    folder: str, hint: str, remedy: str, lay_any: Laid
) -> None:
    root = lay_any({"fear/0.png": encoded(0), f"{folder}/1.png": encoded(1)})
    assert message(root) == (
        f"the folder {folder!r} names no emotion{hint}; allowed are anger, disgust, fear, happiness, neutral, sadness, "
        f"surprise, contempt; rename it, {remedy.format(key='dataset.sources.own.class_map')}"
    )
    typed = (
        remedy.format(key="dataset.sources.folder.class_map").split(": ", 1)[1].removesuffix(" (null leaves it out)")
    )
    overrides = quote_overrides(["dataset=folder", f"dataset.sources.folder.root={root}", *shlex.split(typed)])
    assert load_overrides(overrides, "train").dataset.sources["folder"].class_map.keys() == {folder}
    root = lay_any({"train/fear/0.png": encoded(0), f"train/{folder}/1.png": encoded(1)})
    assert f"the folder {folder!r} names no emotion{hint}; " in message(root)
    assert message(root, "fer2013").endswith(
        "; rename it, or read the data set with dataset=folder, whose class_map maps names"
    )


def test_rafdb_folders_allow_numbers(lay: Laid) -> None:
    root = lay({"train/1/0.jpg": encoded(0), "train/8/1.jpg": encoded(1)})
    assert message(root, "rafdb").startswith(
        "the folder '8' names no emotion; allowed are anger, disgust, fear, happiness, neutral, sadness, surprise, "
        "contempt, 1, 2, 3, 4, 5, 6, 7; rename it"
    )


def test_an_empty_class_folder_is_named(lay: Laid) -> None:
    root = lay({"fear/0.png": encoded(0), "sad": None})
    assert message(root) == "the class folder sad holds no images; add some, or remove the folder"
    root = lay({"train/fear/0.png": encoded(0), "train/sad": None})
    expected = "the class folder train/sad holds no images; add some, or remove the folder"
    assert message(root) == message(root, "fer2013") == expected
    root = lay({"fear/0.png": encoded(0), "sad/readme.txt": "nothing here"})
    assert message(root) == "the class folder sad holds no images; add some, or remove the folder"
    source = read_source("own", "folder", root=root, class_map={"sad": None})
    assert source.table["label"].tolist() == ["fear"]


def test_images_without_class_folders_are_another_layout(lay_any: Laid) -> None:
    expected = "not laid out as class folders" if not lay_any.top else "the folder 'download' names no emotion"
    assert message(lay_any({"a.png": encoded(0), "b.png": encoded(1)})).startswith(expected)
    deep = lay_any({"may/0.png": encoded(0), "june/more/1.png": encoded(1)})
    assert message(deep).startswith("not laid out as class folders; accepted are <class>/*.png|jpg or train|val|test/")


def test_two_folders_for_the_same_part_are_refused(lay_any: Laid) -> None:
    root = lay_any({f"{part}/fear/0.png": encoded(0) for part in ("train", "val", "valid")})
    top = lay_any.top
    assert message(root) == f"{top}val/ and {top}valid/ both stand for the part val; keep one of them"
    root = lay_any({"a/train/fear/0.png": encoded(0), "b/train/fear/0.png": encoded(1)})
    assert (
        message(root, "fer2013") == f"{top}a/train/ and {top}b/train/ both stand for the part train; keep one of them"
    )


def test_everything_left_out_is_refused(lay: Laid) -> None:
    root = lay({"fear/0.png": encoded(0)})
    with pytest.raises(DataError, match="there are no images for the source 'own'"):
        read_source("own", "folder", root=root, class_map={"fear": None})


def test_label_rules_are_those_of_sources_with_votes() -> None:
    voted = {"kind": "ferplus", "root": "x", "label_rule": "argmax", "eval_label_rule": "majority", "contempt": "drop"}
    assert collect_label_rules({"a": voted, "b": {"kind": "rafdb", "root": "y"}}) == {
        "a": {"label_rule": "argmax", "eval_label_rule": "majority", "contempt": "drop"}
    }


def test_drawn_faces_are_split_and_voted(lay: Laid) -> None:
    options = {"count": 20, "size": 32, "seed": 5, "label_rule": "majority", "eval_label_rule": "majority"}
    source = read_source("drawn", "synthetic", **options, contempt="drop")
    again = read_source("drawn", "synthetic", **options, contempt="drop")
    other = read_source("drawn", "synthetic", **{**options, "seed": 6}, contempt="drop")
    assert source.table["part"].value_counts().to_dict() == {"train": 16, "val": 2, "test": 2}
    votes = [column for column in source.table if column.startswith("votes_")]
    assert (source.table[votes].sum(axis=1) == 10).all()
    first = source.table["path"][0]
    assert source.read(first).shape == (32, 32, 3)
    assert (source.read(first) == again.read(first)).all() and (source.read(first) != other.read(first)).any()
    assert source.get_info is not None and other.get_info is not None
    assert source.get_info(first).digest != other.get_info(first).digest
