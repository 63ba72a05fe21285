"""The files of a data set, in a directory or in a .zip."""

import csv
import io
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from fer.errors import DataError

MAX_IMAGE_BYTES = 64 << 20
MAX_TABLE_BYTES = 2 << 30
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm"})


class DatasetFiles:
    """Read-only view of the files below a root; names are relative, with forward slashes.

    Nothing is extracted to disk, so an archive cannot write anywhere; a member is read only up to a bound.
    """

    def __init__(self, root: str) -> None:
        self.root = Path(root)
        self.archive: zipfile.ZipFile | None = None
        if self.root.is_dir():
            self.names = sorted(
                file.relative_to(self.root).as_posix() for file in self.root.rglob("*") if file.is_file()
            )
        elif self.root.is_file():
            self.archive = self._open_zip()
            self.names = sorted(info.filename for info in self.archive.infolist() if not info.is_dir())
        else:
            raise DataError(f"{root}: no such file or directory")
        self._known = frozenset(self.names)

    def _open_zip(self) -> zipfile.ZipFile:
        try:
            archive = zipfile.ZipFile(self.root)
        except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, ValueError) as error:
            raise DataError(
                f"{self.root}: cannot be read as a .zip ({error}); give a directory or a whole .zip (download it again)"
            ) from None
        if any(info.flag_bits & 1 for info in archive.infolist()):
            raise DataError(f"{self.root}: the .zip is password-protected; unpack it and give the directory")
        return archive

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def read(self, name: str, limit: int = MAX_IMAGE_BYTES) -> bytes:
        """Return a file's bytes. Raises DataError when it is missing, damaged or larger than ``limit`` bytes."""
        try:
            if self.archive is None:
                path = self.root / name
                if path.stat().st_size > limit:
                    raise DataError(f"{path}: larger than {limit >> 20} MiB")
                return path.read_bytes()
            if self.archive.getinfo(name).file_size > limit:
                raise DataError(f"{self.root}: {name} is larger than {limit >> 20} MiB")
            with self.archive.open(name) as member:
                data = member.read(limit + 1)
        except (OSError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise DataError(f"{self.root}: {name} cannot be read ({error})") from None
        except Exception as error:
            # zlib.error and lzma.LZMAError share no base class; a damaged member raises either.
            if type(error).__module__ not in ("zlib", "lzma", "_lzma"):
                raise
            raise DataError(f"{self.root}: {name} cannot be read ({error})") from None
        if len(data) > limit:
            raise DataError(f"{self.root}: {name} is larger than {limit >> 20} MiB")
        return data

    def read_text(self, name: str) -> str:
        """Return a table's text, UTF-8 with or without byte-order mark."""
        try:
            return self.read(name, MAX_TABLE_BYTES).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise DataError(f"{self.root}: {name} is not a UTF-8 text file") from None

    def iter_rows(self, name: str) -> Iterator[list[str]]:
        """Yield the cells of a comma-separated UTF-8 table, row by row; an empty line gives an empty row."""
        csv.field_size_limit(sys.maxsize)
        data = io.BytesIO(self.read(name, MAX_TABLE_BYTES))
        try:
            yield from csv.reader(io.TextIOWrapper(data, "utf-8-sig", newline=""))
        except UnicodeDecodeError:
            raise DataError(f"{self.root}: {name} is not a UTF-8 text file") from None
        except csv.Error as error:
            raise DataError(f"{self.root}: {name} cannot be read as comma-separated values ({error})") from None

    def find(self, ending: str) -> str | None:
        """Find the shortest name that is ``ending`` or ends with ``/ending``: a wrapping folder does not matter."""
        matches = [name for name in self.names if name == ending or name.endswith(f"/{ending}")]
        return min(matches, key=len) if matches else None

    def list_images(self, folder: str) -> list[str]:
        """List the names of the images that lie directly in a folder."""
        prefix = f"{folder}/" if folder else ""
        return [
            name for name in self.names if name.startswith(prefix) and "/" not in name[len(prefix) :] and is_image(name)
        ]

    def describe(self) -> str:
        """Describe what lies at the root in a few words, for an error message."""
        tops: dict[str, int] = {}
        for name in self.names:
            parts = PurePosixPath(name).parts
            top = parts[0] + "/" if len(parts) > 1 else parts[0]
            tops[top] = tops.get(top, 0) + 1
        shown = ", ".join(
            f"{top} ({count} files)" if top.endswith("/") else top for top, count in list(tops.items())[:8]
        )
        return (shown + (", …" if len(tops) > 8 else "")) or "nothing"


def is_image(name: str) -> bool:
    """Whether a file's name is that of an image (hidden files, such as macOS's ``._x.png``, are none)."""
    path = PurePosixPath(name)
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and "__MACOSX" not in path.parts


def build_layout_error(files: DatasetFiles, kind: str, accepted: Iterable[str]) -> DataError:
    """Build the error for a root that holds something else: what would be accepted, and what was found."""
    return DataError(
        f"{files.root}: not laid out as {kind}; accepted are {' or '.join(accepted)}; found {files.describe()}"
    )
