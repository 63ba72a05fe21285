"""From the bytes of a request to the pictures in it. Archives are read in memory; nothing of them is ever written."""

import io
import tarfile
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from fer.errors import first_line

# The largest request of a SageMaker batch job.
MAX_BYTES = 100 << 20
MAX_PICTURES = 10_000
# Bytes of a long name or of extended attributes, which tarfile keeps and copies.
MAX_HEADER = 1 << 16
ALONE = "image"
BLOCK = tarfile.BLOCKSIZE
SUFFIXES = (".jpeg", ".jpg", ".png")
Kind = Literal["image", "shard"]
KINDS: dict[str, Kind] = {"image/jpeg": "image", "image/png": "image", "application/x-tar": "shard"}


class Refused(Exception):
    """A request, or one picture in it, cannot be answered; ``status`` is HTTP's."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Picture:
    """An encoded picture of a request; where ``refused`` is set, why it is none."""

    id: str
    data: bytes | memoryview
    refused: Refused | None = None


def kind_of(content_type: str) -> Kind:
    """What a body of this type holds. Raises Refused."""
    name = content_type.partition(";")[0].strip().lower()
    if name not in KINDS:
        given = ascii(name)[:80] if name else "none"
        raise Refused(415, f"content type {given}: must be one of {', '.join(KINDS)}")
    return KINDS[name]


def check_size(size: int) -> None:
    """Refuse a body of so many bytes if they are too many."""
    if size > MAX_BYTES:
        raise Refused(413, f"{size:,} bytes are too many: at most {MAX_BYTES:,} make one request")


def pictures_of(body: bytes, kind: Kind) -> list[Picture]:
    """The pictures of a body, in order, not yet decoded. Raises Refused."""
    check_size(len(body))
    if not body:
        raise Refused(400, "the body is empty")
    if kind == "image":
        return [Picture(ALONE, body)]
    found = members(body)
    if not found:
        raise Refused(400, "the archive holds no picture")
    name, times = Counter(picture.id for picture in found).most_common(1)[0]
    if times > 1:
        raise Refused(400, f"the archive holds {times} members of the id {shown(name)}: ids must differ")
    return found


def members(body: bytes) -> list[Picture]:
    """The files of a tar archive. Raises Refused."""
    found: list[Picture] = []
    count = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(body), mode="r:", tarinfo=BoundedHeader) as opened:
            archive: Any = opened  # its stubs do not tell all that it keeps
            while member := archive.next():
                # A hostile archive can lead in circles, and would fill the memory with what is kept of each member.
                archive.members.clear()
                archive.pax_headers.clear()
                count += 1
                if count > MAX_PICTURES:
                    raise Refused(413, f"more than {MAX_PICTURES:,} members are too many for one request")
                if not member.isdir():
                    found.append(picture_of(member, body))
            end = body[archive.offset :]
    except Refused:
        raise
    except Exception as error:
        # Damaged headers end in errors of many kinds, from ValueError to RecursionError.
        raise Refused(400, f"the archive cannot be read ({first_line(error)})") from None
    # tarfile takes half a header, or damage in one, for the end of the archive.
    if len(end) < BLOCK or end.strip(b"\0"):
        raise Refused(400, "the archive is damaged or cut off: it does not end as a tar archive does")
    return found


class BoundedHeader(tarfile.TarInfo):
    """A header that announces no more names and attributes than any honest archive has."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "BoundedHeader":
        header = super().frombuf(buf, encoding, errors)
        extends = header.type not in tarfile.REGULAR_TYPES and not header.isdir()
        if extends and header.size > MAX_HEADER:
            raise tarfile.ReadError(f"a header of {header.size:,} bytes")
        return header


def picture_of(member: tarfile.TarInfo, body: bytes) -> Picture:
    """One file of an archive. Raises Refused for a name that cannot be an id, and for a file that is cut off."""
    name = member.name
    while name.startswith("./"):
        name = name[2:]
    folder, slash, file = name.rpartition("/")
    sample_id = folder + slash + file.partition(".")[0]
    if name.startswith("/") or ".." in name.split("/") or not file.partition(".")[0]:
        raise Refused(400, f"member {shown(name)}: must be named ID.png or ID.jpg, within the archive")
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        raise Refused(400, f"member {shown(name)}: the name must be UTF-8")
    reason = ""
    if not member.isreg() or member.issparse():
        reason = "not a file but a link, a device or a sparse file"
    elif not file.lower().endswith(SUFFIXES):
        reason = f"must be named {', '.join(SUFFIXES)}"
    elif not member.size:
        reason = "the file is empty"
    if reason:
        return Picture(sample_id, b"", Refused(400, f"member {shown(name)}: {reason}"))
    start, end = member.offset_data, member.offset_data + member.size
    if not 0 <= start < end <= len(body):
        raise Refused(400, f"member {shown(name)}: the archive is cut off")
    return Picture(sample_id, memoryview(body)[start:end])


def shown(name: str) -> str:
    """A name from a request, fit for a message."""
    return ascii(name if len(name) <= 100 else name[:99] + "…")
