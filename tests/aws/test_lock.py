"""The lock in S3: one holder at a time, a killed one is replaced, a slow one finds out."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from fer.aws import lock as lock_module
from fer.aws.client import AwsClient
from fer.aws.lock import S3Lock
from fer.errors import UserError
from tests.helpers.aws_simulator.simulator import Simulated
from tests.helpers.registering import BUCKET

KEY = "fer/locks/m.json"


@pytest.fixture
def client(stored: Simulated, monkeypatch: pytest.MonkeyPatch) -> AwsClient:
    monkeypatch.setattr(lock_module, "POLL_S", 0.02)
    return AwsClient()


def test_only_one_holds_it_at_a_time(client: AwsClient) -> None:
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        with S3Lock(client, BUCKET, KEY, {}):
            inside += 1
            most = max(most, inside)
            time.sleep(0.05)
            inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, inside) == (1, 0)
    assert client.list_object_sizes(BUCKET, "fer/locks/") == {}


def test_who_waits_too_long_is_told_by_whom(client: AwsClient) -> None:
    with (
        S3Lock(client, BUCKET, KEY, {}),
        pytest.raises(UserError, match=rf"^s3://{BUCKET}/{KEY}: another process changes this model \(process \d+ on "),
        S3Lock(client, BUCKET, KEY, {}, patience_s=0.1),
    ):
        pass


def test_a_killed_holder_is_replaced_and_a_slow_one_finds_out(
    client: AwsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = S3Lock(client, BUCKET, KEY, {}).__enter__()
    slow.confirm()
    monkeypatch.setattr(lock_module, "EXPIRES_S", -1.0)
    with S3Lock(client, BUCKET, KEY, {}) as second:
        with pytest.raises(UserError, match="another process has changed this model meanwhile; try again"):
            slow.confirm()
        # Its end does not end the other's.
        slow.__exit__(None, None, None)
        second.confirm()


def test_an_answer_that_was_lost_does_not_lock_oneself_out(stored: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    client = AwsClient()
    stored.fault("lost", operation="PutObject")
    with S3Lock(client, BUCKET, KEY, {}, patience_s=0.1):
        pass
    assert not stored.faults()


def test_a_holder_that_was_killed_on_this_machine_is_replaced_at_once(client: AwsClient) -> None:
    holding = (
        "import os, signal; from fer.aws.client import AwsClient; from fer.aws.lock import S3Lock; "
        f"S3Lock(AwsClient(), {BUCKET!r}, {KEY!r}, {{}}).__enter__(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", holding], check=False).returncode == -signal.SIGKILL
    assert client.list_object_sizes(BUCKET, KEY)
    with S3Lock(client, BUCKET, KEY, {}, patience_s=0.1):
        pass


@pytest.mark.parametrize("content", [b"", b"[]", b'{"process": {"pid": 1}}', b'{"holder": 1, "process": []}'])
def test_what_is_no_lock_of_ours_is_left_until_it_expires(client: AwsClient, content: bytes) -> None:
    client.request("s3", "put_object", {"Bucket": BUCKET, "Key": KEY, "Body": content})
    with (
        pytest.raises(UserError, match="another process changes this model"),
        S3Lock(client, BUCKET, KEY, {}, patience_s=0.1),
    ):
        pass
