"""From the body of a request to the images in it. Archives are read in memory; nothing of them is ever written."""

import io
import tarfile
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from fer.core.archive import guard_headers
from fer.errors import shorten_error

# The largest request of a SageMaker batch job.
MAX_BYTES = 100 << 20
MAX_IMAGES = 10_000
# Bytes of all long names and extended attributes of an archive: reading a megabyte of them takes tarfile a second.
MAX_EXTENSION_BYTES = 4 << 20
SINGLE_IMAGE_ID = "image"
BLOCK = tarfile.BLOCKSIZE
SUFFIXES = (".jpeg", ".jpg", ".png")
Kind = Literal["image", "shard"]
KINDS: dict[str, Kind] = {"image/jpeg": "image", "image/png": "image", "application/x-tar": "shard"}


class RequestError(Exception):
    """A request, or one image in it, cannot be answered.

    Args:
        status: HTTP status.
        reason: What is wrong, for the client.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class EncodedImage:
    """An encoded image of a request.

    Args:
        id: Name of the image within the request.
        data: Its JPEG or PNG.
        error: Why it is no image, where that is already known.
        cost: Pixels that must be decoded, once ``measure_images`` has counted them.
    """

    id: str
    data: bytes | memoryview
    error: RequestError | None = None
    cost: int = 0


def parse_content_type(content_type: str) -> Kind:
    """Return what a body of this content type holds. Raises RequestError."""
    name = content_type.partition(";")[0].strip().lower()
    if name not in KINDS:
        shown_name = ascii(name)[:80] if name else "none"
        raise RequestError(415, f"content type {shown_name}: must be one of {', '.join(KINDS)}")
    return KINDS[name]


def check_size(size: int, limit: int = MAX_BYTES) -> None:
    """Refuse a body of too many bytes. Raises RequestError."""
    if size > limit:
        raise RequestError(413, f"{size:,} bytes are too many: at most {limit:,} make one request")


def parse_images(body: bytes, kind: Kind) -> list[EncodedImage]:
    """Split a body into images, which are not yet decoded.

    Args:
        body: One JPEG or PNG, or a tar of many.
        kind: Which of the two.

    Returns:
        The images, in order; ids are unique.

    Raises:
        RequestError: The whole request is refused; what is wrong with a single file of an archive stands beside it.
    """
    check_size(len(body))
    if not body:
        raise RequestError(400, "the body is empty")
    if kind == "image":
        return [EncodedImage(SINGLE_IMAGE_ID, body)]
    images = _read_members(body)
    if not images:
        raise RequestError(400, "the archive holds no picture")
    name, count = Counter(image.id for image in images).most_common(1)[0]
    if count > 1:
        raise RequestError(400, f"the archive holds {count} members of the id {_quote_name(name)}: ids must differ")
    return images


def _read_members(body: bytes) -> list[EncodedImage]:
    """Return the files of a tar archive. Raises RequestError."""
    images: list[EncodedImage] = []
    count = 0
    try:
        guard = guard_headers(4 * MAX_IMAGES, MAX_EXTENSION_BYTES)
        with tarfile.open(fileobj=io.BytesIO(body), mode="r:", tarinfo=guard) as opened:
            archive: Any = opened  # its stubs lack some attributes
            while member := archive.next():
                # A hostile archive can lead in circles, and would fill the memory with what tarfile stores of members.
                archive.members.clear()
                archive.pax_headers.clear()
                count += 1
                if count > MAX_IMAGES:
                    raise RequestError(413, f"more than {MAX_IMAGES:,} members are too many for one request")
                if not member.isdir():
                    images.append(_parse_member(member, body))
            end = body[archive.offset :]
    except RequestError:
        raise
    except Exception as error:
        # Damaged headers end in errors of many kinds, from ValueError to RecursionError.
        raise RequestError(400, f"the archive cannot be read ({shorten_error(error)})") from None
    # tarfile mistakes half a header, or damage in one, for the end of the archive.
    if len(end) < BLOCK or end.strip(b"\0"):
        raise RequestError(400, "the archive is damaged or cut off: it does not end as a tar archive does")
    return images


def _parse_member(member: tarfile.TarInfo, body: bytes) -> EncodedImage:
    """Return one file of an archive. Raises RequestError for a name that cannot be an id, and for a truncated file."""
    name = member.name
    while name.startswith("./"):
        name = name[2:]
    folder, slash, file = name.rpartition("/")
    sample_id = folder + slash + file.partition(".")[0]
    if name.startswith("/") or ".." in name.split("/") or not file.partition(".")[0]:
        raise RequestError(400, f"member {_quote_name(name)}: must be named ID.png or ID.jpg, within the archive")
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise RequestError(400, f"member {_quote_name(name)}: the name must be UTF-8")
    reason = ""
    if not member.isreg() or member.issparse():
        reason = "not a file but a link, a device or a sparse file"
    elif not file.lower().endswith(SUFFIXES):
        reason = f"must be named {', '.join(SUFFIXES)}"
    elif not member.size:
        reason = "the file is empty"
    if reason:
        return EncodedImage(sample_id, b"", RequestError(400, f"member {_quote_name(name)}: {reason}"))
    start, end = member.offset_data, member.offset_data + member.size
    if not 0 <= start < end <= len(body):
        raise RequestError(400, f"member {_quote_name(name)}: the archive is cut off")
    return EncodedImage(sample_id, memoryview(body)[start:end])


def _quote_name(name: str) -> str:
    """Return a name from a request, fit for a message."""
    return ascii(name if len(name) <= 100 else name[:99] + "…")
