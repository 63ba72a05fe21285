"""Section `registry`: what register.py does, and what a model must reach."""

from typing import Literal

from pydantic import Field

from fer.config.base import BucketFolder, NewPath, Probability, Section
from fer.config.deploy import Deploy


class Gate(Section):
    """What a model must reach to be approved, on the test split of its data."""

    min_accuracy: Probability = Field(description="Least accuracy")
    min_macro_f1: Probability = Field(description="Least macro-F1")
    max_calibration_error: Probability = Field(description="Largest expected calibration error")
    tolerance: Probability = Field(
        description="How far the accuracy may be below the champion's on the same images, at the lower end of the 95 % "
        "interval of a paired bootstrap"
    )
    min_worst_class_recall: Probability | None = Field(
        None, description="Least recall of the class that is recognised worst; null sets no limit"
    )
    min_worst_group_accuracy: Probability | None = Field(
        None, description="Least accuracy of the worst group of evaluation.groups; null sets no limit"
    )
    min_common_images: int = Field(ge=1, description="Test images in common with the champion, to compare with it")


class Registry(Section):
    """Versions of models, and which of them is in use."""

    action: Literal[
        "register", "list", "promote", "rollback", "show", "judge", "archive", "delete", "deploy", "undeploy"
    ] = Field(
        description="`register` model_uri, `list` the versions, `promote` one to champion, `rollback` to the champion "
        "before, `show` one, `judge` one anew by the limits of gate, `archive` or `delete` one; `deploy` one to "
        "deploy.target, where `rollback` goes back to what was served before, and `undeploy` deletes the endpoint"
    )
    name: str = Field(pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$", description="Name of the model in the registry")
    version: int | None = Field(
        ge=1,
        description="promote, show, deploy: this version; null promotes the challenger, shows and deploys the "
        "champion. judge, archive and delete need one",
    )
    store: NewPath = Field(min_length=1, description="aws=local: directory of the registry's database and models")
    upload: BucketFolder | None = Field(
        None,
        description="register: folder in a private bucket, s3://BUCKET/FOLDER or gs://BUCKET/FOLDER, which also gets "
        "the package of a version that is not rejected, as NAME/SHA256/model.tar.gz",
    )
    gate: Gate = Field(description="What a model must reach")
    deploy: Deploy = Field(Deploy(), description="Where a version answers requests")

    @property
    def concerns_endpoint(self) -> bool:
        """Whether the action is about an endpoint, and not about versions alone."""
        is_rollback = self.action == "rollback" and self.deploy.target is not None
        return is_rollback or self.action in ("deploy", "undeploy")
