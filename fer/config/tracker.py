"""Section `tracker`: where the metrics of a training go, beside the run directory's own files."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator

from fer.config.base import Plugins, Section, check_plugin_names, expand_tracking_uri, reject_password


class Wandb(Section):
    """A run in Weights & Biases."""

    project: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$", description="W&B's project, which is made where there is none"
    )
    entity: str | None = Field(min_length=1, description="W&B's user or team; null is your own default")
    mode: Literal["auto", "offline", "online"] = Field(
        description="`offline` keeps the run in files that `wandb sync` sends later, `online` sends at once; `auto` is "
        "online where there is a key (WANDB_API_KEY or netrc)"
    )


class Mlflow(Section):
    """A run in MLflow."""

    uri: Annotated[str, AfterValidator(reject_password), AfterValidator(expand_tracking_uri)] | None = Field(
        min_length=1,
        description="Tracking server (http://…) or database (sqlite:///FILE); null is outputs/mlflow/mlflow.db",
    )
    experiment: str = Field(min_length=1, max_length=250, description="MLflow's experiment")


class Tracker(Section):
    """Where metrics go."""

    kind: Literal["csv"] = Field(description="`csv`: history.csv of the run directory, which is always written")
    tensorboard: bool = Field(False, description="Event files in tensorboard/ of the run directory")
    wandb: Wandb | None = Field(None, description="Weights & Biases; null is off")
    mlflow: Mlflow | None = Field(None, description="MLflow; null is off")
    plugins: Plugins = Field(default_factory=dict, description="Trackers of plugins: name: options of each")

    @field_validator("plugins")
    @classmethod
    def check_plugins(cls, value: Plugins) -> Plugins:
        """Check the names."""
        return check_plugin_names(value, ("csv", *cls.model_fields))

    def collect_backends(self) -> dict[str, dict[str, Any]]:
        """Return the trackers beside history.csv that are on, by kind, each with its options."""
        enabled: dict[str, dict[str, Any]] = {"tensorboard": {}} if self.tensorboard else {}
        for name, section in (("wandb", self.wandb), ("mlflow", self.mlflow)):
            if section is not None:
                enabled[name] = section.model_dump()
        return {**enabled, **self.plugins}
