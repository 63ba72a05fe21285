"""All that extraction leaves of one video, as one file: packed where it was extracted, unpacked where it is wanted."""

import json
import re
import shutil
import zipfile
from pathlib import Path

from fer.core.io import atomic_write
from fer.errors import DataError, shorten_error
from fer.infer.chunk_store import COMPLETION_FILE, PARTS_DIR
from fer.infer.extract import CROPS, FRAMES

# Pictures before the rows that speak of them, and what marks the video as finished at the very end.
FOLDERS = (CROPS, FRAMES, PARTS_DIR)
MEMBER = re.compile(rf"({'|'.join(FOLDERS)})/[\w-]+\.\w+")


def format_result_name(number: int) -> str:
    return f"{number:05d}.zip"


def pack_result(run_directory: Path, number: int, file: Path) -> None:
    """Move what the run holds of a finished video into ``file``, a ZIP with a checksum for each member."""
    folders = {name: run_directory / name / f"{number:05d}" for name in FOLDERS}
    # Pictures do not get smaller.
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, folder in folders.items():
            for path in sorted(folder.glob("*"), key=lambda path: (path.name == COMPLETION_FILE, path.name)):
                archive.write(path, f"{name}/{path.name}")
    for folder in folders.values():
        shutil.rmtree(folder, ignore_errors=True)


def unpack_result(file: Path, run_directory: Path, number: int, video: str) -> None:
    """Put what ``pack`` took into the run, as its video of this number; ``video`` is the name that it must have.

    Raises DataError for a damaged file and for one of another video.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            if not all(map(MEMBER.fullmatch, names)) or names[-1:] != [f"{PARTS_DIR}/{COMPLETION_FILE}"]:
                raise ValueError("it does not hold what a video leaves")
            if json.loads(archive.read(names[-1]))["video"] != video:
                raise ValueError(f"it does not hold {video}")
            for name in names:
                folder, inner = name.split("/")
                with atomic_write(run_directory / folder / f"{number:05d}" / inner) as partial:
                    partial.write_bytes(archive.read(name))
    # RuntimeError is what a changed flag leads to: "is encrypted", "is not supported".
    except (zipfile.BadZipFile, RuntimeError, ValueError, KeyError, TypeError, EOFError) as error:
        raise DataError(f"{file}: is damaged ({shorten_error(error)})") from None
