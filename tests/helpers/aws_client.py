"""What tests of requests to AWS share: variables of the environment, and content to send."""

import os
from pathlib import Path

import pytest

from fer.aws.client import MULTIPART_CHUNK_BYTES

CONTENT = bytes(range(256)) * 8


def set_environment(monkeypatch: pytest.MonkeyPatch, **wanted: str) -> None:
    """No variable of AWS's but these, and no file of settings."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    files = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    for name, value in {**files, "AWS_EC2_METADATA_DISABLED": "true", **wanted}.items():
        monkeypatch.setenv(name, value)


def large(folder: Path) -> Path:
    """A file of two parts and a half, in which no two parts are the same."""
    path = folder / "large"
    path.write_bytes(os.urandom(MULTIPART_CHUNK_BYTES * 5 // 2))
    return path
