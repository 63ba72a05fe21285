"""Images sorted into one folder a class, with or without folders of splits above them."""

import json
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import PurePosixPath

from fer.data.sources.archive import DatasetFiles, build_layout_error, is_image
from fer.data.sources.base import Source, build_labelled_table
from fer.emotions import CONTEMPT, EMOTIONS, SYNONYMS, normalize_label
from fer.errors import DataError

SPLIT_ALIASES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
ClassMap = Mapping[str, str | None]
# Folder names that an override takes as part of its key, and those that it takes between braces.
_KEY = re.compile(r"[A-Za-z_][\w-]*|0|[1-9]\d*", re.ASCII)
_KEY_IN_BRACES = re.compile(r"0\d+|(?=.*[A-Za-z]{2})\w[\w +.-]*\w", re.ASCII)


def read_folder(name: str, root: str, class_map: ClassMap) -> Source:
    """Read a data set of one folder a class: ``<class>/*`` or ``train|val|test/<class>/*``.

    ``class_map`` gives folder names a class, or None to leave a folder out; usual spellings need none.
    Raises DataError for another layout, an unknown folder, or a class folder without images.
    """
    files = DatasetFiles(root)
    if folders := find_split_folders(files):
        return read_class_folders(name, files, folders, class_map)
    return read_class_folders(name, files, {"": _find_common_root(files)}, class_map)


def _find_common_root(files: DatasetFiles) -> str:
    """Find the folder above the class folders: "" or the one folder that wraps everything."""
    parents = {PurePosixPath(image).parent.parent.as_posix() for image in files.names if is_image(image)}
    if len(parents) != 1:
        raise _build_no_class_folders_error(files)
    parent = parents.pop()
    top = "" if parent == "." else parent
    if not _list_class_folders(files, f"{top}/" if top else ""):
        raise _build_no_class_folders_error(files)
    return top


def _build_no_class_folders_error(files: DatasetFiles) -> DataError:
    return build_layout_error(files, "class folders", ["<class>/*.png|jpg", "train|val|test/<class>/*.png|jpg"])


def find_split_folders(files: DatasetFiles) -> dict[str, str]:
    """Find folders named train, val, test (or usual spellings) that hold class folders; returns split: folder.

    Raises DataError where two folders stand for the same split: either would silently leave out the other's images.
    """
    folders: dict[str, str] = {}
    for name in files.names:
        parts = PurePosixPath(name).parts
        if len(parts) >= 3 and is_image(name) and (split := SPLIT_ALIASES.get(parts[-3].lower())):
            folder = "/".join(parts[:-2])
            if folders.setdefault(split, folder) != folder:
                raise DataError(
                    f"{files.root}: {folders[split]}/ and {folder}/ both stand for the part {split}; keep one of them"
                )
    return folders


def _resolve_class(
    name: str, folder: str, class_map: ClassMap | None, files: DatasetFiles, extra: Mapping[str, str]
) -> str | None:
    """Return the class that a folder's name stands for, None for a folder to leave out."""
    if class_map is not None and folder in class_map:
        mapped = class_map[folder]
        return None if mapped is None else normalize_label(mapped)
    if folder in extra:
        return extra[folder]
    if known := normalize_label(folder):
        return known
    near = get_close_matches(folder.lower(), (*EMOTIONS, CONTEMPT, *SYNONYMS), n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    remedy = (
        "rename it, or read the data set with dataset=folder, whose class_map maps names"
        if class_map is None
        else _format_mapping_hint(name, folder, normalize_label(near[0]) if near else None)
    )
    raise DataError(
        f"{files.root}: the folder {folder!r} names no emotion{hint}; allowed are "
        f"{', '.join((*EMOTIONS, CONTEMPT, *extra))}; {remedy}"
    )


def _format_mapping_hint(name: str, folder: str, near: str | None) -> str:
    """Format the override that maps a folder to the nearest emotion, or leaves it out where none is near."""
    key, value = f"dataset.sources.{name}.class_map", near or "null"
    if _KEY.fullmatch(folder):
        mapping = f"+{key}.{folder}={value}"
    elif _KEY_IN_BRACES.fullmatch(folder):
        mapping = f"'+{key}={{{folder}: {value}}}'"
    else:
        # Hydra's grammar has no place for such a name on the command line; JSON is YAML too.
        mapping = f"{key}: {{{json.dumps(folder, ensure_ascii=False)}: {value}}} in a YAML file"
    return (
        f"rename it, or map it: {mapping} (null leaves it out)"
        if near
        else f"rename it, map it to an emotion, or leave it out: {mapping}"
    )


def read_class_folders(
    name: str,
    files: DatasetFiles,
    folders: Mapping[str, str],
    class_map: ClassMap | None,
    extra: Mapping[str, str] | None = None,
) -> Source:
    """Read class folders below the folders of splits.

    Args:
        name: Name of the source.
        files: The data set's files.
        folders: Split: folder that holds its class folders; {"": folder} without official splits.
        class_map: Folder name: class, or None to leave the folder out. None for a kind of source without a map.
        extra: Folder name: class, of names that only this data set uses.

    Raises:
        DataError: A folder names no class, or holds no images.
    """
    paths: list[str] = []
    splits: list[str] = []
    labels: list[str] = []
    for split, top in folders.items():
        prefix = f"{top}/" if top else ""
        for folder in _list_class_folders(files, prefix):
            label = _resolve_class(name, folder, class_map, files, extra or {})
            if label is None:
                continue
            images = files.list_images(prefix + folder)
            if not images:
                raise DataError(
                    f"{files.root}: the class folder {prefix + folder} holds no images; add some, or remove the folder"
                )
            paths += images
            splits += [split] * len(images)
            labels += [label] * len(images)
    return Source(name, build_labelled_table(paths, splits, labels), files.read)


def _list_class_folders(files: DatasetFiles, prefix: str) -> list[str]:
    """List the folders directly below ``prefix``, empty ones of a directory included."""
    names = {
        rest.split("/", 1)[0]
        for name in files.names
        if name.startswith(prefix) and "/" in (rest := name[len(prefix) :])
    }
    if files.archive is None:
        names |= {entry.name for entry in (files.root / prefix).iterdir() if entry.is_dir()}
    return sorted(folder for folder in names if not folder.startswith((".", "__MACOSX")))
