"""Archives that a data set may lie in: .zip, and .tar with or without compression."""

import bz2
import gzip
import lzma
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from fer.errors import DataError, shorten_error

# What a compressed .tar may hold; it is unpacked into a temporary file without a name, to be read in any order.
MAX_TAR_BYTES = 64 << 30
_COMPRESSIONS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_ARCHIVE_SUFFIXES = (".zip", ".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz")
_COPY_BYTES = 1 << 20


class Container:
    """The files in an archive. ``sizes`` gives their names, with forward slashes, and their bytes."""

    def __init__(self, sizes: dict[str, int], open_member: Callable[[str], IO[bytes]]) -> None:
        self.sizes = sizes
        self._open_member = open_member

    def read(self, name: str, limit: int) -> bytes:
        """Return the first ``limit`` bytes of a member at most; what can go wrong is of many kinds."""
        with self._open_member(name) as member:
            return member.read(limit)


def has_archive_suffix(name: str) -> bool:
    """Whether a file is named as an archive."""
    return name.lower().endswith(_ARCHIVE_SUFFIXES)


def strip_archive_suffix(name: str) -> str:
    """Return the name of an archive without its suffixes."""
    suffix = max((suffix for suffix in _ARCHIVE_SUFFIXES if name.lower().endswith(suffix)), key=len, default="")
    return name[: len(name) - len(suffix)]


def open_container(path: Path) -> Container:
    """Open an archive, by its content. Raises DataError where it is none, damaged or encrypted."""
    try:
        with path.open("rb") as file:
            start = file.read(262 + 5)
        compression = next((opener for mark, opener in _COMPRESSIONS.items() if start.startswith(mark)), None)
        if compression is not None or start[257:262] == b"ustar":
            return _open_tar(path, compression)
    except (OSError, EOFError, tarfile.TarError, lzma.LZMAError, ValueError) as error:
        raise DataError(
            f"{path}: cannot be read as a .tar ({shorten_error(error)}); give a directory or a whole archive "
            "(download it again)"
        ) from None
    except Exception as error:
        if type(error).__module__ != "zlib":  # zlib.error
            raise
        raise DataError(f"{path}: cannot be read as a .tar ({error}); download it again") from None
    return _open_zip(path)


def _open_zip(path: Path) -> Container:
    try:
        archive = zipfile.ZipFile(path)
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


def _open_tar(path: Path, compression: Callable[..., Any] | None) -> Container:
    file = path.open("rb") if compression is None else _unpack_tar(path, compression)
    # Open for as long as the data set is.
    archive = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115
    members = {_normalize(member.name): member for member in archive if member.isreg()}
    return Container(
        {name: member.size for name, member in members.items()},
        lambda name: cast(IO[bytes], archive.extractfile(members[name])),
    )


def _unpack_tar(path: Path, compression: Callable[..., Any]) -> IO[bytes]:
    """Unpack a compressed .tar: within one, every step backwards would begin at its beginning again."""
    target = tempfile.TemporaryFile()  # noqa: SIM115
    with compression(path, "rb") as packed:
        while block := packed.read(_COPY_BYTES):
            target.write(block)
            if target.tell() > MAX_TAR_BYTES:
                raise ValueError(f"it holds more than {MAX_TAR_BYTES >> 30} GiB")
    target.seek(0)
    return target


def _normalize(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/").lstrip("/")).as_posix()
