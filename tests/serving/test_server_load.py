"""The server when many ask, when judging fails, and when clients fall silent or go away."""

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving import pack_shard, send_get
from fer.bundle.io import FaceFormat
from fer.serving import Predictor, bodies, body_memory
from fer.serving.app import Service
from fer.serving.body_memory import BodyMemory
from fer.serving.responses import decode_image
from tests.helpers.server import (
    PATIENCE_S,
    PNG,
    TAR,
    gray_png,
    loaded,
    metric,
    packaged,
    post,
    probabilities_of,
    service_of,
    wait_until,
    within,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packaged(tmp_path_factory.mktemp("asked"), FaceFormat(64, True))


@pytest.fixture
def service(model: Path) -> Iterator[tuple[Service, int]]:
    """A service in this process and its port."""
    with loaded(model) as found:
        yield found


def test_many_clients_at_once_get_their_own_answers(service: tuple[Service, int]) -> None:
    pictures = [gray_png(seed) for seed in range(40)]
    assert service[0].predictor is not None
    expected = service[0].predictor.predict([decode_image(data) for data in pictures])
    with ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(lambda data: post(service[1], PNG, data), pictures))
    found = [probabilities_of(answer.lines[0]) for answer in answers]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_no_answer_before_the_model_is_there(model: Path) -> None:
    loading = threading.Event()
    found = service_of(model)
    load = found.load

    def slowly() -> Predictor:
        loading.wait()
        return load()

    found.load = slowly
    with within(found) as port:
        assert send_get(port, "/ping")[0] == 503
        answer = post(port, PNG, gray_png(0))
        assert (answer.status, answer.error) == (503, "the model is being loaded: try again in a moment")
        assert answer.headers["retry-after"] == "5"
        loading.set()
        wait_until(lambda: send_get(port, "/ping")[0] == 200, "the model")
        assert post(port, PNG, gray_png(0)).status == 200


def test_an_error_in_judging_concerns_its_request_alone(
    service: tuple[Service, int], caplog: pytest.LogCaptureFixture
) -> None:
    found, port = service
    assert found.predictor is not None
    good, bad = gray_png(0, 64), gray_png(1, 64)
    failing = decode_image(bad)
    network = found.predictor.network

    class Fails:
        def compute_outputs(self, native: np.ndarray, batch_size: int) -> np.ndarray:
            if any((face[..., 0] == failing).all() for face in native):
                raise RuntimeError("no memory")
            return network.compute_outputs(native, batch_size)

    found.predictor.network = Fails()
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda data: post(port, PNG, data), [good, bad, good, good] * 5))
    assert [answer.status for answer in answers] == [200, 500, 200, 200] * 5
    assert answers[1].error == "classification failed: the server's log says why"
    assert "no memory" in caplog.text


def test_requests_wait_for_memory_and_only_very_many_are_sent_away(
    service: tuple[Service, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, port = service
    data = gray_png(0)
    found.bodies = BodyMemory(len(data), len(data))
    monkeypatch.setattr(bodies, "FREE_BYTES", 0)
    monkeypatch.setattr(bodies, "MAX_WAITING_REQUESTS", 2)
    monkeypatch.setattr(body_memory, "SLOW_S", PATIENCE_S)
    slow = begun(port, data)
    with ThreadPoolExecutor(2) as clients:
        wait_until(lambda: found.bodies.free == len(data) - len(data) // 2, "the first request")
        waiting = [clients.submit(post, port, PNG, data) for _ in range(2)]
        wait_until(lambda: metric(port, "fer_waiting_requests") == 2, "the others")
        answer = post(port, PNG, data)
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert answer.error == "too many requests wait already: try again in a moment"
        slow.sendall(data[len(data) // 2 :])
        assert slow.recv(100).startswith(b"HTTP/1.1 200")
        assert [answer.result().status for answer in waiting] == [200, 200]
    slow.close()
    wait_until(lambda: found.bodies.free == len(data), "the memory")


def begun(port: int, data: bytes) -> socket.socket:
    """A request of which the second half is missing."""
    connection = socket.create_connection(("127.0.0.1", port))
    head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: {PNG}\r\nContent-Length: {len(data)}\r\n\r\n"
    connection.sendall(head.encode() + data[: len(data) // 2])
    return connection


def test_a_client_that_falls_silent_is_sent_away(service: tuple[Service, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "READ_TIMEOUT_S", 0.1)
    with begun(service[1], gray_png(0)) as silent:
        answer = b""
        while part := silent.recv(4096):
            answer += part
            if answer.endswith(b"}"):
                break
    assert answer.startswith(b"HTTP/1.1 408")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"].endswith("the body is not complete")


def test_clients_that_go_away_leave_nothing_behind(service: tuple[Service, int]) -> None:
    """Before their body is complete, and while it is judged."""
    found, port = service
    body = pack_shard([(f"{place}.png", gray_png(place)) for place in range(300)])
    free = found.bodies.free
    begun_judging, released = threading.Event(), threading.Event()
    judge = found.batcher.classify

    def held(faces: list[np.ndarray]) -> np.ndarray:
        begun_judging.set()
        assert released.wait(PATIENCE_S)
        return judge(faces)

    found.batcher.classify = held
    begun(port, body).close()
    with socket.create_connection(("127.0.0.1", port)) as client:
        head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: {TAR}\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        assert begun_judging.wait(PATIENCE_S)
    wait_until(lambda: metric(port, 'fer_requests_total{code="499"}') == 2, "the end of both requests")
    released.set()
    assert post(port, PNG, gray_png(0)).status == 200
    wait_until(lambda: found.bodies.free == free and metric(port, "fer_faces_under_way") == 0, "the memory")
    # The rest of the abandoned shard was not judged.
    assert metric(port, "fer_batch_images_sum") < 300
