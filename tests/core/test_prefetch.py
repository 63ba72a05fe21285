"""Items that are taken several at a time."""

from collections.abc import Iterator

import pytest

from fer.core.prefetch import take_together


def test_items_are_taken_in_groups_and_come_in_order() -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(8):
            taken.append(number)
            yield number

    group = take_together(items(), lambda group: len(group) == 3)
    seen = []
    for item in group:
        seen.append((item, len(taken)))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 6), (4, 6), (5, 6), (6, 8), (7, 8)]


def test_before_an_error_come_the_items_that_were_there() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2)
        raise OSError("no more")

    group = take_together(items(), lambda group: len(group) == 8)
    assert [next(group), next(group)] == [1, 2]
    with pytest.raises(OSError, match="no more"):
        next(group)
