"""Images sorted into one folder a class, with or without parts above them."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import PurePosixPath

from fer.data.sources.archive import Files, is_image, wrong_layout
from fer.data.sources.base import Source, labelled_table
from fer.emotions import CONTEMPT, EMOTIONS, SYNONYMS, canonical
from fer.errors import DataError

PART_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
ClassMap = Mapping[str, str | None]


def read_folder(name: str, root: str, class_map: ClassMap) -> Source:
    """Read a data set of one folder a class: ``<class>/*`` or ``train|val|test/<class>/*``.

    ``class_map`` gives folder names a class, or None to leave a folder out; usual spellings need none.
    Raises DataError for another layout, an unknown folder, or a class folder without images.
    """
    files = Files(root)
    if folders := part_folders(files):
        return read_class_folders(name, files, folders, class_map)
    return read_class_folders(name, files, {"": common_top(files)}, class_map)


def common_top(files: Files) -> str:
    """The folder above the class folders: "" or the one folder that wraps everything."""
    parents = {PurePosixPath(image).parent.parent.as_posix() for image in files.names if is_image(image)}
    if len(parents) != 1:
        raise no_class_folders(files)
    parent = parents.pop()
    top = "" if parent == "." else parent
    if not class_folder_names(files, f"{top}/" if top else ""):
        raise no_class_folders(files)
    return top


def no_class_folders(files: Files) -> DataError:
    return wrong_layout(files, "class folders", ["<class>/*.png|jpg", "train|val|test/<class>/*.png|jpg"])


def part_folders(files: Files) -> dict[str, str]:
    """Part: folder, for folders named train, val, test (or usual spellings) that hold class folders.

    Raises DataError where two folders stand for the same part: either would silently leave out the other's images.
    """
    found: dict[str, str] = {}
    for name in files.names:
        parts = PurePosixPath(name).parts
        if len(parts) >= 3 and is_image(name) and (part := PART_NAMES.get(parts[-3].lower())):
            folder = "/".join(parts[:-2])
            if found.setdefault(part, folder) != folder:
                raise DataError(
                    f"{files.root}: {found[part]}/ and {folder}/ both stand for the part {part}; keep one of them"
                )
    return found


def class_of(folder: str, class_map: ClassMap, files: Files, extra: Mapping[str, str]) -> str | None:
    """The class that a folder's name stands for, None for a folder to leave out."""
    if folder in class_map:
        mapped = class_map[folder]
        return None if mapped is None else canonical(mapped)
    if folder in extra:
        return extra[folder]
    if known := canonical(folder):
        return known
    near = get_close_matches(folder.lower(), (*EMOTIONS, CONTEMPT, *SYNONYMS), n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise DataError(
        f"{files.root}: the folder {folder!r} names no emotion{hint}; allowed are "
        f"{', '.join((*EMOTIONS, CONTEMPT, *extra))}; rename it, or map it in a source of kind=folder: "
        f"class_map='{{{folder}: EMOTION}}' (null leaves it out)"
    )


def read_class_folders(
    name: str, files: Files, folders: Mapping[str, str], class_map: ClassMap, extra: Mapping[str, str] | None = None
) -> Source:
    """Read part folders that hold class folders. ``extra`` are names of classes that only this data set uses."""
    paths: list[str] = []
    parts: list[str] = []
    labels: list[str] = []
    for part, top in folders.items():
        prefix = f"{top}/" if top else ""
        for folder in class_folder_names(files, prefix):
            label = class_of(folder, class_map, files, extra or {})
            if label is None:
                continue
            images = files.images_in(prefix + folder)
            if not images:
                raise DataError(
                    f"{files.root}: the class folder {prefix + folder} holds no images; add some, or remove the folder"
                )
            paths += images
            parts += [part] * len(images)
            labels += [label] * len(images)
    return Source(name, labelled_table(paths, parts, labels), files.read)


def class_folder_names(files: Files, prefix: str) -> list[str]:
    """Names of the folders directly below ``prefix``, empty ones of a directory included."""
    names = {
        rest.split("/", 1)[0]
        for name in files.names
        if name.startswith(prefix) and "/" in (rest := name[len(prefix) :])
    }
    if files.archive is None:
        names |= {entry.name for entry in (files.root / prefix).iterdir() if entry.is_dir()}
    return sorted(folder for folder in names if not folder.startswith((".", "__MACOSX")))
