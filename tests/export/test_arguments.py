"""The command line of `fer export`: a model, keys of its section without their name, overrides, Hydra's options."""

from pathlib import Path

import pytest

from fer.config import Config
from fer.config.export import Export
from fer.errors import ConfigError
from fer.export.__main__ import JOB_NAME, expand_arguments


def test_keys_of_the_section_need_no_prefix() -> None:
    typed = ["RUN", "format=[onnx,openvino]", "quantize=int8", "max_loss=0.1", "dataset=ferplus", "seed=3"]
    assert expand_arguments(typed) == [
        *(JOB_NAME, "model_uri=RUN", "export.format=[onnx,openvino]", "export.quantize=int8"),
        *("export.max_loss=0.1", "dataset=ferplus", "seed=3"),
    ]
    assert not set(Export.model_fields) & set(Config.model_fields), "a short key would have two meanings"


def test_options_of_hydra_stay_where_they_stand() -> None:
    saved = ["--config-dir", "RUN", "--config-name", "run"]
    assert expand_arguments([*saved, "quantize=int8"]) == [*saved, JOB_NAME, "export.quantize=int8"]
    assert expand_arguments(["RUN", *saved]) == [JOB_NAME, "model_uri=RUN", *saved]
    assert expand_arguments(["RUN", "seed=1", "--config-dir", "RUN"]) == [
        *(JOB_NAME, "model_uri=RUN", "seed=1", "--config-dir", "RUN"),
    ]
    assert expand_arguments([*saved, "RUN"]) == [*saved, JOB_NAME, "model_uri=RUN"]
    assert expand_arguments([]) == [JOB_NAME]


def test_a_directory_with_an_equals_sign_is_a_model(tmp_path: Path) -> None:
    folder = tmp_path / "lr=1"
    folder.mkdir()
    assert expand_arguments([str(folder)]) == [JOB_NAME, f"model_uri={folder}"]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["A", "B"], "A and B: name one model"),
        (["A", "model_uri=B"], "A and model_uri=B: name one model"),
        (
            ["-m", "format=onnx,openvino"],
            r"--multirun: one export writes several formats; use format=\[",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(typed: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        expand_arguments(typed)
