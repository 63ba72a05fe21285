"""`model.weights=pretrained` against a server on this machine that speaks the hub's protocol."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save

from fer.models.network import FaceNetwork
from tests.helpers.paths import PROJECT

pytestmark = pytest.mark.slow

NAME, REPOSITORY = "mobilenetv2_050", "timm/mobilenetv2_050.lamb_in1k"
# huggingface_hub reads its environment when it is imported, hence a process of its own, which imports it anew and loads
# once for each line of its input. Its waits between attempts at an unreachable hub, 23 seconds in all, are left out.
CLIENT = """
import json, sys, time
for name in [name for name in sys.modules if name.partition(".")[0] in ("huggingface_hub", "fer")]:
    del sys.modules[name]
time.sleep = lambda seconds: None
from fer.errors import ModelError
from fer.models.network import FaceNetwork, load_pretrained_weights
for line in sys.stdin:
    network = FaceNetwork(json.loads(line), 7, 48, 0.0)
    try:
        digest = load_pretrained_weights(network, "pretrained", None)
        answer = {"digest": digest, "sum": float(network.body.conv_stem.weight.double().sum())}
    except ModelError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
"""


class Hub(ThreadingHTTPServer):
    """Serves ``content`` as the file whose SHA-256 is ``digest``."""

    def __init__(self, digest: str) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.digest, self.content, self.asked = digest, b"", list[str]()


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.server.asked.append(self.path)
        if self.path != f"/{REPOSITORY}/resolve/main/model.safetensors":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("X-Repo-Commit", "c" * 40)
        self.send_header("ETag", f'"{self.server.digest}"')
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.server.content)

    def log_message(self, *_: Any) -> None:
        pass


def blobs(home: Path) -> list[str]:
    return [path.name for path in home.glob("hub/models--*/blobs/*")]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the client answers to a damaged download, the right one, and an unreachable hub with and without cache."""
    home = tmp_path_factory.mktemp("hub")
    published = FaceNetwork(NAME, 1000, 48, 0.0).body.state_dict()
    content = save({key: value.contiguous() for key, value in published.items()})
    digest = hashlib.sha256(content).hexdigest()
    hub = Hub(digest)
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING_FACE"))},
        **{"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"},
        **{"HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1", "OMP_NUM_THREADS": "1"},
        "PYTHONPATH": str(PROJECT),
    }
    (home / "program.py").write_text(CLIENT)
    client = subprocess.Popen(
        [sys.executable, str(home / "program.py")],
        cwd=PROJECT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert client.stdin is not None and client.stdout is not None

    def load(name: str = NAME) -> dict[str, Any]:
        assert client.stdin is not None and client.stdout is not None
        client.stdin.write(json.dumps(name) + "\n")
        client.stdin.flush()
        return json.loads(client.stdout.readline())

    told: dict[str, Any] = {"digest": digest, "sum": float(published["conv_stem.weight"].double().sum())}
    try:
        hub.content = content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]
        told["damaged"], told["after the damage"] = load(), blobs(home)
        hub.content = content
        told["right"], told["after the right one"] = load(), blobs(home)
        told["unpublished"] = load("mobilenetv2_035")
        told["asked"] = set(hub.asked)
        hub.shutdown()
        hub.server_close()
        told["cached"] = load()
        for path in home.glob("hub/models--*/*/*"):
            path.rename(path.with_name("away"))
        told["unreachable"] = load()
    finally:
        client.stdin.close()
        client.wait(timeout=60)
    return told


def test_the_right_download_is_loaded(story: dict[str, Any]) -> None:
    assert story["right"] == {"digest": story["digest"], "sum": story["sum"]}
    assert story["after the right one"] == [story["digest"]]
    assert story["asked"] == {f"/{REPOSITORY}/resolve/main/model.safetensors"}


def test_a_damaged_download_is_refused_and_removed(story: dict[str, Any]) -> None:
    assert story["damaged"] == {
        "error": f"model.weights=pretrained: the download of {REPOSITORY} was damaged and is removed; try again"
    }
    assert story["after the damage"] == []


def test_without_a_network_the_cache_serves(story: dict[str, Any]) -> None:
    assert story["cached"] == story["right"]


def test_an_unreachable_hub_is_one_sentence(story: dict[str, Any]) -> None:
    message = story["unreachable"]["error"]
    assert message.startswith(
        f"model.weights=pretrained: the weights of {NAME} cannot be fetched from the hub (An error happened while"
    )
    assert message.endswith(
        "; with a network try again, otherwise give a file (model.weights=FILE) or start at random (model.weights=none)"
    )
    assert "\n" not in message
    assert "Traceback" not in message


def test_an_architecture_without_published_weights_is_named(story: dict[str, Any]) -> None:
    assert story["unpublished"] == {
        "error": "model.weights=pretrained: no weights are published for mobilenetv2_035; use model.weights=none"
    }
