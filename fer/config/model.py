"""Section `model`: the network, where its weights start, and its loss."""

import importlib.util
import re
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from fer.config.base import Fraction, LocalPath, Options, Probability, Section, resolve_input_path
from fer.config.embedding_head import Head
from fer.config.temporal import CLIP_MODEL_KINDS, VIDEO_ARCHITECTURES, ModelKind, Temporal
from fer.core.path_map import map_path
from fer.core.plugins import NAME_PATTERN

BUILT_IN_LOSSES = ("cross_entropy", "focal")


@cache
def list_timm_architectures() -> frozenset[str]:
    """List the names that ``timm.create_model`` knows, read from timm's files: importing it takes seconds."""
    spec = importlib.util.find_spec("timm")
    folders = spec.submodule_search_locations if spec and spec.submodule_search_locations else []
    entry = re.compile(r"^@register_model\s*\ndef (\w+)\(", re.MULTILINE)
    return frozenset(
        name
        for folder in folders
        for file in sorted(Path(folder, "models").glob("*.py"))
        for name in entry.findall(file.read_text(encoding="utf-8"))
    )


class Loss(Section):
    """What training minimises."""

    kind: str = Field(
        pattern=rf"^{NAME_PATTERN}$",
        description="`cross_entropy`, or `focal` loss (arXiv:1708.02002), on hard or distributed targets; or the name "
        "of a plugin's loss",
    )
    options: Options = Field(default_factory=dict, description="Further arguments of a plugin's loss")
    label_smoothing: Fraction = Field(description="Fraction of each target spread evenly over the classes")
    focal_gamma: float = Field(ge=0, le=10, description="Focal loss: how much easy images count less")
    logit_adjustment: float = Field(
        0,
        ge=0,
        le=2,
        description="Against unequal classes: so many times the logarithm of a class's frequency is added to its logit "
        "in the loss (arXiv:2007.07314); 1 aims at balanced accuracy, 0 is off",
    )
    distill_weight: Probability = Field(
        0.5, description="Weight of the teachers' answers in the loss, against the labels; see `model.teacher`"
    )
    distill_temperature: float = Field(
        1, gt=0, le=20, description="Temperature at which student and teachers are compared (arXiv:1503.02531)"
    )
    affect_weight: float = Field(
        1,
        ge=0,
        le=100,
        description="What the loss of valence and arousal counts beside that of the emotions: 1 minus their "
        "concordance (Lin's CCC) in the batch; see `model.affect`",
    )

    @model_validator(mode="after")
    def check_options(self) -> Self:
        """Check that options are those of a plugin."""
        if self.options and self.kind in BUILT_IN_LOSSES:
            raise ValueError(f"kind={self.kind} takes no options; they are for the loss of a plugin")
        return self


class Model(Section):
    """The network."""

    kind: ModelKind = Field(
        "frame",
        description="What the network looks at: single faces (`frame`; `embedding_head`: a classical classifier on the "
        "features of a frozen encoder), or clips: features of frames joined by a head (`temporal`), or convolutions "
        "through space and time (`video3d`)",
    )
    name: str = Field(
        description="Any architecture of timm, such as mobilenetv2_100 or resnet50; with kind=video3d r3d_18, "
        "mc3_18 or r2plus1d_18 of torchvision"
    )
    weights: str = Field(
        description="Where weights start: `none` (random), `pretrained` (from the model hub), or a "
        ".safetensors or .pth file (a path, s3:// or gs://)"
    )
    weights_sha256: str | None = Field(
        pattern=r"^[0-9a-f]{64}$", description="Refuse starting weights with another SHA-256; null accepts any"
    )
    image_size: int = Field(ge=32, le=1024, description="Width and height that the network sees, pixels")
    drop_rate: Fraction = Field(description="Dropout before the classifier")
    head_epochs: int = Field(ge=0, description="Epochs in which only the classifier trains, the rest frozen")
    unfreeze_per_epoch: int = Field(
        ge=0, description="After head_epochs, blocks unfrozen an epoch from the top; 0 unfreezes all at once"
    )
    flip: bool = Field(
        False,
        description="Answer with the mean over a face and its mirror image, in validation and wherever it is used; it "
        "takes twice the time",
    )
    affect: bool = Field(
        False,
        description="Also learn valence and arousal, of images that have them (columns of groups.csv)",
    )
    teacher: tuple[LocalPath, ...] = Field(
        (),
        description="Models to learn from, beside the labels (distillation): their mean answer for each training image "
        "is computed once; named as in `model_uri`",
    )
    encoder: LocalPath | None = Field(
        None,
        min_length=1,
        description="With kind=temporal or embedding_head: an existing model of single faces whose body the encoder "
        "starts from, named as in `model_uri`; null starts it by `model.weights`",
    )
    head: Head = Field(Head(), description="Classifiers on embeddings")
    temporal: Temporal = Field(Temporal(), description="Windows of models of clips")
    loss: Loss = Field(description="What training minimises")

    @field_validator("name")
    @classmethod
    def check_architecture(cls, value: str, info: ValidationInfo) -> str:
        """Check that timm has the architecture, or torchvision that of a model of kind video3d."""
        if info.data.get("kind") == "video3d":
            if value not in VIDEO_ARCHITECTURES:
                raise ValueError(f"with model.kind=video3d allowed are {', '.join(VIDEO_ARCHITECTURES)}")
            return value
        known = list_timm_architectures()
        if value.split(".")[0] not in known:
            if value in VIDEO_ARCHITECTURES:
                raise ValueError("is a network of torchvision for clips; use model=video3d")
            near = get_close_matches(value, known, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise ValueError(f"no architecture of timm has this name{hint}")
        return value

    @field_validator("weights")
    @classmethod
    def check_weights(cls, value: str) -> str:
        """Check that the file is there, and make its path absolute."""
        if value in ("none", "pretrained"):
            return value
        try:
            path = resolve_input_path(value)
            if Path(map_path(path)).is_dir():
                raise ValueError("is a directory")
            return path
        except ValueError as error:
            raise ValueError(f"{error}; allowed are `none`, `pretrained`, or a weights file") from None

    @model_validator(mode="after")
    def check_kind(self) -> Self:
        """Check that what is asked for is there for networks of this kind."""
        if self.encoder is not None and self.kind not in ("temporal", "embedding_head"):
            raise ValueError(
                f"encoder={self.encoder}: only a network with model.kind=temporal or embedding_head has an encoder; "
                "use one of them, or model.encoder=null"
            )
        if self.encoder is not None and self.weights != "none":
            raise ValueError(
                f"encoder={self.encoder} and weights={self.weights} both say where the frame encoder starts; use one"
            )
        if self.kind == "frame":
            return self
        of_clips = self.kind in CLIP_MODEL_KINDS
        what = f"{'clips' if of_clips else 'a frozen encoder'} (model.kind={self.kind})"
        for key, chosen, off in (
            ("flip", self.flip, "false"),
            ("affect", self.affect, "false"),
            ("teacher", bool(self.teacher), "[]"),
        ):
            if chosen:
                raise ValueError(
                    f"{key} is for networks of single faces (model.kind=frame), not of {what}; use model.{key}={off}"
                )
        if self.unfreeze_per_epoch:
            raise ValueError(
                f"unfreeze_per_epoch={self.unfreeze_per_epoch}: networks of {what} have no blocks to unfreeze one by "
                "one; use model.unfreeze_per_epoch=0"
            )
        return self._check_parts()

    def _check_parts(self) -> Self:
        """Check what trains when, and what each loss needs."""
        if self.kind == "embedding_head" and self.head_epochs:
            raise ValueError(
                f"head_epochs={self.head_epochs}: with model.kind=embedding_head nothing but the head is ever fitted; "
                "use model.head_epochs=0"
            )
        if self.kind == "temporal" and self.temporal.freeze_encoder and self.head_epochs:
            raise ValueError(
                f"head_epochs={self.head_epochs}: the frame encoder never trains with "
                "model.temporal.freeze_encoder=true; use false, or model.head_epochs=0"
            )
        if self.kind == "video3d" and self.temporal.loss == "frame":
            raise ValueError(
                "temporal.loss=frame: a network with model.kind=video3d has one answer a clip, and none a frame; use "
                "model.temporal.loss=clip"
            )
        return self
