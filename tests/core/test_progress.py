"""Progress: lines in a log, a bar in a terminal, and always every item."""

import logging
import re
import shlex
import subprocess
import sys

import pytest

import fer.core.progress
from fer.core.progress import INTERVAL_ENV, format_progress, parse_progress, track_progress
from tests.helpers.paths import PROJECT


@pytest.mark.parametrize(
    ("done", "total", "seconds", "line"),
    [
        (120, 400, 3.4, "Decoding: 120/400 images, 35/s, 8 s left"),
        (400, 400, 10.0, "Decoding: 400/400 images, 40/s, 0 s left"),
        (1, 3, 10.0, "Decoding: 1/3 images, 0/s, 20 s left"),
    ],
)
def test_a_line_says_rate_and_time_left(done: int, total: int, seconds: float, line: str) -> None:
    assert format_progress("Decoding", done, total, "images", seconds) == line


def test_a_line_without_time_or_progress_is_still_a_line() -> None:
    assert format_progress("Decoding", 0, 5, "images", 1.0).startswith("Decoding: 0/5 images, 0/s, ")
    assert format_progress("Decoding", 5, 5, "rows", 0.0).endswith(", 0 s left")


def test_lines_are_logged_as_time_passes(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(fer.core.progress, "LINE_SECONDS", 0.0)
    caplog.set_level(logging.INFO, "fer.core.progress")
    assert list(track_progress("abc", 3, "Reading", "letters")) == ["a", "b", "c"]
    starts = [record.getMessage().split(",")[0] for record in caplog.records]
    assert starts == ["Reading: 1/3 letters", "Reading: 2/3 letters", "Reading: 3/3 letters"]


@pytest.mark.parametrize(("interval", "lines"), [("0", 3), ("1000", 0), ("often", 0)])
def test_who_shows_progress_asks_for_more_lines(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, interval: str, lines: int
) -> None:
    monkeypatch.setenv(INTERVAL_ENV, interval)
    caplog.set_level(logging.INFO, "fer.core.progress")
    list(track_progress("abc", 3, "Reading", "letters"))
    assert len(caplog.records) == lines


@pytest.mark.parametrize(("done", "seconds"), [(120, 3.4), (0, 0.0), (500, 2.0)])
def test_a_line_is_read_back(done: int, seconds: float) -> None:
    progress = parse_progress(format_progress("Frames", done, 400, "frames", seconds))
    assert progress is not None
    assert (progress.title, progress.done, progress.total, progress.unit) == ("Frames", done, 400, "frames")
    assert progress.share == min(done / 400, 1)
    assert progress.seconds_left >= 0


@pytest.mark.parametrize("line", ["", "Report: outputs/x", "Frames: 1/x frames, 3/s, 2 s left", "Frames: 1/2 frames"])
def test_other_lines_are_no_progress(line: str) -> None:
    assert parse_progress(line) is None


def test_short_work_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fer.core.progress")
    assert list(track_progress(iter(range(1000)), 1000, "Reading")) == list(range(1000))
    assert list(track_progress([], 0, "Reading")) == []
    assert caplog.records == []


def test_a_terminal_gets_a_bar() -> None:
    """`script` gives the program a terminal of its own, which knows neither its width nor its height."""
    code = (
        "from fer.core.progress import track_progress as track; print(list(track(range(3), 3, 'Reading', 'letters')))"
    )
    done = subprocess.run(
        ["script", "-qefc", shlex.join([sys.executable, "-c", code]), "/dev/null"],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0
    assert re.search(r"Reading: +0%\|.*\| 0/3 \[", done.stdout)
    assert "[0, 1, 2]" in done.stdout
