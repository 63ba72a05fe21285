"""What tests of trainings share."""

import pytest


@pytest.fixture
def without_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings draw no report, which takes a third of a short one; tests of the report and of whole programs do."""
    monkeypatch.setattr("fer.train.results.write_report", lambda *_, **__: None)
