"""Names of models: the shipped one, pinned or not, whole or damaged; the newest training; and paths."""

import os
import shutil
from pathlib import Path

import pytest

from fer.bundle import locate
from fer.bundle.io import FaceFormat
from fer.bundle.locate import LATEST, PRETRAINED, PRETRAINED_DIR, locate_model, names_pretrained, pin_pretrained
from fer.bundle.metadata import DESCRIPTION_FILE, WEIGHTS_FILE, read_description
from fer.bundle.predictor import Predictor
from fer.core.io import compute_sha256
from fer.errors import ModelError, UserError
from fer.models.network import FaceNetwork
from tests.helpers.served_runs import run_of

RESTORED = "; install fer-experiments again (in a checkout: git checkout -- fer/pretrained)"


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped model, which `pretrained` means."""
    folder = tmp_path / "package" / "pretrained"
    shutil.copytree(PRETRAINED_DIR, folder)
    monkeypatch.setattr(locate, "PRETRAINED_DIR", folder)
    return folder


def refusal(model_uri: str = PRETRAINED) -> str:
    with pytest.raises(ModelError) as raised:
        read_description(model_uri)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_names_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pretrained").mkdir()
    assert locate_model(PRETRAINED) == locate_model(pin_pretrained()) == PRETRAINED_DIR
    assert locate_model("./pretrained") == Path("pretrained")
    assert names_pretrained(PRETRAINED) and names_pretrained(pin_pretrained())
    assert not any(map(names_pretrained, ("./pretrained", "pretrained/bundle", "pretrained@sha256:12", LATEST)))


def test_the_shipped_model_is_pinned_by_its_hash(shipped: Path) -> None:
    pinned = pin_pretrained()
    digest = compute_sha256(shipped / "bundle" / DESCRIPTION_FILE)
    assert pinned == pin_pretrained(pinned) == f"pretrained@sha256:{digest}"
    assert read_description(pinned).sha256 == digest
    with (shipped / "bundle" / DESCRIPTION_FILE).open("a") as file:
        file.write("later: true\n")
    changed = compute_sha256(shipped / "bundle" / DESCRIPTION_FILE)
    assert refusal(pinned) == (
        f"model_uri={pinned}: the shipped model has changed since (SHA-256 of its bundle.yaml: {changed}); use the "
        "version of the program that made the run, or model_uri=pretrained for the model of this one"
    )
    assert pin_pretrained() == f"pretrained@sha256:{changed}"


def test_a_copy_of_the_program_without_it_says_so(shipped: Path) -> None:
    shutil.rmtree(shipped)
    missing = shipped / "bundle" / DESCRIPTION_FILE
    assert refusal() == (
        f"model_uri=pretrained: this copy of the program has no shipped model ({missing} is missing){RESTORED}, or "
        "name a model of your own"
    )


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_damaged_weights_are_told_with_the_remedy(content: bytes | None, shipped: Path) -> None:
    weights = shipped / "bundle" / WEIGHTS_FILE
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2] if content is None else content)
    assert refusal() == f"{weights}: is not the file that bundle.yaml describes{RESTORED}"
    weights.unlink()
    assert refusal().startswith(f"{weights}: cannot be loaded (") and refusal().endswith(RESTORED)


@pytest.mark.parametrize("text", ["", "- a list", "format: 1\n", "format: 2\n", "{"])
def test_a_damaged_description_is_told_with_the_remedy(text: str, shipped: Path) -> None:
    path = shipped / "bundle" / DESCRIPTION_FILE
    path.write_text(text)
    assert refusal().startswith(f"{path}: cannot be read as a bundle (") and refusal().endswith(RESTORED)


def test_a_pointer_of_git_lfs_is_told(network: FaceNetwork, shipped: Path, tmp_path: Path) -> None:
    for folder in (shipped, run_of(tmp_path / "run", network, FaceFormat(48, False))):
        weights = folder / "bundle" / WEIGHTS_FILE
        weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4500000\n")
        assert refusal(str(folder)) == (
            f"{weights}: is a pointer of Git LFS, not the weights; fetch them with git lfs pull"
        )


def test_latest_is_the_newest_training_with_a_bundle(
    network: FaceNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as raised:
        Predictor.load(LATEST)
    assert str(raised.value) == ("model_uri: there is no trained model below outputs/train; run train.py, or name one")
    for name in ("2026-01-02/09-00-00-b", "2026-01-02/08-00-00-c", "2026-01-01/23-00-00-a"):
        run_of(tmp_path / "outputs" / "train" / name, network, FaceFormat(48, False))
    (tmp_path / "outputs" / "train" / "2026-01-03" / "00-00-00-killed" / "bundle").mkdir(parents=True)
    assert locate_model(LATEST) == tmp_path / "outputs/train/2026-01-02/09-00-00-b"
    assert Predictor.load(LATEST).description.folder == locate_model(LATEST) / "bundle"
    # Of runs of one second the name tells nothing; the configuration is written first and only once.
    for age, name in enumerate(("09-00-00-b-10", "09-00-00-a", "09-00-00-b-9")):
        run = run_of(tmp_path / "outputs/train/2026-01-02" / name, network, FaceFormat(48, False))
        (run / "run.yaml").touch()
        os.utime(run / "run.yaml", ns=(10**18 - age, 10**18 - age))
    assert locate_model(LATEST).name == "09-00-00-b-10"
