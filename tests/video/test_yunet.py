"""The detector's weights: a given file, and the download against a server on this machine."""

import hashlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fer.errors import ModelError
from fer.video.detectors import yunet
from fer.video.detectors.yunet import find_weights

CONTENT = b"onnx" * 5000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
REMEDY = "give a file (extraction.detector.weights=FILE) or choose extraction.detector.kind=haar"


class Zoo(ThreadingHTTPServer):
    """Serves ``content`` at /moved/yunet.onnx, and sends there from /yunet.onnx."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.content, self.asked = CONTENT, list[str]()
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/yunet.onnx"


class Answer(BaseHTTPRequestHandler):
    server: Zoo

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.path == "/yunet.onnx":
            self.send_response(302)
            self.send_header("Location", "/moved/yunet.onnx")
            self.end_headers()
        elif self.path == "/slow.onnx":
            self.server.released.wait(30)
        elif self.path == "/moved/yunet.onnx":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.server.content)
        else:
            self.send_error(404)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch) -> Iterator[Zoo]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Zoo()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_a_given_file_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "any.onnx"
    path.write_bytes(b"whatever")
    assert find_weights(str(path), tmp_path / "cache", url="http://127.0.0.1:1/x") == path
    assert names(tmp_path) == ["any.onnx"]


def test_a_given_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        find_weights(str(tmp_path / "no.onnx"), tmp_path)
    assert str(caught.value) == f"extraction.detector.weights={tmp_path / 'no.onnx'}: no such file"


def test_one_download_serves_for_good(zoo: Zoo, tmp_path: Path) -> None:
    cache = tmp_path / "made" / "cache"
    first = find_weights(None, cache, zoo.url, DIGEST)
    assert first == cache / "yunet.onnx" and first.read_bytes() == CONTENT
    assert find_weights(None, cache, zoo.url, DIGEST) == first
    assert zoo.asked == ["/yunet.onnx", "/moved/yunet.onnx"]
    assert names(cache) == ["yunet.onnx"]


def test_a_damaged_cache_is_fetched_anew(zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "yunet.onnx").write_bytes(CONTENT[:-1])
    assert find_weights(None, tmp_path, zoo.url, DIGEST).read_bytes() == CONTENT


def test_other_bytes_are_refused_and_nothing_is_kept(zoo: Zoo, tmp_path: Path) -> None:
    zoo.content = CONTENT[:-1] + b"X"
    found = hashlib.sha256(zoo.content).hexdigest()
    with pytest.raises(ModelError) as caught:
        find_weights(None, tmp_path, zoo.url, DIGEST)
    assert str(caught.value) == f"{zoo.url}: has the SHA-256 {found} instead of {DIGEST}; try again, or {REMEDY}"
    assert names(tmp_path) == []


def test_an_endless_answer_is_cut_off(zoo: Zoo, tmp_path: Path) -> None:
    zoo.content = bytes((4 << 20) + 1)
    with pytest.raises(ModelError) as caught:
        find_weights(None, tmp_path, zoo.url, DIGEST)
    assert str(caught.value) == f"{zoo.url}: is larger than 4 MiB, so it is not the detector; {REMEDY}"
    assert names(tmp_path) == []


@pytest.mark.parametrize("kind", ["missing", "nobody listens", "silent", "no URL"])
def test_without_the_file_the_remedy_is_named(
    kind: str, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yunet, "TIMEOUT_S", 0.3)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url, reason = {
            "missing": (zoo.url.replace("yunet", "gone"), "404"),
            "nobody listens": (f"http://127.0.0.1:{unused.getsockname()[1]}/yunet.onnx", "refused"),
            "silent": (zoo.url.replace("yunet", "slow"), "timed out"),
            "no URL": ("nowhere", "protocol"),
        }[kind]
        with pytest.raises(ModelError) as caught:
            find_weights(None, tmp_path, url, DIGEST)
    message = str(caught.value)
    assert message.startswith(f"the detector's weights cannot be fetched from {url} (")
    assert reason in message and message.endswith(f"); {REMEDY}") and "\n" not in message
    assert names(tmp_path) == []


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_is_named(zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = tmp_path / "file" / "cache"
    with pytest.raises(ModelError) as caught:
        find_weights(None, cache, zoo.url, DIGEST)
    assert str(caught.value) == (
        f"the detector's weights cannot be written to {cache / 'yunet.onnx'} (Not a directory); "
        "set extraction.cache_dir to a directory that can be written"
    )
