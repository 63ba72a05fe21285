"""What leaves a run: saved and loaded unchanged, and refused when it was changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from fer.bundle.io import FaceFormat, build_description, load_bundle, save_bundle
from fer.bundle.onnx_backend import OnnxNetwork
from fer.core.io import compute_sha256
from fer.emotions import EMOTIONS
from fer.errors import ModelError
from fer.models.network import FaceNetwork, predict_logits
from tests.helpers.networks import SMALL, faces, lively

FACTS = {"metrics": {"val": None, "test": None}, "data_fingerprint": "f" * 64, "config_sha256": "c" * 64}


@pytest.fixture
def run(network: FaceNetwork, tmp_path: Path) -> Path:
    """A run directory with a bundle."""
    save_bundle(tmp_path / "bundle", network, build_description(network, EMOTIONS, FaceFormat(64, False), 1.25, FACTS))
    return tmp_path


def test_a_loaded_bundle_predicts_what_was_saved(run: Path, network: FaceNetwork) -> None:
    images, rows = faces(5, 64, 1), np.arange(5)
    expected = predict_logits(network, images, rows)
    assert np.ptp(expected, axis=0).min() > 0.1
    for place in (run, run / "bundle"):
        bundle = load_bundle(str(place))
        assert not any(module.training for module in bundle.network.modules())
        np.testing.assert_array_equal(predict_logits(bundle.network, images, rows), expected)
        assert bundle.description.classes == EMOTIONS
        assert bundle.description.faces == FaceFormat(64, False)
        assert bundle.description.temperature == 1.25
        assert (bundle.network.name, bundle.network.image_size) == (SMALL, 48)


def test_another_normalisation_is_kept(tmp_path: Path) -> None:
    other = lively(FaceNetwork(SMALL, 8, 32, 0.5))
    other.set_normalisation([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
    classes = (*EMOTIONS, "contempt")
    save_bundle(tmp_path, other, build_description(other, classes, FaceFormat(32, True), 0.8, FACTS))
    loaded = load_bundle(str(tmp_path))
    assert loaded.description.classes == classes
    assert torch.equal(loaded.network.mean, other.mean)
    assert torch.equal(loaded.network.std, other.std)
    images = faces(2, 32)
    np.testing.assert_array_equal(
        predict_logits(loaded.network, images, np.arange(2)), predict_logits(other, images, np.arange(2))
    )


def test_the_description_is_plain_and_reads_well(run: Path, network: FaceNetwork) -> None:
    text = (run / "bundle" / "bundle.yaml").read_text(encoding="utf-8")
    assert "!!" not in text
    content = yaml.safe_load(text)
    assert list(content) == [
        *("format", "architecture", "classes", "image_size", "normalisation", "faces", "temperature"),
        *("metrics", "data_fingerprint", "config_sha256", "weights_sha256"),
    ]
    # As the architecture states them, not 0.48500001430511475.
    assert content["normalisation"] == {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    assert "0.485\n" in text
    assert content["faces"] == {"side": 64, "colour": False}
    assert content["classes"] == list(EMOTIONS)
    assert content["weights_sha256"] == compute_sha256(run / "bundle" / "weights.safetensors")


def test_a_temperature_of_numpy_is_written_as_a_number(network: FaceNetwork, tmp_path: Path) -> None:
    save_bundle(tmp_path, network, build_description(network, EMOTIONS, FaceFormat(48, True), np.float64(1.1), FACTS))  # type: ignore[arg-type]
    assert load_bundle(str(tmp_path)).description.temperature == 1.1


def test_saving_twice_gives_the_same_bytes(network: FaceNetwork, tmp_path: Path) -> None:
    description = build_description(network, EMOTIONS, FaceFormat(64, False), 1.25, FACTS)
    digests = [save_bundle(tmp_path / name, network, description) for name in ("a", "b")]
    assert digests[0] == digests[1]
    assert (tmp_path / "a" / "bundle.yaml").read_bytes() == (tmp_path / "b" / "bundle.yaml").read_bytes()
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"weights.safetensors", "bundle.yaml"}


def refusal(place: Path) -> str:
    with pytest.raises(ModelError) as raised:
        load_bundle(str(place))
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_changed_weights_are_refused(run: Path) -> None:
    weights = run / "bundle" / "weights.safetensors"
    state = load_file(weights)
    state["classifier.bias"] += 1e-3
    save_file(state, weights)
    assert refusal(run) == f"{weights}: is not the file that bundle.yaml describes; restore the bundle"


def test_missing_weights_are_named(run: Path) -> None:
    (run / "bundle" / "weights.safetensors").unlink()
    message = refusal(run)
    assert message.startswith(f"{run / 'bundle' / 'weights.safetensors'}: cannot be loaded (")
    assert "No such file or directory" in message


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_weights_that_are_none_are_refused_even_with_their_hash(
    content: bytes | None, run: Path, network: FaceNetwork
) -> None:
    weights, text = run / "bundle" / "weights.safetensors", run / "bundle" / "bundle.yaml"
    if content is None:
        save_file({"classifier.weight": torch.zeros(7, 3)}, weights)
    else:
        weights.write_bytes(content)
    described = yaml.safe_load(text.read_text())
    text.write_text(yaml.safe_dump({**described, "weights_sha256": compute_sha256(weights)}))
    assert refusal(run).startswith(f"{weights}: cannot be loaded (")


def test_a_directory_without_a_bundle_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"model_uri={tmp_path}: neither a run directory with a bundle nor a bundle directory"
    nowhere = tmp_path / "nowhere"
    assert refusal(nowhere) == f"model_uri={nowhere}: there is no such directory, so no bundle in it"


def without(key: str) -> Callable[[dict[str, Any]], Any]:
    return lambda content: {name: value for name, value in content.items() if name != key}


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no classes": (without("classes"), "KeyError: 'classes'"),
    "no temperature": (without("temperature"), "KeyError: 'temperature'"),
    "no hash": (without("weights_sha256"), "KeyError: 'weights_sha256'"),
    "no format": (without("format"), "KeyError: 'format'"),
    "a later format": (lambda c: {**c, "format": 2}, "ValueError: format 2; this program reads the formats 1 and 3"),
    "a list": (lambda c: [c], "TypeError: "),
    "nothing": (lambda c: None, "TypeError: "),
    "a temperature of 0": (lambda c: {**c, "temperature": 0}, "ValueError: the temperature must be above 0"),
    "no number": (lambda c: {**c, "temperature": "warm"}, "ValueError: could not convert string to float: 'warm'"),
    "not a number": (lambda c: {**c, "temperature": float("nan")}, "ValueError: the temperature must be above 0"),
    "faces": (lambda c: {**c, "faces": "gray"}, "TypeError: "),
    "normalisation": (lambda c: {**c, "normalisation": {"mean": [0.5] * 3}}, "KeyError: 'std'"),
    "two means": (
        lambda c: {**c, "normalisation": {"mean": [0.5] * 2, "std": [0.5] * 3}},
        "ValueError: normalisation takes three means and three deviations above 0",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_description_that_is_none_is_a_sentence(change: str, run: Path) -> None:
    file = run / "bundle" / "bundle.yaml"
    make, reason = CHANGES[change]
    file.write_text(yaml.safe_dump(make(yaml.safe_load(file.read_text()))))
    assert refusal(run).startswith(f"{file}: cannot be read as a bundle ({reason}")


@pytest.mark.parametrize("content", [b"a: [1", b"\xff\xfe\x00", b"x: !!python/object/apply:os.getcwd []\n", b""])
def test_garbled_yaml_is_a_sentence(content: bytes, run: Path) -> None:
    file = run / "bundle" / "bundle.yaml"
    file.write_bytes(content)
    assert refusal(run).startswith(f"{file}: cannot be read as a bundle (")


def test_an_unknown_architecture_is_named(run: Path) -> None:
    file = run / "bundle" / "bundle.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "architecture": "hf_hub:somebody/model"}))
    assert refusal(run) == "model.name=hf_hub:somebody/model: no architecture of timm has this name"


def test_a_network_that_takes_mirror_images_says_so(network: FaceNetwork, tmp_path: Path) -> None:
    both = FaceNetwork(SMALL, 7, 48, 0.0, flip=True).eval()
    both.body.load_state_dict(network.body.state_dict())
    save_bundle(tmp_path, both, build_description(both, EMOTIONS, FaceFormat(64, False), 1.0, FACTS))
    loaded = load_bundle(str(tmp_path))
    assert loaded.description.flip
    images = faces(3, 64, 1)
    answers = predict_logits(loaded.network, images, np.arange(3))
    np.testing.assert_array_equal(answers, predict_logits(both, images, np.arange(3)))
    onnx = OnnxNetwork(loaded.description, tmp_path / "onnx", threads=1)
    np.testing.assert_allclose(onnx.compute_outputs(images, 3), answers, atol=1e-3)
