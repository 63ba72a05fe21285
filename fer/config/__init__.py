"""The configuration: the type, range and meaning of every key, and the strict load.

Values stand in ``conf/``; nothing here imports torch, OpenCV or boto3, so that a mistake is answered at once.
"""

from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from fer.config.annotation import Annotation
from fer.config.aws import Aws, LocalAws, SageMakerAws
from fer.config.base import ExistingPath, Section
from fer.config.dataset import Dataset
from fer.config.ensemble import Ensemble, ModelUri, ModelUris, check_model_uri
from fer.config.evaluation import Evaluation, check_protocol
from fer.config.export import Export
from fer.config.extraction import Extraction
from fer.config.inference import Inference
from fer.config.model import Model
from fer.config.optimizer import Optimizer
from fer.config.registry import Registry
from fer.config.report import Report
from fer.config.sweep import Sweep
from fer.config.temporal import CLIP_MODEL_KINDS
from fer.config.tracker import Tracker
from fer.config.trainer import Trainer

__all__ = [
    "Annotation",
    "Aws",
    "Config",
    "Dataset",
    "Ensemble",
    "Evaluation",
    "Export",
    "Extraction",
    "Inference",
    "LocalAws",
    "Model",
    "Optimizer",
    "Program",
    "Registry",
    "Report",
    "SageMakerAws",
    "Sweep",
    "Tracker",
    "Trainer",
]

Program = Literal["train", "infer", "register", "export", "annotate"]


class Config(Section):
    """The whole configuration; one for all programs.

    Examples:
        >>> from fer import load_config
        >>> load_config(["optimizer.lr=1e-3"]).optimizer.lr
        0.001
    """

    seed: int = Field(ge=0, lt=2**32, description="Seed of every random choice of a run")
    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$", description="Name of the run, part of its directory's name"
    )
    model_uri: ModelUri | ModelUris | None = Field(
        description="An existing model: a run directory, its bundle, a model.tar.gz (local, s3:// or gs://), "
        "models:/NAME/VERSION, models:/NAME@ALIAS, `pretrained` (the one that comes with the program) or `latest` (the "
        "newest run); where it is null, infer.py, fer explain and fer export take `pretrained`, register.py `latest`. "
        "A list of 2 to 10 is an ensemble: the mean of their calibrated probabilities",
    )
    ensemble: Ensemble = Field(Ensemble(), description="Several models as one")
    resume: ExistingPath | None = Field(
        description="The run directory of a killed run of train.py, infer.py or fer annotate to go on with"
    )
    dry_run: bool = Field(description="Print every request to AWS as JSON, and send none")
    dataset: Dataset = Field(description="Labelled faces")
    model: Model = Field(description="The network")
    optimizer: Optimizer = Field(description="The optimizer")
    trainer: Trainer = Field(description="The training")
    evaluation: Evaluation = Field(Evaluation(), description="How a model is judged")
    sweep: Sweep = Field(Sweep(), description="Many runs")
    tracker: Tracker = Field(description="Where metrics go")
    extraction: Extraction = Field(description="Videos")
    inference: Inference = Field(description="Classifying faces")
    report: Report = Field(Report(), description="What pages show of people")
    registry: Registry = Field(description="Registered models")
    export: Export = Field(Export(), description="Files for other programs")
    annotation: Annotation = Field(Annotation(), description="Labels by models, and by people")
    aws: Aws = Field(description="This machine, or AWS")

    @field_validator("model_uri", mode="before")
    @classmethod
    def check_models(cls, value: Any) -> Any:
        """Check the names of one model or of several; the error of a union of types would name each of them."""
        return check_model_uri(value)

    @model_validator(mode="after")
    def check_training(self, info: ValidationInfo) -> Self:
        """Check the rules of train.py; the other programs share the configuration and ignore them."""
        if info.context is not None and info.context["program"] != "train":
            return self
        if self.sweep.resume is not None:
            raise ValueError("sweep.resume=DIR stands on the command line alone, not in a file")
        if self.trainer.stages == ("test",) and self.model_uri is None:
            raise ValueError("trainer.stages=[test] needs model_uri, the run or bundle to evaluate")
        if "embed" in self.trainer.stages and self.model_uri is None and self.model.kind in CLIP_MODEL_KINDS:
            raise ValueError(
                "trainer.stages=[embed] needs model_uri, the run or bundle to embed with, or a network of single faces "
                f"(model.kind=frame), not model.kind={self.model.kind}"
            )
        if "embed" in self.trainer.stages and isinstance(self.model_uri, tuple):
            raise ValueError("trainer.stages=[embed] takes one model: features of several networks have no mean")
        if "fit" in self.trainer.stages and self.model_uri is not None:
            raise ValueError(
                "model_uri is only for trainer.stages=[test] and [embed]; to start a training from weights use "
                "model.weights=FILE"
            )
        if "fit" not in self.trainer.stages and self.trainer.resume_from is not None:
            raise ValueError("trainer.resume_from needs the stage fit in trainer.stages")
        if "fit" in self.trainer.stages:
            self._check_model_kind()
            self._check_head()
        check_protocol(self.evaluation.protocol, self.dataset.model_dump())
        return self

    def list_model_uris(self) -> tuple[str, ...]:
        """Return the URIs of ``model_uri``, several of an ensemble; none where it is null."""
        if self.model_uri is None:
            return ()
        return (self.model_uri,) if isinstance(self.model_uri, str) else self.model_uri

    def format_model_uri(self) -> str:
        """Return ``model_uri`` as a command line has it: `URI`, `[URI,URI]` or `null`."""
        uris = self.list_model_uris()
        return f"[{','.join(uris)}]" if len(uris) > 1 else "".join(uris) or "null"

    def _check_model_kind(self) -> None:
        """Check that the network looks at what the data are."""
        name, kind = next(iter(self.dataset.sources)), self.model.kind
        if self.dataset.has_clips and kind not in CLIP_MODEL_KINDS:
            raise ValueError(
                f"model.kind={kind} looks at single faces, and dataset.sources.{name} has clips; use model=temporal or "
                "model=video3d"
            )
        if not self.dataset.has_clips and kind in CLIP_MODEL_KINDS:
            raise ValueError(
                f"model.kind={kind} looks at clips, and dataset.sources.{name} has images; use dataset=clips or "
                "dataset=synthetic_clips, or a network of single faces (model.kind=frame)"
            )

    def _check_head(self) -> None:
        """Check that nothing is asked of the fit of a head that is for trainings in epochs."""
        trainer = self.trainer
        if self.model.kind != "embedding_head":
            return
        if trainer.world_size > 1:
            raise ValueError(
                "model.kind=embedding_head is fitted by one process; use trainer.devices=1 and trainer.num_nodes=1"
            )
        for key, chosen in (
            ("resume_from", trainer.resume_from is not None),
            ("overfit_batches", trainer.overfit_batches is not None),
            ("limit_batches", trainer.limit_batches is not None),
            ("callbacks", bool(trainer.callbacks)),
            ("profile", trainer.profile),
        ):
            if chosen:
                remedy = "leave it out"
                if key == "limit_batches":
                    remedy += ", and trainer=debug, which sets it; dataset.limit=N takes few images"
                raise ValueError(
                    f"trainer.{key} is for trainings in epochs, and model.kind=embedding_head has none; {remedy}"
                )
        if trainer.explain and self.model.head.kind == "gradient_boosting":
            raise ValueError(
                "trainer.explain=true follows gradients, and trees (model.head.kind=gradient_boosting) have none; use "
                "another head, or trainer.explain=false"
            )

    def dump(self) -> dict[str, Any]:
        """Return the configuration as plain lists, numbers and strings: what run.yaml holds."""
        return self.model_dump(mode="json")
