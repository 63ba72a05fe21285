"""Google Cloud Run: a directory with the image's files and the service's YAML, and the commands that use them."""

import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

from fer.cloud.endpoint_names import compute_digest, get_endpoint_name
from fer.config import Config
from fer.config.deploy import Deploy
from fer.core.archive import compute_checksums, copy_file
from fer.core.installation import INSTALLED, PROJECT_ROOT
from fer.errors import UserError
from fer.registry.base import ModelRegistry, ModelVersion
from fer.registry.package import list_code_files, open_package

SERVICE_YAML, DOCKERFILE, LOCK, CODE, MODEL = "service.yaml", "Dockerfile", "serving.lock", "fer", "model"
PORT = 8080
# What Cloud Run sets: the largest request of HTTP/1, and the time from SIGTERM to SIGKILL.
MAX_BODY_MB, STOP_S = 32, 10
# 240 s at most, which is what Cloud Run allows.
STARTUP_PERIOD_S, STARTUP_ATTEMPTS = 4, 60
LIVENESS_PERIOD_S, LIVENESS_TIMEOUT_S = 30, 10
# The last instruction of the Dockerfile that copies the server's code; the model comes after it.
LAST_CODE = "COPY fer/serving/ fer/serving/\n"
MODEL_INSTRUCTION = f"COPY {MODEL}/ /opt/ml/model/\n"


def write_service(config: Config, registry: ModelRegistry, version: ModelVersion) -> str:
    """Write all that `gcloud` needs to run a version; a directory that was written before is replaced.

    Args:
        config: The configuration, with ``registry.deploy.target=cloudrun``.
        registry: The registry that has the version.
        version: The version.

    Returns:
        What was written, and the commands to type; nothing is called.

    Raises:
        UserError: The package is missing or damaged, the directory holds something else, or this is no checkout.
    """
    if INSTALLED:
        raise UserError(
            "registry.deploy.target=cloudrun: the image is built from a checkout of fer-experiments, and this is the "
            "installed package; start it from a checkout"
        )
    cfg, name = config.registry.deploy, get_endpoint_name(config)
    target = Path(cfg.cloudrun.directory) / name
    _refuse_foreign(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _make_arriving_folder(target) as folder:
        arriving = folder / name
        _write_context(registry, version, arriving, folder)
        image = f"{cfg.cloudrun.image}:{version.version}-{compute_digest(compute_checksums(arriving))}"
        service = build_service(cfg, name, version, image)
        (arriving / SERVICE_YAML).write_text(yaml.safe_dump(service, sort_keys=False), encoding="utf-8")
        if target.exists():
            target.rename(folder / "former")
        arriving.rename(target)
    return "\n".join([f"{target}: {version.uri} for Google Cloud Run; type", *_format_commands(cfg, target, image)])


def build_service(deploy: Deploy, name: str, version: ModelVersion, image: str) -> dict[str, Any]:
    """Return the service, by Knative's specification and what Cloud Run adds to it.

    Args:
        deploy: The section `registry.deploy`.
        name: Name of the service.
        version: The version that it serves.
        image: Name of the image with its tag.
    """
    cfg = deploy.cloudrun
    most = {} if deploy.autoscaling.max is None else {"autoscaling.knative.dev/maxScale": str(deploy.autoscaling.max)}
    labels = {"fer-model": re.sub(r"[^a-z0-9_-]", "-", version.name.lower()), "fer-version": str(version.version)}
    probe = {"httpGet": {"path": "/ping", "port": PORT}}
    # $PORT is set by Cloud Run, from the container's port.
    environment = {"FER_MAX_BODY_MB": MAX_BODY_MB, "FER_STOP_S": STOP_S, "FER_THREADS": cfg.cpu}
    container = {
        "image": image,
        "ports": [{"name": "http1", "containerPort": PORT}],
        "env": [{"name": key, "value": str(value)} for key, value in environment.items()],
        "resources": {"limits": {"cpu": str(cfg.cpu), "memory": f"{deploy.memory_mb}Mi"}},
        "startupProbe": {
            **probe,
            "periodSeconds": STARTUP_PERIOD_S,
            "timeoutSeconds": STARTUP_PERIOD_S,
            "failureThreshold": STARTUP_ATTEMPTS,
        },
        "livenessProbe": {**probe, "periodSeconds": LIVENESS_PERIOD_S, "timeoutSeconds": LIVENESS_TIMEOUT_S},
    }
    template = {
        "metadata": {
            "labels": labels,
            "annotations": {"autoscaling.knative.dev/minScale": str(deploy.min_capacity), **most},
        },
        "spec": {
            "containerConcurrency": deploy.max_concurrency,
            "timeoutSeconds": cfg.timeout_s,
            "containers": [container],
        },
    }
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": labels},
        "spec": {"template": template, "traffic": [{"percent": 100, "latestRevision": True}]},
    }


@contextmanager
def _make_arriving_folder(target: Path) -> Iterator[Path]:
    """Yield an empty directory beside the target, one process at a time; what a killed one has left in it goes."""
    folder = target.with_name(f".arriving-{target.name}")
    with FileLock(target.with_name(".lock")):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _write_context(registry: ModelRegistry, version: ModelVersion, directory: Path, folder: Path) -> None:
    """Write the files of the image; ``folder`` is for what is fetched. Raises UserError."""
    (folder / "fetched").mkdir()
    open_package(registry.fetch(version, folder / "fetched"), directory / MODEL)
    for path in list_code_files():
        copy_file(PROJECT_ROOT / path, directory / path)
    copy_file(PROJECT_ROOT / LOCK, directory / LOCK)
    # The last stage of our own Dockerfile is the server's.
    dockerfile = (PROJECT_ROOT / DOCKERFILE).read_text(encoding="utf-8")
    stage = dockerfile[dockerfile.rindex("\nFROM ") + 1 :]
    (directory / DOCKERFILE).write_text(stage.replace(LAST_CODE, LAST_CODE + MODEL_INSTRUCTION), encoding="utf-8")


def _refuse_foreign(target: Path) -> None:
    """Refuse to replace a directory that holds something else than what is written here. Raises UserError."""
    if not target.exists():
        return
    known = {SERVICE_YAML, DOCKERFILE, LOCK, CODE, MODEL}
    if not target.is_dir() or not {path.name for path in target.iterdir()} <= known:
        raise UserError(
            f"{target}: holds other files than those of a service; name another registry.deploy.cloudrun.directory"
        )


def _format_commands(deploy: Deploy, target: Path, image: str) -> list[str]:
    project = f"--project={image.split('/')[1]}"
    build = ["gcloud", "builds", "submit", project, f"--tag={image}", str(target)]
    run = ["gcloud", "run", "services", "replace", project, f"--region={deploy.cloudrun.region}"]
    return [shlex.join(build), shlex.join([*run, str(target / SERVICE_YAML)])]
