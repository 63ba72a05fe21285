"""Clients that are slow, silent or hostile, as sockets: they are ended, and nobody else notices."""

import contextlib
import json
import re
import resource
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.server_attack import MALFORMED_REQUESTS
from benchmarks.serving import pack_shard, read_memory, send_get
from fer.bundle.io import FaceFormat
from fer.serving import app, bodies, body_memory, connection
from fer.serving.app import Service
from fer.serving.body_memory import BodyMemory
from fer.serving.connection import Connection, count_allowed_connections
from fer.serving.requests import EncodedImage, RequestError
from fer.serving.responses import decode_faces
from tests.helpers.raw_http import connect, head, read_answer, read_to_end
from tests.helpers.server import (
    PATIENCE_S,
    PNG,
    TAR,
    Server,
    gray_png,
    loaded,
    metric,
    packaged,
    post,
    server,
    wait_until,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packaged(tmp_path_factory.mktemp("attacked"), FaceFormat(48, False))


@pytest.fixture(scope="module")
def running(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server in a process of its own."""
    with server(tmp_path_factory.mktemp("running"), "--model", str(model), "--port", "0") as started:
        yield started


@pytest.fixture
def service(model: Path) -> Iterator[tuple[Service, int]]:
    """A service in this process and its port."""
    with loaded(model) as found:
        yield found


def test_what_slow_clients_declare_takes_nothing_from_others(running: Server) -> None:
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connect(running.port)) for _ in range(40)]
        for number, client in enumerate(slow):
            length = ("Content-Length: 104857600", "Transfer-Encoding: chunked")[number % 2]
            client.sendall(head(length, kind=TAR) + (b"a", b"1\r\na\r\n")[number % 2])
        assert post(running.port, PNG, gray_png(0)).status == 200
        shard = pack_shard([("a.png", gray_png(0)), ("b.png", b"x" * 3_000_000)])
        assert len(post(running.port, TAR, shard).lines) == 2
        assert metric(running.port, "fer_waiting_requests") == 0


def test_bodies_that_come_too_slowly_are_ended(service: tuple[Service, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Though a byte comes every now and then."""
    monkeypatch.setattr(bodies, "READ_TIMEOUT_S", 0.3)
    with connect(service[1]) as slow:
        slow.sendall(head("Content-Length: 5000"))
        with contextlib.suppress(OSError):
            for _ in range(40):
                slow.sendall(b"a")
                slow.settimeout(0.05)
                with contextlib.suppress(TimeoutError):
                    slow.recv(1, socket.MSG_PEEK)
                    break
        slow.settimeout(10)
        status, answer = read_answer(slow)
    assert status == 408
    assert json.loads(answer)["error"].endswith("and the body is not complete")


def test_a_slow_body_gives_up_its_memory_when_others_wait(
    service: tuple[Service, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, port = service
    data = gray_png(0, 200)
    found.bodies = BodyMemory(len(data), len(data))
    monkeypatch.setattr(bodies, "FREE_BYTES", 0)
    for name, seconds in (("SLOW_S", 0.2), ("CHECK_INTERVAL_S", 0.05)):
        monkeypatch.setattr(body_memory, name, seconds)
    with connect(port) as slow:
        slow.sendall(head(f"Content-Length: {len(data)}") + data[:-1])
        wait_until(lambda: found.bodies.free == 1, "the slow body")
        assert post(port, PNG, data).status == 200
        assert read_answer(slow)[0] == 408
    # A client may read the last byte of an answer before the server knows that it is sent.
    wait_until(lambda: found.bodies.free == len(data), "the memory of the answers")


def test_requests_that_are_sent_without_waiting_do_not_pile_up(
    service: tuple[Service, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, complete = list[int](), Connection.on_response_complete

    def note(self: Connection) -> None:
        complete(self)
        waiting.append(len(self.conn.trailing_data[0]))

    monkeypatch.setattr(Connection, "on_response_complete", note)
    picture, count = gray_png(0, 200), 150
    request = head(f"Content-Length: {len(picture)}") + picture
    with connect(service[1]) as client:
        sender = threading.Thread(target=client.sendall, args=(request * count,))
        sender.start()
        received = b""
        while received.count(b"HTTP/1.1 200") < count:
            received += (part := client.recv(1 << 16))
            assert part, received[-500:]
        sender.join()
    # One read of the socket takes a quarter of a megabyte at most.
    assert len(request) * count > 5_000_000 and max(waiting) < 500_000


@pytest.mark.parametrize("start", [b"", b"POST /inv", head()[:-2], head()[:-4] + b"\r\nX: "])
def test_heads_that_do_not_come_are_ended(
    service: tuple[Service, int], start: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT_S", 0.2)
    monkeypatch.setattr(connection, "CHECK_INTERVAL_S", 0.05)
    with connect(service[1]) as silent:
        silent.sendall(start)
        assert read_to_end(silent) == b""


def test_the_rest_of_a_refused_body_is_not_awaited_for_ever(
    service: tuple[Service, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT_S", 0.2)
    monkeypatch.setattr(connection, "CHECK_INTERVAL_S", 0.05)
    with connect(service[1]) as client:
        client.sendall(head("Content-Length: 1000000", kind="text/plain"))
        assert read_answer(client)[0] == 415
        assert read_to_end(client) == b""


def test_answers_that_nobody_reads_are_dropped(service: tuple[Service, int], monkeypatch: pytest.MonkeyPatch) -> None:
    found, port = service
    monkeypatch.setattr(connection, "ANSWER_TIMEOUT_S", 0.2)
    monkeypatch.setattr(connection, "CHECK_INTERVAL_S", 0.05)
    monkeypatch.setattr(bodies, "FREE_BYTES", 0)
    free = found.bodies.free
    # Names become ids: an answer larger than what the system keeps for a client that does not read.
    body = pack_shard([(f"{'ß' * 4000}{number}.png", b"") for number in range(400)])
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.sendall(head(f"Content-Length: {len(body)}", kind=TAR) + body)
        wait_until(lambda: metric(port, 'fer_requests_total{code="200"}') == 1, "the answer")
        wait_until(lambda: found.bodies.free == free, "the memory")
        assert len(read_to_end(client)) < 400 * 4000 * len("\\u00df")
    assert post(port, PNG, gray_png(0)).status == 200


def test_of_too_many_connections_the_longest_silent_one_ends(
    service: tuple[Service, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "max_connections", 3)
    port = service[1]
    with connect(port) as first, connect(port) as second, connect(port) as busy:
        busy.sendall(head("Content-Length: 5") + b"a")
        wait_until(lambda: send_get(port, "/ping")[0] == 200, "a fourth connection")
        assert read_to_end(first) == b""
        second.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_answer(second)[0] == 200
        busy.sendall(b"bcde")
        assert read_answer(busy)[0] == 400


def test_a_connection_is_refused_where_all_are_busy(
    service: tuple[Service, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = service[1]
    monkeypatch.setattr(Connection, "max_connections", 2)
    with connect(port) as first, connect(port) as second:
        for busy in (first, second):
            busy.sendall(head("Content-Length: 5", "Expect: 100-continue"))
            assert busy.recv(100).startswith(b"HTTP/1.1 100 ")
        with connect(port) as third:
            assert read_to_end(third).startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize(("hard", "allowed"), [(4096, 1024), (256, 192), (resource.RLIM_INFINITY, 1024), (10, 1)])
def test_there_are_no_more_connections_than_descriptors(
    hard: int, allowed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {resource.RLIMIT_NOFILE: (10, hard)}
    monkeypatch.setattr(resource, "getrlimit", limits.__getitem__)
    monkeypatch.setattr(resource, "setrlimit", limits.__setitem__)
    assert count_allowed_connections() == allowed
    assert limits[resource.RLIMIT_NOFILE] == (min(allowed + 64, hard) if hard > 0 else allowed + 64, hard)


@pytest.mark.parametrize("request_bytes", MALFORMED_REQUESTS, ids=range(len(MALFORMED_REQUESTS)))
def test_malformed_requests_are_refused_or_ended(running: Server, request_bytes: bytes) -> None:
    with connect(running.port) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(request_bytes)
            client.shutdown(socket.SHUT_WR)
        answer = read_to_end(client)
    assert not answer or b"HTTP/1.1 4" in answer or b"HTTP/1.1 200 OK" in answer
    assert b"HTTP/1.1 5" not in answer
    assert "Traceback" not in running.log.read_text()
    assert post(running.port, PNG, gray_png(0)).status == 200


@pytest.mark.parametrize(
    "body",
    [
        head("Transfer-Encoding: chunked") + b"1\r\na\r\n" * 5000,
        head("Transfer-Encoding: chunked", "Content-Length: 5") + b"0\r\n\r\n",
        head("Transfer-Encoding: chunked") + b"5\r\nabcdeX",
        head("Content-Length: 5", "Content-Length: 6"),
    ],
)
def test_bodies_of_doubtful_length_or_tiny_chunks_are_refused(running: Server, body: bytes) -> None:
    with connect(running.port) as client:
        client.sendall(body)
        assert read_answer(client)[0] == 400
        assert read_to_end(client) == b""


def test_a_client_that_waits_for_leave_to_send_is_told_at_once(running: Server) -> None:
    data = gray_png(0)
    with connect(running.port) as client:
        client.sendall(head(f"Content-Length: {len(data)}", "Expect: 100-continue"))
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(data)
        assert read_answer(client)[0] == 200
        client.sendall(head("Content-Length: 999999999", "Expect: 100-continue"))
        assert read_answer(client)[0] == 413


def test_requests_sent_behind_each_other_are_answered_in_their_order(running: Server) -> None:
    data = gray_png(0)
    good, bad = head(f"Content-Length: {len(data)}") + data, head("Content-Length: 1", kind="text/plain") + b"x"
    with connect(running.port) as client:
        client.sendall((good + bad) * 20 + b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        statuses = re.findall(rb"HTTP/1.1 (\d+)", read_to_end(client))
    assert statuses == [b"200", b"415"] * 20 + [b"200"]


def test_large_pictures_keep_no_small_ones_waiting(
    service: tuple[Service, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even those of clients that have left."""
    found, port = service
    released, begun = threading.Event(), threading.Event()

    def decode(images: list[EncodedImage], form: FaceFormat) -> list[np.ndarray | RequestError]:
        if images[0].cost > 1_000_000:
            begun.set()
            assert released.wait(PATIENCE_S)
        return decode_faces(images, form)

    monkeypatch.setattr(app, "decode_faces", decode)
    monkeypatch.setattr(app, "BATCH_PIXELS", 1_000_000)
    large = gray_png(0, 1096)
    try:
        for _ in range(8):
            with connect(port) as client:
                client.sendall(head(f"Content-Length: {len(large)}") + large)
                assert begun.wait(PATIENCE_S)
        wait_until(lambda: metric(port, 'fer_requests_total{code="499"}') == 8, "all to have left")
        assert post(port, PNG, gray_png(0)).status == 200
    finally:
        released.set()
    assert post(port, PNG, large).status == 200


def test_clients_that_close_one_half_leave_nothing_behind(service: tuple[Service, int]) -> None:
    found, port = service
    free = found.bodies.free
    with connect(port) as client:
        client.sendall(head("Content-Length: 500000") + bytes(200_000))
        wait_until(lambda: found.bodies.free < free, "half of the body")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b""
    wait_until(lambda: found.bodies.free == free, "the memory")


def test_hundreds_of_slow_heads_leave_the_memory_as_it_is(running: Server) -> None:
    before = read_memory(running.port)
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(connect(running.port)).sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nX: ")
        assert [post(running.port, PNG, gray_png(seed)).status for seed in range(20)] == [200] * 20
        assert read_memory(running.port) < before + 50
