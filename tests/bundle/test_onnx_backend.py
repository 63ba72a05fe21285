"""ONNX Runtime and OpenVINO: PyTorch's probabilities, at any batch size, from a file that is made once and mended."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from fer.bundle import onnx_export
from fer.bundle.exported_network import ExportedNetwork
from fer.bundle.io import FaceFormat, load_bundle
from fer.bundle.metadata import NETWORK_FILE, read_description
from fer.bundle.onnx_backend import OnnxNetwork
from fer.bundle.onnx_export import export_onnx, trace_to_onnx
from fer.bundle.onnx_trial import generate_trial_images
from fer.bundle.openvino_backend import OpenVinoNetwork
from fer.bundle.runtimes import Runtime
from fer.core.user_cache import get_user_cache_dir
from fer.errors import ModelError
from fer.models.network import FaceNetwork
from fer.serving import Predictor
from tests.helpers.networks import SMALL, faces, lively
from tests.helpers.paths import PROJECT
from tests.helpers.served_runs import mixed, run_of

pytestmark = pytest.mark.slow


RUNTIMES: tuple[Runtime, ...] = ("onnx", "openvino")


@pytest.fixture(scope="module", params=[(kind, runtime) for kind in ("gray", "colour") for runtime in RUNTIMES])
def both(request: pytest.FixtureRequest, runs: dict[str, Path]) -> tuple[Predictor, Predictor]:
    """The same bundle in PyTorch and in another runtime."""
    kind, runtime = request.param
    return Predictor.load(str(runs[kind])), Predictor.load(str(runs[kind]), runtime=runtime)


def test_both_runtimes_give_the_same_probabilities(both: tuple[Predictor, Predictor]) -> None:
    pictures = mixed()
    for flip in (False, True):
        expected, found = (predictor.predict(pictures, flip=flip) for predictor in both)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert found.dtype == np.float32
        assert np.ptp(found, axis=0).max() > 0.15


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_no_answer_depends_on_the_batch(size: int, both: tuple[Predictor, Predictor]) -> None:
    pictures = mixed()
    predictor = both[1]
    expected = np.concatenate([predictor.predict([picture]) for picture in pictures])
    np.testing.assert_allclose(predictor.predict(pictures, batch_size=size), expected, atol=1e-5)
    backwards = predictor.predict(pictures[::-1], batch_size=size)[::-1]
    np.testing.assert_allclose(backwards, expected, atol=1e-5)


def test_the_same_call_gives_the_same_bytes(both: tuple[Predictor, Predictor]) -> None:
    pictures = mixed()
    np.testing.assert_array_equal(both[1].predict(pictures, batch_size=4), both[1].predict(pictures, batch_size=4))


def test_no_pictures_give_no_rows(both: tuple[Predictor, Predictor]) -> None:
    found = both[1].predict([])
    assert found.shape == (0, 7)
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("name", "side", "image_size", "colour"),
    [
        (SMALL, 48, 96, False),
        (SMALL, 100, 64, True),
        (SMALL, 37, 61, True),
        ("resnet10t", 48, 64, False),
        ("efficientnet_lite0", 48, 64, False),
        ("mobilenetv3_small_050", 48, 64, False),
        ("deit_tiny_patch16_224", 48, 64, False),
        ("convnext_atto", 48, 64, False),
    ],
)
def test_resizing_and_architectures(name: str, side: int, image_size: int, colour: bool, tmp_path: Path) -> None:
    """Enlarged, shrunk with antialiasing, odd sizes; convolutions, attention, layer normalisation."""
    run = run_of(tmp_path, lively(FaceNetwork(name, 7, image_size, 0.0)), FaceFormat(side, colour))
    pictures = list(faces(5, 96, 3)[:, :side, :side])
    expected = Predictor.load(str(run)).predict(pictures)
    for runtime in RUNTIMES:
        np.testing.assert_allclose(Predictor.load(str(run), runtime=runtime).predict(pictures), expected, atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 0.03


def test_the_network_is_exported_once(runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    description = read_description(str(runs["gray"]))
    OnnxNetwork(description, tmp_path / "onnx")
    (file,) = (tmp_path / "onnx").iterdir()
    before = file.read_bytes()
    monkeypatch.setattr(onnx_export, "export_onnx", None)
    OnnxNetwork(description, tmp_path / "onnx")
    assert file.read_bytes() == before


def test_later_starts_need_no_pytorch(runs: dict[str, Path]) -> None:
    run = str(runs["colour"])
    Predictor.load(run, runtime="onnx")
    program = (
        "import sys; from fer.serving import Predictor; "
        f"Predictor.load({run!r}, runtime='onnx'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=PROJECT).returncode == 0


def test_the_file_stands_in_what_was_named(runs: dict[str, Path]) -> None:
    for folder in (runs["gray"], runs["gray"] / "bundle"):
        Predictor.load(str(folder), runtime="onnx")
        assert len(list((folder / "onnx").iterdir())) == 1


def test_the_file_is_the_same_each_time(runs: dict[str, Path]) -> None:
    description = read_description(str(runs["colour"]))
    assert export_onnx(description) == export_onnx(description)


def test_what_does_not_fit_is_exported_again(
    runs: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of other faces, one with other answers than PyTorch's, one without metadata, half a file, none."""
    description = read_description(str(runs["gray"]))
    bundle = load_bundle(str(runs["gray"]))
    right = export_onnx(description)
    shift_classifier(bundle.network, 0.1)
    other = onnx.load_from_string(right)
    traced = trace_to_onnx(bundle.network, generate_trial_images(description))
    other.graph.CopyFrom(onnx.load_from_string(traced).graph)
    Predictor.load(str(runs["colour"]), runtime="onnx")
    monkeypatch.setattr(onnx_export, "export_onnx", lambda *_: right)
    file = tmp_path / NETWORK_FILE
    for wrong in (
        (runs["colour"] / "onnx" / NETWORK_FILE).read_bytes(),
        other.SerializeToString(),
        traced,
        right[: len(right) // 2],
        b"",
    ):
        file.write_bytes(wrong)
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="fer.bundle.exported_model"):
            OnnxNetwork(description, tmp_path)
        assert caplog.messages == [f"{file} does not fit the bundle and is exported again"]
        assert file.read_bytes() == right


def shift_classifier(network: FaceNetwork, step: float) -> None:
    """Add ``step`` per class to the logits."""
    with torch.no_grad():
        for name in network.classifier_names:
            network.body.get_parameter(f"{name}.bias").add_(torch.arange(network.classes) * step)


def test_a_place_that_cannot_be_written_does_not_matter(
    runs: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    occupied = tmp_path / "onnx"
    occupied.write_text("a file where the directory would be")
    description = read_description(str(runs["gray"]))
    with caplog.at_level(logging.INFO, logger="fer.bundle.exported_model"):
        found = Predictor(description, OnnxNetwork(description, occupied)).predict(mixed())
    np.testing.assert_allclose(found, Predictor.load(str(runs["gray"])).predict(mixed()), atol=1e-5)
    assert caplog.messages[0].endswith("the next start exports the network again")
    assert [path.name for path in tmp_path.iterdir()] == ["onnx"]


def test_the_file_stands_in_the_users_cache_where_the_models_directory_cannot_be_written(
    network: FaceNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in site-packages, or below a read-only mount; the next start takes it from there."""
    run = run_of(tmp_path / "run", network, FaceFormat(48, False))
    (run / "onnx").write_text("a file where the directory would be")
    monkeypatch.setenv("FER_CACHE_DIR", str(tmp_path / "cache"))
    Predictor.load(str(run), runtime="onnx")
    (file,) = (path for path in (tmp_path / "cache").rglob("*") if path.is_file())
    monkeypatch.setattr(onnx_export, "export_onnx", None)
    Predictor.load(str(run), runtime="onnx")
    assert file.parent.name.endswith(read_description(str(run)).sha256)


def test_programs_that_start_at_the_same_time_do_not_disturb_each_other(network: FaceNetwork, tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", network, FaceFormat(48, False))
    program = tmp_path / "program.py"
    program.write_text(f"from fer import Predictor; Predictor.load({str(run)!r}, runtime='onnx')")
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    started = [subprocess.Popen([sys.executable, str(program)], env=environment) for _ in range(2)]
    assert [process.wait(200) for process in started] == [0, 0]
    assert [path.name for path in (run / "onnx").iterdir()] == [NETWORK_FILE]


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"FER_CACHE_DIR": "/own", "XDG_CACHE_HOME": "/xdg"}, "/own"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/fer-experiments"),
        ({"HOME": "/home/somebody"}, "/home/somebody/.cache/fer-experiments"),
    ],
)
def test_where_the_users_cache_is(variables: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FER_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert get_user_cache_dir() == Path(folder)


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("FER_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "expanduser", fail)
    assert get_user_cache_dir() is None


@pytest.mark.parametrize("kind", [OnnxNetwork, OpenVinoNetwork])
def test_other_answers_than_pytorchs_are_an_error(
    kind: type[ExportedNetwork], runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    description = read_description(str(runs["gray"]))
    wrong = load_bundle(str(runs["gray"]))
    shift_classifier(wrong.network, 2e-3)
    model = trace_to_onnx(wrong.network, generate_trial_images(description))
    monkeypatch.setattr(onnx_export, "trace_to_onnx", lambda *_: model)
    with pytest.raises(ModelError) as raised:
        kind(description, tmp_path)
    assert str(raised.value).startswith(
        f"inference.runtime={kind.runtime}: {SMALL} gives probabilities that differ by 0.00"
    )
    assert str(raised.value).endswith(" from PyTorch's; use inference.runtime=torch")
    assert not list(tmp_path.iterdir())


class Inverse(torch.nn.Module):
    """A body that ONNX has no operation for."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.linalg.inv(images[:, 0])[:, 0, :7]


@pytest.mark.parametrize("kind", [OnnxNetwork, OpenVinoNetwork])
def test_what_cannot_be_exported_is_a_sentence(
    kind: type[ExportedNetwork], runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = load_bundle(str(runs["gray"]))
    monkeypatch.setattr(bundle.network, "body", Inverse())
    monkeypatch.setattr(onnx_export, "load_bundle", lambda _: bundle)
    with pytest.raises(ModelError) as raised:
        kind(bundle.description, tmp_path)
    assert str(raised.value).startswith(f"inference.runtime={kind.runtime}: {SMALL} cannot be exported (")
    assert str(raised.value).endswith("; use inference.runtime=torch")


@pytest.mark.parametrize("kind", [OnnxNetwork, OpenVinoNetwork])
def test_a_damaged_export_is_a_sentence(
    kind: type[ExportedNetwork], runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_export, "export_onnx", lambda *_: b"nothing")
    with pytest.raises(ModelError, match=rf"^inference.runtime={kind.runtime}: {SMALL} cannot be computed \(.+torch$"):
        kind(read_description(str(runs["gray"])), tmp_path)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_they_compute_on_the_cpu_only(runtime: Runtime, runs: dict[str, Path]) -> None:
    with pytest.raises(ModelError) as raised:
        Predictor.load(str(runs["gray"]), device="cuda", runtime=runtime)
    assert str(raised.value) == (
        f"inference.runtime={runtime}: computes on the CPU, not on cuda; use inference.runtime=torch"
    )


def test_threads_are_those_asked_for_or_left_to_the_runtime(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []
    start = onnxruntime.InferenceSession

    def recorded(
        model: bytes, options: onnxruntime.SessionOptions, providers: list[str]
    ) -> onnxruntime.InferenceSession:
        counts.append(options.intra_op_num_threads)
        return start(model, options, providers=providers)

    monkeypatch.setattr(onnxruntime, "InferenceSession", recorded)
    Predictor.load(str(runs["colour"]), runtime="onnx")
    counts.clear()
    Predictor.load(str(runs["colour"]), runtime="onnx")
    Predictor.load(str(runs["colour"]), runtime="onnx", threads=2)
    assert counts == [0, 2]
