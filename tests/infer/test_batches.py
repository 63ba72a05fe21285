"""Work in batches: in order, full ones wherever possible, and nothing that waits for ever."""

import numpy as np
import pytest

from fer.infer import batches
from fer.infer.batches import compute_in_batches, pad_batch


def test_items_come_in_order_with_their_results_from_full_batches() -> None:
    counts, sizes = [0, 3, 0, 1, 7, 0, 0, 2, 0], []
    numbers = iter(range(100))
    items = [(name, [next(numbers) for _ in range(count)]) for name, count in enumerate(counts)]

    def square(inputs: list[int]) -> np.ndarray:
        sizes.append(len(inputs))
        return np.array([[value, value**2] for value in inputs]).reshape(-1, 2)

    found = list(compute_in_batches(items, square, 4))
    assert [name for name, _ in found] == list(range(len(counts)))
    for (_, results), (_, inputs) in zip(found, items, strict=True):
        assert results.tolist() == [[value, value**2] for value in inputs]
    # Nothing is computed twice; the last ones do not fill a batch.
    assert [size for size in sizes if size] == [4, 4, 4, 1]


def test_a_long_stretch_without_inputs_does_not_keep_items_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MAX_PENDING_ITEMS", 5)
    taken = []

    def iter_items():  # type: ignore[no-untyped-def]
        for name in range(20):
            taken.append(name)
            yield name, [name] if name == 2 else []

    found = compute_in_batches(iter_items(), lambda inputs: np.array(inputs), 4)
    waited = []
    for name, results in found:
        assert results.tolist() == ([2] if name == 2 else [])
        waited.append(len(taken) - name)
    assert max(waited) == 5 and waited[0] == 1


@pytest.mark.parametrize(("count", "padded"), [(1, 4), (4, 4), (5, 8)])
def test_the_last_batch_is_filled_up_by_its_last_input(count: int, padded: int) -> None:
    assert pad_batch(list(range(count)), 4) == [*range(count), *[count - 1] * (padded - count)]
