"""The four handlers of a model package, called by SageMaker's own inference toolkit."""

import http.client
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sagemaker_inference.transformer import Transformer

from benchmarks.serving import pack_shard
from fer.bundle.io import FaceFormat
from fer.bundle.openvino_backend import OpenVinoNetwork
from fer.errors import ModelError
from fer.serving import Predictor
from fer.serving import sagemaker_handlers as handlers
from fer.serving.responses import decode_image
from tests.helpers.server import JPEG, PNG, TAR, Answer, gray_png, packaged, post, probabilities_of, server

pytestmark = pytest.mark.slow

Ask = Callable[..., Answer]
INFERENCE = "from fer.serving.sagemaker_handlers import input_fn, model_fn, output_fn, predict_fn\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packaged(tmp_path_factory.mktemp("handled"), FaceFormat(48, False))


class Context:
    """What the model server tells the toolkit about a request, and where the toolkit leaves its answer."""

    def __init__(self, model: Path, content_type: str) -> None:
        properties = {"Content-Type": content_type}
        self.system_properties = {"model_dir": str(model)}
        self.request_processor = [SimpleNamespace(get_request_properties=lambda: properties)]
        self.status, self.kind = http.client.OK, ""

    def set_response_status(self, code: int, phrase: str) -> None:
        self.status = code

    def set_response_content_type(self, _: int, kind: str) -> None:
        self.kind = kind


@pytest.fixture
def ask_toolkit(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Asks the toolkit, which imports `code/inference.py` as it does in SageMaker."""
    (tmp_path / "handlers_of_a_package.py").write_text(INFERENCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("SAGEMAKER_PROGRAM", "handlers_of_a_package.py")
    transformer = Transformer()

    def ask(content_type: str, body: Any) -> Answer:
        context = Context(model, content_type)
        (answer,) = transformer.transform([{"body": body}], context)
        return Answer(context.status, answer.encode(), {"content-type": context.kind})

    return ask


def test_a_picture_and_a_shard_are_answered(ask_toolkit: Ask, model: Path) -> None:
    predictor = Predictor.load(str(model / "bundle"), runtime="onnx", threads=1)
    pictures = [gray_png(seed) for seed in range(70)]
    expected = predictor.predict([decode_image(data) for data in pictures])
    (line,) = ask_toolkit(PNG, bytearray(pictures[0])).lines
    assert line["id"] == "image"
    np.testing.assert_allclose(probabilities_of(line), expected[0], atol=1e-6)
    members = [(f"{place}.png", data) for place, data in enumerate(pictures)]
    answer = ask_toolkit(TAR, pack_shard([*members, ("bad.png", b"x")]))
    assert answer.headers["content-type"] == "application/jsonlines"
    assert [line["id"] for line in answer.lines] == [str(place) for place in range(70)] + ["bad"]
    assert answer.lines[-1]["error"] == "neither a JPEG nor a PNG"
    np.testing.assert_allclose([probabilities_of(line) for line in answer.lines[:-1]], expected, atol=1e-6)


def test_another_runtime_computes_where_wanted(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_RUNTIME", "openvino")
    assert isinstance(handlers.model_fn(str(model)).network, OpenVinoNetwork)


def test_they_answer_as_the_server_does(ask_toolkit: Ask, model: Path, tmp_path: Path) -> None:
    body = pack_shard([("a.png", gray_png(1)), ("b.png", b"x"), ("c.png", gray_png(2))])
    with server(tmp_path, "--model", str(model), "--port", "0") as started:
        assert ask_toolkit(TAR, body).content == post(started.port, TAR, body).content


@pytest.mark.parametrize(
    ("content_type", "body", "status", "reason"),
    [
        ("text/plain", b"x", 415, "content type 'text/plain': must be one of image/jpeg, image/png, application/x-tar"),
        (PNG, b"", 400, "the body is empty"),
        (JPEG, b"no picture", 400, "neither a JPEG nor a PNG"),
        (TAR, pack_shard([("../a.png", b"x")]), 400, "member '../a.png': must be named ID.png or ID.jpg"),
    ],
)
def test_what_cannot_be_read_has_the_servers_status_and_reason(
    ask_toolkit: Ask, content_type: str, body: bytes, status: int, reason: str
) -> None:
    answer = ask_toolkit(content_type, body)
    assert answer.status == status
    assert answer.content.decode().startswith(reason)


def test_the_mirror_image_is_judged_too_where_wanted(
    ask_toolkit: Ask, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_FLIP", "1")
    predictor = Predictor.load(str(model / "bundle"), runtime="onnx", threads=1)
    (line,) = ask_toolkit(PNG, gray_png(0)).lines
    expected = predictor.predict([decode_image(gray_png(0))], flip=True)[0]
    np.testing.assert_allclose(probabilities_of(line), expected, atol=1e-6)


def test_a_place_without_a_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="neither a run directory with a bundle nor a bundle directory$"):
        handlers.model_fn(str(tmp_path))
