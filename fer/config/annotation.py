"""Section `annotation`: which faces `fer annotate` labels, and who labels them."""

from typing import Literal

from pydantic import Field, field_validator

from fer.config.base import ExistingPath, LocalPath, Section
from fer.config.ensemble import ModelUri, ModelUris, check_model_uri

DEEPFACE = "deepface"
MAX_ANNOTATORS = 10


class DeepFace(Section):
    """The annotator `deepface`: a package with TensorFlow, which runs in an environment and a process of its own."""

    environment: LocalPath | None = Field(
        None, description="Its environment, which `fer annotate setup-deepface DIR` makes; needed for `deepface`"
    )
    actions: tuple[Literal["emotion", "age", "gender"], ...] = Field(
        ("emotion",),
        description="What it is asked for: emotion, and if need be age and gender; race is not offered, since nobody "
        "can see it in a face",
    )
    timeout_s: float = Field(
        120, gt=0, le=3600, description="A face that takes longer is tried once more by a new process, seconds"
    )

    @field_validator("actions", mode="before")
    @classmethod
    def check_actions(cls, value: object) -> object:
        """Check that emotions are asked for, and race is not."""
        names = [value] if isinstance(value, str) else value
        if isinstance(names, list | tuple):
            if "race" in names:
                raise ValueError(
                    "race is not offered: it cannot be seen in a face, and models that claim to do so repeat the "
                    "prejudices of those who labelled their data; leave it out"
                )
            if "emotion" not in names or len(set(map(str, names))) < len(names):
                raise ValueError("must name emotion, and each action once, such as [emotion,age,gender]")
        return names


class Annotation(Section):
    """What `fer annotate` labels."""

    input: LocalPath | None = Field(
        None,
        description="The faces: a run of infer.py with extraction.save=dataset, its folder crops/, or any folder or "
        "archive of pictures that are cropped to a face",
    )
    by: tuple[ModelUri | ModelUris, ...] = Field(
        ("pretrained",),
        min_length=1,
        max_length=MAX_ANNOTATORS,
        description="Who labels them, one or a list: models as in model_uri, `deepface`, and lists of models, each of "
        "which is an ensemble",
    )
    batch_size: int = Field(
        256,
        ge=1,
        le=65536,
        description="Faces of a batch: a row of label_monitor_log.csv, and what a kill loses at most",
    )
    reference: ExistingPath | None = Field(
        None,
        description="An earlier run of fer annotate, with whose labels each batch is compared; null compares with the "
        "first batch",
    )
    deepface: DeepFace = Field(DeepFace(), description="The annotator `deepface`")

    @field_validator("by", mode="before")
    @classmethod
    def check_annotators(cls, value: object) -> object:
        """Take one annotator for a list of one, and check the names of all."""
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list | tuple):
            raise ValueError("must name an annotator, or be a list of them")
        checked = [DEEPFACE if name == DEEPFACE else check_model_uri(name) for name in names]
        if any(name is None or (isinstance(name, tuple) and DEEPFACE in name) for name in checked):
            raise ValueError("deepface is an annotator of its own, and no member of an ensemble; each has a name")
        if twice := next((name for name in checked if checked.count(name) > 1), None):
            raise ValueError(f"names {twice} twice")
        return tuple(checked)
