"""A server that was told to stop ends in time, even in the middle of what no one can break off."""

import os
import subprocess
import sys
import textwrap

import pytest

from fer.errors import ConfigError
from fer.serving.settings import load_settings
from tests.helpers.paths import PROJECT

# An application whose shutdown never ends, as one that waits for a thread.
STUCK = """
import os, signal, sys, threading, time
from fer.serving import stopping

async def app(scope, receive, send):
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
        else:
            time.sleep(600)

stopping.LAST_S = float(sys.argv[1])
stopping.BoundedServer(app, 5).run(sockets=[])
"""


def test_a_thread_that_cannot_be_cancelled_keeps_no_server() -> None:
    command = [sys.executable, "-c", textwrap.dedent(STUCK), "4.5"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stderr
    assert "stopped after 5 s, in the middle of a request" in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("FER_MAX_BODY_MB", "0", "from 1 to 100"),
        ("FER_MAX_BODY_MB", "101", "from 1 to 100"),
        ("FER_STOP_S", "4", "from 5 to 3600"),
        ("FER_STOP_S", "x", "from 5 to 3600"),
    ],
)
def test_limits_that_cannot_be_are_a_sentence(name: str, value: str, allowed: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings({name: value})
    assert str(refused.value) == f"{name}={value}: must be a whole number {allowed}"


def test_limits_are_those_of_the_environment() -> None:
    assert (load_settings({}).max_body_mb, load_settings({}).stop_s) == (100, 120)
    limits = load_settings({"FER_MAX_BODY_MB": "32", "FER_STOP_S": "10"})
    assert (limits.max_body_mb, limits.stop_s) == (32, 10)
