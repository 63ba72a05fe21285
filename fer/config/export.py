"""Section `export`: in which formats a model leaves, and what an exported file must keep of its answers."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from fer.config.base import Probability, Section

ExportFormat = Literal["onnx", "torchscript", "exported_program", "openvino"]
# Formats that no package of this environment writes: how they are had nevertheless.
MADE_ELSEWHERE = {
    "tflite": "is written by litert-torch, which this program does not install; export format=onnx or "
    "exported_program, and convert that file where it is installed",
    "coreml": "is written by coremltools, which this program does not install; export format=torchscript or "
    "exported_program, and convert that file where it is installed",
}
QUANTIZED_FORMATS = ("onnx", "openvino")


class Export(Section):
    """What `fer export` writes."""

    format: tuple[ExportFormat, ...] = Field(
        ("onnx",),
        min_length=1,
        description="File formats, one or a list: `onnx`, `torchscript` (model.pt), `exported_program` (PyTorch's "
        "successor to it, model.pt2), `openvino` (model.xml and model.bin)",
    )
    quantize: Literal["none", "int8"] = Field(
        "none",
        description="`int8`: weights and activations in 8 bits, their ranges taken from calibration images; for "
        "`onnx` by ONNX Runtime, for `openvino` by NNCF",
    )
    calibration_images: int = Field(
        300,
        ge=10,
        le=10_000,
        description="quantize=int8: so many training images of `dataset`, drawn by the seed, give the ranges",
    )
    max_loss: Probability = Field(
        0.01,
        description="quantize=int8: how much accuracy a file may lose against the model on the validation images of "
        "`dataset`; one that loses more is not kept",
    )

    @field_validator("format", mode="before")
    @classmethod
    def check_formats(cls, value: object) -> object:
        """Take one format for a list of one, and say of formats that are made elsewhere where that is."""
        names = [value] if isinstance(value, str) else value
        if isinstance(names, list | tuple):
            for name in names:
                if isinstance(name, str) and name in MADE_ELSEWHERE:
                    raise ValueError(f"{name} {MADE_ELSEWHERE[name]}")
            if len(set(map(str, names))) < len(names):
                raise ValueError("names a format twice")
        return names

    @model_validator(mode="after")
    def check_quantization(self) -> Self:
        """Check that every format can be quantised."""
        full = [name for name in self.format if name not in QUANTIZED_FORMATS]
        if self.quantize != "none" and full:
            raise ValueError(
                f"quantize={self.quantize}: PyTorch needs torchao to quantise {' and '.join(full)}, which this program "
                f"does not install; use export.format={QUANTIZED_FORMATS[0]} or {QUANTIZED_FORMATS[1]}, or "
                "export.quantize=none"
            )
        return self
