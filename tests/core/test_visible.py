"""Names of others in a terminal and in a log."""

import logging

import pytest

from fer.core.visible import log_visibly, make_visible
from fer.runs.program import exit_with_error

# Clears the screen, sets the title, writes over the line, turns the reading order, begins another line.
HOSTILE = ["\x1b[2J", "\x1b]0;title\x07", "\rOK", "\x9b31m", "\u202egpj.mp4", "\u2028OK", "\x85OK", "\x08\x08", "\x7f"]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_character_of_a_name_steers_the_terminal(
    name: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    before = logging.getLogRecordFactory()
    try:
        log_visibly()
        logging.getLogger("fer").warning("%s: is no video", name)
    finally:
        logging.setLogRecordFactory(before)
    with pytest.raises(SystemExit):
        exit_with_error(f"{name}: is no video\nsecond line", 1)
    printed = capsys.readouterr().err
    assert printed.count("\n") == 2
    for text in (caplog.messages[0], printed.replace("\n", "")):
        assert text.isprintable() and "is no video" in text


def test_other_texts_stay() -> None:
    text = "Größe\t1 🎬\n日本語 “a” – 50 %"
    assert make_visible(text) == text
