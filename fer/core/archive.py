"""Archives whose files are listed with their checksums."""

import gzip
import io
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from fer.core.bounded_stream import SLACK, BoundedStream, StreamError, format_size
from fer.core.io import compute_sha256
from fer.errors import ModelError

CHECKSUMS = "SHA256SUMS"
# Bytes of a long name or of extended attributes, which tarfile stores and copies.
MAX_HEADER = 1 << 16
# Headers before one member: each extended one leads tarfile a call deeper.
_MAX_EXTENSIONS = 8
_EXTENSIONS = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
# Of each member of a .zip: its entry in the directory, with a name of usual length.
_ZIP_ENTRY_BYTES = 300
# Behind the directory: its end, perhaps for 64 bits, and a comment.
_ZIP_END_BYTES = 1 << 17
_DEFLATE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive from anybody may hold.

    Args:
        max_members: Files and directories.
        max_bytes: Their content together.
        max_ratio: How many times larger than the archive that content may be, beyond a few megabytes.
    """

    max_members: int
    max_bytes: int
    max_ratio: int


# A package of the largest architecture has some hundred megabytes and a few dozen files; weights hardly compress.
MAX_FILES, MAX_BYTES = 1000, 4 << 30
PACKAGE_LIMITS = ArchiveLimits(MAX_FILES, MAX_BYTES, 20)


def guard_headers(max_headers: int, max_extension_bytes: int | None = None) -> type[tarfile.TarInfo]:
    """Return the class of a tar's headers that refuses what no honest archive has.

    Refused are names and attributes of more than MAX_HEADER bytes, chains of them, sparse files, negative sizes, and
    more headers than are allowed. It counts, so that each archive needs one of its own.

    Args:
        max_headers: How many an archive may have, extended ones included.
        max_extension_bytes: Of all long names and attributes together; None sets no limit beyond that of each.
    """

    class GuardedHeader(tarfile.TarInfo):
        count = extensions = extension_bytes = 0

        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "GuardedHeader":
            """Parse a header, as tarfile does. Raises tarfile.ReadError."""
            header = super().frombuf(buf, encoding, errors)
            extends = header.type in _EXTENSIONS
            cls.count, cls.extensions = cls.count + 1, cls.extensions + 1 if extends else 0
            cls.extension_bytes += header.size if extends else 0
            if max_extension_bytes is not None and cls.extension_bytes > max_extension_bytes:
                raise tarfile.ReadError(f"headers of {cls.extension_bytes:,} bytes")
            if header.size < 0 or (header.size > MAX_HEADER and (extends or header.type not in _WITH_CONTENT)):
                raise tarfile.ReadError(f"a header of {header.size:,} bytes")
            if cls.extensions > _MAX_EXTENSIONS or cls.count > max_headers:
                raise tarfile.ReadError(f"more than {max_headers:,} headers, or a chain of them")
            if header.type == tarfile.GNUTYPE_SPARSE:
                raise tarfile.ReadError("a sparse file")
            return header

        def _refuse_sparse(self, *_: Any) -> None:
            raise tarfile.ReadError("a sparse file")

        # tarfile's names for the three kinds of sparse files that extended headers describe.
        _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse

    return GuardedHeader


_WITH_CONTENT = (*tarfile.REGULAR_TYPES, tarfile.DIRTYPE)


def unpack(
    archive: Path,
    directory: Path,
    limits: ArchiveLimits = PACKAGE_LIMITS,
    check_member: Callable[[str, int], None] | None = None,
) -> None:
    """Unpack a .tar.gz that may come from anybody.

    Args:
        archive: The archive.
        directory: Where its files go.
        limits: What it may hold.
        check_member: Is called with name and size of each file, before anything of it is written.

    Raises:
        ModelError: It holds links, devices, a name twice, or more than is allowed.
        tarfile.TarError: It is damaged, or a file would land outside of ``directory``.
        StreamError: It is damaged, or expands too far.
    """
    total, names = 0, set[str]()
    stream = BoundedStream(archive, limits.max_bytes + SLACK, limits.max_ratio)
    with (
        stream,
        tarfile.open(
            fileobj=io.BufferedReader(stream, 1 << 18), mode="r|", tarinfo=guard_headers(4 * limits.max_members)
        ) as tar,
    ):
        for count, member in enumerate(tar):
            total += member.size
            if count >= limits.max_members or total > limits.max_bytes:
                raise ModelError(
                    f"{archive}: holds more than {limits.max_members} files or {format_size(limits.max_bytes)}; refused"
                )
            if not (member.isfile() or member.isdir()) or member.size < 0:
                raise ModelError(f"{archive}: holds {_quote(member.name)}, which is no plain file; refused")
            if member.name.startswith("/"):
                raise ModelError(f"{archive}: holds {_quote(member.name)}, an absolute path; refused")
            member = tarfile.data_filter(member, str(directory))
            name = PurePosixPath(member.name).as_posix()
            if member.isfile():
                if name in names:
                    raise ModelError(f"{archive}: holds {_quote(name)} twice; refused")
                names.add(name)
                if check_member is not None:
                    check_member(name, member.size)
            # Content alone: neither times nor owners nor modes.
            target = directory / name
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file, cast(IO[bytes], tar.extractfile(member)) as content:
                shutil.copyfileobj(content, file, 1 << 18)
                if file.tell() != member.size:
                    raise tarfile.ReadError("unexpected end of data")


def _quote(name: str) -> str:
    """Return a member's name, fit for a message."""
    return ascii(name if len(name) <= 100 else name[:99] + "…")


def open_zip(path: Path, limits: ArchiveLimits, methods: tuple[int, ...] = _DEFLATE) -> zipfile.ZipFile:
    """Open a .zip that may come from anybody, after a look at what it says of itself.

    Args:
        path: The archive.
        limits: What it may hold.
        methods: How members may be compressed. Python decompresses a whole member of other methods than deflate at
            once, whatever size it has announced, unless it is read by ``read1``.

    Raises:
        OSError: It cannot be opened.
        zipfile.BadZipFile: It is none.
        StreamError: It holds more than is allowed, or is compressed by another method.
    """
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        # zipfile reads the directory of any length, and makes an object of each entry; this is how it finds it.
        end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
        if not end:
            raise zipfile.BadZipFile("File is not a zip file")
        directory_size = int(end[zipfile._ECD_SIZE])  # type: ignore[attr-defined]
        file.seek(max(0, size - directory_size - _ZIP_END_BYTES))
        if directory_size > limits.max_members * _ZIP_ENTRY_BYTES or (
            file.read().count(zipfile.stringCentralDir) > limits.max_members  # type: ignore[attr-defined]
        ):
            raise StreamError(f"it holds more than {limits.max_members:,} files")
    archive = zipfile.ZipFile(path)
    try:
        _check_zip(archive.infolist(), size, limits, methods)
    except BaseException:
        archive.close()
        raise
    return archive


def _check_zip(members: list[zipfile.ZipInfo], size: int, limits: ArchiveLimits, methods: tuple[int, ...]) -> None:
    """Refuse more members, or more content, than is allowed. Raises StreamError."""
    if len(members) > limits.max_members:
        raise StreamError(f"it holds more than {limits.max_members:,} files")
    total = sum(member.file_size for member in members)
    if total > limits.max_bytes:
        raise StreamError(f"it holds more than {format_size(limits.max_bytes)}")
    # Members that share the same compressed bytes are many times larger than the archive, too.
    if total > SLACK + limits.max_ratio * size:
        raise StreamError(f"it expands to more than {limits.max_ratio} times its size")
    if foreign := {member.compress_type for member in members} - set(methods):
        raise StreamError(f"it is compressed by method {min(foreign)}, which is not read; unpack it")


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
    write_files(iter_files(directory), target)


def write_files(files: Iterable[tuple[str, Path]], target: Path) -> None:
    """Write files, by their names in it, to a .tar.gz, whose bytes depend on names and contents alone."""
    with (
        target.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, path in files:
            entry = tarfile.TarInfo(name)
            entry.mode = 0o644
            with path.open("rb") as content:
                entry.size = os.fstat(content.fileno()).st_size
                tar.addfile(entry, content)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file, and make the directory that it goes to."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
