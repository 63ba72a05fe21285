"""YuNet in ONNX Runtime finds what OpenCV finds, and takes nothing from a file but weights."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from fer.errors import ModelError
from fer.video.detectors import YuNetDetector
from fer.video.detectors.yunet import choose_runtime
from fer.video.detectors.yunet_graph import MAX_BYTES, build_graph
from fer.video.detectors.yunet_onnx import OnnxYuNet, build_checked_graph
from fer.video.detectors.yunet_opencv import OpenCvYuNet
from tests.helpers.faces import drawn_frame, person, shared, yunet_weights
from tests.helpers.yunet_file import build_yunet, iter_convolutions

SIZES = [(320, 180), (64, 64), (100, 333), (640, 360)]


def find_both(content: bytes, frames: list[np.ndarray], min_score: float) -> tuple[int, float, float]:
    """Faces; and the largest differences of a place, pixels, and of a score between the runtimes."""
    ours, theirs = OnnxYuNet(content, min_score, 0.3), OpenCvYuNet(content, min_score, 0.3)
    count, place, score = 0, 0.0, 0.0
    for frame in frames:
        a, b = ours.find_boxes(frame), theirs.find_boxes(frame)
        assert a.shape == b.shape and a.dtype == b.dtype == np.float64
        if len(a):
            count += len(a)
            # Equally sure ones may stand in either order.
            apart = np.abs(a[:, None] - b[None])
            pairs = apart[np.arange(len(a)), apart[..., :14].max(2).argmin(1)]
            place, score = max(place, float(pairs[:, :14].max())), max(score, float(pairs[:, 14].max()))
    return count, place, score


def noise(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(size[0]).integers(0, 256, (size[1], size[0], 3), np.uint8)


@pytest.mark.parametrize("channels", [8, 16])
def test_every_cell_is_as_in_opencv_in_frames_of_any_size(channels: int) -> None:
    content = build_yunet(channels).SerializeToString()
    count, place, score = find_both(content, [noise(size) for size in SIZES], 0.5)
    assert count > 20 and place < 1e-2 and score < 1e-5


def test_drawn_faces_have_the_same_boxes_points_and_scores() -> None:
    content = yunet_weights().read_bytes()
    people = [(person(seed), (60.0 + 110 * seed, 100.0 + 20 * seed), 80.0 + 15 * seed) for seed in range(5)]
    frames = [drawn_frame(people), drawn_frame([]), cv2.resize(drawn_frame(people[2:]), (320, 180))]
    count, place, score = find_both(content, frames, 0.05)
    assert count >= 7 and place < 1e-3 and score < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["single_face.mp4", "face_noface.mov", "no_face.mp4", "WolfgangLanger_Pexels.mp4"])
def test_real_clips_have_the_same_boxes(name: str) -> None:
    capture, frames = cv2.VideoCapture(str(shared(f"data/videos/{name}"))), []
    while (answer := capture.read())[0]:
        frames.append(cv2.resize(answer[1], (320, 180), interpolation=cv2.INTER_AREA))
    count, place, score = find_both(yunet_weights().read_bytes(), frames[::4], 0.7)
    assert (count == 0) == (name == "no_face.mp4") and place < 1e-3 and score < 1e-5


@pytest.mark.slow
def test_small_real_pictures_have_the_same_boxes() -> None:
    with zipfile.ZipFile(shared("data/ferplus/ferplus.zip")) as archive:
        names = [name for name in archive.namelist() if name.endswith(".png")][::300]
        pictures = [cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_COLOR) for name in names]
    frames = [cv2.resize(picture, (160, 160)) for picture in pictures]
    count, place, score = find_both(yunet_weights().read_bytes(), frames, 0.7)
    assert count > 90 and place < 1e-3 and score < 1e-5


def test_detectors_of_both_runtimes_agree(tmp_path: Path) -> None:
    weights = yunet_weights()
    assert choose_runtime(weights) == "onnx"
    frame = drawn_frame([(person(1), (160.0, 150.0), 110.0), (person(4), (460.0, 190.0), 150.0)])
    chosen, onnx_runtime, opencv = (
        YuNetDetector(weights, runtime=runtime).detect(frame) for runtime in ("auto", "onnx", "opencv")
    )
    for ours, same, theirs in zip(onnx_runtime, chosen, opencv, strict=True):
        assert (ours.x, ours.y, ours.width, ours.height, ours.score) == (
            *(same.x, same.y, same.width, same.height, same.score),
        )
        assert (ours.x, ours.y, ours.width, ours.height) == pytest.approx(
            (theirs.x, theirs.y, theirs.width, theirs.height), abs=1e-3
        )


def _spoil(change: Callable[[onnx.ModelProto], object]) -> bytes:
    model = build_yunet()
    change(model)
    return model.SerializeToString()


def _point_elsewhere(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/hostname")


def _set_groups(model: onnx.ModelProto) -> None:
    next(entry for entry in next(iter_convolutions(model)).attribute if entry.name == "group").i = 7


def _swap_inputs(model: onnx.ModelProto) -> None:
    # In this program's graph a Transpose is always the tail.
    model.graph.node.insert(1, onnx.helper.make_node("Transpose", ["0"], ["turned"], perm=[0, 1, 3, 2]))
    model.graph.node[2].input[0] = "turned"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"no network", "no ONNX file"),
        (b"\0" * (MAX_BYTES + 1), "more than 1 MiB"),
        (_spoil(lambda model: model.graph.node.extend([model.graph.node[0]] * 300)), "3.. layers"),
        (_spoil(lambda model: setattr(model.graph.node[1], "op_type", "If")), "has the layer 'If'"),
        (_spoil(lambda model: model.graph.node.pop()), "has no output kps_32"),
        (_spoil(_point_elsewhere), "lacks weights"),
        (_spoil(lambda model: model.graph.initializer[0].dims.append(-1)), "lacks weights"),
        (_spoil(lambda model: setattr(model.graph.initializer[0], "data_type", 11)), "no numbers of 32 bits"),
        (_spoil(lambda model: next(iter_convolutions(model)).input.pop()), "without a bias"),
        (build_yunet(300).SerializeToString(), "300 channels"),
    ],
)
def test_what_is_no_yunet_is_not_built(content: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        build_graph(content)


@pytest.mark.parametrize(("change", "problem"), [(_set_groups, "cannot be computed"), (_swap_inputs, "differ by")])
def test_what_is_computed_otherwise_is_left_to_opencv(
    change: Callable[[onnx.ModelProto], None], problem: str, tmp_path: Path
) -> None:
    content = _spoil(change)
    with pytest.raises(ValueError, match=problem):
        build_checked_graph(content)
    path = tmp_path / "other.onnx"
    path.write_bytes(content)
    assert choose_runtime(path) == "opencv"
    with pytest.raises(ModelError) as caught:
        YuNetDetector(path, runtime="onnx")
    message = str(caught.value)
    assert message.startswith(f"extraction.detector.weights={path}: is not YuNet as ONNX Runtime can have it (")
    assert message.endswith("face_detection_yunet_2023mar.onnx, or extraction.detector.runtime=opencv")


def test_weights_that_are_no_numbers_are_not_taken() -> None:
    model = build_yunet()
    tensor = model.graph.initializer[0]
    tensor.raw_data = np.full(len(tensor.raw_data) // 4, np.nan, np.float32).tobytes()
    with pytest.raises(ValueError, match="differ by nan"):
        build_checked_graph(model.SerializeToString())


def test_nothing_of_the_file_but_weights_is_in_the_graph() -> None:
    model = build_yunet()
    model.doc_string = model.graph.node[0].doc_string = "anybody's words"
    model.metadata_props.add(key="anybody", value="else")
    assert b"anybody" not in build_graph(model.SerializeToString())
    assert build_graph(model.SerializeToString()) == build_graph(build_yunet().SerializeToString())
