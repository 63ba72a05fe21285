"""The files of a data set: in a directory, in archives, or one table."""

import csv
import io
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from fer.core.file_tree import is_hidden, walk_files
from fer.core.image_decoding import HEAD_BYTES, IMAGE_SUFFIXES, is_image_content
from fer.data.sources.containers import Container, has_archive_suffix, open_container, strip_archive_suffix
from fer.errors import DataError

MAX_IMAGE_BYTES = 64 << 20
MAX_TABLE_BYTES = 2 << 30
BLOCK_BYTES = 1 << 20
# The pixels of one image as text.
MAX_LINE = 8 << 20
TABLE_SUFFIXES = (".csv", ".txt")


class DatasetFiles:
    """Read-only view of the files below a root; names are relative, with forward slashes.

    The root is a directory, an archive, or a table such as fer2013.csv itself. A directory that holds archives instead
    of folders of images is read as if each were unpacked into a folder of its name. Hidden files are not there.
    Nothing is extracted into the data set, and a member is read only up to a bound.

    Attributes:
        root: The path.
        names: All files, in order of name.
        empty_folders: Folders of a directory that hold nothing.
        tables: Files that were read as tables.
    """

    def __init__(self, root: str) -> None:
        self.root = Path(root)
        self.empty_folders: list[str] = []
        self.tables: set[str] = set()
        # Where each file of an archive lies: the archive, and the name in it.
        self._members: dict[str, tuple[Container, str]] = {}
        self._images: dict[str, bool] = {}
        self._paths: dict[str, Path] = {}
        self._unpacking = threading.Lock()
        if self.root.is_dir():
            self._list_directory()
        elif not self.root.is_file():
            raise DataError(f"{root}: no such file or directory")
        elif self.root.name.lower().endswith(TABLE_SUFFIXES):
            self._paths[self.root.name] = self.root
        else:
            self._mount(self.root, "")
        self.names = sorted((*self._paths, *self._members))

    def _list_directory(self) -> None:
        def refuse(error: OSError) -> None:
            raise DataError(f"{error.filename}: this directory cannot be read ({error.strerror})") from None

        for folder, files in walk_files(self.root, refuse):
            relative = folder.relative_to(self.root)
            self._paths |= {_make_printable(relative / name): folder / name for name in files}
            if not files and not any(folder.iterdir()):
                self.empty_folders.append(_make_printable(relative))
        archives = [name for name in self._paths if has_archive_suffix(name)]
        if archives and not any("/" in name and self.is_image(name) for name in self._paths):
            for name in archives:
                self._mount(self._paths.pop(name), strip_archive_suffix(name) + "/")

    def _mount(self, path: Path, prefix: str) -> None:
        """Add the files of an archive below ``prefix``."""
        container = open_container(path)
        names = (name for name in container.sizes if not is_hidden(PurePosixPath(name)))
        self._members |= {prefix + name: (container, name) for name in names}

    def __contains__(self, name: str) -> bool:
        return name in self._paths or name in self._members

    def is_image(self, name: str) -> bool:
        """Whether a file is an image: by its suffix or, where that says nothing, by how its content begins."""
        if name not in self._images:
            self._images[name] = PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES or self._begins_as_image(name)
        return self._images[name]

    def _begins_as_image(self, name: str) -> bool:
        try:
            if name in self._members:
                container, member = self._members[name]
                return is_image_content(container.read(member, HEAD_BYTES))
            with self._paths[name].open("rb") as file:
                return is_image_content(file.read(HEAD_BYTES))
        except Exception:
            return False  # whoever needs the file will say what is wrong with it

    def read(self, name: str, limit: int = MAX_IMAGE_BYTES) -> bytes:
        """Return a file's bytes. Raises DataError when it is missing, damaged or larger than ``limit`` bytes."""
        with self._explain_damage(name):
            if name not in self._members:
                path = self._paths[name]
                if path.stat().st_size > limit:
                    raise DataError(f"{path}: larger than {limit >> 20} MiB")
                return path.read_bytes()
            container, member = self._members[name]
            if container.sizes[member] > limit:
                raise DataError(f"{self.root}: {name} is larger than {limit >> 20} MiB")
            data = container.read(member, limit + 1)
        if len(data) > limit:
            raise DataError(f"{self.root}: {name} is larger than {limit >> 20} MiB")
        return data

    @contextmanager
    def _explain_damage(self, name: str) -> Iterator[None]:
        """Say in a sentence why a file cannot be read."""
        try:
            yield
        except (OSError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise DataError(f"{self.root}: {name} cannot be read ({error})") from None
        except Exception as error:
            # zlib.error and lzma.LZMAError share no base class; a damaged member raises either.
            if type(error).__module__ not in ("zlib", "lzma", "_lzma", "tarfile"):
                raise
            raise DataError(f"{self.root}: {name} cannot be read ({error})") from None

    def iter_blocks(self, name: str, limit: int) -> Iterator[bytes]:
        """Yield a file's bytes, some at a time. Raises DataError as ``read``."""
        total = 0
        with self._explain_damage(name), self._open(name) as file:
            while block := file.read(BLOCK_BYTES):
                total += len(block)
                if total > limit:
                    raise DataError(f"{self.root}: {name} is larger than {limit >> 20} MiB")
                yield block

    def _open(self, name: str) -> IO[bytes]:
        if name not in self._members:
            return self._paths[name].open("rb")
        container, member = self._members[name]
        return container.open(member)

    @contextmanager
    def have_file(self, name: str, limit: int) -> Iterator[Path]:
        """Have a file on the disk for as long as it is needed; one of an archive is unpacked for that time.

        Raises:
            DataError: It cannot be read, or is larger than ``limit`` bytes.
        """
        if name not in self._members:
            yield self._paths[name]
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "member" + PurePosixPath(name).suffix)
            # Members of a .tar are read through one file, in which two threads would move each other's place.
            with self._unpacking, path.open("wb") as file:
                for block in self.iter_blocks(name, limit):
                    file.write(block)
            yield path

    def iter_rows(self, name: str, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
        """Yield (number, cells) of each line of a UTF-8 table that is not empty.

        No table of a data set has cells of several lines, so a stray quotation mark spoils its own line alone.
        """
        self.tables.add(name)
        csv.field_size_limit(sys.maxsize)
        data = io.BytesIO(self.read(name, MAX_TABLE_BYTES))
        try:
            lines = io.TextIOWrapper(data, "utf-8-sig")
            for number, line in enumerate(iter(lambda: lines.readline(MAX_LINE + 1), ""), 1):
                if len(line) > MAX_LINE:
                    raise DataError(f"{self.root}: line {number} of {name} is longer than {MAX_LINE >> 20} MiB")
                if line.strip():
                    yield number, next(csv.reader([line], delimiter=delimiter), [])
        except UnicodeDecodeError:
            raise DataError(f"{self.root}: {name} is not a UTF-8 text file") from None
        except csv.Error as error:
            raise DataError(f"{self.root}: {name} cannot be read as comma-separated values ({error})") from None

    def find(self, ending: str) -> str | None:
        """Find the shortest name that is ``ending`` or ends with ``/ending``, in any case of letters.

        A wrapping folder does not matter.
        """
        ending = ending.lower()
        matches = [name for name in self.names if name.lower() == ending or name.lower().endswith(f"/{ending}")]
        return min(matches, key=len) if matches else None

    def list_images(self, folder: str) -> list[str]:
        """List the names of the images in a folder and in all below it."""
        prefix = f"{folder}/" if folder else ""
        return [name for name in self.names if name.startswith(prefix) and self.is_image(name)]

    def list_unused(self, used: Iterable[str], reasons: dict[str, str]) -> list[tuple[str, str]]:
        """List (file or empty folder, why it is not used) of all but the ``used`` files and the tables.

        Args:
            used: Files that became samples, or problems.
            reasons: File: why it is not used, where that is known.
        """
        taken = {*used, *self.tables}
        rows = [(name, reasons.get(name) or self._explain_unused(name)) for name in self.names if name not in taken]
        return rows + [(f"{folder}/", "empty folder") for folder in self.empty_folders]

    def _explain_unused(self, name: str) -> str:
        if has_archive_suffix(name):
            return "archive beside folders of images; unpack it to use it"
        return "image outside of the layout" if self.is_image(name) else "no image that can be read"

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


def _make_printable(path: Path) -> str:
    """The name of a file with forward slashes; bytes that are not UTF-8 could not be written to a table."""
    return path.as_posix().encode(errors="backslashreplace").decode()


def build_layout_error(files: DatasetFiles, kind: str, accepted: Iterable[str]) -> DataError:
    """Build the error for a root that holds something else: what would be accepted, and what was found."""
    return DataError(
        f"{files.root}: not laid out as {kind}; accepted are {' or '.join(accepted)}; found {files.describe()}"
    )
