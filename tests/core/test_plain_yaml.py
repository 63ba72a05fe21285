"""Text that libyaml parses gives what PyYAML's own parser gives; all other text is left to that one."""

import random
from pathlib import Path

import pytest
import yaml

from fer.config.compose import load_overrides
from fer.core import documents
from fer.core.documents import DocumentError, parse_yaml
from fer.core.plain_yaml import is_plain_yaml, parse_plain_yaml
from fer.runs.run_directory import HEADER

LINES = (
    *("a:", "a: 1", "b: x", "c.d-e: 0x1F", "- a: 1", "- b", "- ''", "a: []", "a: {}", "a: 'b: c'", "a: yes", "a: -1"),
    *("a: 1_000", "a: 1e5", "a: 1.5e+3", "a: .inf", "a: 2026-01-02", "a: 2026-01-02 10", "a: null", "a: 07", "# b"),
    *("a: x y ", "- - b", "yes: no", "a: 0o7", "a: +.5", "a: ...", "- ---", "a: - b", "a: '- b'", "null: a"),
)


def parse_slowly(text: str) -> object:
    """What PyYAML's own parser makes of it; the kind of error where it is none."""
    try:
        return yaml.load(text, Loader=documents._BoundedLoader)
    except Exception:
        return "no YAML"


def test_both_parsers_read_plain_text_alike() -> None:
    rng, tried = random.Random(0), 0
    for _ in range(4000):
        lines = [" " * rng.choice((0, 0, 2, 4)) + rng.choice(LINES) for _ in range(rng.randint(1, 6))]
        text = "\n".join(lines) + rng.choice(("", "\n"))
        if not is_plain_yaml(text):
            continue
        try:
            content = parse_plain_yaml(text)
        except Exception:
            continue
        tried += 1
        # repr tells 1 from 1.0 and true.
        assert repr(content) == repr(parse_slowly(text)), text
    assert tried > 200


def test_a_saved_configuration_is_plain() -> None:
    text = HEADER.format(command="python train.py") + yaml.safe_dump(load_overrides([]).dump(), sort_keys=False)
    assert is_plain_yaml(text)
    assert parse_yaml(text) == parse_slowly(text)


@pytest.mark.parametrize(
    "text",
    ["a: &b 1", "a: *b", "a: !!python/none", "a: |\n  b", "a: {b: 1}", "a: [1]", "---\na: 1", "a: 1\n...", "a: ü"]
    + ["a: 1:30", "<<: a", "? a", 'a: "b"', "a: b # c", "\ta: 1", "%YAML 1.1", "a:  1" + "0" * 100, "a: 1\n" * 1501]
    + [" " * 25 + "a: 1", "- - a", "a: 'it''s'", "a: 1\r", "= : a", "a"],
)
def test_all_else_is_left_to_the_parser_with_bounds(text: str) -> None:
    assert not is_plain_yaml(text)


def test_what_is_wrong_with_plain_text_is_said_as_of_any_text(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="mapping values are not allowed here"):
        parse_yaml("a: b\n  c: d\n")
    with pytest.raises(DocumentError, match="month must be in"):
        parse_yaml("a: 2026-13-01\n")
    with pytest.raises(DocumentError, match="an integer of 300 bits"):
        parse_yaml(f"a: {1 << 299}\n")
