"""The dashboard's command line, its options of Streamlit, and who may ask it."""

import asyncio
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

import fer.app.__main__ as program
from fer.app.origin import OriginGuard, list_names
from fer.app.server import build_options, create_listener
from fer.app.settings import Settings
from fer.core import extras
from fer.errors import UserError

LOCAL = list_names("127.0.0.1", [])
PUBLIC = list_names("127.0.0.1", ["fer.example.org"])


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["fer", *arguments])
    return program.main()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--jobs", "0"], "--jobs 0: choose a number from 1 to 64"),
        (["--max-upload-mb", "99999"], "--max-upload-mb 99999: choose a number from 1 to 10,000"),
        (["--outputs", "{file}"], "is a file, not a directory of runs; name another"),
        (["--port", "{port}"], "choose others with --host and --port"),
        (["--host", "192.0.2.7", "--port", "0"], "cannot listen on 192.0.2.7 port 0"),
    ],
)
def test_a_mistake_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: list[str],
    sentence: str,
) -> None:
    (tmp_path / "file").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        known = {"file": str(tmp_path / "file"), "port": str(taken.getsockname()[1])}
        assert call(monkeypatch, *[argument.format(**known) for argument in arguments]) == 1
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1


def test_without_streamlit_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(extras, "_is_importable", lambda name: name != "streamlit")
    assert call(monkeypatch) == 1
    assert "needs streamlit; install it with pip install 'fer-experiments[app]'" in capsys.readouterr().err


def test_streamlit_keeps_to_itself() -> None:
    options = build_options(Settings(Path("/outputs"), max_upload_mb=7), "127.0.0.1", 8501)
    assert options["browser.gatherUsageStats"] is False
    assert options["server.enableXsrfProtection"] is options["server.enableCORS"] is True
    assert (options["server.maxUploadSize"], options["server.address"]) == (7, "127.0.0.1")
    import streamlit.config

    assert {name for name in options if name not in streamlit.config.get_config_options()} == set()


def test_a_free_port_is_found() -> None:
    with create_listener("127.0.0.1", 0) as listener:
        assert listener.getsockname()[1] > 0
    with pytest.raises(UserError, match="cannot listen on 127.0.0.1 port 99999"):
        create_listener("127.0.0.1", 99999)


def ask(names: frozenset[str] | None, kind: str = "http", **headers: str) -> list[Any]:
    """What is sent for a request: "passed" where it reaches the application."""
    sent: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        sent.append("passed")

    async def send(message: Any) -> None:
        sent.append(message.get("status") or message.get("code"))

    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    asyncio.run(OriginGuard(application, names)({"type": kind, "headers": encoded}, None, send))  # type: ignore[arg-type]
    return sent


@pytest.mark.parametrize(
    ("names", "headers"),
    [
        (LOCAL, {"host": "127.0.0.1:8501"}),
        (LOCAL, {"host": "LOCALHOST:8501", "origin": "http://localhost:8501"}),
        (LOCAL, {"host": "[::1]:8501", "origin": "http://[::1]:8501"}),
        (PUBLIC, {"host": "fer.example.org", "origin": "https://fer.example.org"}),
        (list_names("0.0.0.0", []), {"host": "anything:80"}),
    ],
)
def test_its_own_pages_may_ask(names: frozenset[str] | None, headers: dict[str, str]) -> None:
    assert ask(names, **headers) == ask(names, "websocket", **headers) == ["passed"]


@pytest.mark.parametrize(
    ("names", "headers"),
    [
        # A name of somebody else's that leads to this machine.
        (LOCAL, {"host": "evil.example:8501", "origin": "http://evil.example:8501"}),
        (LOCAL, {"host": "127.0.0.1:8501", "origin": "http://evil.example"}),
        (LOCAL, {"host": "127.0.0.1:8501", "origin": "null"}),
        # Another server of this machine.
        (LOCAL, {"host": "127.0.0.1:8501", "origin": "http://127.0.0.1:9000"}),
        (LOCAL, {}),
        (LOCAL, {"host": "[::1"}),
        (PUBLIC, {"host": "other.example.org"}),
        (list_names("0.0.0.0", []), {"host": "a:80", "origin": "http://b:80"}),
        (list_names("0.0.0.0", ["fer.example.org"]), {"host": "10.0.0.7"}),
    ],
)
def test_others_are_refused(names: frozenset[str] | None, headers: dict[str, str]) -> None:
    assert ask(names, **headers)[0] == 403
    assert ask(names, "websocket", **headers) == [1008]
