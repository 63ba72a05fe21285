"""Near pairs against every pair compared, and groups of the same picture."""

import numpy as np
import pandas as pd
import pytest

from fer.data.duplicates import find_near_pairs, group_duplicates


def flipped(value: int, bits: list[int]) -> int:
    for bit in bits:
        value ^= 1 << bit
    return value


def planted(seed: int) -> np.ndarray:
    """150 random hashes, and neighbours of the first forty at known distances 0 to 10, spread over all bits."""
    rng = np.random.default_rng(seed)
    hashes = [int(value) for value in rng.integers(0, 2**64, 150, dtype=np.uint64)]
    near = [
        flipped(hashes[number], rng.choice(64, number % 11, replace=False).tolist()) for number in range(40)
    ]  # choice without replacement: the distance is exactly number % 11
    return np.array(hashes + near, dtype=np.uint64)


def every_pair(hashes: np.ndarray, bits: int) -> set[tuple[int, int]]:
    numbers = [int(value) for value in hashes]
    return {
        (a, b)
        for a in range(len(numbers))
        for b in range(a + 1, len(numbers))
        if (numbers[a] ^ numbers[b]).bit_count() <= bits
    }


@pytest.mark.parametrize("bits", range(9))
def test_near_pairs_are_those_of_a_comparison_of_every_pair(bits: int) -> None:
    for seed in (0, 1):
        hashes = planted(seed)
        found = find_near_pairs(hashes, bits)
        expected = every_pair(hashes, bits)
        assert {(min(pair), max(pair)) for pair in found.tolist()} == expected
        assert len(expected) >= sum(number % 11 <= bits for number in range(40))
        assert (found[:, 0] != found[:, 1]).all()


@pytest.mark.parametrize("bits", [0, 1, 4, 8])
def test_differences_at_the_borders_of_the_bands_are_found(bits: int) -> None:
    for bit in range(64 - bits):
        hashes = np.array([0, flipped(0, list(range(bit, bit + bits)))], dtype=np.uint64)
        assert len(find_near_pairs(hashes, bits)) >= 1
        if bits:
            assert len(find_near_pairs(hashes, bits - 1)) == 0


def test_near_pairs_of_nothing_and_of_one() -> None:
    for count in (0, 1):
        assert find_near_pairs(np.arange(count, dtype=np.uint64), 4).shape == (0, 2)


def index_of(rows: list[tuple[str, int | None]]) -> pd.DataFrame:
    """(content hash, perceptual hash) rows; None is an unreadable image."""
    return pd.DataFrame(
        [(content, "" if hashed is None else f"{hashed:016x}") for content, hashed in rows],
        columns=["content_hash", "perceptual_hash"],
    )


def groups_of(rows: list[tuple[str, int | None]], bits: int) -> list[set[int]]:
    groups = group_duplicates(index_of(rows), bits)
    assert len(groups) == len(rows)
    return sorted((set(np.flatnonzero(groups == group).tolist()) for group in set(groups.tolist())), key=min)


def test_a_third_picture_joins_two_that_differ_too_much() -> None:
    far = 0xFFFF_0000_FFFF_0000
    rows = [("a", 0b0000), ("b", far), ("c", 0b0011), ("d", 0b1111)]  # a and d differ in four bits
    assert groups_of(rows, 2) == [{0, 2, 3}, {1}]
    assert groups_of([rows[0], rows[1], rows[3]], 2) == [{0}, {1}, {2}]
    # Equal pixels join as well, whatever else one of the two resembles.
    assert groups_of([("a", 0), ("b", 1), ("b", 0xFF00)], 1) == [{0, 1, 2}]


def test_minus_one_compares_pixels_only() -> None:
    rows = [("a", 7), ("b", 7), ("a", 7), ("c", 6)]
    assert groups_of(rows, -1) == [{0, 2}, {1}, {3}]
    assert groups_of(rows, 0) == [{0, 1, 2}, {3}]
    assert groups_of(rows, 1) == [{0, 1, 2, 3}]


@pytest.mark.parametrize("bits", [-1, 0, 8])
def test_unreadable_images_are_alone(bits: int) -> None:
    rows: list[tuple[str, int | None]] = [("", None), ("a", 0), ("", None), ("a", 0), ("", None)]
    assert groups_of(rows, bits) == [{0}, {1, 3}, {2}, {4}]
    assert groups_of([("", None)] * 3, bits) == [{0}, {1}, {2}]
    assert groups_of([], bits) == []


def test_groups_are_the_connected_components_of_all_links() -> None:
    rng = np.random.default_rng(7)
    hashes = planted(2)
    contents = [f"{number}" for number in rng.integers(0, 150, len(hashes))]
    groups = group_duplicates(index_of(list(zip(contents, hashes.tolist(), strict=True))), 5)
    links = every_pair(hashes, 5)
    links |= {(a, b) for a in range(len(contents)) for b in range(a) if contents[a] == contents[b]}
    part = list(range(len(hashes)))
    for _ in range(len(part)):  # labels flow along the links until nothing changes
        before = part.copy()
        for a, b in links:
            part[a] = part[b] = min(part[a], part[b])
        if part == before:
            break
    assert 1 < len(set(part)) < len(part)
    assert pd.factorize(groups)[0].tolist() == pd.factorize(np.array(part))[0].tolist()
