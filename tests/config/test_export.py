"""Section `export`: one format or several, and what no package of this environment writes."""

import pytest

from fer.config.compose import load_overrides
from fer.config.export import MADE_ELSEWHERE
from fer.errors import ConfigError


def test_one_format_is_a_list_of_one() -> None:
    assert load_overrides(["export.format=openvino"], "export").export.format == ("openvino",)
    assert load_overrides(["export.format=[onnx,openvino]"], "export").export.format == ("onnx", "openvino")
    assert load_overrides([], "export").export.format == ("onnx",)


@pytest.mark.parametrize("name", MADE_ELSEWHERE)
def test_a_format_that_is_made_elsewhere_says_where(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^export\.format=\S*: {name} is written by \S+, which"):
        load_overrides([f"export.format={name}"], "export")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["export.format=onxx"], "allowed are onnx, torchscript, exported_program or openvino"),
        (["export.format=[]"], "export.format"),
        (["export.format=[onnx,onnx]"], "names a format twice"),
        (["export.quantize=int4"], "allowed are none or int8"),
        (["export.format=[onnx,torchscript]", "export.quantize=int8"], "PyTorch needs torchao to quantise torchscript"),
        (["export.max_loss=2"], "export.max_loss=2"),
        (["export.calibration_images=1"], "export.calibration_images=1"),
    ],
)
def test_what_cannot_be_is_one_sentence(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_overrides(overrides, "export")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
