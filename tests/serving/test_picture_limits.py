"""What pictures may cost together, and files made to keep their reader busy."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from fer.serving import picture_limits
from fer.serving.picture_limits import check_cost, measure_images, measure_picture, split_by_cost
from fer.serving.requests import MAX_EXTENSION_BYTES, EncodedImage, RequestError, parse_images
from fer.serving.responses import decode_image
from tests.serving.test_server_archives import archive, member

TOO_MANY_PIECES = "the picture consists of too many pieces, or they are too large; save it anew"


def encode(format_name: str, side: tuple[int, int] = (48, 48), **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.arange(side[0] * side[1], dtype=np.uint8).reshape(side)).save(file, format_name, **options)
    return file.getvalue()


def chunk(name: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def refused(data: bytes) -> str:
    with pytest.raises(RequestError) as raised:
        decode_image(data)
    assert raised.value.status == 413
    return str(raised.value)


def test_the_cost_of_a_picture_is_its_pixels() -> None:
    assert measure_picture(encode("PNG", (40, 50))) == measure_picture(encode("JPEG", (40, 50))) == 2000


def test_pictures_that_are_too_many_together_are_refused_before_any_is_decoded() -> None:
    # Not even damaged ones are decoded: the header says enough.
    photograph = encode("PNG", (5000, 6400))[:200]
    images = [EncodedImage(str(number), photograph) for number in range(8)]
    check_cost(measure_images(images))
    with pytest.raises(RequestError) as raised:
        check_cost(measure_images([*images, EncodedImage("a", encode("PNG"))]))
    assert (raised.value.status, str(raised.value)) == (
        413,
        "the pictures have 256,002,304 pixels together: at most 256,000,000 make one request; send fewer",
    )


def test_what_is_not_decoded_costs_nothing() -> None:
    images = [EncodedImage("a", b"x"), EncodedImage("b", b"", RequestError(400, "empty"))]
    assert [(image.cost, str(image.error)) for image in measure_images(images)] == [
        (0, "neither a JPEG nor a PNG"),
        (0, "empty"),
    ]


def test_images_are_decoded_so_many_and_so_many_pixels_together() -> None:
    costs = (1, 2, 3, 4, 50, 1, 1, 1, 1)
    images = [EncodedImage(str(number), b"", cost=cost) for number, cost in enumerate(costs)]
    chunks = split_by_cost(images, most_images=3, most_pixels=6)
    assert [[image.cost for image in chunk] for chunk in chunks] == [[1, 2, 3], [4], [50], [1, 1, 1], [1]]
    assert list(split_by_cost([], 3, 6)) == []


@pytest.mark.parametrize("place", [33, -12])
def test_a_png_of_thousands_of_chunks_is_refused(place: int) -> None:
    whole = encode("PNG")
    for count in (400, 5000):
        data = whole[:place] + chunk(b"abCd") * count + whole[place:]
        if count == 400:
            assert decode_image(data).shape == (48, 48)
        else:
            assert refused(data) == TOO_MANY_PIECES


def test_a_png_whose_pixels_come_in_crumbs_is_refused() -> None:
    whole = encode("PNG")
    length = int.from_bytes(whole[33:37], "big")
    crumbs = b"".join(chunk(b"IDAT", whole[41 + place : 42 + place]) for place in range(length))
    assert refused(whole[:33] + chunk(b"IDAT") * 600 + crumbs + whole[-12:]) == TOO_MANY_PIECES


@pytest.mark.parametrize(
    "filler",
    [
        b"\xff\xfe\x00\x02" * 2000,
        b"\xff\xd0" * 2000,
        b"\xff" * 5000,
        (b"\xff\xfe\xff\xff" + bytes(65533)) * 300,
        b"\xff\xd0\xff\xff" + bytes(65533),
    ],
    ids=["segments", "markers", "fillers", "metadata", "hidden junk"],
)
def test_a_jpeg_with_an_endless_head_is_refused(filler: bytes) -> None:
    whole = encode("JPEG")
    assert refused(whole[:2] + filler + whole[2:]) == TOO_MANY_PIECES
    assert refused(whole[:2] + filler) == TOO_MANY_PIECES


def test_scans_of_a_progressive_jpeg_cost_its_pixels_again() -> None:
    whole = encode("JPEG", (64, 64), progressive=True)
    assert measure_picture(whole) == 64 * 64
    last = whole[whole.rfind(b"\xff\xda") : -2]
    scans = whole.count(b"\xff\xda")
    assert measure_picture(whole[:-2] + last * (20 - scans) + whole[-2:]) == 2 * 64 * 64
    assert refused(whole[:-2] + last * (25 - scans) + whole[-2:]) == (
        "the picture has 25 scans: at most 24 are allowed; save it anew"
    )


def test_more_bytes_than_any_encoder_writes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_limits, "MAX_METADATA_BYTES", 1000)
    whole = encode("PNG")
    limit = 48 * 48 * 8 + 1000
    assert decode_image(whole + bytes(limit - len(whole))).shape == (48, 48)
    assert refused(whole + bytes(limit - len(whole) + 1)) == (
        f"{limit + 1:,} bytes are too many for 48×48 pixels; save it anew"
    )


def test_names_and_attributes_of_an_archive_are_bounded_together() -> None:
    headers = [member(f"{number}.png", size=0) for number in range(MAX_EXTENSION_BYTES // 60_000 + 1)]
    for header in headers:
        header.pax_headers = {"comment": "x" * 60_000}
    assert len(parse_images(archive(*headers[:-2]), "shard")) == len(headers) - 2
    with pytest.raises(RequestError, match="headers of 4,2"):
        parse_images(archive(*headers), "shard")
