"""Shards: what is read out of a tar archive, and that no archive does harm."""

import io
import random
import tarfile

import pytest

from benchmarks.serving import pack_shard
from fer.core.archive import MAX_HEADER
from fer.serving import requests as payload
from fer.serving.requests import EncodedImage, RequestError, parse_images

BLOCK = tarfile.BLOCKSIZE
CUT = "the archive is damaged or cut off: it does not end as a tar archive does"
DATA = b"\x89PNG and more"


def read(body: bytes) -> list[EncodedImage]:
    return parse_images(body, "shard")


def refused(body: bytes) -> RequestError:
    with pytest.raises(RequestError) as raised:
        read(body)
    return raised.value


def archive(*members: tarfile.TarInfo, style: int = tarfile.PAX_FORMAT) -> bytes:
    """An archive of members whose content is DATA, or nothing where their size is 0."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=style) as opened:
        for member in members:
            opened.addfile(member, io.BytesIO(DATA) if member.size else None)
    return file.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = len(DATA)) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.size = kind, size
    return found


def test_ids_are_names_up_to_the_first_dot_with_their_directories() -> None:
    names = ["a.png", "b/c.d.jpg", "./e.JPEG", "./f/g.h/i.png", "Zoë/ß 1.png", "x" * 300 + ".png"]
    for style in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        kept = names if style != tarfile.USTAR_FORMAT else names[:4]
        found = read(archive(*map(member, kept), style=style))
        assert [picture.id for picture in found] == ["a", "b/c", "e", "f/g.h/i", "Zoë/ß 1", "x" * 300][: len(kept)]
        assert all(bytes(picture.data) == DATA and picture.error is None for picture in found)


def test_directories_are_passed_over() -> None:
    found = read(archive(member("v", tarfile.DIRTYPE, 0), member("v/a.png")))
    assert [picture.id for picture in found] == ["v/a"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_what_is_no_file_is_an_error_of_its_own(kind: bytes) -> None:
    other = member("a.png", kind, 0)
    other.linkname = "/etc/passwd"
    bad, good = read(archive(other, member("b.png")))
    assert str(bad.error) == "member 'a.png': not a file but a link, a device or a sparse file"
    assert bytes(bad.data) == b""
    assert good.error is None


def test_other_names_and_empty_files_are_errors_of_their_own() -> None:
    found = read(archive(member("a.txt"), member("b.png", size=0), member("c"), member("d.png")))
    assert [str(picture.error) for picture in found] == [
        "member 'a.txt': must be named .jpeg, .jpg, .png",
        "member 'b.png': the file is empty",
        "member 'c': must be named .jpeg, .jpg, .png",
        "None",
    ]


@pytest.mark.parametrize("name", ["/a.png", "../a.png", "b/../../a.png", ".png", "b/.png", "./", "//a.png", ".//a.png"])
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    error = refused(archive(member(name)))
    assert error.status == 400
    assert str(error).endswith("must be named ID.png or ID.jpg, within the archive")


def test_names_that_are_no_text_are_refused() -> None:
    error = refused(archive(member("\udcff.png"), style=tarfile.GNU_FORMAT))
    assert str(error) == "member '\\udcff.png': the name must be UTF-8"


def test_ids_must_differ() -> None:
    error = refused(archive(member("a.png"), member("b.png"), member("./a.jpg")))
    assert (error.status, str(error)) == (400, "the archive holds 2 members of the id 'a': ids must differ")


def test_empty_archives_are_refused() -> None:
    for body in (archive(), archive(member("v", tarfile.DIRTYPE, 0))):
        error = refused(body)
        assert (error.status, str(error)) == (400, "the archive holds no picture")


def test_too_many_members_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload, "MAX_IMAGES", 3)
    assert len(read(archive(*(member(f"{place}.png") for place in range(3))))) == 3
    error = refused(archive(*(member(f"{place}.png") for place in range(4))))
    assert (error.status, str(error)) == (413, "more than 3 members are too many for one request")


def test_an_archive_that_was_cut_off_is_refused_wherever() -> None:
    """A reader of tar archives takes many of these for whole ones, and would lose pictures in silence."""
    whole = pack_shard([("a.png", DATA), ("b.png", DATA * 100), ("c.png", DATA)])
    end = len(whole.rstrip(b"\0"))
    padded = -(-end // BLOCK) * BLOCK
    for length in range(1, padded + BLOCK, 64):
        assert refused(whole[:length]).status == 400, length
    assert len(read(whole[: padded + BLOCK])) == 3


def test_archives_behind_each_other_are_refused() -> None:
    """All but the first would be lost."""
    assert str(refused(archive(member("a.png")) + archive(member("b.png")))) == CUT


def test_compressed_archives_are_not_unpacked() -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as opened:
        opened.addfile(member("a.png"), io.BytesIO(DATA))
    assert str(refused(file.getvalue())).startswith("the archive cannot be read (")


def test_a_size_beyond_the_archive_is_refused() -> None:
    for size in (1 << 40, len(DATA) + BLOCK * 20):
        body = member("a.png", size=size).tobuf(tarfile.GNU_FORMAT) + DATA.ljust(BLOCK, b"\0") + bytes(2 * BLOCK)
        assert str(refused(body)) == "member 'a.png': the archive is cut off"


def test_sparse_files_take_no_more_than_the_archive() -> None:
    """A few bytes can claim to be a file of a terabyte."""
    header = member("a.png")
    header.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(1 << 40), "GNU.sparse.name": "a.png"}
    assert str(refused(archive(header))).endswith("(a sparse file)")


def test_long_headers_and_chains_of_headers_are_refused() -> None:
    header = member("a.png")
    header.pax_headers = {"comment": "x" * MAX_HEADER}
    assert "a header of" in str(refused(archive(header)))
    long_name = member("././@LongLink", tarfile.GNUTYPE_LONGNAME, 2).tobuf() + b"a\0".ljust(BLOCK, b"\0")
    assert "a chain of them" in str(refused(long_name * 5000 + archive(member("a.png"))))


def test_an_archive_that_leads_in_circles_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload, "MAX_IMAGES", 100)
    header = member("a.png")
    for size in range(-10 * BLOCK, 0, BLOCK // 2):
        header.pax_headers = {"size": str(size)}
        refused(archive(header))


def test_damaged_archives_are_read_or_refused_and_nothing_else() -> None:
    chance, statuses = random.Random(0), set()
    long_name = member("d" * 200 + ".png")
    long_name.pax_headers = {"comment": "x" * 50, "mtime": "1.5"}
    for style in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        whole = archive(member("a.png"), member("v", tarfile.DIRTYPE, 0), long_name, style=style)
        for _ in range(800):
            body = bytearray(whole)
            for _ in range(chance.choice((1, 3, 20))):
                body[chance.randrange(len(body))] = chance.choice((0, 0xFF, ord("7"), chance.randrange(256)))
            try:
                found = read(bytes(body))
            except RequestError as error:
                statuses.add(error.status)
            else:
                assert sum(len(picture.data) for picture in found) <= len(body)
    assert statuses == {400}
