"""Section `trainer`: on what, how long and how exactly to train."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from fer.config.base import ExistingPath, Fraction, Plugins, Section, check_plugin_names

Monitor = Literal["val_accuracy", "val_balanced_accuracy", "val_macro_f1", "val_loss"]


class EarlyStopping(Section):
    """When training ends before `max_epochs`, and which checkpoint is the best."""

    monitor: Monitor = Field(description="The validation metric that chooses the best checkpoint")
    patience: int | None = Field(
        ge=1,
        description="Validations without a better one before stopping, see `trainer.validations`; null never stops",
    )
    min_delta: float = Field(ge=0, description="Smallest change that counts as better")


class Trainer(Section):
    """Device, precision, length and exactness of a training."""

    stages: tuple[Literal["fit", "test", "embed"], ...] = Field(
        description="`fit` trains; `test` evaluates the best checkpoint, or `model_uri`, once; `embed`, by itself, "
        "writes the features that `model_uri`, or the network of `model`, gives of every image"
    )
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = Field(description="Kind of device")
    devices: int = Field(
        ge=1,
        le=1024,
        description="Devices of this machine: GPUs, or processes on the CPU; they divide every batch",
    )
    num_nodes: int = Field(
        1,
        ge=1,
        le=1024,
        description="Machines that train together, on each of which torchrun or srun starts train.py",
    )
    precision: Literal["auto", "32", "16", "bf16", "64"] = Field(
        description="Arithmetic: full, or mixed with half or bfloat16; `auto` takes what is fastest on the device, and "
        "run.yaml holds which; 64 shows whether a difference is rounding alone"
    )
    max_epochs: int = Field(ge=1, le=100_000, description="Epochs at most")
    max_time: float | None = Field(
        None, gt=0, description="Minutes after which no further epoch begins; a resumed run goes on counting. null: any"
    )
    validations: int = Field(
        1,
        ge=1,
        le=1000,
        description="Validations of an epoch, evenly spaced, the last at its end; each is a row of history.csv, may be "
        "the best and counts for `early_stopping.patience`",
    )
    early_stopping: EarlyStopping = Field(description="When to stop, and which checkpoint is the best")
    ema_decay: Fraction = Field(description="Decay of the moving average of weights that is evaluated; 0 is off")
    swa_start: Fraction | None = Field(
        None,
        description="Fraction of `max_epochs` after which the weights at the end of each epoch are averaged equally "
        "(arXiv:1803.05407) and the average is evaluated; null is off",
    )
    accumulate: int = Field(
        1, ge=1, le=4096, description="Batches whose gradients add up to one step of the optimizer, for larger batches"
    )
    gradient_clip: float = Field(ge=0, description="Largest norm of the gradient; 0 is off")
    deterministic: bool = Field(description="Only deterministic kernels: exact repetition on a GPU, slower")
    threads: int | None = Field(ge=1, le=1024, description="CPU threads of a process; null divides the cores")
    channels_last: bool = Field(description="Memory order of images: faster on most devices")
    compile: bool = Field(description="Compile the network (torch.compile); pays in long trainings on GPUs")
    sync_batchnorm: bool = Field(
        True, description="Batch norm over the batch of all GPUs; processes on the CPU each normalise their own slice"
    )
    resident: bool = Field(description="Keep all images on the device as bytes")
    limit_batches: int | None = Field(ge=1, description="Batches an epoch and split at most; null takes all")
    profile: bool = Field(
        False, description="Write `profile.html`: what the training spends its time on; results stay the same"
    )
    explain: bool = Field(
        False,
        description="Show in the report what the network looked at: maps for the most confident mistakes, and averaged "
        "over faces of each class; needs captum",
    )
    overfit_batches: int | None = Field(
        None,
        ge=1,
        description="Train and validate on the same first batches, without augmentation, mixing or weighted sampling, "
        "to see whether the network can learn at all; null is off",
    )
    resume_from: ExistingPath | None = Field(
        description="A checkpoint (or a run directory, whose last.ckpt is meant) to go on from, exactly"
    )
    callbacks: Plugins = Field(
        default_factory=dict, description="Callbacks of plugins, in this order: name: options of each"
    )

    @field_validator("precision", mode="before")
    @classmethod
    def convert_number_to_text(cls, value: object) -> object:
        """Take the number 32, as YAML reads it, for the text."""
        return str(value) if isinstance(value, int) else value

    @field_validator("stages")
    @classmethod
    def check_stages(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Check that the stages stand in their order, none twice."""
        if value not in (("fit",), ("test",), ("fit", "test"), ("embed",)):
            raise ValueError("allowed are [fit, test], [fit], [test] and [embed]")
        return value

    @field_validator("callbacks")
    @classmethod
    def check_callbacks(cls, value: Plugins) -> Plugins:
        """Check the names."""
        return check_plugin_names(value)

    @property
    def world_size(self) -> int:
        """Number of processes that train together, over all machines."""
        return self.devices * self.num_nodes

    @model_validator(mode="after")
    def check_compile(self) -> Self:
        """Check that several processes do not compile the network."""
        if self.world_size > 1 and self.compile:
            raise ValueError("compile=true is for one process; with several devices use trainer.compile=false")
        return self

    @model_validator(mode="after")
    def check_averages(self) -> Self:
        """Check that one average of the weights is chosen."""
        if self.ema_decay and self.swa_start is not None:
            raise ValueError(
                f"swa_start={self.swa_start:g} and ema_decay={self.ema_decay:g} are two averages of the weights, "
                "of which one can be evaluated; use trainer.ema_decay=0, or trainer.swa_start=null"
            )
        return self

    @model_validator(mode="after")
    def check_half_precision(self) -> Self:
        """Check that half precision is computed on a GPU."""
        if self.precision == "16" and self.accelerator == "cpu":
            raise ValueError("precision=16 needs a GPU; on a CPU use trainer.precision=32 or bf16")
        return self
