"""Images sorted into one folder a class, with or without folders of parts above them."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import PurePosixPath

from fer.data.sources.archive import DatasetFiles, build_layout_error
from fer.data.sources.base import ALLOWED_PARTS, Source, build_labelled_table, parse_part
from fer.data.sources.groups import build_group_columns, read_group_table
from fer.emotions import CONTEMPT, EMOTIONS, SYNONYMS, normalize_label
from fer.errors import DataError

PARTS_BELOW = "folders named as parts lie below the classes, where they are not taken for parts"
LEFT_OUT_BY_MAP = "folder left out by class_map"
ClassMap = Mapping[str, str | None]


def read_folder(name: str, root: str, class_map: ClassMap) -> Source:
    """Read a data set of one folder a class: ``<class>/**`` or ``train|val|test/<class>/**``.

    ``class_map`` gives folder names a class, or None to leave a folder out; usual spellings need none. A groups.csv
    beside the folders says what is known of the images.
    Raises DataError for another layout, an unknown folder or part, or a class folder without images.
    """
    files = DatasetFiles(root)
    layout = find_class_folders(files, class_map)
    if not layout.folders:
        layout = _assume_class_folders(files, layout)
    columns, rows, problems = read_group_table(files)
    source = read_class_folders(name, files, layout)
    groups = build_group_columns(source.table["path"].tolist(), columns, rows)
    return replace(source, groups=groups, problems=(*source.problems, *problems))


@dataclass
class ClassLayout:
    """Where the class folders of a data set lie.

    Attributes:
        class_map: Folder name: class, or None for a folder to leave out; None for a kind of source without a map.
        extra: Folder name: class, of names that only this data set uses.
        folders: Part ("" where there are none): the folder that holds its class folders.
        left_out: Images in folders that ``class_map`` leaves out.
        others: Images below neither a part nor a class.
    """

    class_map: ClassMap | None
    extra: Mapping[str, str]
    folders: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def names_class(self, folder: str) -> bool:
        """Whether a folder's name stands for a class, or for one to leave out."""
        return folder in (self.class_map or {}) or folder in self.extra or normalize_label(folder) is not None

    def leaves_out(self, folder: str) -> bool:
        """Whether the map leaves a folder out."""
        return self.class_map is not None and folder in self.class_map and self.class_map[folder] is None


def find_class_folders(
    files: DatasetFiles, class_map: ClassMap | None, extra: Mapping[str, str] | None = None
) -> ClassLayout:
    """Find the folders that hold class folders: those named as parts, or the one above all classes.

    What lies below the first folder that is named as a class may be named as it likes; of those above, the last that
    is named as a part decides.

    Args:
        files: The data set's files.
        class_map: Folder name: class, or None to leave the folder out. None for a kind of source without a map.
        extra: Folder name: class, of names that only this data set uses.

    Raises:
        DataError: A part is unknown or there twice, or parts and classes lie side by side.
    """
    layout = ClassLayout(class_map, extra or {})
    parts: dict[str, str] = {}
    above_classes: dict[str, str] = {}
    for image in files.list_images(""):
        folders = PurePosixPath(image).parts[:-1]
        depth = _find_deciding_folder(folders, layout)
        if depth is None:
            layout.others.append(image)
        elif layout.names_class(folders[depth]):
            if layout.leaves_out(folders[depth]):
                layout.left_out.append(image)
            else:
                above_classes.setdefault("/".join(folders[:depth]), folders[depth])
        elif len(folders) == depth + 1:
            layout.others.append(image)  # in the folder of a part, in that of no class
        else:
            part, folder = str(parse_part(folders[depth])), "/".join(folders[: depth + 1])
            if parts.setdefault(part, folder) != folder:
                raise DataError(
                    f"{files.root}: {parts[part]}/ and {folder}/ both stand for the part {part}; keep one of them"
                )
    if parts:
        _refuse_classes_beside_parts(files, parts, above_classes)
        _refuse_empty_parts(files, parts)
    elif len(above_classes) > 1:
        raise _build_unknown_part_error(files, min(above_classes, key=lambda folder: (folder == "", folder)))
    layout.folders = parts or dict.fromkeys([""] if above_classes else [], next(iter(above_classes), ""))
    return layout


def _find_deciding_folder(folders: Sequence[str], layout: ClassLayout) -> int | None:
    """The place of the part above an image or, where there is none, of its class."""
    class_place = next((place for place, name in enumerate(folders) if layout.names_class(name)), None)
    parts = [place for place, name in enumerate(folders[:class_place]) if parse_part(name)]
    if parts:
        return parts[0] if class_place is None else parts[-1]
    return class_place


def _refuse_classes_beside_parts(files: DatasetFiles, parts: Mapping[str, str], classes: Mapping[str, str]) -> None:
    parents = {PurePosixPath(folder).parent for folder in parts.values()}
    for folder, name in classes.items():
        if folder == "" or PurePosixPath(folder) in parents:
            raise DataError(
                f"{files.root}: the class folder {name!r} lies beside the part {next(iter(parts.values()))!r}; move it "
                "into the folder of a part, or remove it"
            )
        raise _build_unknown_part_error(files, folder)


def _build_unknown_part_error(files: DatasetFiles, folder: str) -> DataError:
    return DataError(
        f"{files.root}: the folder {folder!r} holds class folders but is named as no part; allowed are "
        f"{ALLOWED_PARTS}; rename it, or remove it"
    )


def _refuse_empty_parts(files: DatasetFiles, parts: Mapping[str, str]) -> None:
    """Refuse a folder beside those of the parts that is named as one, and of which no image can be used."""
    parents = {PurePosixPath(folder).parent for folder in parts.values()}
    for folder in sorted(_list_folders(files)):
        path = PurePosixPath(folder)
        part = parse_part(path.name)
        if path.parent in parents and part and part not in parts:
            raise DataError(
                f"{files.root}: the part {folder} holds no images in class folders; add some, or remove the folder"
            )


def _list_folders(files: DatasetFiles) -> set[str]:
    """All folders, empty ones included; not the root."""
    above = {
        parent
        for name in (*files.names, *(f"{folder}/x" for folder in files.empty_folders))
        for parent in PurePosixPath(name).parents
    }
    return {folder.as_posix() for folder in above} - {"."}


_ACCEPTED = ["<class>/*.png|jpg", "train|val|test/<class>/*.png|jpg"]


def _assume_class_folders(files: DatasetFiles, layout: ClassLayout) -> ClassLayout:
    """Take the folders of images for classes although no name is known; reading them says which is not.

    Raises DataError where images lie at different depths, or in no folder at all.
    """
    parents = {PurePosixPath(image).parent.parent.as_posix() for image in layout.others}
    if layout.left_out and not layout.others:
        return layout
    if len(parents) != 1 or any("/" not in image for image in layout.others):
        raise build_layout_error(files, "class folders", _ACCEPTED)
    parent = parents.pop()
    layout.folders = {"": "" if parent == "." else parent}
    return layout


def read_class_folders(name: str, files: DatasetFiles, layout: ClassLayout) -> Source:
    """Read the images below class folders.

    Args:
        name: Name of the source.
        files: The data set's files.
        layout: Where the class folders lie.

    Raises:
        DataError: A folder names no class, or holds no images.
    """
    paths: list[str] = []
    splits: list[str] = []
    labels: list[str] = []
    reasons = dict.fromkeys(layout.left_out, LEFT_OUT_BY_MAP)
    for split, top in layout.folders.items():
        prefix = f"{top}/" if top else ""
        for folder in _list_class_folders(files, prefix, layout):
            images = files.list_images(prefix + folder)
            label = _resolve_class(name, folder, layout, files)
            if label is None:
                reasons |= dict.fromkeys(images, LEFT_OUT_BY_MAP)
                continue
            if not images:
                raise DataError(
                    f"{files.root}: the class folder {prefix + folder} holds no images; add some, or remove the folder"
                )
            paths += images
            splits += [split] * len(images)
            labels += [label] * len(images)
    unused = files.list_unused(paths, reasons)
    below = {folder for path in paths for folder in PurePosixPath(path).parts[:-1]} - {*layout.folders.values()}
    notes = (PARTS_BELOW,) if "" in layout.folders and any(map(parse_part, below)) else ()
    return Source(name, build_labelled_table(paths, splits, labels), files.read, notes=notes, unused=tuple(unused))


def _list_class_folders(files: DatasetFiles, prefix: str, layout: ClassLayout) -> list[str]:
    """List the folders directly below ``prefix`` that hold images or are named as a class."""
    folders = {folder[len(prefix) :] for folder in _list_folders(files) if folder.startswith(prefix)}
    with_images = {
        image[len(prefix) :].split("/", 1)[0]
        for image in files.list_images(prefix.rstrip("/"))
        if "/" in image[len(prefix) :]
    }
    return sorted(name for name in folders if "/" not in name and (name in with_images or layout.names_class(name)))


def _resolve_class(name: str, folder: str, layout: ClassLayout, files: DatasetFiles) -> str | None:
    """Return the class that a folder's name stands for, None for a folder to leave out."""
    if layout.class_map is not None and folder in layout.class_map:
        mapped = layout.class_map[folder]
        return None if mapped is None else normalize_label(mapped)
    if folder in layout.extra:
        return layout.extra[folder]
    if known := normalize_label(folder):
        return known
    near = get_close_matches(folder.lower(), (*EMOTIONS, CONTEMPT, *SYNONYMS), n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise DataError(
        f"{files.root}: the folder {folder!r} names no emotion{hint}; allowed are "
        f"{', '.join((*EMOTIONS, CONTEMPT, *layout.extra))}; {_format_remedy(name, folder, layout, near)}"
    )


def _format_remedy(name: str, folder: str, layout: ClassLayout, near: Sequence[str]) -> str:
    """Format what to type for a folder: a map to the emotion that is near, or one that leaves the folder out."""
    if layout.class_map is None:
        return "rename it, or read the data set with dataset=folder, whose class_map maps names"
    key = json.dumps(folder, ensure_ascii=False) if re.search(r"""[:,"']""", folder) else folder
    emotion = normalize_label(near[0]) if near else None
    override = shlex.quote(f"dataset.sources.{name}.class_map={{{key}: {emotion or 'null'}}}")
    if emotion is None:
        return f"rename it, map it to an emotion, or leave it out: {override}"
    return f"rename it, or map it: {override} (null leaves it out)"
