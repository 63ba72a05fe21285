"""Section `inference`: how faces are classified, and when a batch is reported as unusual."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from fer.config.base import ExistingPath, Probability, Section

# Values of `inference.runtime` that compute on CPUs alone.
CPU_RUNTIMES = ("onnx", "openvino")


class Monitor(Section):
    """When a batch is reported as unusual: a warning, and exit code 4. null never warns."""

    baseline: ExistingPath | None = Field(
        description="Run of infer.py to compare with; null takes the training's, kept in the bundle"
    )
    min_faces: int = Field(ge=1, description="With fewer faces no drift is computed")
    max_psi: float | None = Field(
        gt=0, description="Largest population stability index (0.25 is usual), at the lower end of its 95 % interval"
    )
    max_failures: Probability | None = Field(description="Largest fraction of sampled frames that could not be used")
    min_accuracy: Probability | None = Field(description="Least accuracy, where extraction.labels is given")
    min_macro_f1: Probability | None = Field(description="Least macro-F1, where extraction.labels is given")


class Inference(Section):
    """How faces are classified."""

    route: Literal["auto", "process", "transform"] = Field(
        description="`process`: in infer.py itself; `transform`: by the packaged model, in a batch; `auto`: transform "
        "with aws=sagemaker, otherwise process"
    )

    device: Literal["auto", "cpu", "gpu"] = Field(
        "auto", description="Kind of device: a GPU of NVIDIA needs PyTorch; `auto` takes one where there is one"
    )
    runtime: Literal["auto", "torch", "onnx", "openvino"] = Field(
        description="PyTorch, or ONNX Runtime (several times faster on CPUs, and only for them), or OpenVINO (for "
        "CPUs, too, with the extra `export`); `auto` is PyTorch on a GPU, otherwise ONNX Runtime"
    )
    precision: Literal["32", "16"] = Field(
        "32", description="Arithmetic: full, or on a GPU mixed with half; without one, `auto` computes in full"
    )
    batch_size: int | None = Field(
        ge=1, le=4096, description="Faces classified at a time; null is 8 on a CPU and 256 on a GPU"
    )
    flip: bool = Field(description="Classify each face and its mirror image, and take the mean")
    sets: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Also the emotions of which the right one is one in at least this share of cases (a conformal "
        "prediction set, column `set`), e.g. 0.9; null has none",
    )
    monitor: Monitor = Field(description="When a batch is reported as unusual")

    @field_validator("precision", mode="before")
    @classmethod
    def convert_number_to_text(cls, value: object) -> object:
        """Take the number 32, as YAML reads it, for the text."""
        return str(value) if isinstance(value, int) else value

    @model_validator(mode="after")
    def check_device(self) -> Self:
        """Check that a runtime for CPUs is not asked for a GPU, nor a CPU for half precision."""
        if self.device == "gpu" and self.runtime in CPU_RUNTIMES:
            raise ValueError("device=gpu needs PyTorch; use inference.runtime=auto, or inference.device=cpu")
        if self.precision == "16" and (self.device == "cpu" or self.runtime in CPU_RUNTIMES):
            raise ValueError(
                "precision=16 needs a GPU, which is computed on with inference.device=auto or gpu and "
                "inference.runtime=auto or torch; use inference.precision=32"
            )
        return self
