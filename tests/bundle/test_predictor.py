"""The predictor: pictures of any size and colour in, probabilities out, the same in any company."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from fer.bundle.io import FaceFormat, load_bundle
from fer.emotions import EMOTIONS
from fer.errors import ModelError
from fer.metrics.calibration import compute_probabilities
from fer.models.network import FaceNetwork, predict_logits
from fer.serving import Predictor
from tests.helpers.networks import faces, lively
from tests.helpers.served_runs import mixed, run_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gray(runs: dict[str, Path]) -> Predictor:
    return Predictor.load(str(runs["gray"]))


@pytest.fixture(scope="module")
def colour(runs: dict[str, Path]) -> Predictor:
    return Predictor.load(str(runs["colour"]))


def test_a_run_and_its_bundle_predict_the_same(runs: dict[str, Path], gray: Predictor) -> None:
    pictures = mixed()
    again = Predictor.load(str(runs["gray"] / "bundle"))
    np.testing.assert_array_equal(gray.predict(pictures), again.predict(pictures))
    assert gray.classes == EMOTIONS


def test_probabilities_are_float32_rows_that_sum_to_1(gray: Predictor, colour: Predictor) -> None:
    pictures = mixed()
    for predictor in (gray, colour):
        found = predictor.predict(pictures)
        assert found.shape == (len(pictures), 7)
        assert found.dtype == np.float32
        assert found.min() >= 0
        np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
        assert np.ptp(found, axis=0).max() > 0.2


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_no_answer_depends_on_the_batch(size: int, gray: Predictor, colour: Predictor) -> None:
    pictures = mixed()
    for predictor in (gray, colour):
        expected = np.concatenate([predictor.predict([picture]) for picture in pictures])
        np.testing.assert_allclose(predictor.predict(pictures, batch_size=size), expected, atol=1e-5)
        backwards = predictor.predict(pictures[::-1], batch_size=size)[::-1]
        np.testing.assert_allclose(backwards, expected, atol=1e-5)


def test_native_faces_are_judged_as_in_training(gray: Predictor, colour: Predictor) -> None:
    """At the native size and colour nothing happens before the network, and the temperature is the bundle's."""
    for predictor, native in ((gray, faces(6, 48, 1)), (colour, faces(6, 64, 3))):
        network = load_bundle(str(predictor.description.folder)).network
        logits = predict_logits(network, native, np.arange(6))
        np.testing.assert_allclose(predictor.predict(list(native)), compute_probabilities(logits, 1.5), atol=1e-6)
        assert np.abs(predictor.predict(list(native)) - compute_probabilities(logits, 1.0)).max() > 0.02


def test_a_sharp_colour_crop_is_first_brought_to_the_training_faces(gray: Predictor) -> None:
    for height, width in ((200, 200), (320, 256), (61, 97)):
        crop = faces(1, 320, 3, height)[0][:height, :width]
        by_hand = cv2.resize(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (48, 48), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(gray.predict([crop]), gray.predict([by_hand]))


def test_colour_is_kept_where_training_had_colour(colour: Predictor) -> None:
    crop = faces(1, 200, 3, 4)[0]
    by_hand = cv2.resize(crop, (64, 64), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(colour.predict([crop]), colour.predict([by_hand]))
    assert np.abs(colour.predict([crop]) - colour.predict([crop[..., ::-1]])).max() > 0.01
    flat = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    np.testing.assert_array_equal(colour.predict([flat]), colour.predict([np.stack([flat] * 3, axis=2)]))


def test_small_pictures_are_enlarged(gray: Predictor) -> None:
    small = faces(1, 32, 1)[0, ..., 0]
    by_hand = cv2.resize(small, (48, 48), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(gray.predict([small]), gray.predict([by_hand]))


def test_views_and_arrays_of_pictures_are_taken(gray: Predictor) -> None:
    stack = faces(4, 64, 3)
    expected = gray.predict([np.ascontiguousarray(image[:, ::-1]) for image in stack])
    np.testing.assert_array_equal(gray.predict([image[:, ::-1] for image in stack]), expected)
    np.testing.assert_array_equal(gray.predict(stack[:, :, ::-1]), expected)


def test_pictures_are_left_as_they_are(gray: Predictor) -> None:
    pictures = mixed()
    before = [picture.copy() for picture in pictures]
    gray.predict(pictures)
    assert all(np.array_equal(picture, copy) for picture, copy in zip(pictures, before, strict=True))


def test_no_pictures_give_no_rows(gray: Predictor) -> None:
    found = gray.predict([])
    assert found.shape == (0, 7)
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("wrong", "described"),
    [
        (np.zeros((48, 48), np.float32), "(48, 48) float32"),
        (np.zeros((48, 48, 3), np.int64), "(48, 48, 3) int64"),
        (np.zeros((48, 48, 4), np.uint8), "(48, 48, 4) uint8"),
        (np.zeros((3, 48, 48), np.uint8), "(3, 48, 48) uint8"),
        (np.zeros((1, 48, 48, 3), np.uint8), "(1, 48, 48, 3) uint8"),
        (np.zeros(48, np.uint8), "(48,) uint8"),
        (np.zeros((0, 48), np.uint8), "(0, 48) uint8"),
        (np.zeros((48, 0, 3), np.uint8), "(48, 0, 3) uint8"),
        (None, "() object"),
    ],
)
def test_what_is_no_picture_is_refused(wrong: np.ndarray, described: str, gray: Predictor) -> None:
    with pytest.raises(ValueError, match="^picture 1: ") as raised:
        gray.predict([np.zeros((48, 48), np.uint8), wrong])
    assert str(raised.value) == (
        f"picture 1: expected (H, W) or (H, W, 3) uint8, not {described}; convert it (RGB, 0 to 255) beforehand"
    )


def test_a_place_without_a_model_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="neither a run directory with a bundle nor a bundle directory$"):
        Predictor.load(str(tmp_path))


def test_flip_is_the_mean_with_the_mirror_image(gray: Predictor, colour: Predictor) -> None:
    pictures = mixed()
    for predictor in (gray, colour):
        found = predictor.predict(pictures, flip=True)
        mirrored = predictor.predict([np.ascontiguousarray(picture[:, ::-1]) for picture in pictures])
        np.testing.assert_allclose(found, (predictor.predict(pictures) + mirrored) / 2, atol=5e-3)
        assert np.abs(found - predictor.predict(pictures)).max() > 0.05
        np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
        assert found.dtype == np.float32


def test_flip_of_native_faces_is_exact(gray: Predictor) -> None:
    native = faces(6, 48, 1)
    expected = (gray.predict(native) + gray.predict(native[:, :, ::-1])) / 2
    np.testing.assert_array_equal(gray.predict(native, flip=True), expected)
    np.testing.assert_allclose(gray.predict(native[:, :, ::-1], flip=True), expected, atol=1e-7)


def test_a_network_that_takes_the_mean_itself_is_not_asked_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = lively(FaceNetwork("test_resnet", 7, 64, 0.0, flip=True))
    predictor = Predictor.load(str(run_of(tmp_path, network, FaceFormat(48, False))))
    native = faces(3, 48, 1)
    mirrored = predictor.predict(native[:, :, ::-1])
    calls: list[int] = []
    compute = predictor.network.compute_outputs
    monkeypatch.setattr(
        predictor.network, "compute_outputs", lambda images, size: calls.append(len(images)) or compute(images, size)
    )
    np.testing.assert_allclose(predictor.predict(native, flip=True), mirrored, atol=1e-5)
    assert calls == [3]


def test_what_is_no_number_names_no_emotion(tmp_path: Path) -> None:
    network = lively(FaceNetwork("test_resnet", 7, 64, 0.0))
    with torch.no_grad():
        network.body.get_classifier().bias[3] = float("nan")
    run = str(run_of(tmp_path, network, FaceFormat(48, False)))
    said = r"gives no numbers as answers \(NaN\); its weights are damaged, or half"
    with pytest.raises(ModelError, match=said):
        Predictor.load(run, runtime="torch").predict(list(faces(2, 48, 1)))
    with pytest.raises(ModelError, match=said):
        Predictor.load(run, runtime="onnx")
