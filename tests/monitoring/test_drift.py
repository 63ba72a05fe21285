"""Population stability indices, their limits, and what a baseline keeps."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer.emotions import EMOTIONS
from fer.errors import DataError, ModelError
from fer.metrics.bootstrap import RESAMPLES, TrackSegments
from fer.monitoring.drift import (
    CONSTANT,
    QUANTITIES,
    TOO_ALIKE,
    TOO_FEW,
    assign_bins,
    build_baseline,
    compute_bin_edges,
    compute_drift,
    compute_limits,
    compute_psi,
    read_baseline,
)
from tests.helpers.batches import batch


def test_the_index_is_the_textbooks_with_half_a_count_in_each_bin() -> None:
    counts, expected = np.array([30.0, 0.0, 10.0]), np.array([50.0, 50.0, 0.0])
    p = [30.5 / 41.5, 0.5 / 41.5, 10.5 / 41.5]
    q = [50.5 / 101.5, 50.5 / 101.5, 0.5 / 101.5]
    by_hand = sum((a - b) * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert compute_psi(counts, expected) == pytest.approx(by_hand)
    # With many counts the correction no longer matters.
    exact = (0.8 - 0.5) * math.log(0.8 / 0.5) + (0.2 - 0.5) * math.log(0.2 / 0.5)
    assert compute_psi(np.array([8e6, 2e6]), np.array([5e6, 5e6])) == pytest.approx(exact, rel=1e-5)
    assert compute_psi(np.array([7.0, 7.0]), np.array([7.0, 7.0])) == 0


def test_bins_are_deciles_and_a_frequent_value_has_its_own() -> None:
    values = np.random.default_rng(0).normal(size=5000)
    edges = compute_bin_edges(values)
    assert len(edges) == 9
    np.testing.assert_allclose(np.bincount(assign_bins(values, edges)) / 5000, 0.1, atol=0.001)
    constant = compute_bin_edges(np.full(100, 48.0))
    assert assign_bins(np.array([47.9, 48.0, 48.1]), constant).tolist() == [0, 1, 2]
    # Edges keep their meaning when they have been written as JSON.
    assert json.loads(json.dumps(constant)) == constant
    mixed = np.concatenate([np.full(600, 1.0), np.linspace(1.5, 2, 400)])
    shares = np.bincount(assign_bins(mixed, compute_bin_edges(mixed))) / 1000
    assert shares[:2].tolist() == [0.0, 0.6] and np.allclose(shares[2:], 0.1)


def test_a_batch_like_the_baseline_shows_no_drift_and_a_darker_one_does() -> None:
    baseline = build_baseline(batch(seed=1, faces=200), EMOTIONS)
    same = compute_drift(batch(seed=2), baseline, 100)
    assert list(same) == list(QUANTITIES)
    for own in same.values():
        assert own["psi"] < 0.1 and own["low"] == 0 and own["high"] < 0.15 and own["note"] is None
        assert (own["faces"], own["baseline"]) == (600, 2000)
        assert sum(own["shares"]) == pytest.approx(1) and sum(own["baseline_shares"]) == pytest.approx(1)
    darker = compute_drift(batch(seed=2, darker=0.1), baseline, 100)
    assert 0.25 < darker["brightness"]["low"] < darker["brightness"]["psi"] < darker["brightness"]["high"]
    assert darker["brightness"]["mean"] == pytest.approx(0.4, abs=0.02)
    assert darker["brightness"]["baseline_mean"] == pytest.approx(0.5, abs=0.02)
    for name in ("sharpness", "face_size", "confidence", "emotion"):
        assert darker[name] == same[name]


def test_classes_that_were_never_predicted_before_drift_and_stay_finite() -> None:
    baseline = build_baseline(batch(emotion="neutral"), EMOTIONS)
    found = compute_drift(batch(emotion="anger"), baseline, 100)["emotion"]
    assert found["note"] is None  # of classes, even a single one shows what is ordinary
    assert 5 < found["low"] <= found["psi"] < 20
    assert found["shares"][EMOTIONS.index("anger")] == 1


def test_without_a_verdict_the_reason_is_given() -> None:
    baseline = build_baseline(batch(face_w=48.0, face_h=48.0), EMOTIONS)
    few = compute_drift(batch(videos=3, faces=33), baseline, 100)
    assert {own["note"] for own in few.values()} == {TOO_FEW}
    assert all(own["psi"] is own["low"] is own["high"] is None for own in few.values())
    alike = compute_drift(batch(videos=1, faces=120).assign(time_s=0.1), baseline, 100)
    assert alike["brightness"]["note"] == TOO_ALIKE
    assert alike["brightness"]["psi"] is not None and alike["brightness"]["low"] is None
    sizes = compute_drift(batch(), baseline, 100)["face_size"]
    assert sizes["note"] == CONSTANT and sizes["psi"] > 1
    assert sizes["shares"] == [0.0, 0.0, 1.0]
    nothing = compute_drift(batch().iloc[:0], baseline, 1)
    assert {own["note"] for own in nothing.values()} == {TOO_FEW}
    json.dumps(nothing, allow_nan=False)


def test_limits_are_wider_where_the_faces_of_a_video_are_alike() -> None:
    baseline = build_baseline(batch(seed=1, faces=200), EMOTIONS)
    apart = batch(videos=10, faces=60, seed=3)
    alike = apart.assign(brightness=np.repeat(np.random.default_rng(3).normal(0.5, 0.1, 10), 60))
    wide, narrow = (compute_drift(table, baseline, 100)["brightness"] for table in (alike, apart))
    assert wide["high"] - wide["psi"] > 5 * (narrow["high"] - narrow["psi"])
    # Ten videos whose light varies as the baseline's does: far in the index, yet no more than chance.
    assert wide["psi"] > 0.25 and wide["low"] < 0.25


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, 0.3, 0.6])
def test_the_lower_limit_is_seldom_above_the_truth(shift: float) -> None:
    """30 batches each of 20 videos of faces that are alike; 2.5 % is what the limit promises."""
    random = np.random.default_rng(7)
    ordinary = random.normal(size=4000)
    edges = compute_bin_edges(ordinary)
    expected = np.bincount(assign_bins(ordinary, edges)).astype(float)
    truth = compute_psi(1e4 * np.bincount(assign_bins(random.normal(shift, 1, 400_000), edges)), 1e4 * expected)
    above = 0
    for _ in range(30):
        values = shift + np.repeat(random.normal(0, 0.55, 20), 50) + random.normal(0, 0.835, 1000)
        faces = pd.DataFrame({"video": np.repeat(np.arange(20), 50), "track_id": 0, "time_s": np.tile(range(50), 20)})
        stretches = TrackSegments.from_faces(faces)
        counts = stretches.count_codes(assign_bins(values, edges), len(expected))
        psi = float(compute_psi(counts.sum(axis=0), expected))
        low, high = compute_limits(psi, compute_psi(stretches.resample_sums(counts), expected))
        assert 0 <= low <= psi <= high
        above += low > truth
    assert above <= 3


def test_what_is_drawn_are_videos_and_stretches_of_five_seconds_in_them() -> None:
    faces = pd.DataFrame(
        {
            "video": ["b", "a", "a", "a", "a", "c"],
            "track_id": pd.array([0, 1, 1, 1, 2, None], "Int64"),
            "time_s": [0.0, 0.0, 4.9, 5.0, 0.0, 0.0],
        }
    )
    stretches = TrackSegments.from_faces(faces)
    assert stretches.segment_videos.tolist() == [0, 0, 0, 1, 2]
    assert stretches.row_segments.tolist() == [3, 0, 0, 1, 2, 4]
    counts = stretches.count_codes(np.array([1, 0, 0, 0, -1, 2]), 3)
    assert counts.tolist() == [[2, 0, 0], [1, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]]
    drawn = stretches.resample_sums(counts)
    assert drawn.shape == (RESAMPLES, 3)
    np.testing.assert_array_equal(drawn, stretches.resample_sums(counts))
    # Each video comes once in the mean; b and c are drawn three times in one sample of 27.
    np.testing.assert_allclose(drawn.mean(axis=0), [3, 1, 1], atol=0.1)
    assert drawn[:, 1].max() == drawn[:, 2].max() == 3
    assert (drawn[:, 1] == 3).mean() == pytest.approx(1 / 27, abs=0.015)


def test_a_table_that_is_no_baseline_is_refused() -> None:
    with pytest.raises(DataError, match=r"lacks sharpness, face_w; it must be one that infer\.py wrote"):
        build_baseline(batch().drop(columns=["sharpness", "face_w"]), EMOTIONS)
    with pytest.raises(DataError, match="has no classified face"):
        build_baseline(batch(emotion=None), EMOTIONS)
    with pytest.raises(DataError, match="emotions that the model does not know: contempt"):
        build_baseline(batch(emotion="contempt"), EMOTIONS)


def test_a_baseline_comes_back_from_its_file_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    baseline = build_baseline(batch(), EMOTIONS)
    path.write_text(json.dumps(baseline))
    assert read_baseline(path) == baseline
    damaged = json.loads(path.read_text())
    damaged["numbers"]["brightness"]["edges"].pop()
    for text, reason in [
        ("{}", "faces: Field required"),
        ("no JSON", "Invalid JSON"),
        (json.dumps({**baseline, "numbers": {}}), "it must hold brightness"),
        (json.dumps(damaged), "the bins of brightness do not fit together"),
    ]:
        path.write_text(text)
        with pytest.raises(ModelError, match=r"baseline\.json: is no baseline") as raised:
            read_baseline(path)
        assert reason in str(raised.value) and "\n" not in str(raised.value)
    with pytest.raises(ModelError, match="No such file"):
        read_baseline(tmp_path / "missing.json")
