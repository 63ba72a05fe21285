"""Google Cloud Storage for the tests of this room."""

from collections.abc import Iterator

import pytest

import fer.storage.google
from tests.helpers.google_storage import GoogleStorage, google_storage


@pytest.fixture(scope="module")
def google_server() -> Iterator[GoogleStorage]:
    with google_storage() as found:
        yield found


@pytest.fixture
def google(google_server: GoogleStorage, monkeypatch: pytest.MonkeyPatch) -> GoogleStorage:
    """An empty Google Cloud Storage, which this process finds, and whose failures it does not sit out for long."""
    google_server.clear()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", google_server.address)
    for name, seconds in {"FIRST_WAIT_S": 0.01, "LONGEST_WAIT_S": 0.02, "PATIENCE_S": 0.6}.items():
        monkeypatch.setattr(fer.storage.google, name, seconds)
    return google_server
