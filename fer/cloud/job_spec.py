"""What is to be trained in SageMaker, and where: parsed from a command line, and validated."""

import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fer.bundle.locate import names_pretrained
from fer.cloud.printing import select_sagemaker
from fer.config import Config, SageMakerAws
from fer.config.compose import load_overrides, refuse_executable_yaml
from fer.config.dataset import list_source_paths
from fer.config.quoting import read_text
from fer.core.object_uri import is_object_uri, is_s3_uri
from fer.errors import ConfigError, UserError
from fer.runs.run_directory import RUN_YAML, load_run_config

AWS_OVERRIDE = re.compile(r"[+~]*aws[=.]|dry_run=")
RUN_DIR_OVERRIDE = "hydra.run.dir="


@dataclass(frozen=True)
class JobSpec:
    """What is to be trained, and where.

    Args:
        config: Configuration of the training.
        aws: Where it is trained.
        dry_run: Print the requests to AWS, and send none.
        directory: Run directory on this machine; None is a new one below outputs/.
        overrides: Overrides that made ``config``, of ``saved`` or of the defaults.
        saved: The run.yaml that was named; None where there was none.
    """

    config: Config
    aws: SageMakerAws
    dry_run: bool
    directory: str | None
    overrides: tuple[str, ...]
    saved: Config | None


def parse_job_spec(
    run_path: str | None, overrides: Sequence[str], directory_override: str = RUN_DIR_OVERRIDE
) -> JobSpec:
    """Parse a command line.

    Overrides of aws and dry_run say where to train; all others are of the training, whose run.yaml says nothing of AWS.

    Args:
        run_path: Run directory or run.yaml, None for the defaults.
        overrides: The overrides.
        directory_override: Key and equals sign of the override that names the directory on this machine.

    Raises:
        UserError: There is no such run, or the configuration is wrong.
    """
    aws_overrides = select_sagemaker([text for text in overrides if AWS_OVERRIDE.match(text)])
    key = directory_override.removesuffix("=")
    directories = [
        read_text(key, text.removeprefix(directory_override))
        for text in overrides
        if text.startswith(directory_override)
    ]
    training_overrides = [
        text for text in overrides if not AWS_OVERRIDE.match(text) and not text.startswith(directory_override)
    ]
    aws_config = load_overrides(aws_overrides, "infer")
    if not isinstance(aws_config.aws, SageMakerAws):
        raise ConfigError(f"aws.kind={aws_config.aws.kind}: a training job needs aws=sagemaker")
    saved = None
    with tempfile.TemporaryDirectory() as folder:
        if run_path is not None:
            shutil.copyfile(_find_run_yaml(run_path), Path(folder) / RUN_YAML)
            refuse_executable_yaml(["--config-dir", folder])
            saved = load_run_config(Path(folder))
        config = load_overrides(training_overrides, "train", None if run_path is None else Path(folder))
    return JobSpec(
        config,
        aws_config.aws,
        aws_config.dry_run,
        directories[-1] if directories else None,
        tuple(training_overrides),
        saved,
    )


def _find_run_yaml(run_path: str) -> Path:
    path = Path(run_path).expanduser()
    path = path / RUN_YAML if path.is_dir() else path
    if not path.is_file():
        raise UserError(f"{run_path}: is neither a run directory nor a run.yaml")
    return path


def validate_job_spec(spec: JobSpec) -> None:
    """Refuse what cannot be trained in SageMaker. Raises ConfigError."""
    aws, trainer = spec.aws, spec.config.trainer
    if aws.role is None:
        raise ConfigError("aws.role: SageMaker needs a role to train with; add aws.role=ARN")
    if aws.training.image is None:
        raise ConfigError(
            "aws.training.image: is needed; build ours from the Dockerfile (--target jobs) and push it to ECR, or name "
            "AWS's image for training with PyTorch and add aws.training.install=true"
        )
    if aws.network_isolation and needs_network(spec):
        cause = "aws.training.install=true" if aws.training.install else "model.weights=pretrained"
        raise ConfigError(
            f"aws.network_isolation=true: {cause} needs the network; use our own image, and a file or none for weights"
        )
    if "fit" not in trainer.stages:
        raise ConfigError(f"trainer.stages=[{trainer.stages[0]}]: without fit no training job is needed; use train.py")
    if spec.config.resume is not None:
        raise ConfigError("resume: a training job begins a run of its own; use trainer.resume_from=RUN")
    if other := [uri for uri in spec.config.model.teacher if not names_pretrained(uri)]:
        raise ConfigError(
            f"model.teacher={other[0]}: a training job reaches no model but the one that comes with the program; use "
            "model.teacher=[pretrained], or train on a machine of your own (train.py)"
        )
    for key, path in collect_inputs(spec.config).items():
        if is_object_uri(path) and not is_s3_uri(path):
            raise ConfigError(
                f"{key}={path}: a training job reads what is on this machine or in S3; copy it there, or train on "
                "a machine of your own (train.py)"
            )
    if trainer.num_nodes != aws.training.instance_count:
        count = aws.training.instance_count
        raise ConfigError(
            f"aws.training.instance_count={count}: the training is for trainer.num_nodes={trainer.num_nodes} machines; "
            "make them equal"
        )


def collect_inputs(config: Config) -> dict[str, str]:
    """Return each path or URI that a training reads, by its key in the configuration."""
    sources = config.dataset.sources.items()
    paths = {
        f"dataset.sources.{name}.{key}": path for name, spec in sources for key, path in list_source_paths(spec).items()
    }
    if config.model.weights not in ("none", "pretrained"):
        paths["model.weights"] = config.model.weights
    if config.dataset.exclude is not None:
        paths["dataset.exclude"] = config.dataset.exclude
    if config.trainer.resume_from is not None:
        paths["trainer.resume_from"] = config.trainer.resume_from
    return paths


def needs_network(spec: JobSpec) -> bool:
    """Whether a training installs packages or downloads weights."""
    return spec.aws.training.install or spec.config.model.weights == "pretrained"
