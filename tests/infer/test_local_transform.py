"""Batch transform on this machine: a real server in a process of its own, which may fail at any time."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import httpx2
import numpy as np
import pytest

from fer.errors import UserError
from fer.infer.transform.local import LocalBatchTransform
from fer.infer.transform.shards import CONTENT_TYPES, Request
from fer.registry.package import open_package
from tests.helpers.transforming import assert_answers, expected, local_settings, missing, packed, times

pytestmark = pytest.mark.slow

TAR = CONTENT_TYPES["shard"]


@pytest.fixture(scope="module")
def package(small_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return open_package(small_package, tmp_path_factory.mktemp("unpacked") / "package")


@pytest.fixture(scope="module")
def log_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "server.log"


@pytest.fixture(scope="module")
def batch(package: Path, log_file: Path) -> LocalBatchTransform:
    return LocalBatchTransform(package, local_settings(max_concurrent=1), 1, True, log_file)


@pytest.fixture(scope="module")
def wanted(small_bundle: Path) -> np.ndarray:
    return expected(small_bundle, flip=True)


@pytest.fixture(scope="module")
def address(batch: LocalBatchTransform) -> Iterator[str]:
    """A server of the package, for all tests that leave it alive."""
    with batch.run_server() as found:
        yield found


def servers(log_file: Path) -> list[int]:
    """Processes whose errors go to the log file of a server: how they were started does not tell a copied process."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            errors = (process / "fd" / "2").readlink()
            state = (process / "stat").read_text().rpartition(") ")[2][0]
        except OSError:
            continue
        if errors == log_file.resolve() and state != "Z":
            found.append(int(process.name))
    return found


def test_shards_are_answered_as_the_predictor_does(
    address: str, batch: LocalBatchTransform, wanted: np.ndarray, tmp_path: Path
) -> None:
    requests = packed(tmp_path)
    batch.send_to(address, requests, TAR)
    assert_answers(requests, wanted)


def test_images_are_answered_nearly_so(
    address: str, batch: LocalBatchTransform, wanted: np.ndarray, tmp_path: Path
) -> None:
    requests = packed(tmp_path, "image")
    batch.send_to(address, requests, CONTENT_TYPES["image"])
    # JPEG is not without loss.
    assert_answers(requests, wanted, 0.2)


def test_what_the_server_refuses_is_a_sentence_and_answers_so_far_stay(
    address: str, batch: LocalBatchTransform, tmp_path: Path
) -> None:
    requests = packed(tmp_path)
    requests[1].path.write_bytes(b"no archive")
    with pytest.raises(UserError, match=rf"^{requests[1].path}: the model's server refuses it: .*archive"):
        batch.send_to(address, requests, TAR)
    assert requests[0] not in missing(requests)
    assert requests[1] in missing(requests)
    assert httpx2.get(f"{address}/ping", trust_env=False).status_code == 200


def test_server_that_is_killed_in_the_middle(
    batch: LocalBatchTransform,
    package: Path,
    wanted: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # A proxy must not be asked for a server of this machine.
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    requests = packed(tmp_path)
    others = servers(batch.log_file)
    # Whoever reads a pipe waits until somebody writes: so the server is dead when the second shard is sent.
    content = requests[1].path.read_bytes()
    requests[1].path.unlink()
    os.mkfifo(requests[1].path)

    def kill() -> None:
        with requests[1].path.open("wb") as pipe:
            [server] = set(servers(batch.log_file)) - set(others)
            os.kill(server, signal.SIGKILL)
            while set(servers(batch.log_file)) - set(others):
                pass
            pipe.write(content)

    killer = Thread(target=kill, daemon=True)
    killer.start()
    batch.send(requests, TAR)
    killer.join()
    assert missing(requests) == requests[1:]
    assert f"{requests[1].path.name}: no answer (" in caplog.text
    assert servers(batch.log_file) == others
    done = times(requests)
    requests[1].path.unlink()
    requests[1].path.write_bytes(content)
    batch.send(missing(requests), TAR)
    assert_answers(requests, wanted)
    assert times(requests).items() >= done.items()
    assert servers(batch.log_file) == others


def test_server_ends_with_an_error_of_its_user(batch: LocalBatchTransform, package: Path) -> None:
    others = servers(batch.log_file)
    with pytest.raises(ZeroDivisionError), batch.run_server() as found:
        raise ZeroDivisionError(found)
    assert servers(batch.log_file) == others
    with pytest.raises(httpx2.TransportError):
        httpx2.get(f"{found}/ping", trust_env=False)


def broken_package(package: Path, folder: Path) -> Path:
    """One whose network was changed after it was packed, so that it no longer gives what its samples say."""
    shutil.copytree(package, folder)
    (folder / "bundle" / "onnx" / "network.onnx").write_bytes(b"no network")
    (folder / "bundle" / "weights.safetensors").write_bytes(b"no weights")
    return folder


@pytest.mark.parametrize(
    ("threads", "said"), [(1, r"ended: .*weights.safetensors"), (0, r"did not start: .*FER_THREADS=0")]
)
def test_server_that_does_not_start_is_a_sentence_with_its_last_words(
    package: Path, tmp_path: Path, threads: int, said: str
) -> None:
    broken = broken_package(package, tmp_path / "broken")
    batch = LocalBatchTransform(broken, local_settings(), threads, False, tmp_path / "log" / "server.log")
    request = Request(tmp_path / "shard-000000.tar", ("a",))
    with pytest.raises(UserError, match=rf"^the server of the packaged model {said}"):
        batch.send([request], TAR)
    assert not servers(batch.log_file)
    assert not request.output_path.exists()


def test_no_module_of_a_package_is_imported(package: Path, log_file: Path, tmp_path: Path) -> None:
    copy, mark = shutil.copytree(package, tmp_path / "package"), tmp_path / "imported"
    code = f"open({str(mark)!r}, 'w').close()\n"
    # The last three are what a copied process has not imported yet.
    for name in (
        "uvicorn.py",
        "sitecustomize.py",
        "fer/__init__.py",
        "starlette.py",
        "prometheus_client.py",
        "anyio.py",
    ):
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text(code)
    with LocalBatchTransform(copy, local_settings(max_concurrent=1), 1, True, log_file).run_server():
        pass
    assert not mark.exists()
