"""What the results of a run say beside their figures."""

from fer.train.results import describe_missed_classes


def test_classes_that_are_never_recognised_are_named() -> None:
    def row(samples: int, recall: float) -> dict[str, object]:
        return {"samples": samples, "recall": {"value": recall}}

    val = {"per_class": {"anger": row(3, 0.0), "fear": row(2, 0.5), "disgust": row(0, 0.0), "sadness": row(1, 0.0)}}
    expected = ["No image of anger, sadness is recognised: recall is 0 on the val part."]
    assert describe_missed_classes({"val": val, "test": None}) == expected
    assert describe_missed_classes({"val": val, "test": {"per_class": {"anger": row(3, 0.1)}}}) == []
    assert describe_missed_classes({"val": None, "test": None}) == []
    assert describe_missed_classes({"val": val, "test": None}, "clips")[0].startswith("No clip of anger, sadness is")
