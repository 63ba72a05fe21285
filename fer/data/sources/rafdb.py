"""RAF-DB, basic emotions (Li and Deng, 2019): single labels, official training and test splits."""

from fer.data.sources.archive import DatasetFiles, build_layout_error
from fer.data.sources.base import Source, build_labelled_table
from fer.data.sources.image_folder import find_split_folders, read_class_folders
from fer.emotions import RAFDB_LABELS
from fer.errors import DataError

# The publisher's own spelling.
OFFICIAL_LIST = "EmoLabel/list_patition_label.txt"
NUMBERS = {str(number): emotion for number, emotion in RAFDB_LABELS.items()}


def read_rafdb(name: str, root: str) -> Source:
    """Read RAF-DB in Kaggle's or the official layout. Raises DataError for another, or labels out of range."""
    files = DatasetFiles(root)
    if table := files.find(OFFICIAL_LIST):
        return _read_official(name, files, table)
    if folders := find_split_folders(files):
        source = read_class_folders(name, files, folders, None, extra=NUMBERS)
        problems = tuple(_find_label_conflicts(files, source))
        agreed = source.table[~source.table["path"].isin([path for path, _ in problems])]
        return Source(name, agreed.reset_index(drop=True), files.read, problems=problems)
    raise build_layout_error(
        files,
        "RAF-DB",
        ["train|test/<1-7>/*.jpg (Kaggle)", f"Image/aligned/*_aligned.jpg with {OFFICIAL_LIST} (official)"],
    )


def _parse_label(number: str, files: DatasetFiles, location: str) -> str:
    if number not in NUMBERS:
        raise DataError(f"{files.root}: {location}: label {number!r} is out of range; RAF-DB's labels are 1 to 7")
    return NUMBERS[number]


def _read_official(name: str, files: DatasetFiles, table: str) -> Source:
    folder = table.removesuffix(OFFICIAL_LIST) + "Image/aligned"
    images = set(files.list_images(folder))
    paths: list[str] = []
    splits: list[str] = []
    labels: list[str] = []
    problems: list[tuple[str, str]] = []
    listed: set[str] = set()
    for line, text in enumerate(files.read_text(table).splitlines(), 1):
        if not text.strip():
            continue
        image, _, number = text.strip().partition(" ")
        split = image.split("_", 1)[0]
        if split not in ("train", "test"):
            raise DataError(f"{files.root}: {table}, line {line}: {image!r} starts neither with train_ nor with test_")
        label = _parse_label(number.strip(), files, f"{table}, line {line}")
        stem, _, suffix = image.rpartition(".")
        path = f"{folder}/{stem}_aligned.{suffix}"
        if path in listed:
            raise DataError(f"{files.root}: {table}, line {line}: {image} is named a second time")
        listed.add(path)
        if path not in images:
            problems.append((path, f"row of {table} without an image"))
            continue
        paths.append(path)
        splits.append(split)
        labels.append(label)
    problems += [(path, f"image without a row in {table}") for path in sorted(images - listed)]
    return Source(name, build_labelled_table(paths, splits, labels), files.read, problems=tuple(problems))


def _find_label_conflicts(files: DatasetFiles, source: Source) -> list[tuple[str, str]]:
    """Find where Kaggle's train_labels.csv and test_labels.csv disagree with the folders."""
    problems: list[tuple[str, str]] = []
    for split in ("train", "test"):
        if (table := files.find(f"{split}_labels.csv")) is None:
            continue
        lines = files.iter_rows(table)
        header = [column.strip() for column in next(lines, [])]
        if header[:2] != ["image", "label"]:
            raise DataError(f"{files.root}: {table} has the columns {', '.join(header)}; image, label were expected")
        rows = {
            row[0].strip(): _parse_label("".join(row[1:2]).strip(), files, f"{table}, image {row[0].strip()}")
            for row in lines
            if row
        }
        split_table = source.table[source.table["part"] == split]
        folder = {path.rsplit("/", 1)[-1]: (path, label) for path, label in split_table[["path", "label"]].to_numpy()}
        for image, label in rows.items():
            if image not in folder:
                problems.append((image, f"row of {table} without an image"))
            elif folder[image][1] != label:
                problems.append((folder[image][0], f"{table} says {label}, its folder {folder[image][1]}"))
        problems += [
            (path, f"image without a row in {table}") for name, (path, _) in folder.items() if name not in rows
        ]
    return problems
