"""Every value of a sweep is checked before its first job, and nothing is left where one is wrong."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from fer.config.compose import CONF
from fer.errors import ConfigError
from fer.sweep import validation
from fer.sweep.validation import check_sweep


def check(*arguments: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3", job_name="train"):
        plain = [text for text in arguments if text.startswith(("hydra", "experiment"))]
        config = compose("config", plain, return_hydra_config=True)
        config.hydra.job.config_name = "config"
        config.hydra.overrides.task = [text for text in arguments if not text.startswith("hydra")]
        check_sweep(config)


OPTUNA = "hydra/sweeper=optuna"


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("optimizer.lr=1e-3,5e-4", "model=mobilenetv2_050,resnet50", "seed=range(0,3)"),
        ("experiment=sweep_lr",),
        ("experiment=sweep_arch",),
        (OPTUNA, "experiment=sweep_optuna"),
        (OPTUNA, "optimizer.lr=tag(log,interval(1e-4,1e-2))", "model.loss.label_smoothing=choice(0,0.1)"),
    ],
)
def test_a_sweep_whose_values_are_allowed_passes(arguments: tuple[str, ...]) -> None:
    check(*arguments)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("optimizer.lr=1e-3,fast",), "optimizer.lr=fast: must be a number"),
        (("seed=0,1", "optimizer.lr=1e-3,-1", "model.drop_rate=0,2"), "model.drop_rate=2: must be below 1.0"),
        (("model.name=mobilenetv2_050,mobilenetv9",), "no architecture of timm has this name"),
        (("trainer=auto,cpu", "trainer.precision=32,16"), "(trainer=cpu trainer.precision=16)"),
        (("seed=0,1", "dataset=synthetic,ferplus"), "dataset.sources.ferplus.root: a value is needed"),
        (("seed=0,1", "+trainer.max_epoch=3,4"), "did you mean trainer.max_epochs?"),
        ((OPTUNA, "optimizer.lr=interval(1,20)"), "optimizer.lr=20.0: must be at most 10.0"),
        ((OPTUNA, "seed=0,1", "model.drop_rate=range(0,2,step=0.5)"), "model.drop_rate=1.5: must be below 1.0"),
        ((OPTUNA, "trainer.early_stopping.monitor=choice(val_loss,val_los)"), "allowed are val_accuracy, "),
    ],
)
def test_a_value_that_no_job_could_begin_with_is_refused(arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        check(*arguments)
    assert words in str(raised.value) and str(raised.value).endswith("no job of the sweep was started")


def test_of_a_very_large_grid_each_value_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "MAX_CHECKED", 4)
    checked: list[object] = []
    monkeypatch.setattr(validation, "load_config", lambda config, program: checked.append(config.seed))
    check("seed=range(0,5)", "optimizer.lr=1e-3,2e-3,3e-3")
    assert set(checked) == set(range(5)) and len(checked) == 7


def test_nothing_is_made_for_a_sweep_that_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError):
        check("optimizer.lr=1e-3,fast")
    assert not list(tmp_path.iterdir())
