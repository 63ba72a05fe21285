"""Video clips, labelled by their folders, by their names or by a table."""

import functools
import hashlib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import PurePosixPath

from fer.data.clips.media import ClipSpan, VideoClips
from fer.data.sources.archive import DatasetFiles, build_layout_error
from fer.data.sources.base import ALLOWED_PARTS, ImageInfo, Source, build_labelled_table, parse_part
from fer.data.sources.clip_labels import ClipLabels, LabelledClip, resolve_label
from fer.data.sources.clip_names import NAMINGS, find_naming
from fer.data.sources.clip_table import read_clip_table
from fer.data.sources.groups import build_group_columns
from fer.emotions import CONTEMPT, EMOTIONS, SYNONYMS, normalize_label
from fer.errors import DataError
from fer.video.crop import MAX_SIDE
from fer.video.media import VIDEO_SUFFIXES

MAX_VIDEO_BYTES = 64 << 30
NO_VIDEO = "no video, by its suffix"
# AFEW's parts are folders such as Train_AFEW.
_AFEW = "_afew"
_ACCEPTED = [
    "<class>/*.mp4|avi|…",
    "train|val|test/<class>/*.mp4|avi|…",
    "videos named as those of CREMA-D or RAVDESS",
    "a table that `table` names",
]
ClassMap = Mapping[str, str | None]


def read_clips(name: str, root: str, naming: str, table: str | None, class_map: ClassMap) -> Source:
    """Read a data set of video clips.

    Args:
        name: Name of the source.
        root: Directory or archive.
        naming: What tells label and subject: folder, table, afew, crema-d, ravdess, or auto for the table where one is
            named, and otherwise what most names look like.
        table: Name of a table of clips; None where there is none.
        class_map: Name of a folder or label: class, or None to leave it out.

    Raises:
        DataError: The data are laid out otherwise, or a folder names no class or part.
    """
    files = DatasetFiles(root)
    videos = [file for file in files.names if PurePosixPath(file).suffix.lower() in VIDEO_SUFFIXES]
    if naming == "table" and table is None:
        raise DataError(f"{root}: naming=table needs the name of the table (dataset.sources.{name}.table=FILE.csv)")
    if table is not None and naming not in ("auto", "table"):
        raise DataError(f"{root}: the table {table} is not read with naming={naming}; use naming=table")
    if naming == "auto":
        stems = [PurePosixPath(video).stem for video in videos]
        naming = "table" if table is not None else find_naming(stems) or "folder"
    if table is not None:
        labels = read_clip_table(files, table, videos, class_map)
    elif naming in NAMINGS:
        labels = _read_names(videos, naming, class_map)
    else:
        labels = _read_folders(files, videos, class_map)
    if not labels.clips and not labels.problems:
        raise build_layout_error(files, "clips", _ACCEPTED)
    return _build_source(name, files, labels, naming)


def _read_names(videos: list[str], naming: str, class_map: ClassMap) -> ClipLabels:
    """Clips whose names tell what they show."""
    labels, stems = ClipLabels(), {PurePosixPath(video).stem for video in videos}
    for video in videos:
        path = PurePosixPath(video)
        named = NAMINGS[naming](path.stem)
        if named is None:
            labels.problems.append((video, f"name that is none of naming={naming}"))
            labels.refused.add(video)
            continue
        label, reason = resolve_label(named.label, class_map)
        if label is None:
            labels.unused[video] = f"{named.label}: {reason}"
        elif named.repeats in stems:
            labels.unused[video] = "the same recording as another file, without its sound"
        else:
            part = next((part for folder in reversed(path.parts[:-1]) if (part := parse_part(folder))), "")
            labels.clips.append(LabelledClip(ClipSpan(video), label, named.subject, part))
    return labels


def _read_folders(files: DatasetFiles, videos: list[str], class_map: ClassMap) -> ClipLabels:
    """Clips in folders that are named as classes, with or without folders of parts above them."""
    labels, others, depths = ClipLabels(), list[str](), set[int]()
    above: dict[str, str] = {}
    for video in videos:
        folders = PurePosixPath(video).parts[:-1]
        depth = next((place for place, folder in enumerate(folders) if _names_class(folder, class_map)), None)
        if depth is None:
            others.append(video)
            continue
        label, reason = resolve_label(folders[depth], class_map)
        depths.add(depth)
        part = next((part for folder in reversed(folders[:depth]) if (part := _parse_part(folder))), "")
        above.setdefault(part, "/".join(folders[: depth + 1]))
        if label is None:
            labels.unused[video] = reason
        else:
            labels.clips.append(LabelledClip(ClipSpan(video), label, "", part))
    if "" in above and len(above) > 1:
        part = next(part for part in above if part)
        raise DataError(
            f"{files.root}: the folder {above['']} lies in none that is named as a part, but {above[part]} does; "
            f"allowed are {ALLOWED_PARTS}; move, rename or remove it"
        )
    for video in others:
        folders = PurePosixPath(video).parts[:-1]
        if unknown := next((folders[depth] for depth in depths if depth < len(folders)), None):
            raise _build_unknown_folder_error(files, unknown)
        labels.unused[video] = "video outside of the layout"
    return labels


def _names_class(folder: str, class_map: ClassMap) -> bool:
    return folder in class_map or normalize_label(folder) is not None


def _parse_part(folder: str) -> str | None:
    return parse_part(folder) or parse_part(folder[: -len(_AFEW)] if folder.lower().endswith(_AFEW) else "")


def _build_unknown_folder_error(files: DatasetFiles, folder: str) -> DataError:
    near = get_close_matches(folder.lower(), (*EMOTIONS, CONTEMPT, *SYNONYMS), n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return DataError(
        f"{files.root}: the folder {folder!r} names no emotion{hint}; allowed are {', '.join((*EMOTIONS, CONTEMPT))}; "
        "rename it, map it to an emotion, or leave it out (class_map, null leaves it out)"
    )


def _build_source(name: str, files: DatasetFiles, labels: ClipLabels, naming: str) -> Source:
    clips = {clip.path: clip for clip in labels.clips}
    known = any(clip.subject for clip in labels.clips)
    columns = [*(["subject"] if known else []), *labels.group_columns]
    values = {path: [*([clip.subject] if known else []), *clip.groups] for path, clip in clips.items()}
    no_videos = {file: NO_VIDEO for file in files.names if PurePosixPath(file).suffix.lower() not in VIDEO_SUFFIXES}
    used = [*(clip.span.video for clip in labels.clips), *labels.refused]

    @functools.cache
    def hash_video(video: str) -> str:
        hasher = hashlib.sha256()
        for block in files.iter_blocks(video, MAX_VIDEO_BYTES):
            hasher.update(block)
        return hasher.hexdigest()

    def get_info(path: str) -> ImageInfo:
        span = clips[path].span
        digest = hashlib.sha256(f"{hash_video(span.video)}/{span.start_s}/{span.end_s}".encode()).hexdigest()
        return ImageInfo(digest, MAX_SIDE, colour=True)

    return Source(
        name,
        build_labelled_table(
            list(clips), [clip.part for clip in clips.values()], [clip.label for clip in clips.values()]
        ),
        lambda path: files.read(clips[path].span.video, MAX_VIDEO_BYTES),
        get_info=get_info,
        notes=(f"clips by {naming}",),
        problems=tuple(labels.problems),
        unused=tuple(files.list_unused(used, {**no_videos, **labels.unused})),
        groups=build_group_columns(list(clips), columns, values),
        clips=VideoClips(
            {path: clip.span for path, clip in clips.items()}, lambda video: files.have_file(video, MAX_VIDEO_BYTES)
        ),
    )
