"""A compressed file as a stream of its content, within bounds of size, expansion and memory."""

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typing_extensions import override

# The dictionary of the strongest preset of xz needs 65 MB.
MAX_LZMA_MEMORY = 100 << 20
_BLOCK = 1 << 16
# So many bytes may come before the ratio of expansion counts.
SLACK = 16 << 20
# Concatenated streams, each with a header of its own: parallel compressors write one for each of some kilobytes.
_SPARE_STREAMS, _STREAM_BYTES = 1000, 1 << 12


class StreamError(ValueError):
    """A stream is damaged, or beyond a bound; the message says why, without a name."""


class _Zlib:
    """zlib's decompressor of gzip with the interface of those of bz2 and lzma."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(zlib.MAX_WBITS | 16)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


_OPENERS: dict[bytes, Callable[[], Any]] = {
    b"\x1f\x8b": _Zlib,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_LZMA_MEMORY),
}


def is_compressed(start: bytes) -> bool:
    """Whether a file that begins so is one that ``BoundedStream`` decompresses."""
    return any(start.startswith(mark) for mark in _OPENERS)


class BoundedStream(io.RawIOBase):
    """The content of a .gz, .bz2 or .xz file, or of one that is not compressed.

    Python's own reader of gzip takes seconds for a header of a few megabytes, and bounds nothing.

    Args:
        path: The file.
        max_bytes: How large its content may be.
        max_ratio: How many times larger than what was read of the file.

    Raises:
        OSError: The file cannot be opened.
        StreamError: While reading: damaged, cut off, or beyond a bound.
    """

    def __init__(self, path: Path, max_bytes: int, max_ratio: int) -> None:
        self._file = path.open("rb")
        self._max_bytes, self._max_ratio = max_bytes, max_ratio
        self._pending = self._file.read(_BLOCK)
        self._open = next((opener for mark, opener in _OPENERS.items() if self._pending.startswith(mark)), None)
        self._decompressor = self._open() if self._open is not None else None
        self._read, self._produced, self._streams = len(self._pending), 0, 1

    @override
    def close(self) -> None:
        self._file.close()
        super().close()

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Any) -> int:
        try:
            data = self._produce(len(buffer))
        except StreamError:
            raise
        except (zlib.error, lzma.LZMAError, OSError, ValueError, MemoryError) as error:
            raise StreamError(str(error) or type(error).__name__) from None
        self._produced += len(data)
        if self._produced > self._max_bytes:
            raise StreamError(f"it holds more than {format_size(self._max_bytes)}")
        if self._produced > SLACK + self._max_ratio * self._read:
            raise StreamError(f"it expands to more than {self._max_ratio} times its size")
        buffer[: len(data)] = data
        return len(data)

    def _produce(self, size: int) -> bytes:
        """Return up to ``size`` bytes of the content, none at its end."""
        if self._decompressor is None:
            data, self._pending = self._pending[:size], self._pending[size:]
            return data or self._read_block(size)
        while True:
            if self._decompressor.eof:
                rest = self._decompressor.unused_data or self._pending or self._read_block(_BLOCK)
                # Zeros fill up the blocks of a tape.
                if not rest.strip(b"\0"):
                    return b""
                self._streams += 1
                if self._streams > _SPARE_STREAMS + self._produced // _STREAM_BYTES:
                    raise StreamError("it consists of too many compressed parts")
                assert self._open is not None
                self._decompressor, self._pending = self._open(), rest
            elif not self._pending and self._decompressor.needs_input:
                self._pending = self._read_block(_BLOCK)
                if not self._pending:
                    raise StreamError("it ends before its end-of-stream mark")
            packed, self._pending = self._pending, b""
            if data := self._decompressor.decompress(packed, size):
                return bytes(data)

    def _read_block(self, size: int) -> bytes:
        data = self._file.read(size)
        self._read += len(data)
        return data


def format_size(size: int) -> str:
    """Return a bound as people write it: 4 GiB, 64 MiB."""
    return f"{size >> 30} GiB" if size >= 1 << 30 and not size % (1 << 30) else f"{size >> 20} MiB"
