"""The files that extraction leaves of one video, as one archive: packed in a container, unpacked into a run."""

import re
import shutil
import zipfile
from pathlib import Path

from fer.core.archive import ArchiveLimits, open_zip
from fer.core.documents import parse_json
from fer.core.io import atomic_write
from fer.core.run_layout import PARTS_DIR
from fer.errors import DataError, shorten_error
from fer.infer.chunk_store import COMPLETION_FILE
from fer.infer.extract import CROPS, FRAMES

# Images before the rows that refer to them, and the mark of a finished video at the very end.
FOLDERS = (CROPS, FRAMES, PARTS_DIR)
# Crops of every face of a long video, a file each; images do not compress.
LIMITS = ArchiveLimits(1_000_000, 64 << 30, 20)
MEMBER = re.compile(rf"({'|'.join(FOLDERS)})/[\w-]+\.\w+")


def format_result_name(number: int) -> str:
    """Return the archive's name for the video of this number."""
    return f"{number:05d}.zip"


def pack_result(run_directory: Path, number: int, file: Path) -> None:
    """Move a finished video's files from the run into the ZIP ``file``, which has a checksum for each member."""
    folders = {name: run_directory / name / f"{number:05d}" for name in FOLDERS}
    # Images do not compress.
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, folder in folders.items():
            for path in sorted(folder.glob("*"), key=lambda path: (path.name == COMPLETION_FILE, path.name)):
                archive.write(path, f"{name}/{path.name}")
    for folder in folders.values():
        shutil.rmtree(folder, ignore_errors=True)


def unpack_result(file: Path, run_directory: Path, number: int, video: str) -> None:
    """Unpack what ``pack_result`` packed.

    Args:
        file: The archive.
        run_directory: The run to unpack into.
        number: Number that the video has in this run.
        video: Name that the video must have.

    Raises:
        DataError: The archive is damaged, or is that of another video.
    """
    try:
        with open_zip(file, LIMITS) as archive:
            names = archive.namelist()
            if (
                len(set(names)) < len(names)
                or not all(map(MEMBER.fullmatch, names))
                or names[-1:] != [f"{PARTS_DIR}/{COMPLETION_FILE}"]
            ):
                raise ValueError("it does not hold what a video leaves")
            if parse_json(archive.read(names[-1]).decode())["video"] != video:
                raise ValueError(f"it does not hold {video}")
            for name in names:
                folder, inner = name.split("/")
                with atomic_write(run_directory / folder / f"{number:05d}" / inner) as partial:
                    partial.write_bytes(archive.read(name))
    # A damaged flag leads to RuntimeError: "is encrypted", "is not supported".
    except (zipfile.BadZipFile, RuntimeError, ValueError, KeyError, TypeError, EOFError) as error:
        raise DataError(f"{file}: is damaged ({shorten_error(error)})") from None
