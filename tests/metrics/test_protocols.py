"""What a protocol says of figures, and with which others they may be compared."""

from typing import Any

from fer.emotions import EMOTIONS
from fer.metrics.protocols import ALL_RULES, NO_TEST, PROTOCOLS, describe_protocol


def split(samples: int) -> dict[str, Any]:
    return {"samples": samples, "per_class": {name: {"samples": samples // 7} for name in EMOTIONS}}


def test_the_images_of_each_class_are_named() -> None:
    found = describe_protocol("ferplus7", {"val": split(70), "test": split(3137)}, "ignore")
    assert found["name"] == "ferplus7"
    assert found["images"]["val"] == dict.fromkeys(EMOTIONS, 10)
    assert found["published_test_images"] == 3137
    assert found["comparisons"] == [*PROTOCOLS["ferplus7"].comparisons, ALL_RULES]


def test_another_test_part_is_told() -> None:
    fewer = describe_protocol("rafdb", {"val": None, "test": split(3000)}, "drop")["comparisons"][0]
    assert fewer.startswith("The test part has 3,000 images, the published one 3,068; images that also stand in an")
    more = describe_protocol("rafdb", {"val": None, "test": split(3100)}, "ignore")["comparisons"][0]
    assert more.startswith("The test part has 3,100 images, the published one 3,068: small differences")


def test_images_that_a_list_leaves_out_are_told() -> None:
    found = describe_protocol("ferplus7", {"val": None, "test": split(3100)}, "ignore", excludes=True)
    assert "published one 3,137; dataset.exclude may have left out" in found["comparisons"][0]
    assert "dataset.exclude" not in describe_protocol("ferplus7", {"test": split(3100)}, "drop")["comparisons"][0]


def test_without_a_test_part_nothing_compares() -> None:
    found = describe_protocol("ferplus8", {"val": split(70), "test": None}, "drop")
    assert found["comparisons"][0] == NO_TEST
    assert set(found["images"]) == {"val"}
