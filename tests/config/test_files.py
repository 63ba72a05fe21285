"""Every file in conf/ composes, validates, and hides nothing."""

import json
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf
from pydantic import BaseModel, ValidationError

from fer.config import Config
from fer.config.compose import CONF, load_config, load_overrides
from fer.config.dataset import FerplusSource, FolderSource, RafdbSource, SyntheticSource
from fer.sweep.search_space import split_overrides
from tests.helpers.composing import complete_option, composed, fill, leaves

pytestmark = pytest.mark.slow

OPTIONS = sorted((file.parent.name, file.stem) for file in CONF.glob("*/*.yaml"))


def test_the_files_are_found() -> None:
    assert len(OPTIONS) >= 19
    assert {group for group, _ in OPTIONS} == {
        "aws",
        "dataset",
        "experiment",
        "extraction",
        "model",
        "optimizer",
        "tracker",
        "trainer",
    }
    others = {"base.yaml", "config.yaml", "hydra"}
    assert {path.name for path in CONF.iterdir()} == {*others, *(group for group, _ in OPTIONS)}


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_composes_hides_no_key_and_arrives(group: str, option: str, tmp_path: Path) -> None:
    config = composed(*complete_option(group, option))
    fill(config, tmp_path)
    checked = load_config(config)
    found = leaves(checked.dump())
    # The files give exactly the models' keys: none stands only in a default, none is left out.
    assert set(leaves(OmegaConf.to_container(config, resolve=True))) == set(found)
    # `_self_` after `experiment` in config.yaml's defaults list would lose an experiment's values silently.
    content = OmegaConf.to_container(OmegaConf.load(CONF / group / f"{option}.yaml"))
    assert isinstance(content, dict)
    content.pop("defaults", None)
    if group == "experiment":
        # What a sweep tries is no value of a run.
        for key, values in content.pop("hydra", {}).get("sweeper", {}).get("params", {}).items():
            assert split_overrides([f"{key}={values}"])[0][key], key
    wanted = leaves(content if group == "experiment" else {group: content})
    assert wanted
    for key, value in wanted.items():
        # Values are checked into their types: 16 becomes the choice "16", 0 the number 0.0.
        assert value == "???" or found[key] in (value, str(value)), key
    # What run.yaml holds is the same configuration again.
    assert Config.model_validate(json.loads(json.dumps(checked.dump(), allow_nan=False))) == checked
    assert yaml.safe_load(yaml.safe_dump(checked.dump())) == checked.dump()


def test_the_defaults_are_a_run_without_any_download() -> None:
    config = load_overrides([])
    assert [type(source) for source in config.dataset.sources.values()] == [SyntheticSource]
    assert config.model.weights == "none"
    assert config.name == "mobilenetv2_100"
    assert config.seed == 0
    assert config.trainer.stages == ("fit", "test")
    assert load_overrides(["model=resnet50"]).name == "resnet50"
    assert load_overrides(["model=resnet50", "name=mine"]).name == "mine"


def test_several_trackers_are_chosen_together_and_none_by_default() -> None:
    assert load_overrides([]).tracker.collect_backends() == {}
    assert load_overrides(["tracker=csv"]).tracker.collect_backends() == {}
    several = load_overrides(["tracker=[tensorboard,mlflow,wandb]", "tracker.wandb.project=faces"]).tracker
    assert several.collect_backends() == {
        "tensorboard": {},
        "wandb": {"project": "faces", "entity": None, "mode": "auto"},
        "mlflow": {"uri": None, "experiment": "fer"},
    }


def test_a_run_saved_before_there_were_other_trackers_is_still_valid() -> None:
    saved = load_overrides([]).dump()
    saved["tracker"] = {"kind": "csv"}
    assert Config.model_validate(saved) == load_overrides([])


def test_the_paper_needs_both_roots(tmp_path: Path) -> None:
    unfilled = composed("experiment=paper")
    assert fill(unfilled, tmp_path) == ["dataset.sources.ferplus.root", "dataset.sources.rafdb.root"]
    config = load_config(unfilled)
    assert [type(source) for source in config.dataset.sources.values()] == [FerplusSource, RafdbSource]
    assert config.dataset.split == "stratified"
    assert config.dataset.fractions == (0.8, 0.1, 0.1)
    assert (config.model.name, config.model.image_size) == ("mobilenetv2_100", 224)
    assert config.model.loss.label_smoothing == 0.1
    assert (config.optimizer.lr, config.optimizer.schedule.kind, config.dataset.batch_size) == (5e-4, "constant", 64)
    assert config.trainer.max_epochs == 15


@pytest.mark.parametrize("overrides", [[], ["aws=sagemaker", "aws.bucket=faces"]])
def test_a_default_is_the_value_of_the_files(overrides: list[str]) -> None:
    """What was added later has a default, for run.yaml files of before; it is the value that a run has today."""

    def check(section: BaseModel) -> int:
        fields = type(section).model_fields
        for name, field in fields.items():
            # A run of before was calibrated by its temperature, had no mark for what is uncertain nor a fused step on
            # a CPU, and OpenCV computed YuNet.
            other = ["evaluation", "calibration", "precision_target", "fused", *["runtime"] * ("weights" in fields)]
            if not field.is_required() and name not in other:
                assert field.get_default(call_default_factory=True) == getattr(section, name), name
        inner = [getattr(section, name) for name in fields]
        return len(fields) + sum(check(part) for part in inner if isinstance(part, BaseModel))

    assert check(load_overrides(overrides)) > 50


def test_a_section_that_a_user_adds_is_checked(tmp_path: Path) -> None:
    added = f"+dataset.sources.mine={{kind: folder, root: {tmp_path}, class_map: {{Glad: happy, Other: null}}}}"
    source = load_overrides([added]).dataset.sources["mine"]
    assert isinstance(source, FolderSource)
    assert source.class_map == {"Glad": "happy", "Other": None}


def test_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a saved run replays from any directory."""
    (tmp_path / "faces").mkdir()
    (tmp_path / "w.pth").touch()
    monkeypatch.chdir(tmp_path)
    config = load_overrides(["dataset=rafdb", "dataset.sources.rafdb.root=faces", "model.weights=w.pth"])
    source = config.dataset.sources["rafdb"]
    assert isinstance(source, RafdbSource)
    assert source.root == str(tmp_path.resolve() / "faces")
    assert config.model.weights == str(tmp_path.resolve() / "w.pth")


def test_a_checked_configuration_cannot_change() -> None:
    config = load_overrides(["trainer.max_epochs=4"])
    with pytest.raises(ValidationError, match="frozen"):
        config.trainer.max_epochs = 3
    assert config.trainer.max_epochs == 4
