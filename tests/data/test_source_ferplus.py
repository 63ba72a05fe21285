"""FERPlus's two layouts: the join on names, which file of votes counts, and tables that are wrong."""

import re
from collections.abc import Sequence

import numpy as np
import pytest

from fer.data.sources import read_source
from fer.data.sources.base import VOTE_COLUMNS, Source
from fer.emotions import FERPLUS_VOTES
from fer.errors import DataError
from tests.helpers.image_data import Laid, encoded, noise

HEADER = "Usage,Image name," + ",".join(FERPLUS_VOTES)
BOX = '"(0, 0, 48, 48)"'


def ten(winner: str, count: int = 10) -> list[int]:
    return [count if name == winner else 0 for name in FERPLUS_VOTES]


def cells(votes: Sequence[int]) -> str:
    return ",".join(map(str, votes))


def label_csv(rows: dict[str, list[int]] | list[tuple[str, list[int]]]) -> str:
    pairs = rows.items() if isinstance(rows, dict) else rows
    return "".join(f"{name},{BOX},{cells(votes)}\n" for name, votes in pairs)


def new_csv(rows: Sequence[tuple[str, str, list[int]]]) -> str:
    return HEADER + "\n" + "".join(f"{usage},{name},{cells(votes)}\n" for usage, name, votes in rows)


def pixel_csv(rows: Sequence[tuple[str, np.ndarray]]) -> str:
    lines = (f"3,{' '.join(map(str, image.ravel()))},{usage}\n" for usage, image in rows)
    return "emotion,pixels,Usage\n" + "".join(lines)


def winners(source: Source) -> dict[str, str]:
    """Image name: the column with the most votes."""
    counts = source.table[list(VOTE_COLUMNS)].to_numpy()
    names = [path.rsplit("/", 1)[-1] for path in source.table["path"]]
    return {name: FERPLUS_VOTES[column] for name, column in zip(names, counts.argmax(axis=1), strict=True)}


@pytest.fixture
def scripted() -> dict[str, bytes | str]:
    """The layout that FERPlus's preparation script writes; the two files of votes disagree on purpose."""
    return {
        "FER2013Train/fer0.png": encoded(0),
        "FER2013Train/fer1.png": encoded(1),
        "FER2013Train/label.csv": label_csv({"fer1.png": ten("fear"), "fer0.png": ten("anger")}),
        "FER2013Valid/fer2.png": encoded(2),
        "FER2013Valid/label.csv": label_csv({"fer2.png": ten("NF")}),
        "FER2013Test/fer3.png": encoded(3),
        "FER2013Test/label.csv": label_csv({"fer3.png": ten("contempt")}),
        "fer2013new.csv": new_csv(
            [
                ("Training", "fer0.png", ten("happiness")),
                ("Training", "", ten("NF")),
                ("Training", "fer1.png", ten("sadness")),
                ("PublicTest", "", ten("NF")),
                ("PublicTest", "fer2.png", ten("neutral")),
                ("PrivateTest", "fer3.png", ten("unknown")),
            ]
        ),
    }


@pytest.mark.parametrize("votes", ["auto", "label.csv", "fer2013new.csv"])
def test_folders(votes: str, scripted: dict[str, bytes], lay_any: Laid) -> None:
    source = read_source("plus", "ferplus", root=lay_any(scripted), votes=votes)
    assert lay_any.rows(source) == [
        ("FER2013Test/fer3.png", "test", None),
        ("FER2013Train/fer0.png", "train", None),
        ("FER2013Train/fer1.png", "train", None),
        ("FER2013Valid/fer2.png", "val", None),
    ]
    expected = {
        "label.csv": {"fer0.png": "anger", "fer1.png": "fear", "fer2.png": "NF", "fer3.png": "contempt"},
        "fer2013new.csv": {
            "fer0.png": "happiness",
            "fer1.png": "sadness",
            "fer2.png": "neutral",
            "fer3.png": "unknown",
        },
    }
    used = "label.csv" if votes == "auto" else votes
    assert winners(source) == expected[used]
    assert source.notes == (f"votes from {used}",) and source.problems == ()
    assert source.unused and {reason for _, reason in source.unused} == {f"votes come from {used}"}
    for path in source.table["path"]:
        assert source.read(path) == scripted[path.removeprefix(lay_any.top)]


@pytest.mark.parametrize("votes", ["auto", "fer2013new.csv"])
def test_folders_without_label_csv_take_fer2013new(votes: str, scripted: dict[str, bytes], lay_any: Laid) -> None:
    content = {name: data for name, data in scripted.items() if not name.endswith("label.csv")}
    source = read_source("plus", "ferplus", root=lay_any(content), votes=votes)
    assert winners(source) == {
        "fer0.png": "happiness",
        "fer1.png": "sadness",
        "fer2.png": "neutral",
        "fer3.png": "unknown",
    }
    assert source.notes == ("votes from fer2013new.csv",)
    with pytest.raises(DataError, match=r"has no label\.csv; set votes=fer2013new\.csv \(or auto\)"):
        read_source("plus", "ferplus", root=lay_any(content), votes="label.csv")


def test_missing_parts_are_just_missing(scripted: dict[str, bytes], lay_any: Laid) -> None:
    content = {name: data for name, data in scripted.items() if name.startswith("FER2013Valid")}
    source = read_source("plus", "ferplus", root=lay_any(content), votes="auto")
    assert source.table["part"].tolist() == ["val"] and source.problems == ()
    with pytest.raises(DataError, match=r"has no fer2013new\.csv; set votes=label\.csv \(or auto\)"):
        read_source("plus", "ferplus", root=lay_any(content), votes="fer2013new.csv")


def test_rows_and_images_that_do_not_meet_are_problems(scripted: dict[str, bytes], lay: Laid) -> None:
    content = {**scripted, "FER2013Train/fer9.png": encoded(9), "FER2013Valid/extra.jpg": encoded(8)}
    del content["FER2013Train/fer0.png"], content["FER2013Test/label.csv"]
    source = read_source("plus", "ferplus", root=lay(content), votes="auto")
    assert source.table["path"].tolist() == ["FER2013Train/fer1.png", "FER2013Valid/fer2.png"]
    assert source.problems == (
        ("FER2013Train/fer0.png", "row of FER2013Train/label.csv without an image"),
        ("FER2013Train/fer9.png", "image without a row in FER2013Train/label.csv"),
        ("FER2013Valid/extra.jpg", "image without a row in FER2013Valid/label.csv"),
        ("FER2013Test/fer3.png", "image without a row in FER2013Test/label.csv"),
    )
    source = read_source("plus", "ferplus", root=lay(content), votes="fer2013new.csv")
    assert source.table["path"].tolist()[-1] == "FER2013Test/fer3.png"
    assert ("FER2013Train/fer0.png", "row of fer2013new.csv without an image") in source.problems


def test_of_rows_with_the_same_name_the_later_wins(scripted: dict[str, bytes], lay: Laid) -> None:
    twice = [("fer0.png", ten("anger")), ("fer1.png", ten("fear")), ("fer0.png", ten("disgust"))]
    new = [
        ("Training", "fer0.png", ten("fear")),
        ("Training", "fer1.png", ten("fear")),
        ("Training", "fer0.png", ten("surprise")),
    ]
    content = {**scripted, "FER2013Train/label.csv": label_csv(twice), "fer2013new.csv": new_csv(new)}
    for votes, expected in (("label.csv", "disgust"), ("fer2013new.csv", "surprise")):
        source = read_source("plus", "ferplus", root=lay(content), votes=votes)
        assert winners(source)["fer0.png"] == expected
        assert source.table["path"].is_unique


@pytest.mark.parametrize("votes", ["auto", "fer2013new.csv"])
def test_tables_pair_row_by_row_although_some_have_no_name(votes: str, lay_any: Laid) -> None:
    new = [
        ("Training", "fer0.png", ten("anger")),
        ("Training", "", ten("NF")),
        ("Training", "fer1.png", ten("fear")),
        ("Training", "fer0.png", ten("sadness")),
        ("PublicTest", "", ten("NF")),
        ("PublicTest", "fer2.png", ten("neutral")),
        ("PrivateTest", "fer3.png", ten("happiness")),
    ]
    table = pixel_csv([(usage, noise(number)) for number, (usage, _, _) in enumerate(new)])
    source = read_source(
        "plus", "ferplus", root=lay_any({"fer2013.csv": table, "fer2013new.csv": new_csv(new)}), votes=votes
    )
    assert lay_any.rows(source) == [
        ("fer0.png", "train", None),
        ("fer1.png", "train", None),
        ("fer2.png", "val", None),
        ("fer3.png", "test", None),
    ]
    assert winners(source) == {
        "fer0.png": "sadness",
        "fer1.png": "fear",
        "fer2.png": "neutral",
        "fer3.png": "happiness",
    }
    nameless = "row without the name of an image: no face"
    assert source.unused == (
        ("fer2013new.csv, line 3", nameless),
        ("fer2013new.csv, line 2 (fer0.png)", "row of an image that is named again"),
        ("fer2013new.csv, line 6", nameless),
    )
    for name, row in (("fer0.png", 3), ("fer1.png", 2), ("fer2.png", 5), ("fer3.png", 6)):
        assert np.array_equal(source.read(name), noise(row))
    assert source.notes == ("votes from fer2013new.csv",)


def test_tables_that_do_not_belong_together_are_refused(lay: Laid) -> None:
    new = [("Training", "fer0.png", ten("anger")), ("PublicTest", "", ten("NF"))]
    table = pixel_csv([("Training", noise(0)), ("PublicTest", noise(1))])

    def message(**content: str) -> str:
        root = lay({f"{name}.csv": text for name, text in content.items()})
        with pytest.raises(DataError) as caught:
            read_source("plus", "ferplus", root=root, votes="auto")
        assert str(caught.value).startswith(f"{root}: ")
        return str(caught.value).removeprefix(f"{root}: ")

    assert message(fer2013=table, fer2013new=new_csv(new[:1])) == (
        "fer2013.csv has 2 rows and fer2013new.csv 1; both must be the whole files, which have the same rows in the "
        "same order"
    )
    swapped = new_csv([("Training", "fer0.png", ten("anger")), ("Training", "", ten("NF"))])
    assert message(fer2013=table, fer2013new=swapped) == (
        "fer2013.csv says val where fer2013new.csv says train (no name): the two files do not belong together"
    )
    with pytest.raises(DataError, match=r"has no label\.csv; set votes=fer2013new\.csv"):
        read_source(
            "plus", "ferplus", root=lay({"fer2013.csv": table, "fer2013new.csv": new_csv(new)}), votes="label.csv"
        )


@pytest.mark.parametrize(
    ("votes", "shown"),
    [
        ("1,2,3,4,0,0,0,0,0", "1, 2, 3, 4, 0, 0, 0, 0, 0"),
        ("1,2,3,4,0,0,0,0,0,0,0", "1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0"),
        ("1,2,3,4,0,0,0,0,0,x", "1, 2, 3, 4, 0, 0, 0, 0, 0, x"),
        ("11,0,0,0,0,0,0,0,0,0", "11, 0, 0, 0, 0, 0, 0, 0, 0, 0"),
        ("-1,0,0,0,0,0,0,0,0,0", "-1, 0, 0, 0, 0, 0, 0, 0, 0, 0"),
        ("nan,0,0,0,0,0,0,0,0,0", "nan, 0, 0, 0, 0, 0, 0, 0, 0, 0"),
    ],
)
def test_rows_of_other_than_ten_votes_are_problems(
    votes: str, shown: str, scripted: dict[str, bytes], lay: Laid
) -> None:
    reason = f"row with {shown} instead of ten votes from 0 to 10"
    content = {**scripted, "FER2013Train/fer5.png": encoded(5)}
    label = str(scripted["FER2013Train/label.csv"]) + f"fer5.png,{BOX},{votes}\n"
    source = read_source("plus", "ferplus", root=lay({**content, "FER2013Train/label.csv": label}), votes="auto")
    assert source.problems == (("FER2013Train/label.csv, line 3 (fer5.png)", reason),)
    assert len(source.table) == 4 and ("FER2013Train/fer5.png", "image outside of the layout") not in source.unused
    new = str(scripted["fer2013new.csv"]) + f"Training,fer5.png,{votes}\n"
    source = read_source("plus", "ferplus", root=lay({**content, "fer2013new.csv": new}), votes="fer2013new.csv")
    assert source.problems == (("fer2013new.csv, line 8 (fer5.png)", reason),)
    assert len(source.table) == 4


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("Usage,Image name,neutral\n", "fer2013new.csv has the columns Usage, Image name, neutral; those of FERPlus"),
        ("", "fer2013new.csv has the columns ; those of FERPlus were expected"),
    ],
)
def test_another_table_of_votes_is_refused(table: str, message: str, scripted: dict[str, bytes], lay: Laid) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        read_source("plus", "ferplus", root=lay({**scripted, "fer2013new.csv": table}), votes="fer2013new.csv")


def test_empty_tables_of_votes_leave_no_images(lay: Laid) -> None:
    root = lay({"FER2013Train/label.csv": ""})
    with pytest.raises(DataError) as caught:
        read_source("plus", "ferplus", root=root, votes="auto")
    assert str(caught.value) == f"{root}: there are no images for the source 'plus'"


@pytest.mark.parametrize(
    ("row", "name", "reason"),
    [
        ("Training", "", "row with none instead of ten votes from 0 to 10"),
        ('Training,"fer9.png', " (fer9.png)", "row with none instead of ten votes from 0 to 10"),
        (
            *("Holdout,fer9.png,10,0,0,0,0,0,0,0,0,0", " (fer9.png)"),
            "row of the unknown part 'Holdout'; allowed are train (training), val (valid, validation, dev, "
            "PublicTest), test (testing, eval, PrivateTest, evaluation), in any case",
        ),
    ],
)
def test_a_malformed_row_spoils_no_other(
    row: str, name: str, reason: str, scripted: dict[str, bytes], lay: Laid
) -> None:
    first, *others = str(scripted["fer2013new.csv"]).splitlines()
    content = {**scripted, "fer2013new.csv": "\n".join([first, row, *others])}
    source = read_source("plus", "ferplus", root=lay(content), votes="fer2013new.csv")
    assert len(source.table) == 4 and source.problems == ((f"fer2013new.csv, line 2{name}", reason),)


def test_parts_are_named_in_any_way(scripted: dict[str, bytes], lay_any: Laid) -> None:
    names = {"FER2013Train": "Training", "FER2013Valid": "dev", "FER2013Test": "FER2013PrivateTest"}
    content = {name.replace(old, names[old]): data for name, data in scripted.items() for old in names if old in name}
    source = read_source("plus", "ferplus", root=lay_any(content), votes="auto")
    assert source.table["part"].tolist() == ["train", "train", "val", "test"]
    content = {name.replace("dev", "FER2013Holdout"): data for name, data in content.items()}
    with pytest.raises(DataError, match="the folder '.*FER2013Holdout' is named as no part; allowed are FER2013Train"):
        read_source("plus", "ferplus", root=lay_any(content), votes="auto")
