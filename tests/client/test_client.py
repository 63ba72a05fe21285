"""The client against the real server, with failures between them."""

import io
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

import fer.client.connection
from fer import Predictor
from fer.bundle.io import FaceFormat
from fer.bundle.reference_samples import ReferenceSamples, compute_answers, write_samples
from fer.client import Answer, Client
from fer.client.answers import parse_answers
from fer.client.bodies import Batch, Picture
from fer.client.connection import _parse_retry_after
from fer.client.faces import Item
from fer.client.table import TableWriter, build_row
from fer.errors import DataError, UserError
from tests.helpers.clip_networks import LENGTH, STEP_S, build_clip_network, draw_frames, save_clip_bundle
from tests.helpers.faulty_proxy import Fault, every, faulty_proxy
from tests.helpers.networks import faces
from tests.helpers.paths import PROJECT
from tests.helpers.programs import png
from tests.helpers.server import gray_png, loaded, packaged, service_of, within

pytestmark = pytest.mark.slow

COUNT = 2000
FAULTS = (None, "drop", (503, "0"), "cut", (429, "0.02"), (502, None), (504, None), (408, None))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packaged(tmp_path_factory.mktemp("model"), FaceFormat(48, False))


@pytest.fixture(scope="module")
def port(model: Path) -> Iterator[int]:
    with loaded(model) as (_, found):
        yield found


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fer.client.connection, "FIRST_WAIT_S", 0.002)


def test_two_thousand_faces_through_failures_are_answered_in_order(model: Path, port: int, tmp_path: Path) -> None:
    pictures = faces(COUNT, 48, 1, 7)[..., 0]
    paths = [tmp_path / f"{number}.png" for number in range(COUNT)]
    for path, picture in zip(paths, pictures, strict=True):
        path.write_bytes(cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 0])[1].tobytes())
    taken = 0

    def take() -> Iterator[Path]:
        nonlocal taken
        for path in paths:
            taken += 1
            yield path

    answers, most_ahead = [], 0
    with faulty_proxy(port, every(2, *FAULTS)) as proxy, Client(proxy.url, batch_size=25, concurrency=3) as client:
        for answer in client.classify(take()):
            answers.append(answer)
            most_ahead = max(most_ahead, taken - len(answers))
    assert [answer.name for answer in answers] == [str(path) for path in paths]
    # Each fault came many times, and never more at once than asked for, nor more in memory.
    assert all(proxy.met[fault] >= 5 for fault in FAULTS)
    assert sum(proxy.met.values()) > COUNT / 25 + 40
    assert 1 < proxy.most_at_once <= 3
    assert most_ahead <= (2 * 3 + 1) * 25
    expected = Predictor.load(str(model / "bundle"), runtime="onnx", threads=1).predict(list(pictures))
    found = [list(answer.probabilities.values()) for answer in answers]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert {answer.error for answer in answers} == {None}


def test_a_bad_picture_is_an_error_of_its_own(port: int) -> None:
    with Client(f"http://127.0.0.1:{port}/") as client:
        client.wait_until_ready()
        good, bad, empty = client.classify([gray_png(1), b"\x89PNG but none", b""])
        assert list(client.classify([])) == []
    assert good.error is None
    assert good.emotion == max(good.probabilities, key=lambda name: good.probabilities[name])
    assert good.confidence == max(good.probabilities.values())
    assert (bad.name, bad.emotion, bad.confidence) == ("1", "", 0)
    assert bad.error
    assert empty.error == "member '2.jpg': the file is empty"


def test_what_is_too_large_goes_in_smaller_requests(port: int) -> None:
    pictures = [gray_png(number) for number in range(9)]
    large = png(np.random.default_rng(0).integers(0, 255, (600, 600), np.uint8))
    with faulty_proxy(port) as proxy, Client(proxy.url) as client:
        # As Cloud Run's 32 MB: an archive of nine small ones is larger.
        proxy.max_bytes = 20_000
        answers = list(client.classify([*pictures[:5], large, *pictures[5:]]))
    assert [answer.name for answer in answers] == [str(number) for number in range(10)]
    assert [answer.error for answer in answers] == [None] * 5 + [
        f"{proxy.url}: the request is too large (413)",
        *[None] * 4,
    ]


def classify_impatiently(url: str, patience_s: float = 0.2) -> list[Answer]:
    with Client(url, patience_s=patience_s) as client:
        return list(client.classify([gray_png(1)]))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ((503, None), r"answers Service Unavailable \(503\), \d+ times"),
        ("drop", r"does not answer \(.*\), \d+ times"),
        ("cut", r"does not answer \(.*\), \d+ times"),
    ],
)
def test_a_server_that_stays_away_is_a_sentence(port: int, fault: Fault, said: str) -> None:
    with (
        faulty_proxy(port, every(1, fault)) as proxy,
        pytest.raises(UserError, match=f"^{proxy.url}: {said}; try again later$"),
    ):
        classify_impatiently(proxy.url)


def test_longer_than_patience_lasts_is_not_waited(port: int) -> None:
    start = time.monotonic()
    said = r"answers Too Many Requests \(429\), 1 time; try again later$"
    with faulty_proxy(port, every(1, (429, "3600"))) as proxy, pytest.raises(UserError, match=said):
        classify_impatiently(proxy.url, patience_s=60)
    assert time.monotonic() - start < 50


def test_where_one_request_fails_the_others_are_not_waited_for(port: int) -> None:
    faults = iter([(400, None), *[(503, "30")] * 3])
    with faulty_proxy(port, faults) as proxy, Client(proxy.url, batch_size=1) as client:
        start = time.monotonic()
        with pytest.raises(UserError):
            list(client.classify([gray_png(1)] * 4))
        assert time.monotonic() - start < 25
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("request")]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, r"refuses: Bad Request \(400\)$"),
        (401, r"the token is missing or wrong \(401\); name its file with --token-file$"),
        (404, r"no server of this project is there \(404\); name the address that it prints$"),
        (302, r"no server of this project is there \(302\); name the address that it prints$"),
        (500, r"refuses: Internal Server Error \(500\)$"),
        (599, r"refuses: an unknown answer \(599\)$"),
    ],
)
def test_a_refusal_is_a_sentence_at_once(port: int, status: int, said: str) -> None:
    with (
        faulty_proxy(port, every(1, (status, None))) as proxy,
        pytest.raises(UserError, match=f"^{proxy.url}: {said}"),
    ):
        classify_impatiently(proxy.url)
    assert proxy.met.total() == 1


def wait_for(url: str, patience_s: float = 60.0) -> None:
    with Client(url, patience_s=patience_s) as client:
        client.wait_until_ready()


def test_nobody_at_the_address_is_a_sentence_at_once(port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    with pytest.raises(UserError, match=rf"^http://127.0.0.1:{free}: no server answers there \(.*\); start one \("):
        wait_for(f"http://127.0.0.1:{free}")
    with pytest.raises(UserError, match="elsewhere: no server of this project is there"):
        wait_for(f"http://127.0.0.1:{port}/elsewhere")


def test_an_endless_answer_is_not_read() -> None:
    class Endless(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                while True:
                    self.wfile.write(b"0" * 65536)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Endless) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        wait_for(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


def test_another_model_in_the_middle_is_no_table() -> None:
    table, file = [Item({"video": "a.mp4", "frame": number}, b"") for number in range(2)], io.StringIO()
    writer = TableWriter(file)
    writer.write({"video": "a.mp4", "frame": 0, "status": "no_face"})
    writer.write(build_row(table[0], Answer("0", "fear", {"fear": 0.75, "anger": 0.25})))
    with pytest.raises(UserError, match="answers with other columns than before: it has got another model meanwhile"):
        writer.write(build_row(table[1], Answer("1", "joy", {"joy": 0.75, "anger": 0.25})))
    assert file.getvalue().splitlines()[2].startswith("a.mp4,0,,ok,")


def test_a_model_that_is_loaded_is_waited_for(model: Path) -> None:
    service = service_of(model)
    load, may_load = service.load, threading.Event()

    def load_later() -> Predictor:
        may_load.wait(60)
        return load()

    service.load = load_later
    with within(service) as port:
        with pytest.raises(UserError, match=r"is not ready \(503\), \d+ times; try again later$"):
            wait_for(f"http://127.0.0.1:{port}", patience_s=0.1)
        threading.Timer(0.1, may_load.set).start()
        wait_for(f"http://127.0.0.1:{port}")
        [answer] = classify_impatiently(f"http://127.0.0.1:{port}")
    assert answer.error is None


def test_the_token_is_sent(model: Path) -> None:
    service = service_of(model)
    build = service.build_app
    service.build_app = lambda token=None: build(b"secret")  # type: ignore[method-assign]
    with within(service) as port:
        wait_for(f"http://127.0.0.1:{port}")
        with Client(f"http://127.0.0.1:{port}", token="secret") as client:
            assert [answer.error for answer in client.classify([gray_png(1)])] == [None]
        with pytest.raises(UserError, match=r"the token is missing or wrong \(401\)"):
            classify_impatiently(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("127.0.0.1:8080", "must be an address such as http://127.0.0.1:8080"),
        ("ftp://x", "must be an address"),
        ("http://", "must be an address"),
        ("http://x/?a=b", "must be an address"),
        ("http://[::1", "must be an address"),
        ("http://me:secret@x", "must hold no name and password"),
    ],
)
def test_what_is_no_address_is_refused(url: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as raised:
        Client(url)
    assert raised.value.exit_code == 2
    assert "secret" not in str(raised.value)


def test_a_sequence_is_answered_by_a_model_of_clips(tmp_path: Path, port: int) -> None:
    bundle = save_clip_bundle(tmp_path / "bundle", build_clip_network())
    predictor = Predictor.load(str(bundle), runtime="onnx", threads=1)
    frames = draw_frames(LENGTH + 6)
    clips = np.stack(frames[:LENGTH])[None]
    write_samples(bundle, ReferenceSamples(clips, compute_answers(predictor, clips)))
    there = [number for number in range(len(frames)) if number != 3]
    with loaded(tmp_path) as (_, clip_port), Client(f"http://127.0.0.1:{clip_port}") as client:
        sent = [png(frame) if number in there else None for number, frame in enumerate(frames)]
        answers = client.classify_sequence(sent, STEP_S)
        assert client.classify_sequence([]) == []
        with pytest.raises(DataError, match="^513 frames are too many for one sequence: at most 512 are answered$"):
            client.classify_sequence([b""] * 513)
    expected = predictor.predict_sequence([frames[number] for number in there], np.array(there) * STEP_S)  # type: ignore[attr-defined]
    found = [list(answers[number].probabilities.values()) for number in there]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert answers[3].error
    with (
        Client(f"http://127.0.0.1:{port}") as client,
        pytest.raises(UserError, match="the model looks at single faces"),
    ):
        client.classify_sequence([gray_png(1)])


def test_a_file_that_cannot_be_read_is_a_sentence(port: int, tmp_path: Path) -> None:
    with Client(f"http://127.0.0.1:{port}") as client, pytest.raises(DataError, match="none.png: cannot be read"):
        list(client.classify([tmp_path / "none.png"]))


GOOD = {"id": "0", "emotion": "fear", "probabilities": {"fear": 0.75, "anger": 0.25}, "uncertain": False}


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        "x",
        json.dumps({**GOOD, "id": "1"}),
        json.dumps(GOOD) + "\n" + json.dumps({**GOOD, "id": "1"}),
        json.dumps({**GOOD, "emotion": "joy"}),
        json.dumps({**GOOD, "probabilities": {"fear": 7, "anger": 0.25}}),
        json.dumps({**GOOD, "probabilities": {"fear": float("nan"), "anger": 0.25}}),
        json.dumps({**GOOD, "probabilities": ["fear"]}),
        json.dumps({**GOOD, "uncertain": "no"}),
        "[" * 100_000,
    ],
)
def test_answers_of_something_else_are_refused(body: str) -> None:
    batch = Batch((Picture("a.png", b""),))
    with pytest.raises(UserError, match="^http://x: answers otherwise than a server of this project"):
        parse_answers(body.encode(), batch, "http://x")
    assert parse_answers(json.dumps(GOOD).encode(), batch, "http://x") == [
        Answer("a.png", "fear", {"fear": 0.75, "anger": 0.25}, uncertain=False)
    ]


def test_a_wait_may_be_a_number_or_a_date() -> None:
    assert _parse_retry_after("1.5") == 1.5
    assert _parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert [_parse_retry_after(text) for text in (None, "soon", "nan", "inf")] == [None] * 4


def test_it_needs_neither_torch_nor_a_model() -> None:
    code = (
        "import sys; from fer.client import Client; Client('http://x'); "
        "heavy = 'torch cv2 av pandas numpy hydra pydantic'; "
        "print([name for name in heavy.split() if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
