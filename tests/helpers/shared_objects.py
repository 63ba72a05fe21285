"""What a shared object of ELF needs and is called, read from the file itself, as ldd's loader does."""

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

PT_LOAD, PT_DYNAMIC = 1, 2
DT_NEEDED, DT_STRTAB, DT_SONAME = 1, 5, 14


@dataclass(frozen=True)
class SharedObject:
    """Libraries that one needs, and the names by which others need it."""

    needed: tuple[str, ...]
    names: tuple[str, ...]


def read_shared_object(path: Path) -> SharedObject | None:
    """None for what is no 64-bit ELF file, or has nothing dynamic."""
    with path.open("rb") as file:
        if file.read(5) != b"\x7fELF\x02":
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _parse(data, path.name)


def _parse(data: mmap.mmap, name: str) -> SharedObject | None:
    (headers,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    segments = [struct.unpack_from("<IIQQQQQQ", data, headers + number * size) for number in range(count)]
    dynamic = next((segment for segment in segments if segment[0] == PT_DYNAMIC), None)
    if dynamic is None:
        return None
    entries = [struct.unpack_from("<qQ", data, dynamic[2] + 16 * number) for number in range(dynamic[5] // 16)]
    address = next(value for tag, value in entries if tag == DT_STRTAB)
    table = next(
        address - start + offset
        for kind, _, offset, start, _, length, _, _ in segments
        if kind == PT_LOAD and start <= address < start + length
    )

    def text(value: int) -> str:
        return bytes(data[table + value : data.find(b"\0", table + value)]).decode()

    needed = tuple(text(value) for tag, value in entries if tag == DT_NEEDED)
    return SharedObject(needed, (name, *(text(value) for tag, value in entries if tag == DT_SONAME)))
