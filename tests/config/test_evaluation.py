"""A protocol checks the configuration, and no configuration lets the test part choose a checkpoint."""

from pathlib import Path

import pytest

from fer.config.compose import load_overrides
from fer.errors import ConfigError

VAL_METRICS = ("val_accuracy", "val_balanced_accuracy", "val_macro_f1", "val_loss")


def overrides(root: Path, dataset: str, *others: str) -> list[str]:
    return [f"dataset={dataset}", f"dataset.sources.{dataset}.root={root}", *others]


@pytest.mark.parametrize(
    ("protocol", "dataset", "others"),
    [("ferplus7", "ferplus", ()), ("ferplus8", "ferplus", ("dataset.classes=8",)), ("rafdb", "rafdb", ())],
)
def test_a_protocol_takes_the_configuration_that_it_names(
    tmp_path: Path, protocol: str, dataset: str, others: tuple[str, ...]
) -> None:
    config = load_overrides([*overrides(tmp_path, dataset, *others), f"evaluation.protocol={protocol}"])
    assert config.evaluation.protocol == protocol
    assert load_overrides([]).evaluation.protocol is None


@pytest.mark.parametrize(
    ("protocol", "dataset", "other", "needed"),
    [
        ("ferplus7", "ferplus", "dataset.classes=8", "dataset.classes=7"),
        ("ferplus8", "ferplus", "dataset.classes=7", "dataset.classes=8"),
        ("ferplus7", "ferplus", "dataset.split=stratified", "dataset.split=official"),
        ("ferplus7", "ferplus", "dataset.limit=100", "dataset.limit=null"),
        (
            "ferplus7",
            "ferplus",
            "dataset.sources.ferplus.eval_label_rule=argmax",
            "dataset.sources.ferplus.eval_label_rule=majority",
        ),
        (
            "ferplus7",
            "ferplus",
            "dataset.sources.ferplus.contempt=renormalise",
            "dataset.sources.ferplus.contempt=drop",
        ),
        ("rafdb", "rafdb", "dataset.split=stratified", "dataset.split=official"),
        ("rafdb", "ferplus", "seed=1", "dataset=rafdb as the only source"),
        ("ferplus7", "rafdb", "seed=1", "dataset=ferplus as the only source"),
    ],
)
def test_another_configuration_is_refused_in_one_sentence(
    tmp_path: Path, protocol: str, dataset: str, other: str, needed: str
) -> None:
    with pytest.raises(ConfigError) as error:
        load_overrides([*overrides(tmp_path, dataset, other), f"evaluation.protocol={protocol}"])
    assert f"evaluation.protocol={protocol} needs {needed}; null claims no protocol" in str(error.value)


def test_everything_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ferplus8 needs dataset\.split=official, dataset\.classes=8; null"):
        load_overrides([*overrides(tmp_path, "ferplus", "dataset.split=stratified"), "evaluation.protocol=ferplus8"])


def test_other_programs_ignore_the_protocol() -> None:
    assert load_overrides(["evaluation.protocol=rafdb"], "infer").evaluation.protocol == "rafdb"


@pytest.mark.parametrize("key", ["trainer.early_stopping.monitor", "sweep.metric"])
def test_no_configuration_chooses_a_checkpoint_on_the_test_part(key: str) -> None:
    for metric in VAL_METRICS:
        load_overrides([f"{key}={metric}"])
        with pytest.raises(ConfigError):
            load_overrides([f"{key}={metric.replace('val_', 'test_')}"])
    for metric in ("test", "test_macro_f1", "accuracy"):
        with pytest.raises(ConfigError):
            load_overrides([f"{key}={metric}"])
