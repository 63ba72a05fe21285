"""Archives whose files are listed with their checksums."""

import gzip
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from fer.core.io import compute_sha256
from fer.errors import ModelError

CHECKSUMS = "SHA256SUMS"
# A package of the largest architecture has some hundred megabytes and a few dozen files.
MAX_BYTES = 4 << 30
MAX_FILES = 1000


def unpack(archive: Path, directory: Path, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES) -> None:
    """Unpack a .tar.gz that may come from anybody.

    Args:
        archive: The archive.
        directory: Where its files go.
        max_files: How many files it may hold.
        max_bytes: How large they may be together.

    Raises:
        ModelError: It holds links, devices, or more than is allowed.
        tarfile.TarError: It is damaged, or a file would land outside of ``directory``.
    """
    total = 0
    with tarfile.open(archive, "r|gz") as tar:
        for count, member in enumerate(tar):
            total += member.size
            if count >= max_files or total > max_bytes:
                raise ModelError(f"{archive}: holds more than {max_files} files or {max_bytes >> 30} GiB; refused")
            if not (member.isfile() or member.isdir()):
                raise ModelError(f"{archive}: holds {member.name!r}, which is no plain file; refused")
            tar.extract(member, directory, filter="data")


def verify_checksums(directory: Path, archive: Path) -> None:
    """Check that an unpacked archive holds exactly the files that its SHA256SUMS lists.

    Args:
        directory: The unpacked archive.
        archive: The archive, for the message.

    Raises:
        ModelError: It does not.
    """
    checksums = directory / CHECKSUMS
    if not checksums.is_file():
        raise ModelError(f"{archive}: holds no {CHECKSUMS}; it is no package of register.py")
    if checksums.read_bytes() != compute_checksums(directory).encode():
        raise ModelError(
            f"{archive}: its files are not those of its {CHECKSUMS}: it was changed; build or fetch it again"
        )


def compute_checksums(directory: Path) -> str:
    """Return the content of SHA256SUMS: a line `sha256  name` each file below a directory, in order of name."""
    return "".join(f"{compute_sha256(path)}  {name}\n" for name, path in iter_files(directory) if name != CHECKSUMS)


def iter_files(directory: Path) -> Iterator[tuple[str, Path]]:
    """Yield (name relative to the directory, path) of each file below a directory, in order of name."""
    names = sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())
    return ((name, directory / PurePosixPath(name)) for name in names)


def write_archive(directory: Path, target: Path) -> None:
    """Write all files below a directory to a .tar.gz, whose bytes depend on names and contents alone."""
    with (
        target.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, path in iter_files(directory):
            entry = tarfile.TarInfo(name)
            entry.size = path.stat().st_size
            entry.mode = 0o644
            with path.open("rb") as content:
                tar.addfile(entry, content)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file, and make the directory that it goes to."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
