"""Whether anything in a directory still tells of somebody: a search through all files, packed ones too."""

import base64
import binascii
import gzip
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

# Parts of pages: pictures, tables and scripts, packed or not.
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{64,}={0,2}")
_MAX_DEPTH = 4


def build_pattern(texts: Iterable[str]) -> re.Pattern[str] | None:
    """What finds any of some texts as a whole: `anna` is found in `/data/anna.mp4`, and not in `joanna` or `anna-2`."""
    parts = [rf"(?<![\w-]){re.escape(text)}(?![\w-])" for text in sorted(set(texts), key=len, reverse=True)]
    return re.compile("|".join(parts)) if parts else None


def find_mentions(directory: Path, texts: Sequence[str], contents: Sequence[bytes] = ()) -> list[Path]:
    """Find the files of a directory that tell of somebody.

    Args:
        directory: It is searched with all below it: names of files, and bytes as they are, within Parquet, gzip, ZIP
            (so Excel's tables) and Base64 (so pages).
        texts: Names and ids, each found as a whole, also as JSON, HTML and addresses write it.
        contents: Bytes, such as those of pictures.

    Returns:
        The files and directories, relative to ``directory``, in order.
    """
    pattern = build_pattern(texts)
    search = _Search(texts, contents)
    found = []
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory)
        if (pattern is not None and pattern.search(name.as_posix())) or (
            path.is_file() and not path.is_symlink() and search.holds(path.read_bytes())
        ):
            found.append(name)
    return found


def _build_bytes_patterns(texts: Sequence[str]) -> dict[bytes, re.Pattern[bytes]]:
    """What finds each form in which the texts are written."""
    forms = {
        form.encode()
        for text in texts
        for form in (text, json.dumps(text)[1:-1], escape(text), quote(text), quote(text, safe=""))
    }
    return {form: re.compile(rb"(?<![\w-])" + re.escape(form) + rb"(?![\w-])") for form in forms}


class _Search:
    def __init__(self, texts: Sequence[str], contents: Sequence[bytes]) -> None:
        self._patterns, self._contents = _build_bytes_patterns(texts), contents

    def holds(self, data: bytes, depth: int = 0) -> bool:
        """Whether bytes hold what is looked for, in any layer."""
        # What looks around itself is searched for slowly.
        if any(form in data and pattern.search(data) for form, pattern in self._patterns.items()):
            return True
        if any(part in data for part in self._contents):
            return True
        return depth < _MAX_DEPTH and any(self.holds(part, depth + 1) for part in _iter_parts(data))


def _iter_parts(data: bytes) -> Iterator[bytes]:
    """What lies packed in bytes; what cannot be unpacked holds nothing that anybody could read."""
    if data.startswith(b"\x1f\x8b"):
        try:
            yield gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            return
    elif data.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                for member in archive.infolist():
                    yield member.filename.encode()
                    yield archive.read(member)
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error):
            return
    elif data.startswith(b"PAR1"):
        try:
            for batch in pq.ParquetFile(io.BytesIO(data)).iter_batches():
                yield b"\n".join(_iter_texts(batch.to_pylist()))
        except (pa.ArrowException, OSError):
            return
    elif b"base64" in data:
        for match in _BASE64.finditer(data):
            try:
                yield base64.b64decode(match[0] + b"=" * (-len(match[0]) % 4))
            except binascii.Error:
                continue


def _iter_texts(value: Any) -> Iterator[bytes]:
    """The texts and bytes in rows of a table, nested ones too."""
    if isinstance(value, dict):
        value = value.values()
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, str):
        yield value.encode(errors="surrogatepass")
    elif isinstance(value, Iterable):
        for inner in value:
            yield from _iter_texts(inner)
