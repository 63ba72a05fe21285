"""Data sets as they really lie on disks: parts of any name, odd files, links, archives; nothing silently left out."""

import io
import os
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from fer.data.sources import Source, read_source
from fer.emotions import FERPLUS_VOTES
from fer.errors import DataError
from tests.helpers.image_data import Content, Laid, encoded, noise

CLASSES = ("angry", "happy", "sad")
OUTSIDE, NO_IMAGE = "image outside of the layout", "no image that can be read"


def class_folders(*parts: str) -> dict[str, bytes]:
    """Two images of each class in each part; "" is the root."""
    tops = [f"{part}/" if part else "" for part in parts]
    places = [(top, name, number) for top in tops for name in CLASSES for number in range(2)]
    return {f"{top}{name}/{number}.png": encoded(seed) for seed, (top, name, number) in enumerate(places)}


def read(root: str | Path, kind: str = "folder", **options: object) -> Source:
    more = {"folder": {"class_map": {}}, "ferplus": {"votes": "auto"}}.get(kind, {})
    return read_source("own", kind, root=str(root), **{**more, **options})


def refusal(root: str | Path, kind: str = "folder") -> str:
    with pytest.raises(DataError) as caught:
        read(root, kind)
    return str(caught.value)


def counts(source: Source) -> dict[str, int]:
    for path in source.table["path"]:
        source.read(path)
    return dict(Counter(source.table["part"]))


@pytest.mark.parametrize("kind", ["folder", "fer2013", "rafdb"])
@pytest.mark.parametrize(
    "parts",
    [
        *(("Training", "PublicTest", "PrivateTest"), ("TRAIN", "dev", "eval"), ("train_set", "valid", "testing")),
        *(("training", "Validation", "TEST"), ("Train", "Development", "evaluation"), ("train", "val", "private_test")),
    ],
)
def test_parts_of_any_usual_name_are_read(kind: str, parts: tuple[str, str, str], lay_any: Laid) -> None:
    source = read(lay_any(class_folders(*parts)), kind)
    assert counts(source) == {"train": 6, "val": 6, "test": 6} and not source.unused
    part_of = dict(zip(parts, ("train", "val", "test"), strict=True))
    for path, part in zip(source.table["path"], source.table["part"], strict=True):
        assert part_of[path.removeprefix(lay_any.top).split("/")[0]] == part


@pytest.mark.parametrize("kind", ["folder", "fer2013", "rafdb"])
def test_an_unknown_part_is_refused_by_name(kind: str, lay_any: Laid) -> None:
    message = refusal(lay_any(class_folders("train", "test", "holdout")), kind)
    assert message.endswith(
        f"the folder '{lay_any.top}holdout' holds class folders but is named as no part; allowed are train (training), "
        "val (valid, validation, dev, PublicTest), test (testing, eval, PrivateTest, evaluation), in any case; rename "
        "it, or remove it"
    )


def test_unknown_parts_alone_are_refused_too(lay_any: Laid) -> None:
    assert "batch1' holds class folders but is named as no part" in refusal(lay_any(class_folders("batch1", "batch2")))


def test_classes_and_parts_side_by_side_are_refused(lay_any: Laid) -> None:
    message = refusal(lay_any({**class_folders("train", "test"), "happy/0.png": encoded(99)}))
    assert f"the class folder 'happy' lies beside the part '{lay_any.top}test'; move it" in message


def test_where_emotions_come_first_there_are_no_parts(lay_any: Laid) -> None:
    content = {f"{name}/{part}/0.png": encoded(0) for name in CLASSES for part in ("train", "test")}
    source = read(lay_any(content))
    assert counts(source) == {"": 6}
    assert source.notes == ("folders named as parts lie below the classes, where they are not taken for parts",)


@pytest.mark.parametrize("inside", [None, {"0.png": encoded(0)}])
def test_an_empty_part_is_a_sentence(inside: Content | None, lay: Laid) -> None:
    content = {f"val/{name}": data for name, data in inside.items()} if inside else {"val": None}
    message = refusal(lay({**class_folders("train", "test"), **content}))
    assert message.endswith("the part val holds no images in class folders; add some, or remove the folder")


def test_hidden_files_are_not_there(lay_any: Laid) -> None:
    hidden = {
        *(".DS_Store", "train/.ipynb_checkpoints/a.png", "train/happy/.ipynb_checkpoints/0-checkpoint.png"),
        *("__MACOSX/train/happy/._0.png", "train/happy/Thumbs.db", "train/happy/desktop.ini", "train/happy/._0.png"),
        *(".git/config", "train/@eaDir/happy/0.png"),
    }
    source = read(lay_any({**class_folders("train", "val"), **dict.fromkeys(hidden, encoded(99))}))
    assert counts(source) == {"train": 6, "val": 6} and not source.unused


def test_folders_below_a_class_are_read(lay_any: Laid) -> None:
    content = {f"{name}/subject {number}/day/{number}.png": encoded(number) for name in CLASSES for number in range(3)}
    source = read(lay_any({**content, "happy/loose.png": encoded(9)}))
    assert counts(source) == {"": 10} and not source.unused


SUFFIXES = {
    **{"a.gif": "GIF", "b.jfif": "JPEG", "c.jpe": "JPEG", "d.AVIF": "AVIF", "e.webp": "WEBP", "f.tiff": "TIFF"},
    **{"no suffix": "PNG", "h.dat": "JPEG", "i.jp2": "JPEG2000", "j.tga": "TGA", "k.TIF": "TIFF", "l.pnm": "PPM"},
}


def test_any_suffix_is_read_and_what_is_no_image_is_listed(lay_any: Laid) -> None:
    content: dict[str, bytes] = {}
    for name, kind in SUFFIXES.items():
        picture = io.BytesIO()
        Image.fromarray(noise(3, colour=True)).save(picture, kind)
        content[f"happy/{name}"] = picture.getvalue()
    others = {"happy/notes.txt": b"x", "happy/clip.mp4": bytes(99), "README.md": b"x"}
    source = read(lay_any({**content, **others, "0.png": encoded(0)}))
    assert counts(source) == {"": len(SUFFIXES)}
    top = lay_any.top
    assert dict(source.unused) == {**{top + name: NO_IMAGE for name in others}, f"{top}0.png": OUTSIDE}


def test_what_is_not_used_is_listed_with_its_reason(lay: Laid) -> None:
    content = {**class_folders(""), "blurred/a/0.png": encoded(7), "papers/deep": None}
    source = read(lay(content), class_map={"blurred": None})
    assert dict(source.unused) == {"blurred/a/0.png": "folder left out by class_map", "papers/deep/": "empty folder"}


def test_links_to_folders_are_followed_and_circles_are_not(lay: Laid) -> None:
    root, other = Path(lay(class_folders(""))), Path(lay({"more/9.png": encoded(9)}))
    (root / "fear").symlink_to(other / "more")
    (root / "happy" / "up").symlink_to(root)
    (root / "sad" / "self").symlink_to(root / "sad")
    source = read(root)
    assert counts(source) == {"": 7} and "fear/9.png" in source.table["path"].tolist()


def packed(content: Content, separator: str = "/") -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, file in content.items():
            archive.writestr(zipfile.ZipInfo(name.replace("/", separator)), file or b"")
    return data.getvalue()


def tarred(content: Content, mode: str = "w:gz") -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode) as archive:
        for name, file in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(file or b"")
            archive.addfile(member, io.BytesIO(file.encode() if isinstance(file, str) else file))
    return data.getvalue()


def test_a_zip_with_backslashes(tmp_path: Path) -> None:
    (tmp_path / "faces.zip").write_bytes(packed({**class_folders("train", "val"), "train/empty/": b""}, "\\"))
    assert counts(read(tmp_path / "faces.zip")) == {"train": 6, "val": 6}


def test_a_zip_whose_names_begin_at_the_root(tmp_path: Path) -> None:
    content = {f"/{name}": data for name, data in class_folders("train").items()}
    (tmp_path / "faces.zip").write_bytes(packed({**content, "../../outside/happy/0.png": encoded(0)}))
    assert counts(read(tmp_path / "faces.zip")) == {"train": 6}


def test_names_that_are_no_text_can_be_written_to_a_table(lay: Laid) -> None:
    root = lay(class_folders(""))
    Path(os.fsdecode(os.path.join(os.fsencode(root), b"happy", b"caf\xe9.png"))).write_bytes(encoded(9))
    source = read(root)
    assert counts(source) == {"": 7} and r"happy/caf\udce9.png" in source.table["path"].tolist()


def test_archives_in_a_folder_are_read_as_if_unpacked(lay: Laid) -> None:
    whole = lay({"download/faces.zip": packed(class_folders("x/train", "x/dev")), "LICENSE": b"free"})
    source = read(whole)
    assert counts(source) == {"train": 6, "val": 6} and source.unused == (("LICENSE", NO_IMAGE),)
    assert counts(read(lay({"train.zip": packed(class_folders("")), "eval.tgz": tarred(class_folders(""))}))) == {
        "train": 6,
        "test": 6,
    }


def test_an_archive_beside_images_is_not_read_twice(lay: Laid) -> None:
    source = read(lay({**class_folders("train", "val"), "faces.zip": packed(class_folders("train", "val"))}))
    assert counts(source) == {"train": 6, "val": 6}
    assert source.unused == (("faces.zip", "archive beside folders of images; unpack it to use it"),)


@pytest.mark.parametrize(("mode", "suffix"), [("w:", "tar"), ("w:gz", "tgz"), ("w:bz2", "tar.bz2"), ("w:xz", "tar.xz")])
def test_tar_archives(mode: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"faces.{suffix}"
    path.write_bytes(tarred(class_folders("train", "val"), mode))
    assert counts(read(path)) == {"train": 6, "val": 6}
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    if mode != "w:":
        assert f"{path}: cannot be read as a .tar" in refusal(path)


def pixel_table() -> str:
    usages = ["Training"] * 3 + ["PublicTest"] * 2 + ["PrivateTest"]
    rows = (f"{row},{' '.join(map(str, noise(row).ravel()))},{usage}" for row, usage in enumerate(usages))
    return "\n".join(["emotion,pixels,Usage", *rows, ""])


@pytest.mark.parametrize("name", ["fer2013.csv", "train-test.csv", "fer2013.tar.gz", "fer2013.zip"])
def test_fer2013_named_directly(name: str, lay: Laid) -> None:
    table = pixel_table()
    content = {"fer2013/fer2013.csv": table, "fer2013/README": "x"}
    data = table if name.endswith("csv") else tarred(content) if name.endswith("gz") else packed(content)
    root = Path(lay({name: data}))
    source = read(root / name, "fer2013")
    assert counts(source) == {"train": 3, "val": 2, "test": 1}
    assert source.table["path"][0].endswith(".csv#2")
    assert len(source.unused) == (0 if name.endswith("csv") else 1)


def test_ferplus_with_the_archive_of_fer2013_beside_its_votes(lay: Laid) -> None:
    usages = ["Training"] * 3 + ["PublicTest"] * 2 + ["PrivateTest"]
    votes = "".join(f"{usage},fer{row}.png,10,0,0,0,0,0,0,0,0,0\n" for row, usage in enumerate(usages))
    new = "Usage,Image name," + ",".join(FERPLUS_VOTES) + "\n" + votes
    root = lay({"fer2013.tar.gz": tarred({"fer2013/fer2013.csv": pixel_table()}), "fer2013new.csv": new})
    assert counts(read(root, "ferplus")) == {"train": 3, "val": 2, "test": 1}


def test_rafdb_with_its_images_still_packed(lay: Laid) -> None:
    names = [f"{part}_{number}" for part in ("train", "test") for number in range(1, 4)]
    content = {f"aligned/{name}_aligned.jpg": encoded(seed, suffix=".jpg") for seed, name in enumerate(names)}
    rows = "".join(f"{name}.jpg {name[-1]}\n" for name in names)
    root = lay({"Image/aligned.zip": packed(content), "EmoLabel/list_patition_label.txt": rows})
    source = read(root, "rafdb")
    assert counts(source) == {"train": 3, "test": 3} and not source.problems and not source.unused
