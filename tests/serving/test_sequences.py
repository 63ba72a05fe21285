"""Frames of one face in a request: answered by the windows around each, by the server as by the handlers."""

import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.serving import pack_shard
from fer import Predictor
from fer.bundle.predictor import ClipPredictor
from fer.bundle.reference_samples import ReferenceSamples, compute_answers, write_samples
from fer.errors import ModelError
from fer.serving import sagemaker_handlers as handlers
from fer.serving.requests import RequestError
from fer.serving.sequences import MAX_FRAMES, FrameRun, parse_frame_run
from tests.helpers.clip_networks import LENGTH, STEP_S, build_clip_network, draw_frames, save_clip_bundle
from tests.helpers.server import PNG, TAR, Answer, gray_png, loaded, packaged, post, probabilities_of

SEQUENCE = f"{TAR}; sequence=true"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As an unpacked package: bundle, exported network and samples."""
    folder = tmp_path_factory.mktemp("served")
    bundle = save_clip_bundle(folder / "bundle", build_clip_network())
    predictor = Predictor.load(str(bundle), runtime="onnx", threads=1)
    clips = np.stack(draw_frames(LENGTH))[None]
    write_samples(bundle, ReferenceSamples(clips, compute_answers(predictor, clips)))
    return folder


@pytest.fixture(scope="module")
def predictor(model: Path) -> ClipPredictor:
    loaded = handlers.model_fn(str(model))
    assert isinstance(loaded, ClipPredictor)
    return loaded


@pytest.fixture(scope="module")
def port(model: Path) -> Iterator[int]:
    with loaded(model) as (_, port):
        yield port


def encode(frame: np.ndarray) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))[1].tobytes()


def answers_of(answer: Answer) -> np.ndarray:
    assert answer.status == 200, answer.content
    return np.array([probabilities_of(line) for line in answer.lines if "error" not in line])


def test_a_sequence_is_answered_a_frame_a_line(port: int, predictor: ClipPredictor) -> None:
    frames = draw_frames(70)
    body = pack_shard([(f"{number:03}.png", encode(frame)) for number, frame in enumerate(frames)])
    own = predictor.predict_sequence(frames, np.arange(70) * STEP_S)
    answer = post(port, SEQUENCE, body)
    assert [line["id"] for line in answer.lines] == [f"{number:03}" for number in range(70)]
    np.testing.assert_allclose(answers_of(answer), own, atol=1e-6)
    # Frames of twice the rate: a window looks at every other one.
    twice = answers_of(post(port, f"{TAR};step_s={STEP_S / 2};sequence=TRUE", body))
    np.testing.assert_allclose(twice, predictor.predict_sequence(frames, np.arange(70) * STEP_S / 2), atol=1e-6)
    np.testing.assert_allclose(twice[::2], predictor.predict_sequence(frames[::2], np.arange(35) * STEP_S), atol=1e-6)
    # Without the parameter each picture is by itself.
    single = answers_of(post(port, TAR, body))
    np.testing.assert_allclose(single, predictor.predict(frames), atol=1e-6)
    assert np.abs(single - own).max() > 1e-3


def test_the_handlers_answer_as_the_server_does(port: int, predictor: ClipPredictor) -> None:
    frames = draw_frames(9)
    members = [(f"{number}.png", encode(frame)) for number, frame in enumerate(frames)]
    # A frame that cannot be decoded is missing for the others, which keep their times.
    members[4] = ("4.png", b"no picture")
    body = pack_shard(members)
    answer = handlers.predict_fn(handlers.input_fn(body, SEQUENCE), predictor)
    assert answer.encode() == post(port, SEQUENCE, body).content
    times = np.delete(np.arange(9) * STEP_S, 4)
    expected = predictor.predict_sequence([frames[row] for row in range(9) if row != 4], times)
    np.testing.assert_allclose(answers_of(Answer(200, answer.encode(), {})), expected, atol=1e-6)


def test_a_picture_is_answered_as_a_clip_of_one_frame(port: int, predictor: ClipPredictor) -> None:
    (frame,) = draw_frames(1)
    np.testing.assert_allclose(answers_of(post(port, PNG, encode(frame)))[0], predictor.predict([frame])[0], atol=1e-6)


@pytest.mark.parametrize(
    ("content_type", "reason"),
    [
        (f"{PNG}; sequence=true", "sequence=true is for an archive of frames"),
        (f"{TAR}; sequence=maybe", "sequence='maybe' must be true or false"),
        (f"{SEQUENCE}; step_s=fast", "step_s='fast' must be seconds between two frames, from 0.001 to 60"),
        (f"{SEQUENCE}; step_s=0", "step_s='0' must be seconds"),
        (f"{SEQUENCE}; step_s=nan", "step_s='nan' must be seconds"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(content_type: str, reason: str, port: int) -> None:
    answer = post(port, content_type, gray_png(0))
    assert (answer.status, reason in answer.error) == (400, True)


def test_a_sequence_has_an_end(port: int) -> None:
    body = pack_shard([(f"{number}.png", gray_png(0, 8)) for number in range(MAX_FRAMES + 1)])
    answer = post(port, SEQUENCE, body)
    assert (answer.status, "513 frames are too many" in answer.error) == (413, True)


def test_parameters_are_read_as_headers_have_them() -> None:
    assert parse_frame_run(TAR, "shard") is None
    assert parse_frame_run(f'{TAR}; charset=x; Sequence="True"; step_s="0.5"', "shard") == FrameRun(0.5)
    assert parse_frame_run(f"{PNG}; sequence=false", "image") is None
    with pytest.raises(RequestError):
        parse_frame_run(f"{TAR}; sequence=true; step_s={math.inf}", "shard")


@pytest.mark.slow
def test_a_model_of_single_faces_refuses_a_sequence(tmp_path: Path) -> None:
    from fer.bundle.io import FaceFormat

    with loaded(packaged(tmp_path, FaceFormat(48, False))) as (_, port):
        answer = post(port, SEQUENCE, pack_shard([("a.png", gray_png(0))]))
    assert (answer.status, "the model looks at single faces" in answer.error) == (400, True)


def test_a_model_that_answers_otherwise_is_not_served(model: Path, tmp_path: Path) -> None:
    bundle = save_clip_bundle(tmp_path / "bundle", build_clip_network())
    clips = np.stack(draw_frames(LENGTH))[None]
    write_samples(bundle, ReferenceSamples(clips, np.full((1, LENGTH, 3), 1 / 3, np.float32)))
    with pytest.raises(ModelError, match="gives probabilities for its sample pictures that differ"):
        handlers.model_fn(str(tmp_path))
