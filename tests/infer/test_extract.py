"""How extraction divides its work."""

import pytest

from fer.config.compose import load_overrides
from fer.infer.extract import count_detector_threads


@pytest.mark.parametrize(("kind", "threads"), [("haar", [1, 2, 7]), ("yunet", [1, 1, 3]), ("none", [1, 1, 1])])
def test_slow_detectors_get_more_threads(kind: str, threads: list[int]) -> None:
    config = load_overrides([f"extraction={kind}"], "infer").extraction
    assert [count_detector_threads(config, count) for count in (1, 2, 7)] == threads
