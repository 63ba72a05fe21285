"""Corruptions, and what they leave of a classifier's accuracy."""

import numpy as np
import pytest
import torch

from fer.audit.corruptions import CORRUPTIONS, JITTERS, SEVERITIES, Corruption
from fer.audit.robustness import choose_rows, measure_robustness
from fer.synthetic import draw_dataset_face
from tests.helpers.image_data import noise


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    return np.stack([draw_dataset_face(7, number, 64).image for number in range(6)])


def corrupted(corruption: Corruption, level: float, images: np.ndarray, seed: int = 0) -> np.ndarray:
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2)
    result = corruption.apply(tensor, level, torch.Generator().manual_seed(seed))
    assert result.shape == tensor.shape and result.dtype == torch.uint8
    return result.permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("corruption", [*CORRUPTIONS, *JITTERS], ids=lambda corruption: corruption.name)
@pytest.mark.parametrize("gray", [False, True])
def test_each_severity_is_worse_than_the_one_before(corruption: Corruption, gray: bool, faces: np.ndarray) -> None:
    images = faces[..., :1] if gray else faces
    assert len(corruption.levels) == SEVERITIES
    errors = [np.abs(corrupted(corruption, level, images).astype(float) - images).mean() for level in corruption.levels]
    assert errors[0] > 0 and all(after > before for before, after in zip(errors, errors[1:], strict=False))
    before = torch.random.get_rng_state()
    again = corrupted(corruption, corruption.levels[-1], images)
    assert (again == corrupted(corruption, corruption.levels[-1], images)).all()
    assert torch.equal(before, torch.random.get_rng_state())


def by_name(name: str) -> Corruption:
    return next(corruption for corruption in (*CORRUPTIONS, *JITTERS) if corruption.name == name)


def test_levels_are_what_they_are_called(faces: np.ndarray) -> None:
    gray = np.full((2, 100, 100, 1), 100, np.uint8)
    assert (corrupted(by_name("brighter"), 1.5, gray) == 150).all()
    assert (corrupted(by_name("darker"), 0.25, gray) == 25).all()
    noisy = corrupted(by_name("gaussian_noise"), 0.08, np.full((4, 100, 100, 1), 128, np.uint8))
    assert noisy.std() == pytest.approx(0.08 * 255, rel=0.03)
    blank = corrupted(by_name("occlusion"), 0.2, gray)
    assert (blank != 100).mean() == pytest.approx(0.2, abs=0.005)
    assert (blank[0] != blank[1]).any()
    # One pixel, blurred with sigma 4: the variance of where its light falls is 16.
    point = np.zeros((1, 100, 100, 1), np.uint8)
    point[0, 50, 50] = 255
    light = corrupted(by_name("gaussian_blur"), 0.04, np.repeat(point, 1, 0)).astype(float)[0, :, :, 0]
    assert light.max() <= 255 / (2 * np.pi * 16) + 1


def test_a_shift_moves_the_crop_by_its_fraction_and_continues_the_edge() -> None:
    image = noise(0, 50)[None, ..., None]
    moved = corrupted(by_name("shift"), 0.1, np.repeat(image, 40, 0))
    ways = {
        "right": np.pad(image[0], ((0, 0), (5, 0), (0, 0)), mode="edge")[:, :50],
        "left": np.pad(image[0], ((0, 0), (0, 5), (0, 0)), mode="edge")[:, 5:],
        "down": np.pad(image[0], ((5, 0), (0, 0), (0, 0)), mode="edge")[:50],
        "up": np.pad(image[0], ((0, 5), (0, 0), (0, 0)), mode="edge")[5:],
    }
    found = [next(name for name, way in ways.items() if (way == one).all()) for one in moved]
    assert set(found) == set(ways)


def test_curves_and_means_against_a_computation_of_its_own() -> None:
    # A classifier of brightness: it fails as soon as pictures become darker or brighter.
    random = np.random.default_rng(0)
    labels = np.array([0] * 30 + [1] * 10)
    images = np.where(labels, 200, 60)[:, None, None, None] + random.integers(-20, 20, (40, 16, 16, 1))
    images = images.astype(np.uint8)

    def predict(batch: np.ndarray) -> np.ndarray:
        assert batch.dtype == np.uint8 and batch.shape[1:] == (16, 16, 1)
        return (batch.mean((1, 2, 3)) > 128).astype(int)

    result = measure_robustness(images, labels, predict, seed=3)
    assert result == measure_robustness(images, labels, predict, seed=3)
    assert result["samples"] == 40 and result["clean"]["accuracy"]["value"] == 1
    assert list(result["corruptions"]) == [corruption.name for corruption in CORRUPTIONS]
    assert list(result["jitter"]) == [corruption.name for corruption in JITTERS]
    darker = result["corruptions"]["darker"]
    assert darker["levels"] == list(by_name("darker").levels)
    for level, accuracy, balanced in zip(
        darker["levels"], darker["accuracy"], darker["balanced_accuracy"], strict=True
    ):
        right = predict((images * level).astype(np.uint8)) == labels
        assert accuracy["value"] == pytest.approx(right.mean())
        assert balanced["value"] == pytest.approx((right[:30].mean() + right[30:].mean()) / 2)
    assert darker["accuracy"][-1]["value"] == 0.75 and darker["balanced_accuracy"][-1]["value"] == 0.5
    assert darker["accuracy"][-1]["low"] == pytest.approx(0.75 - 1.96 * np.sqrt(0.75 * 0.25 / 40), abs=0.03)
    for kind in ("corruptions", "jitter"):
        values = [row["value"] for entry in result[kind].values() for row in entry["accuracy"]]
        assert result[f"mean_{kind}_accuracy"]["value"] == pytest.approx(np.mean(values))
        assert result[f"relative_{kind}_accuracy"]["value"] == pytest.approx(np.mean(values))


def test_a_classifier_that_is_always_wrong_has_no_relative_accuracy() -> None:
    images = np.stack([noise(number, 8) for number in range(3)])[..., None]
    result = measure_robustness(images, np.array([0, 1, 1]), lambda batch: np.full(len(batch), 2), 0)
    assert result["relative_corruptions_accuracy"] == {"value": None, "low": None, "high": None}
    assert result["clean"]["accuracy"]["value"] == 0


def test_rows_are_drawn_by_the_seed() -> None:
    assert choose_rows(5, 10, 0).tolist() == [0, 1, 2, 3, 4]
    one, again, other = choose_rows(1000, 50, 1), choose_rows(1000, 50, 1), choose_rows(1000, 50, 2)
    assert one.tolist() == again.tolist() == sorted(set(one)) and len(one) == 50
    assert one.tolist() != other.tolist()
