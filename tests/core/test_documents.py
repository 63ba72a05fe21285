"""YAML and JSON from outside: plain data within bounds, and a sentence for everything else."""

import pytest

from fer.core.documents import DocumentError, parse_json, parse_yaml, parse_yaml_texts

LAUGHS = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "\n".join(
    f"{two}: &{two} [{', '.join([f'*{one}'] * 10)}]" for one, two in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE_YAML = {
    "aliases": LAUGHS,
    "merged aliases": "a: &a {x: 1}\n"
    + "\n".join(f"{b}: &{b} {{<<: [{', '.join([f'*{a}'] * 10)}]}}" for a, b in zip("abcdef", "bcdefg", strict=True)),
    "aliases of aliases": "a0: &a0 [1]\n" + "\n".join(f"a{n + 1}: &a{n + 1} [*a{n}]" for n in range(900)),
    "itself": "a: &a [*a]",
    "brackets": "[" * 100_000,
    "braces": "{a: " * 10_000,
    "dashes": "- " * 10_000,
    "question marks": "? " * 10_000,
    "values": "[" + "1, " * 6000 + "1]",
    "size": "a: " + "x" * 200_000,
    "base 60": "a: 1" + ":59" * 30_000,
    "hexadecimal": "a: 0x" + "f" * 90,
    "no date": "a: 2001-99-99",
    "Python": "a: !!python/object/apply:os.getcwd []",
    "tag": "!unknown x",
    "a list as key": "? [a]\n: 1",
    "control character": "a: \0",
    "unfinished": "a: [1",
}


@pytest.mark.parametrize("kind", HOSTILE_YAML)
def test_hostile_yaml_is_a_sentence(kind: str) -> None:
    with pytest.raises(DocumentError) as raised:
        parse_yaml(HOSTILE_YAML[kind])
    assert "\n" not in str(raised.value) and len(str(raised.value)) <= 200


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "[" * 100 + "]" * 100, "1" * 5000, "1" * 50, "[" + "[]," * 1_000_000 + "1]", "{", "", "x" * 10],
)
def test_hostile_json_is_a_sentence(text: str) -> None:
    with pytest.raises(DocumentError):
        parse_json(text)


@pytest.mark.parametrize("kind", sorted({*HOSTILE_YAML} - {"values", "size", "base 60", "hexadecimal", "no date"}))
def test_hostile_yaml_of_names_is_a_sentence(kind: str) -> None:
    with pytest.raises(DocumentError) as raised:
        parse_yaml_texts(HOSTILE_YAML[kind])
    assert "\n" not in str(raised.value) and len(str(raised.value)) <= 200


def test_names_stay_as_they_are_written_and_stand_once() -> None:
    text = "\ufeff010: [no, 1:30, 2026-01-02, 1.0, 1_000, 'null', '']\nb: ~\nc:\nd: &d {e: 1e3}\nf: {<<: *d, g: on}\n"
    assert parse_yaml_texts(text) == {
        "010": ["no", "1:30", "2026-01-02", "1.0", "1_000", "null", ""],
        "b": None,
        "c": None,
        "d": {"e": "1e3"},
        "f": {"e": "1e3", "g": "on"},
    }
    with pytest.raises(DocumentError, match="the key 'p1' stands twice, in lines 2 and 4"):
        parse_yaml_texts("people:\n  p1: a\n  p2: b\n  'p1': c\n")


def test_what_people_write_is_read() -> None:
    text = "base: &base {a: 1, b: [x, 1.5, null, true]}\nother: {<<: *base, c: '=1'}\n"
    assert parse_yaml(text) == {
        "base": {"a": 1, "b": ["x", 1.5, None, True]},
        "other": {"a": 1, "b": ["x", 1.5, None, True], "c": "=1"},
    }
    assert parse_json('{"a": [1, -2.5e3, "[[[", null]}') == {"a": [1, -2500.0, "[[[", None]}


def test_what_is_read_twice_is_nobody_elses() -> None:
    first = parse_yaml("a: [1, 2]\n")
    first["a"].append(3)
    assert parse_yaml("a: [1, 2]\n") == {"a": [1, 2]}
