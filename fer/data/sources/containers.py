"""Archives that a data set may lie in: .zip, and .tar with or without compression."""

import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, cast

from fer.core.archive import ArchiveLimits, guard_headers, open_zip
from fer.core.bounded_stream import BoundedStream, StreamError, is_compressed
from fer.errors import DataError, shorten_error

# The largest data sets of faces have some hundred thousand images, which hardly compress; their tables do.
LIMITS = ArchiveLimits(250_000, 64 << 30, 200)
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_ARCHIVE_SUFFIXES = (".zip", ".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz")
_COPY_BYTES = 1 << 20
# Compressed bytes that are decompressed at once.
_READ_BYTES = 4096


class Container:
    """The files in an archive. ``sizes`` gives their names, with forward slashes, and their bytes."""

    def __init__(self, sizes: dict[str, int], open_member: Callable[[str], IO[bytes]]) -> None:
        self.sizes = sizes
        self._open_member = open_member

    def open(self, name: str) -> IO[bytes]:
        """Open a member; what can go wrong is of many kinds."""
        return self._open_member(name)

    def read(self, name: str, limit: int) -> bytes:
        """Return the first ``limit`` bytes of a member at most; what can go wrong is of many kinds."""
        with self._open_member(name) as member:
            if not isinstance(member, zipfile.ZipExtFile):
                return member.read(limit)
            parts, total = [], 0
            while total < limit and (part := member.read1(min(_READ_BYTES, limit - total))):
                parts.append(part)
                total += len(part)
            return b"".join(parts)


def has_archive_suffix(name: str) -> bool:
    """Whether a file is named as an archive."""
    return name.lower().endswith(_ARCHIVE_SUFFIXES)


def strip_archive_suffix(name: str) -> str:
    """Return the name of an archive without its suffixes."""
    suffix = max((suffix for suffix in _ARCHIVE_SUFFIXES if name.lower().endswith(suffix)), key=len, default="")
    return name[: len(name) - len(suffix)]


def open_container(path: Path) -> Container:
    """Open an archive, by its content. Raises DataError where it is none, damaged, encrypted or beyond LIMITS."""
    try:
        with path.open("rb") as file:
            start = file.read(262 + 5)
        if is_compressed(start) or start[257:262] == b"ustar":
            return _open_tar(path, is_compressed(start))
    except (OSError, EOFError, tarfile.TarError, ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: cannot be read as a .tar ({shorten_error(error)}); give a directory or a whole archive "
            "(download it again)"
        ) from None
    return _open_zip(path)


def _open_zip(path: Path) -> Container:
    try:
        archive = open_zip(path, LIMITS, _ZIP_METHODS)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, ValueError) as error:
        raise DataError(
            f"{path}: cannot be read as a .zip ({error}); give a directory or a whole .zip (download it again)"
        ) from None
    if any(info.flag_bits & 1 for info in archive.infolist()):
        raise DataError(f"{path}: the .zip is password-protected; unpack it and give the directory")
    # Some programs for Windows separate folders by backslashes.
    members = {
        _normalize(info.filename): info for info in archive.infolist() if not info.filename.endswith(("/", "\\"))
    }
    return Container({name: info.file_size for name, info in members.items()}, lambda name: archive.open(members[name]))


def _open_tar(path: Path, compressed: bool) -> Container:
    file = _unpack_tar(path) if compressed else path.open("rb")
    # Open for as long as the data set is.
    archive = tarfile.open(fileobj=file, mode="r:", tarinfo=guard_headers(4 * LIMITS.max_members))  # noqa: SIM115
    members: dict[str, tarfile.TarInfo] = {}
    for count, member in enumerate(archive):
        if count >= LIMITS.max_members:
            raise StreamError(f"it holds more than {LIMITS.max_members:,} files")
        if member.isreg():
            members[_normalize(member.name)] = member
    return Container(
        {name: member.size for name, member in members.items()},
        lambda name: cast(IO[bytes], archive.extractfile(members[name])),
    )


def _unpack_tar(path: Path) -> IO[bytes]:
    """Unpack a compressed .tar: within one, every step backwards would begin at its beginning again."""
    target = tempfile.TemporaryFile()  # noqa: SIM115
    with BoundedStream(path, LIMITS.max_bytes, LIMITS.max_ratio) as packed:
        while block := packed.read(_COPY_BYTES):
            target.write(block)
    target.seek(0)
    return target


def _normalize(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/").lstrip("/")).as_posix()
