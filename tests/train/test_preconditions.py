"""What can be known is refused before PyTorch is imported and before there is a run."""

from pathlib import Path

import pytest
import timm
from safetensors.torch import save_file

from fer.config.compose import load_overrides
from fer.core.io import compute_sha256
from fer.errors import ExitCode, PreconditionError
from fer.runs.run_directory import load_run_config
from fer.train import preconditions
from fer.train.pipeline import train
from fer.train.preconditions import check_preconditions

pytestmark = pytest.mark.slow


def refusal(*overrides: str) -> str:
    with pytest.raises(PreconditionError) as raised:
        check_preconditions(load_overrides(overrides))
    assert raised.value.exit_code == ExitCode.CONFIG
    return str(raised.value)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    save_file(timm.create_model("mobilenetv2_050").state_dict(), tmp_path / "w.safetensors")
    return tmp_path / "w.safetensors"


def test_what_fits_gives_the_data_sets(weights: Path) -> None:
    fitting = ("model=mobilenetv2_050", f"model.weights={weights}", f"model.weights_sha256={compute_sha256(weights)}")
    [source] = check_preconditions(load_overrides([*fitting, "dataset.sources.synthetic.count=70"]))
    assert len(source.table) == 70


def test_weights_that_do_not_fit_are_refused(weights: Path) -> None:
    assert "use model.name=mobilenetv2_050" in refusal(f"model.weights={weights}")
    wrong = refusal("model=mobilenetv2_050", f"model.weights={weights}", f"model.weights_sha256={'0' * 64}")
    assert "model.weights_sha256 asks for 000" in wrong


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("nowhere", "model_uri=nowhere: no such file or directory"),
        ("empty", "neither a run directory with a bundle nor a bundle directory"),
        ("models:/x/1", "there is no registry in "),
        ("models:/x", "registered models are named models:/NAME/VERSION"),
    ],
)
def test_a_model_that_is_not_there_is_refused(
    uri: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert words in refusal("trainer.stages=[test]", f"model_uri={uri}")


def test_a_teacher_or_encoder_that_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ": no such file or directory; name a run, a bundle"
    assert refusal("model.teacher=[pretrained,/no/such]").startswith(f"model.teacher=/no/such{words}")
    clips = ("model=temporal", "dataset=synthetic_clips_small")
    assert refusal(*clips, "model.encoder=/no/such").startswith(f"model.encoder=/no/such{words}")
    assert "no registry" in refusal("model.teacher=[models:/fer@champion]")
    check_preconditions(load_overrides([*clips, "model.encoder=pretrained"]))
    check_preconditions(load_overrides(["model.teacher=[pretrained]"]))


def test_another_layout_of_a_data_set_is_refused(tmp_path: Path) -> None:
    assert "not laid out as" in refusal("dataset=folder", f"dataset.sources.folder.root={tmp_path}")


def test_a_device_that_the_machine_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preconditions, "may_have_gpu", lambda: False)
    monkeypatch.setattr(preconditions.sys, "platform", "linux")
    assert "this machine has none" in refusal("trainer=gpu")
    assert "precision=16 needs a GPU" in refusal("trainer.precision=16")
    assert "only Apple's machines have it" in refusal("trainer.accelerator=mps")


def test_a_network_that_cannot_be_built_leaves_no_run(tmp_path: Path) -> None:
    config = load_overrides(["model.name=inception_v3", "model.image_size=48", "trainer=cpu"])
    with pytest.raises(PreconditionError, match="cannot be built for 48 pixels"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", ["a: [1", "", "- 1", "a: \0", "["])
def test_a_corrupt_run_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(PreconditionError, match=r"run\.yaml: cannot be read"):
        load_run_config(tmp_path)
