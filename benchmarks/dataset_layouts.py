"""`python -m benchmarks.dataset_layouts`: every layout of a data set, and what becomes of each image in it.

The data sets are drawn here. The table of docs/reference/dataset-layouts.md is what is printed: images found (rows,
where they lie in a table), images used by part, and what is listed in exclusions.parquet.
"""

import io
import tarfile
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np

from fer.core.image_decoding import is_image_content
from fer.data.sources import Source, read_source
from fer.emotions import FERPLUS_VOTES
from fer.errors import DataError

Content = Mapping[str, bytes]
CLASSES = ("angry", "happy", "sad")
USAGES = ["Training"] * 6 + ["PublicTest"] * 3 + ["PrivateTest"] * 3
OPTIONS: dict[str, dict[str, object]] = {"folder": {"class_map": {}}, "ferplus": {"votes": "auto"}}


def draw(seed: int) -> np.ndarray:
    """A picture like no other."""
    return np.random.default_rng(seed).integers(0, 256, (48, 48), dtype=np.uint8)


def encode(seed: int, suffix: str = ".png") -> bytes:
    """The same as a file."""
    return cv2.imencode(suffix, draw(seed))[1].tobytes()


def draw_folders(*parts: str, suffix: str = ".png") -> dict[str, bytes]:
    """Two images of each class in each part; "" is the root."""
    names = [f"{f'{part}/' if part else ''}{name}/{n}" for part in parts for name in CLASSES for n in range(2)]
    return {name + suffix: encode(seed, suffix) for seed, name in enumerate(names)}


def pack(content: Content, separator: str = "/") -> bytes:
    """A .zip."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, file in content.items():
            archive.writestr(zipfile.ZipInfo(name.replace("/", separator)), file)
    return data.getvalue()


def pack_tar(content: Content) -> bytes:
    """A .tar.gz."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, file in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(file)
            archive.addfile(member, io.BytesIO(file))
    return data.getvalue()


def build_pixel_table(broken: int = 0) -> bytes:
    """fer2013.csv of twelve rows, and of some that are cut off."""
    rows = [f"1,{' '.join(map(str, draw(n).ravel()))},{usage}" for n, usage in enumerate(USAGES)]
    return "\n".join(["emotion,pixels,Usage", *["1,7 7 7"] * broken, *rows, ""]).encode()


def build_votes() -> bytes:
    """fer2013new.csv of twelve rows."""
    rows = [f"{usage},fer{n}.png,10,0,0,0,0,0,0,0,0,0" for n, usage in enumerate(USAGES)]
    return "\n".join(["Usage,Image name," + ",".join(FERPLUS_VOTES), *rows, ""]).encode()


def build_ferplus(train: str, val: str, test: str) -> dict[str, bytes]:
    """Folders of images with a label.csv in each."""
    content: dict[str, bytes] = {}
    for n, usage in enumerate(USAGES):
        folder = {"Training": train, "PublicTest": val, "PrivateTest": test}[usage]
        content[f"{folder}/fer{n}.png"] = encode(n)
        row = f'fer{n}.png,"(0, 0, 48, 48)",10,0,0,0,0,0,0,0,0,0\n'.encode()
        content[f"{folder}/label.csv"] = content.get(f"{folder}/label.csv", b"") + row
    return content


def build_rafdb(ending: str) -> tuple[dict[str, bytes], bytes]:
    """The official layout: images below `aligned/`, and the list whose names have ``ending``."""
    names = [f"{part}_{n:05d}" for part in ("train", "test") for n in range(1, 8)]
    images = {f"aligned/{name}_aligned.jpg": encode(n, ".jpg") for n, name in enumerate(names)}
    return images, "".join(f"{name}{ending}.jpg {name[-1]}\n" for name in names).encode()


def build_layouts() -> Iterator[tuple[str, str, Content, str]]:
    """Yield (what it is, kind of source, files, file below them that is the root)."""
    odd = {"happy/a.gif": encode(90), "happy/b.jfif": encode(91, ".jpg"), "happy/no suffix": encode(92)}
    hidden = dict.fromkeys(("sad/Thumbs.db", "sad/.ipynb_checkpoints/0.png", "__MACOSX/sad/._0.png"), encode(93))
    images, plain = build_rafdb("")
    label_list = "EmoLabel/list_patition_label.txt"
    official = {f"Image/{name}": data for name, data in images.items()}
    table, votes = build_pixel_table(), build_votes()
    yield "`<class>/*`", "folder", draw_folders(""), ""
    yield "`train`, `val`, `test`", "folder", draw_folders("train", "val", "test"), ""
    yield "`Training`, `PublicTest`, `PrivateTest`", "folder", draw_folders("Training", "PublicTest", "PrivateTest"), ""
    yield "`TRAIN`, `dev`, `eval`", "folder", draw_folders("TRAIN", "dev", "eval"), ""
    yield "`train`, `valid`, `testing`", "fer2013", draw_folders("train", "valid", "testing"), ""
    yield "an unknown part beside `train`", "folder", draw_folders("train", "holdout"), ""
    yield "a class beside parts", "folder", {**draw_folders("train", "val"), "happy/0.png": encode(94)}, ""
    yield (
        "`<class>/<subject>/<day>/*`",
        "folder",
        {f"{c}/{s}/1/0.png": encode(s) for c in CLASSES for s in range(2)},
        "",
    )
    yield "other suffixes, and none", "folder", {**draw_folders(""), **odd}, ""
    yield (
        "a text, a video and a loose image",
        "folder",
        {
            **draw_folders(""),
            **{"README.md": b"x", "happy/clip.mp4": bytes(9), "loose.png": encode(95)},
        },
        "",
    )
    yield "hidden files and companions", "folder", {**draw_folders(""), **hidden}, ""
    yield ".zip", "folder", {"faces.zip": pack(draw_folders("train", "val"))}, "faces.zip"
    yield ".zip with backslashes", "folder", {"faces.zip": pack(draw_folders("train", "val"), "\\")}, "faces.zip"
    yield ".zip in a folder", "folder", {"faces.zip": pack(draw_folders("train", "val")), "LICENSE": b"x"}, ""
    yield (
        "`train.zip` and `dev.zip`",
        "folder",
        {"train.zip": pack(draw_folders("")), "dev.zip": pack(draw_folders(""))},
        "",
    )
    yield ".zip beside images", "folder", {**draw_folders("train", "val"), "faces.zip": pack(draw_folders("train"))}, ""
    yield ".tar.gz", "folder", {"faces.tar.gz": pack_tar(draw_folders("train", "val"))}, "faces.tar.gz"
    yield "`fer2013.csv`", "fer2013", {"fer2013.csv": table}, ""
    yield "`fer2013.csv` named directly", "fer2013", {"fer2013.csv": table, "other.txt": b"x"}, "fer2013.csv"
    yield "`fer2013.csv` with two broken rows", "fer2013", {"fer2013.csv": build_pixel_table(2)}, ""
    yield (
        "`fer2013.tar.gz` named directly",
        "fer2013",
        {"fer2013.tar.gz": pack_tar({"fer2013/fer2013.csv": table, "fer2013/README": b"x"})},
        "fer2013.tar.gz",
    )
    yield (
        "`FER2013Train`, `FER2013Valid`, `FER2013Test` with label.csv",
        "ferplus",
        build_ferplus("FER2013Train", "FER2013Valid", "FER2013Test"),
        "",
    )
    yield "`Training`, `dev`, `eval` with label.csv", "ferplus", build_ferplus("Training", "dev", "eval"), ""
    yield "`fer2013.csv` with fer2013new.csv", "ferplus", {"fer2013.csv": table, "fer2013new.csv": votes}, ""
    yield (
        "`fer2013.tar.gz` with fer2013new.csv",
        "ferplus",
        {"fer2013.tar.gz": pack_tar({"fer2013/fer2013.csv": table}), "fer2013new.csv": votes},
        "",
    )
    yield (
        "Kaggle: `train`, `test` with `1` to `7`",
        "rafdb",
        {f"DATASET/{part}/{n}/{part}_{n}.jpg": encode(n, ".jpg") for part in ("train", "test") for n in range(1, 8)},
        "",
    )
    yield "official", "rafdb", {**official, label_list: plain}, ""
    yield (
        "official, names in the list end in `_aligned`",
        "rafdb",
        {**official, label_list: build_rafdb("_aligned")[1]},
        "",
    )
    yield (
        "official, `Image/aligned.zip` still packed",
        "rafdb",
        {"Image/aligned.zip": pack(images), label_list: plain},
        "",
    )
    yield "official, one label of 9", "rafdb", {**official, label_list: plain.replace(b".jpg 1\n", b".jpg 9\n", 1)}, ""


def count_images(content: Content) -> int:
    """Count images, in archives too, and rows of fer2013.csv; companions of file managers are none."""
    total = 0
    for name, data in content.items():
        if name.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                total += count_images({member: archive.read(member) for member in archive.namelist()})
        elif name.endswith(".gz"):
            with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                total += count_images({m.name: m_file.read() for m in tar if (m_file := tar.extractfile(m))})
        elif name.endswith("fer2013.csv"):
            total += data.count(b"\n") - 1
        elif "Thumbs.db" not in name and "/." not in name:
            total += is_image_content(data)
    return total


def describe(source: Source) -> str:
    """The cells of a data set that is read: images used by part, and what is listed."""
    for path in source.table["path"]:
        source.read(path)
    parts = Counter(source.table["part"])
    used = ", ".join(f"{count} {part}".strip() for part, count in parts.items())
    listed = Counter(reason for _, reason in (*source.problems, *source.unused))
    return f"{used} | {', '.join(f'{count} × {reason}' for reason, count in listed.items()) or '–'}"


def main() -> None:
    """Print the table."""
    print("| kind | layout | images found | images used | listed |\n| --- | --- | --- | --- | --- |")
    for title, kind, content, root in build_layouts():
        with tempfile.TemporaryDirectory() as folder:
            for name, data in content.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            try:
                source = read_source("own", kind, root=str(Path(folder, root)), **OPTIONS.get(kind, {}))
                row = describe(source)
            except DataError as error:
                reason = str(error).removeprefix(f"{Path(folder, root)}: ").removeprefix(f"{folder}: ")
                row = f"refused | {reason}"
            print(f"| `{kind}` | {title} | {count_images(content)} | {row} |")


if __name__ == "__main__":
    main()
