"""Which detector a run takes, what it records of it, and what a replay refuses. The server is on this machine."""

import hashlib
import logging
import shutil
import socket
import time
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import pytest
import yaml

from fer.config import Extraction
from fer.config.compose import load_overrides
from fer.config.extraction import _AUTO_VALUES
from fer.config.extraction import YuNetDetector as YuNetSection
from fer.errors import ConfigError, ModelError, PreconditionError
from fer.infer.extract import count_detector_threads
from fer.runs import detector_choice
from fer.runs.detector_choice import build_detector, find_landmark_detector, pin_detector
from fer.video.detectors import HaarDetector, YuNetDetector
from fer.video.detectors.yunet import find_cached_weights, find_weights
from fer.video.detectors.yunet_onnx import OnnxYuNet
from fer.video.detectors.yunet_opencv import OpenCvYuNet
from tests.helpers.faces import yunet_weights
from tests.helpers.paths import PROJECT
from tests.helpers.yunet_file import build_yunet

CLIP = "extraction.input=clip.mp4"


def load(tmp_path: Path, *overrides: str) -> Extraction:
    return load_overrides([f"extraction.cache_dir={tmp_path / 'cache'}", *overrides], "infer").extraction


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the weights, at which nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/yunet.onnx"
    point_to(url, "0" * 64, monkeypatch)
    return url


def point_to(url: str, sha256: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for function in (find_weights, find_cached_weights):
        there = partial(function, url=url, sha256=sha256)
        monkeypatch.setattr(detector_choice, function.__name__, there)


def put_into_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Weights in the cache, as if they had been downloaded; returns their SHA-256."""
    (tmp_path / "cache").mkdir()
    shutil.copyfile(yunet_weights(), tmp_path / "cache" / "yunet.onnx")
    digest = hashlib.sha256(yunet_weights().read_bytes()).hexdigest()
    point_to("http://127.0.0.1:1/yunet.onnx", digest, monkeypatch)
    return digest


def test_the_default_is_auto(tmp_path: Path) -> None:
    assert load(tmp_path).detector.kind == "auto"


def test_named_weights_make_it_yunet_and_are_recorded(tmp_path: Path, zoo: str) -> None:
    config, facts = pin_detector(load(tmp_path, CLIP, f"extraction.detector.weights={yunet_weights()}"))
    digest = hashlib.sha256(yunet_weights().read_bytes()).hexdigest()
    path = str(yunet_weights().resolve())
    assert config.detector.model_dump() == {
        **{"kind": "yunet", "weights": path, "weights_sha256": digest},
        **{"min_score": 0.7, "min_size": 30, "max_side": 320, "runtime": "onnx", "margin": None, "align": True},
    }
    assert facts == {"kind": "yunet", "weights": path, "weights_sha256": digest, "warning": None}
    detector = build_detector(config)
    assert isinstance(detector, YuNetDetector) and not detector.every_face
    # What is chosen stays chosen.
    assert pin_detector(config)[0] == config


def test_the_runtime_is_chosen_once_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "other.onnx"
    # As quantised files have layers that are not known here.
    model = build_yunet()
    model.graph.node.append(onnx.helper.make_node("Neg", ["0"], ["unused"]))
    file.write_bytes(model.SerializeToString())
    for given, chosen in ({"auto": "opencv", "opencv": "opencv", "onnx": "onnx"}).items():
        keys = (f"extraction.detector.weights={file}", f"extraction.detector.runtime={given}")
        pinned, _ = pin_detector(load(tmp_path, CLIP, *keys))
        assert isinstance(pinned.detector, YuNetSection) and pinned.detector.runtime == chosen
        assert pin_detector(pinned)[0] == pinned


def test_eye_points_are_computed_as_the_configuration_says(tmp_path: Path) -> None:
    keys = ("extraction=yunet", f"extraction.detector.weights={yunet_weights()}")
    for runtime, network in (("auto", OnnxYuNet), ("opencv", OpenCvYuNet)):
        detector = find_landmark_detector(load(tmp_path, *keys, f"extraction.detector.runtime={runtime}"))
        assert detector is not None and isinstance(detector._network, network)


def test_the_cache_makes_it_yunet_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = put_into_cache(tmp_path, monkeypatch)
    for chosen in ([CLIP], []):
        config, facts = pin_detector(load(tmp_path, *chosen, "extraction.detector.max_side=null"))
        assert (facts["kind"], facts["weights_sha256"], facts["warning"]) == ("yunet", digest, None)
        # Not the cache's place, which is another on another machine.
        assert config.detector.weights is None and config.detector.max_side is None
        assert config.detector.weights_sha256 == digest


def test_without_weights_it_is_haar_with_a_warning(tmp_path: Path, zoo: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        config, facts = pin_detector(load(tmp_path, CLIP, "extraction.detector.min_size=40"))
    expected = load_overrides(["extraction=haar", "extraction.detector.min_size=40"], "infer").extraction
    assert config.detector == expected.detector
    assert facts["kind"] == "haar" and facts["weights"] is None and facts["weights_sha256"] is None
    warning = facts["warning"]
    assert warning.startswith("extraction.detector.kind=auto: faces are found by Haar, which overlooks those that are")
    assert f"cannot be fetched from {zoo} (" in warning and "extraction.detector.weights=FILE" in warning
    assert warning in caplog.text and "\n" not in warning
    assert isinstance(build_detector(config), HaarDetector)
    assert count_detector_threads(config, 3) == 3
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").iterdir())


def test_a_network_that_never_answers_is_given_up_soon(
    tmp_path: Path, zoo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        point_to(f"http://127.0.0.1:{silent.getsockname()[1]}/yunet.onnx", "0" * 64, monkeypatch)
        monkeypatch.setattr(detector_choice, "MAX_FETCH_SECONDS", 0.2)
        start = time.monotonic()
        _, facts = pin_detector(load(tmp_path, CLIP))
        # Far below the 20 seconds that a wanted download waits.
        assert time.monotonic() - start < 10
    assert facts["kind"] == "haar" and "(not within 0.2 seconds)" in facts["warning"]


def test_nothing_is_downloaded_for_a_drawn_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector_choice, "find_weights", lambda *_, **__: pytest.fail("asked the network"))
    _, facts = pin_detector(load(tmp_path))
    assert facts["kind"] == "haar" and "not downloaded for a drawn clip" in facts["warning"]


def test_named_weights_that_are_gone_are_no_reason_for_haar(tmp_path: Path) -> None:
    path = tmp_path / "mine.onnx"
    path.touch()
    config = load(tmp_path, CLIP, f"extraction.detector.weights={path}")
    path.unlink()
    with pytest.raises(ModelError, match=r"mine\.onnx: no such file$"):
        pin_detector(config)


def test_a_replay_refuses_other_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = put_into_cache(tmp_path, monkeypatch)
    pinned, _ = pin_detector(load(tmp_path, CLIP))
    other = tmp_path / "other.onnx"
    other.write_bytes(b"another network")
    found = hashlib.sha256(b"another network").hexdigest()
    saved = ["extraction=yunet", CLIP, f"extraction.detector.weights_sha256={digest}"]
    saved += ["extraction.detector.runtime=onnx"]
    assert load(tmp_path, *saved).detector == pinned.detector
    with pytest.raises(PreconditionError) as caught:
        pin_detector(load(tmp_path, *saved, f"extraction.detector.weights={other}"))
    assert str(caught.value).startswith(
        f"extraction.detector.weights={other}: has the SHA-256 {found}, but extraction.detector.weights_sha256 asks "
        f"for {digest}; "
    )
    # The same bytes elsewhere are the same weights.
    same = tmp_path / "same.onnx"
    shutil.copyfile(yunet_weights(), same)
    assert pin_detector(load(tmp_path, *saved, f"extraction.detector.weights={same}"))[1]["weights_sha256"] == digest


@pytest.mark.parametrize("kind", ["haar", "yunet", "none"])
def test_the_kind_alone_chooses_another_detector(tmp_path: Path, kind: str) -> None:
    alone, option = load(tmp_path, f"extraction.detector.kind={kind}"), load(tmp_path, f"extraction={kind}")
    assert alone.detector == option.detector


def test_a_key_that_another_kind_lacks_is_still_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"extraction\.detector\.max_side=640: the chosen detector has no such key"):
        load(tmp_path, "extraction.detector.kind=haar", "extraction.detector.max_side=640")
    with pytest.raises(ConfigError, match=r"extraction\.detector\.max_side=20: must be at least 64"):
        load(tmp_path, "extraction.detector.max_side=20")


def test_what_leaves_with_the_kind_is_what_the_file_says() -> None:
    content: dict[str, Any] = yaml.safe_load((PROJECT / "conf" / "extraction" / "auto.yaml").read_text())
    assert content["detector"] == {"kind": "auto", **_AUTO_VALUES}


def test_every_face_is_looked_for_where_all_are_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_into_cache(tmp_path, monkeypatch)
    detector = build_detector(pin_detector(load(tmp_path, "extraction.faces=all"))[0])
    assert isinstance(detector, YuNetDetector) and detector.every_face
