"""The server's answers: to good requests what the predictor says, to bad ones a status and a reason."""

import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving import pack_shard, send_get
from fer.bundle.io import FaceFormat
from fer.serving import Predictor
from fer.serving import requests as payload
from fer.serving.app import Service
from fer.serving.requests import RequestError
from fer.serving.responses import decode_image
from tests.helpers.programs import png
from tests.helpers.served_runs import mixed
from tests.helpers.server import (
    JPEG,
    PNG,
    TAR,
    Server,
    gray_png,
    jpeg,
    loaded,
    metric,
    packaged,
    post,
    probabilities_of,
    server,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packaged(tmp_path_factory.mktemp("colour"), FaceFormat(64, True))


@pytest.fixture(scope="module")
def predictor(model: Path) -> Predictor:
    return Predictor.load(str(model / "bundle"), runtime="onnx", threads=1)


@pytest.fixture(scope="module")
def running(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("log"), "--model", str(model), "--port", "0") as started:
        yield started


@pytest.fixture
def service(model: Path) -> Iterator[tuple[Service, int]]:
    """A service in this process and its port."""
    with loaded(model) as found:
        yield found


def test_a_picture_is_answered_with_a_line(running: Server, predictor: Predictor) -> None:
    for picture in mixed():
        for kind, data in ((PNG, png(picture)), (JPEG, jpeg(picture) if picture.ndim == 3 else png(picture))):
            answer = post(running.port, f"{kind.upper()}; charset=binary", data)
            assert answer.status == 200
            assert answer.headers["content-type"].startswith("application/jsonlines")
            (line,) = answer.lines
            (expected,) = predictor.predict([decode_image(data)])
            assert list(line) == ["id", "emotion", "probabilities"]
            assert line["id"] == "image"
            assert list(line["probabilities"]) == list(predictor.classes)
            assert line["emotion"] == predictor.classes[int(expected.argmax())]
            np.testing.assert_allclose(probabilities_of(line), expected, atol=1e-6)


def test_a_lossless_picture_is_judged_as_its_pixels(running: Server, predictor: Predictor) -> None:
    for picture in mixed():
        (line,) = post(running.port, PNG, png(picture)).lines
        np.testing.assert_allclose(probabilities_of(line), predictor.predict([picture])[0], atol=1e-6)


def test_a_shard_is_answered_in_order_and_bad_pictures_apart(running: Server, predictor: Predictor) -> None:
    pictures = [gray_png(seed) for seed in range(150)]
    members = [(f"clip/{place}.face.png", data) for place, data in enumerate(pictures)]
    members[70] = ("clip/70.png", b"no picture")
    members[100] = ("clip/100.png", pictures[0][:-50])
    lines = post(running.port, TAR, pack_shard(members)).lines
    assert [line["id"] for line in lines] == [f"clip/{place}" for place in range(150)]
    assert lines[70] == {"id": "clip/70", "error": "neither a JPEG nor a PNG"}
    assert lines[100] == {"id": "clip/100", "error": "the picture is damaged"}
    good = [place for place in range(150) if place not in (70, 100)]
    expected = predictor.predict([decode_image(pictures[place]) for place in good])
    np.testing.assert_allclose([probabilities_of(lines[place]) for place in good], expected, atol=1e-6)


def test_a_shard_of_bad_pictures_alone_is_answered(running: Server) -> None:
    answer = post(running.port, TAR, pack_shard([("a.png", b"x"), ("b.png", b"y")]))
    assert answer.status == 200
    assert [line["error"] for line in answer.lines] == ["neither a JPEG nor a PNG"] * 2


def enormous(data: bytes, side: int) -> bytes:
    """A PNG whose header claims other measures."""
    header = data[12:16] + struct.pack(">II", side, side) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


REFUSALS: list[tuple[str | None, bytes, int, str]] = [
    (
        "text/plain",
        b"x",
        415,
        "content type 'text/plain': must be one of image/jpeg, image/png, application/x-tar",
    ),
    (None, b"x", 415, "content type none: must be one of image/jpeg, image/png, application/x-tar"),
    (PNG, b"", 400, "the body is empty"),
    (TAR, b"", 400, "the body is empty"),
    (JPEG, b"no picture", 400, "neither a JPEG nor a PNG"),
    (PNG, b"GIF89a" + bytes(100), 400, "neither a JPEG nor a PNG"),
    (PNG, gray_png(0)[:200], 400, "the picture is damaged"),
    (JPEG, jpeg(mixed()[1])[:300], 400, "the picture is damaged"),
    (PNG, enormous(gray_png(0), 6000), 413, "6000×6000 pixels are too many: at most 32,000,000 are allowed"),
    (PNG, enormous(gray_png(0), 60_000), 413, "the picture has too many pixels: at most 32,000,000 are allowed"),
    (TAR, bytes(10240), 400, "the archive holds no picture"),
    (
        TAR,
        pack_shard([("a.png", b"x"), ("a.jpg", b"y")]),
        400,
        "the archive holds 2 members of the id 'a': ids must differ",
    ),
    (TAR, pack_shard([("a.png", bytes(5000))])[:4000], 400, "member 'a.png': the archive is cut off"),
    (TAR, gray_png(0), 400, "the archive cannot be read (invalid header)"),
]


@pytest.mark.parametrize(("kind", "body", "status", "reason"), REFUSALS)
def test_what_cannot_be_read_is_refused_with_a_reason(
    running: Server, kind: str | None, body: bytes, status: int, reason: str
) -> None:
    answer = post(running.port, kind, body)
    assert (answer.status, answer.error) == (status, reason)
    assert answer.headers["content-type"] == "application/json"


def test_damaged_pictures_are_judged_or_refused_and_nothing_else() -> None:
    chance, statuses = random.Random(0), set()
    for whole in (gray_png(0), png(mixed()[1]), jpeg(mixed()[1])):
        for _ in range(80):
            body = bytearray(whole)
            for _ in range(chance.choice((1, 5, 50))):
                body[chance.randrange(len(body))] = chance.randrange(256)
            try:
                assert decode_image(bytes(body)).dtype == np.uint8
            except RequestError as refused:
                statuses.add(refused.status)
    assert statuses <= {400, 413}
    assert 400 in statuses


def test_too_many_pixels_in_a_shard_are_an_error_of_their_own(running: Server) -> None:
    lines = post(running.port, TAR, pack_shard([("a.png", enormous(gray_png(0), 6000)), ("b.png", gray_png(1))])).lines
    assert lines[0]["error"].startswith("6000×6000 pixels")
    assert lines[1]["emotion"]


def test_a_length_beyond_the_limit_is_refused_before_the_body(running: Server) -> None:
    answer = post(running.port, PNG, b"", **{"Content-Length": str(payload.MAX_BYTES + 1)})
    assert (answer.status, answer.error) == (
        413,
        "104,857,601 bytes are too many: at most 104,857,600 make one request",
    )


def test_a_body_in_chunks_is_read_up_to_the_limit(
    service: tuple[Service, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = gray_png(0, 200)
    chunks = [data[start : start + 1000] for start in range(0, len(data), 1000)]
    assert post(service[1], PNG, iter(chunks)).status == 200
    monkeypatch.setattr(service[0].bodies, "largest", len(data) - 1)
    answer = post(service[1], PNG, iter(chunks))
    assert answer.status == 413
    assert answer.error.endswith(f"at most {len(data) - 1:,} make one request")


def test_too_many_pictures_are_refused(service: tuple[Service, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload, "MAX_IMAGES", 2)
    answer = post(service[1], TAR, pack_shard([(f"{place}.png", b"x") for place in range(3)]))
    assert (answer.status, answer.error) == (413, "more than 2 members are too many for one request")


def test_other_places_and_methods_are_not_served(running: Server) -> None:
    assert send_get(running.port, "/invocations")[0] == 405
    assert send_get(running.port, "/elsewhere")[0] == 404


def test_requests_are_counted(model: Path, tmp_path: Path) -> None:
    with server(tmp_path, "--model", str(model), "--port", "0") as started:
        members = [(f"{place}.png", gray_png(place)) for place in range(40)]
        post(started.port, TAR, pack_shard([*members, ("bad.png", b"x")]))
        post(started.port, PNG, gray_png(0))
        post(started.port, PNG, b"x")
        post(started.port, "text/plain", b"x")
        counted = {
            'fer_requests_total{code="200"}': 2,
            'fer_requests_total{code="400"}': 1,
            'fer_requests_total{code="415"}': 1,
            "fer_images_total": 41,
            "fer_bad_images_total": 2,
            "fer_batch_images_sum": 41,
            "fer_request_seconds_count": 4,
            "fer_waiting_requests": 0,
            "fer_faces_under_way": 0,
        }
        assert {name: metric(started.port, name) for name in counted} == counted
        assert metric(started.port, "process_resident_memory_bytes") > 1e7
        assert "WARNING 415: content type 'text/plain'" in started.log.read_text()
