"""The server as a process: how it starts, what it needs, how it ends."""

import argparse
import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving import measure, pack_shard
from fer.bundle.io import FaceFormat
from fer.bundle.reference_samples import ReferenceSamples, read_samples, write_samples
from fer.bundle.verification import load_verified_predictor
from fer.core import extras
from fer.errors import ConfigError, UserError
from fer.registry.package import SERVING_CODE
from fer.serving import Predictor
from fer.serving.__main__ import serve
from fer.serving.responses import decode_image
from fer.serving.settings import Settings, load_settings
from tests.helpers.paths import PROJECT
from tests.helpers.server import (
    PNG,
    TAR,
    gray_png,
    launched,
    metric,
    packaged,
    post,
    probabilities_of,
    server,
    wait_until,
)

pytestmark = pytest.mark.slow

PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packaged(tmp_path_factory.mktemp("gray"), FaceFormat(48, False))


def ended(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Exit code and log of a server that ends by itself."""
    process = launched(folder / "server.log", *arguments, **environment)
    process.communicate()
    return process.returncode, (folder / "server.log").read_text()


def instruction(name: str) -> list[str]:
    """The command of one of the instructions of the Dockerfile's last stage, which is the server's."""
    *_, server_stage = (PROJECT / "Dockerfile").read_text().split("\nFROM ")
    (command,) = re.findall(rf"^{name} .*?(\[.+\])$", server_stage, re.MULTILINE)
    return json.loads(command)


def test_it_starts_and_is_watched_as_the_container_says(model: Path, tmp_path: Path) -> None:
    python, *module, host, everywhere = instruction("ENTRYPOINT")
    assert (python, module) == ("python", ["-m", "fer.serving"])
    _, *healthy = instruction("HEALTHCHECK")
    with server(tmp_path, host, everywhere, "serve", SM_MODEL_DIR=str(model), PORT="0") as started:
        assert started.line == f"Serving {model} on http://0.0.0.0:{started.port}\n"
        assert post(started.port, PNG, gray_png(0)).status == 200
        port = str(started.port)
        assert subprocess.run([sys.executable, *healthy], env={"PORT": port}).returncode == 0
    assert subprocess.run([sys.executable, *healthy], env={"PORT": port}, stderr=subprocess.DEVNULL).returncode == 1


def test_the_mirror_image_is_judged_too_where_wanted(model: Path, tmp_path: Path) -> None:
    (expected,) = Predictor.load(str(model / "bundle"), runtime="onnx").predict([decode_image(gray_png(0))], flip=True)
    with server(tmp_path, "--model", str(model), "--port", "0", FER_FLIP="1") as started:
        (line,) = post(started.port, PNG, gray_png(0)).lines
    np.testing.assert_allclose(probabilities_of(line), expected, atol=1e-6)


def test_another_runtime_computes_where_wanted(model: Path, tmp_path: Path) -> None:
    (expected,) = Predictor.load(str(model / "bundle"), runtime="openvino").predict([decode_image(gray_png(0))])
    with server(tmp_path, "--model", str(model), "--port", "0", FER_RUNTIME="openvino") as started:
        (line,) = post(started.port, PNG, gray_png(0)).lines
        libraries = Path(f"/proc/{started.process.pid}/maps").read_text()
    np.testing.assert_allclose(probabilities_of(line), expected, atol=1e-6)
    assert "libopenvino.so" in libraries


def test_a_runtime_that_is_not_installed_is_a_sentence(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "_is_importable", lambda name: name != "openvino")
    with pytest.raises(UserError) as raised:
        serve(load_settings({"FER_RUNTIME": "openvino"}), argparse.Namespace())
    sentence = "needs openvino; install it with pip install 'fer-experiments[export]'"
    assert str(raised.value) == f"FER_RUNTIME=openvino: {sentence}"
    with pytest.raises(UserError, match=f"^{re.escape(f'inference.runtime=openvino: {sentence}')}$"):
        load_verified_predictor(str(model), 1, "openvino")


def test_a_signal_ends_it_when_what_is_under_way_is_answered(model: Path, tmp_path: Path) -> None:
    body = pack_shard([(f"{place}.png", gray_png(place)) for place in range(1200)])
    with (
        server(tmp_path, "--model", str(model), "--port", "0") as started,
        ThreadPoolExecutor(1) as client,
        socket.create_connection(("127.0.0.1", started.port)),
    ):
        answer = client.submit(post, started.port, TAR, body)
        wait_until(lambda: metric(started.port, "fer_images_total") > 0, "the first pictures")
        started.process.send_signal(signal.SIGTERM)
        assert len(answer.result().lines) == 1200
        assert started.process.wait() == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", started.port))
    assert started.log.read_text() == ""


def test_the_keyboard_ends_an_idle_server(model: Path, tmp_path: Path) -> None:
    with server(tmp_path, "--model", str(model), "--port", "0") as started:
        kept = http.client.HTTPConnection("127.0.0.1", started.port)
        kept.request("GET", "/ping")
        assert kept.getresponse().read() == b""
        started.process.send_signal(signal.SIGINT)
        assert started.process.wait() == 0
        kept.close()


def test_a_place_without_a_model_is_a_sentence(tmp_path: Path) -> None:
    code, log = ended(tmp_path, "--model", str(tmp_path), "--port", "0")
    assert code == 1
    assert log == (
        f"python -m fer.serving: model_uri={tmp_path}: neither a run directory with a bundle nor a bundle directory\n"
    )


def test_a_model_that_answers_its_samples_otherwise_is_not_served(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "copy")
    samples = read_samples(model / "bundle")
    assert samples is not None
    write_samples(
        tmp_path / "copy" / "bundle", ReferenceSamples(samples.images, np.roll(samples.probabilities, 1, axis=1))
    )
    code, log = ended(tmp_path, "--model", str(tmp_path / "copy"), "--port", "0")
    assert code == 1
    assert re.fullmatch(
        rf"python -m fer.serving: {tmp_path}/copy: gives probabilities for its sample pictures that differ by \S+ "
        "from those of its training; build the package again\n",
        log,
    )


def test_a_port_that_is_taken_is_a_sentence(model: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, log = ended(tmp_path, "--model", str(model), "--port", str(port))
    assert code == 1
    assert re.fullmatch(
        rf"python -m fer.serving: cannot listen on 127.0.0.1 port {port} \(.+\); "
        r"choose others with --host and --port\n",
        log,
    )


def test_a_setting_that_cannot_be_is_a_sentence(tmp_path: Path) -> None:
    code, log = ended(tmp_path, PORT="http")
    assert (code, log) == (2, "python -m fer.serving: PORT=http: must be a whole number from 0 to 65535\n")
    for name, value, allowed in (
        ("PORT", "65536", "a whole number from 0 to 65535"),
        ("PORT", "-1", "a whole number from 0 to 65535"),
        ("FER_THREADS", "0", "a whole number from 1 to 1024"),
        ("FER_THREADS", "²", "a whole number from 1 to 1024"),
        ("FER_FLIP", "yes", "0 or 1"),
        ("FER_RUNTIME", "torch", "onnx or openvino"),
    ):
        with pytest.raises(ConfigError) as raised:
            load_settings({name: value})
        assert str(raised.value) == f"{name}={value}: must be {allowed}"


def test_settings_that_are_not_made_are_those_of_sagemaker() -> None:
    usual = Settings(model="/opt/ml/model", port=8080, flip=False, threads=None, runtime="onnx")
    names = ("PORT", "FER_FLIP", "FER_THREADS", "FER_RUNTIME")
    assert load_settings({}) == load_settings(dict.fromkeys(names, "")) == usual
    own = {"PORT": "80", "FER_FLIP": "1", "FER_THREADS": "2", "FER_RUNTIME": "openvino", "SM_MODEL_DIR": "m"}
    assert load_settings(own) == Settings(model="m", port=80, flip=True, threads=2, runtime="openvino")


def copies() -> list[tuple[list[str], str]]:
    """Sources and target of each COPY of the Dockerfile."""
    lines = re.findall(r"^COPY (.+)$", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
    return [(sources, target) for *sources, target in map(str.split, lines)]


def test_the_container_has_the_code_of_a_model_package() -> None:
    paths = [source for sources, _ in copies() for source in sources if source.startswith("fer/")]
    assert [path.removeprefix("fer/").rstrip("/") for path in paths] == list(SERVING_CODE)
    assert all(source == target for (source, *_), target in copies() if source.endswith("/"))


def copied_by_the_dockerfile(folder: Path) -> None:
    """The files that the container has, in ``folder``."""
    for sources, target in copies():
        (folder / target).mkdir(parents=True, exist_ok=True)
        for source in map(PROJECT.joinpath, sources):
            if source.is_dir():
                shutil.copytree(source, folder / target, dirs_exist_ok=True)
            else:
                shutil.copy(source, folder / target)


# Runs in the container's files, and finds no package that the container has not.
IN_CONTAINER = """
import importlib.metadata, re, sys
_, model, picture, *locked = sys.argv
homes = importlib.metadata.packages_distributions()
known = {name for name, found in homes.items() if {re.sub("[-_.]+", "-", home).lower() for home in found} & {*locked}}

class Elsewhere:
    def find_spec(self, name, path=None, target=None):
        if name in homes and name not in known:
            raise ModuleNotFoundError(f"{name} is not in the container", name=name)

sys.meta_path.insert(0, Elsewhere())
import fer.serving.__main__, fer.serving.app, uvicorn
from fer.serving import sagemaker_handlers as handlers
predictor = handlers.model_fn(model)
print(handlers.predict_fn(handlers.input_fn(open(picture, "rb").read(), "image/png"), predictor))
print(handlers.__file__)
assert not {"torch", "timm", "pandas"} & {*sys.modules}
"""


def test_the_container_has_every_module_and_package_that_serving_imports(model: Path, tmp_path: Path) -> None:
    """Of the project only what the Dockerfile copies, of the packages only what serving.lock names."""
    image, picture = tmp_path / "image", tmp_path / "face.png"
    copied_by_the_dockerfile(image)
    picture.write_bytes(gray_png(0))
    locked = {name for name, _ in PIN.findall((PROJECT / "serving.lock").read_text())}
    # Here OpenCV is installed with its windows.
    locked.add("opencv-python")
    command = [sys.executable, "-c", IN_CONTAINER, str(model), str(picture), *locked]
    done = subprocess.run(command, cwd=image, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    line, *_, file = done.stdout.splitlines()
    assert json.loads(line)["id"] == "image"
    assert file == str(image / "fer" / "serving" / "sagemaker_handlers.py")


def test_the_container_has_the_versions_of_this_environment() -> None:
    whole = set(PIN.findall((PROJECT / "requirements.lock").read_text()))
    own = PIN.findall((PROJECT / "serving.lock").read_text())
    assert {(name.removesuffix("-headless"), version) for name, version in own} <= whole
    wanted = {line for line in (PROJECT / "serving.in").read_text().splitlines() if line and line[0] != "#"}
    assert {name.partition("==")[0] for name in wanted} <= {name for name, _ in own}


def test_malformed_requests_among_many_clients_harm_nobody(model: Path) -> None:
    """The benchmark, in short; how the memory grows shows only in its minute."""
    metrics = measure(str(model), client_count=12, seconds=4)
    assert metrics.errors == []
    assert set(metrics.codes) == {200, 400, 413, 415}
    assert metrics.difference < 1e-5
