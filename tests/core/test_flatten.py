"""Nested dictionaries as one level of joined keys."""

from fer.core.flatten import flatten_dict

TREE = {"a": {"b": 1, "c": [2, {"d": 3}], "e": {}}, "f": None}


def test_leaves_stand_under_their_joined_keys_in_order() -> None:
    assert list(flatten_dict(TREE).items()) == [("a.b", 1), ("a.c", [2, {"d": 3}]), ("f", None)]
    assert list(flatten_dict(TREE, "/")) == ["a/b", "a/c", "f"]


def test_an_empty_dictionary_is_a_value_on_demand() -> None:
    assert flatten_dict(TREE, keep_empty=True)["a.e"] == {}


def test_items_of_lists_are_leaves_on_demand() -> None:
    assert list(flatten_dict(TREE, expand_lists=True).items()) == [
        ("a.b", 1),
        ("a.c[0]", 2),
        ("a.c[1].d", 3),
        ("f", None),
    ]


def test_no_nesting_is_too_deep() -> None:
    tree: dict[str, object] = {"leaf": 1}
    for _ in range(5000):
        tree = {"n": tree}
    assert list(flatten_dict(tree).values()) == [1]
