"""A server that answers only who knows its token."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.serving import send_get
from fer.bundle.io import FaceFormat
from fer.core.token_file import read_token
from fer.errors import UserError
from tests.helpers.raw_http import connect, head, read_answer
from tests.helpers.server import PNG, Server, gray_png, launched, packaged, post, server

pytestmark = pytest.mark.slow

TOKEN = "0123456789-._~+/abcXYZ=="


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("secret")
    model = packaged(folder / "model", FaceFormat(48, False))
    with server(
        folder, "--model", str(model), "--port", "0", "--token-file", str(write(folder, TOKEN + "\n"))
    ) as found:
        yield found


def write(folder: Path, content: str, mode: int = 0o600) -> Path:
    path = folder / "token"
    path.write_text(content)
    path.chmod(mode)
    return path


def test_who_sends_the_token_is_answered(running: Server) -> None:
    for scheme in ("Bearer", "bearer"):
        assert post(running.port, PNG, gray_png(0), Authorization=f"{scheme} {TOKEN}").status == 200
    assert TOKEN not in running.log.read_text()


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN, "Bearer \xff\xfe"],
)
def test_who_does_not_is_refused(running: Server, authorization: str) -> None:
    answer = post(running.port, PNG, gray_png(0), **({"Authorization": authorization} if authorization else {}))
    assert (answer.status, answer.error) == (401, "Authorization: Bearer TOKEN is missing or wrong")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_two_tokens_are_none(running: Server) -> None:
    with connect(running.port) as client:
        client.sendall(head("Content-Length: 0", f"Authorization: Bearer {TOKEN}", f"Authorization: Bearer {TOKEN}"))
        assert read_answer(client)[0] == 401


def test_health_checks_need_no_token_and_all_else_does(running: Server) -> None:
    assert send_get(running.port, "/ping")[0] == 200
    assert [send_get(running.port, path)[0] for path in ("/metrics", "/elsewhere", "/ping/", "//ping")] == [401] * 4


def test_nothing_of_a_body_is_asked_for_without_the_token(running: Server) -> None:
    with connect(running.port) as client:
        client.sendall(head("Content-Length: 1000", "Expect: 100-continue"))
        assert read_answer(client)[0] == 401


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        ("", 0o600, "the file is empty; write a long random token into it"),
        (" \n", 0o600, "the file is empty; write a long random token into it"),
        ("secret", 0o644, "others can read it; run chmod 600 {path}"),
        ("secret", 0o640, "others can read it; run chmod 600 {path}"),
        ("two words", 0o600, "must hold one token of letters, digits and -._~+/, at most 4,096 bytes"),
        ("a\nb", 0o600, "must hold one token of letters, digits and -._~+/, at most 4,096 bytes"),
        ("é", 0o600, "must hold one token of letters, digits and -._~+/, at most 4,096 bytes"),
        ("x" * 5000, 0o600, "must hold one token of letters, digits and -._~+/, at most 4,096 bytes"),
    ],
)
def test_a_file_without_a_secret_token_is_a_sentence(tmp_path: Path, content: str, mode: int, reason: str) -> None:
    path = write(tmp_path, content, mode)
    with pytest.raises(UserError) as raised:
        read_token(path)
    assert str(raised.value) == f"--token-file={path}: {reason.format(path=path)}"


def test_a_token_has_no_blanks_around_it(tmp_path: Path) -> None:
    assert read_token(write(tmp_path, f"  {TOKEN}\n\n")) == TOKEN.encode()


@pytest.mark.parametrize(
    ("name", "reason"), [("none", "cannot be read (No such file or directory)"), ("/dev/null", "not a file")]
)
def test_a_file_that_is_none_is_a_sentence(tmp_path: Path, name: str, reason: str) -> None:
    log = tmp_path / "server.log"
    process = launched(log, "--model", str(tmp_path), "--port", "0", "--token-file", str(tmp_path / name))
    process.communicate()
    assert process.returncode == 1
    assert log.read_text().startswith(f"python -m fer.serving: --token-file={tmp_path / name}: {reason}; ")
    assert len(log.read_text().splitlines()) == 1
