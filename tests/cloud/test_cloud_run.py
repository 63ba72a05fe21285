"""Cloud Run: what is written, and the image's files started as the platform starts them: port, limits, stop signal."""

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.serving import pack_shard, send_get
from fer.cloud.deployment import run_deployment
from fer.config.compose import load_overrides
from fer.core.io import compute_sha256
from fer.errors import ConfigError, UserError
from fer.registry.gate import PENDING
from fer.registry.mlflow import MlflowRegistry
from fer.registry.promotion import assign_alias
from tests.helpers.candidates import NAME, candidate
from tests.helpers.docker_files import Stage, build_tree, parse_dockerfile
from tests.helpers.server import PNG, TAR, gray_png, metric, post, wait_until

pytestmark = pytest.mark.slow

IMAGE = "europe-west1-docker.pkg.dev/team/fer/server"
GIVEN = (
    *("registry.action=deploy", "registry.deploy.target=cloudrun", f"registry.deploy.cloudrun.image={IMAGE}"),
    *("registry.deploy.cloudrun.region=europe-west1", f"registry.name={NAME}"),
)
# Of https://github.com/knative/specs/blob/main/specs/serving/knative-api-specification-1.0.md, and of Cloud Run's
# https://cloud.google.com/run/docs/reference/yaml/v1: what a service may and must have, as far as ours goes.
REQUIRED = {
    "": {"apiVersion", "kind", "metadata", "spec"},
    "metadata": {"name"},
    "spec": {"template"},
    "spec.template": {"spec"},
    "spec.template.spec": {"containers"},
    "spec.template.spec.containers[]": {"image"},
    "spec.traffic[]": {"percent"},
}
ALLOWED = {
    **REQUIRED,
    "metadata": {"name", "labels", "annotations"},
    "spec": {"template", "traffic"},
    "spec.template": {"metadata", "spec"},
    "spec.template.metadata": {"labels", "annotations"},
    "spec.template.spec": {"containerConcurrency", "timeoutSeconds", "serviceAccountName", "containers", "volumes"},
    "spec.template.spec.containers[]": {
        *("args", "command", "env", "image", "livenessProbe", "name", "ports", "resources", "startupProbe"),
        "volumeMounts",
    },
    "spec.template.spec.containers[].ports[]": {"name", "containerPort"},
    "spec.template.spec.containers[].env[]": {"name", "value"},
    "spec.template.spec.containers[].resources": {"limits"},
    "spec.template.spec.containers[].resources.limits": {"cpu", "memory"},
    **{
        f"spec.template.spec.containers[].{probe}": {
            *("httpGet", "periodSeconds", "timeoutSeconds", "failureThreshold", "initialDelaySeconds"),
        }
        for probe in ("startupProbe", "livenessProbe")
    },
    **{
        f"spec.template.spec.containers[].{probe}.httpGet": {"path", "port"}
        for probe in ("startupProbe", "livenessProbe")
    },
    "spec.traffic[]": {"percent", "latestRevision", "revisionName", "tag"},
}
# Cloud Run sets these itself, and refuses a service that does.
RESERVED = {"PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, small_package: Path) -> Path:
    """A registry on this machine with an approved version of a real package, its champion, and one that is pending."""
    folder = tmp_path_factory.mktemp("store")
    given = candidate(folder, "1")
    files = {**given.files, "model.tar.gz": small_package}
    registry = MlflowRegistry(folder / "registry")
    assign_alias(registry, registry.register(replace(given, files=files, sha256=compute_sha256(small_package))))
    registry.register(candidate(folder, "2", PENDING))
    return folder / "registry"


def deploy(store: Path, folder: Path, *overrides: str) -> Path:
    """Have the directory written below ``folder``."""
    own = (f"registry.store={store}", f"registry.deploy.cloudrun.directory={folder / 'cloudrun'}")
    assert run_deployment(load_overrides([*GIVEN, *own, *overrides], "register"), folder / "run") == 0
    return folder / "cloudrun" / NAME


@pytest.fixture(scope="module")
def written(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return deploy(store, tmp_path_factory.mktemp("written"))


@pytest.fixture(scope="module")
def service(written: Path) -> dict[str, Any]:
    return dict(yaml.safe_load((written / "service.yaml").read_text(encoding="utf-8")))


def walk(node: Any, place: str = "") -> None:
    """Check every mapping of a service against ALLOWED and REQUIRED."""
    if isinstance(node, dict) and not place.endswith(("labels", "annotations")):
        assert node.keys() <= ALLOWED[place] and node.keys() >= REQUIRED.get(place, set()), place
        for key, inner in node.items():
            walk(inner, f"{place}.{key}" if place else key)
    elif isinstance(node, dict):
        assert all(isinstance(value, str) for value in node.values()), place
    elif isinstance(node, list):
        for inner in node:
            walk(inner, f"{place}[]")


def container_of(service: dict[str, Any]) -> dict[str, Any]:
    [container] = service["spec"]["template"]["spec"]["containers"]
    return dict(container)


def test_the_service_is_what_knative_and_cloud_run_take(service: dict[str, Any]) -> None:
    walk(service)
    assert (service["apiVersion"], service["kind"]) == ("serving.knative.dev/v1", "Service")
    assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", service["metadata"]["name"])
    template = service["spec"]["template"]
    assert template["metadata"]["annotations"] == {"autoscaling.knative.dev/minScale": "0"}
    assert 1 <= template["spec"]["containerConcurrency"] <= 1000
    assert 1 <= template["spec"]["timeoutSeconds"] <= 3600
    assert sum(route["percent"] for route in service["spec"]["traffic"]) == 100
    container = container_of(service)
    assert container["image"].startswith(f"{IMAGE}:1-")
    [port] = container["ports"]
    assert port["name"] in ("http1", "h2c")
    assert all(isinstance(entry["value"], str) for entry in container["env"])
    assert not RESERVED & {entry["name"] for entry in container["env"]}
    probe = container["startupProbe"]
    assert probe["httpGet"] == {"path": "/ping", "port": port["containerPort"]}
    assert probe["timeoutSeconds"] <= probe["periodSeconds"]
    assert probe["periodSeconds"] * probe["failureThreshold"] <= 240
    assert container["resources"]["limits"] == {"cpu": "2", "memory": "2048Mi"}


def test_the_same_again_is_the_same_and_commands_are_told(
    store: Path, written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = deploy(store, tmp_path)
    printed = capsys.readouterr().out.splitlines()
    files = {path.relative_to(again): path.read_bytes() for path in again.rglob("*") if path.is_file()}
    assert files == {path.relative_to(written): path.read_bytes() for path in written.rglob("*") if path.is_file()}
    image = container_of(yaml.safe_load((again / "service.yaml").read_text()))["image"]
    assert printed == [
        f"{again}: models:/{NAME}/1 for Google Cloud Run; type",
        f"gcloud builds submit --project=team --tag={image} {again}",
        f"gcloud run services replace --project=team --region=europe-west1 {again}/service.yaml",
    ]
    # Written again over itself, with other limits; of a half-written one nothing is left, nor of one that was killed.
    (again.parent / f".arriving-{NAME}" / "model").mkdir(parents=True)
    more = ("autoscaling.min=1", "autoscaling.max=5", "max_concurrency=4", "memory_mb=4096", "cloudrun.cpu=4")
    deploy(store, tmp_path, *(f"registry.deploy.{one}" for one in more))
    changed = yaml.safe_load((again / "service.yaml").read_text())
    annotations = changed["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {"autoscaling.knative.dev/minScale": "1", "autoscaling.knative.dev/maxScale": "5"}
    assert container_of(changed)["resources"]["limits"] == {"cpu": "4", "memory": "4096Mi"}
    assert {path.name for path in again.parent.iterdir()} == {NAME, ".lock"}
    (again / "notes.txt").touch()
    with pytest.raises(UserError, match="holds other files than those of a service; name another"):
        deploy(store, tmp_path)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("registry.action=undeploy",), "gcloud run services delete fer-test --region europe-west1"),
        (("registry.action=rollback",), "gcloud run services update-traffic --to-revisions=REVISION=100 fer-test"),
        (("dry_run=true",), "target=cloudrun sends no requests"),
        (("model_uri=pretrained",), "model_uri=pretrained: a registered version is deployed; register it"),
        (("model_uri=models:/fer-test/1", "registry.version=1"), "both name a version; leave one out"),
        (("registry.deploy.memory_mb=8192", "registry.deploy.cloudrun.cpu=1"), "gives 1 CPUs from 512 to 4096 MB"),
        (("registry.deploy.cloudrun.image=docker.io/fer:1",), "registry.deploy.cloudrun.image"),
    ],
)
def test_what_cannot_be_is_a_sentence(store: Path, tmp_path: Path, given: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        deploy(store, tmp_path, *given)
    assert not [*tmp_path.iterdir()]


def test_a_version_that_is_not_approved_is_not_deployed(store: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"^models:/{NAME}/2: is not approved \(PendingManualApproval\), so it is not"):
        deploy(store, tmp_path, "registry.version=2")
    assert not [*tmp_path.iterdir()]


class Platform:
    """Starts a container's files as Cloud Run does: $PORT, the service's variables, and at the end SIGTERM, SIGKILL."""

    def __init__(self, context: Path, service: dict[str, Any], root: Path) -> None:
        [stage] = parse_dockerfile((context / "Dockerfile").read_text(encoding="utf-8"))
        self.root = root
        sources = {str(path.relative_to(context)) for path in context.rglob("*") if path.is_file()}
        for place, source in build_tree(stage, sources).items():
            target = root / place.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(context / source, target)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        variables = {entry["name"]: entry["value"] for entry in container_of(service)["env"]}
        # No machine but a container has an /opt/ml of its own.
        mounted = {"SM_MODEL_DIR": str(root / "opt/ml/model")}
        self.process = self.start(stage, {**variables, **mounted, "PORT": str(self.port), "FER_THREADS": "1"})

    def start(self, stage: Stage, environment: dict[str, str]) -> "subprocess.Popen[str]":
        python, *command = stage.last("ENTRYPOINT")
        assert python == "python"
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=self.root / "opt/fer",
            env={"PATH": os.environ["PATH"], "HOME": str(self.root), **environment},
            stdout=subprocess.DEVNULL,
            stderr=(self.root / "log").open("w"),
            text=True,
        )

    def wait_until_started(self) -> None:
        def is_ready() -> bool:
            assert self.process.poll() is None, self.read_log()
            try:
                return send_get(self.port, "/ping")[0] == 200
            except OSError:
                return False

        wait_until(is_ready, "the startup probe")

    def stop(self) -> int:
        """SIGTERM, and ten seconds later SIGKILL; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def read_log(self) -> str:
        return (self.root / "log").read_text()


@pytest.fixture
def platform(written: Path, service: dict[str, Any], tmp_path: Path) -> Any:
    started = Platform(written, service, tmp_path)
    try:
        started.wait_until_started()
        yield started
    finally:
        started.process.kill()
        started.process.wait()


def test_the_container_answers_within_the_limits_and_stops_when_it_has_answered(platform: Platform) -> None:
    face = gray_png(0)
    assert post(platform.port, PNG, face).lines[0]["emotion"]
    # One byte too many for Cloud Run.
    size = (32 << 20) + 1
    refused = post(platform.port, TAR, b"", **{"Content-Length": str(size)})
    assert (refused.status, refused.error) == (
        413,
        "33,554,433 bytes are too many: at most 33,554,432 make one request",
    )
    body = pack_shard([(f"{place}.png", gray_png(place)) for place in range(600)])
    with ThreadPoolExecutor(1) as client:
        answer = client.submit(post, platform.port, TAR, body)
        wait_until(lambda: metric(platform.port, "fer_images_total") > 1, "the first pictures")
        code = platform.stop()
        assert len(answer.result().lines) == 600
    assert code == 0


def test_who_keeps_the_container_waiting_does_not_have_it_killed(platform: Platform) -> None:
    """A client that sends half a body and then nothing: given up in time."""
    connection = http.client.HTTPConnection("127.0.0.1", platform.port)
    connection.putrequest("POST", "/invocations")
    for name, value in (("Content-Type", TAR), ("Content-Length", "1000")):
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(b"0" * 500)
    wait_until(lambda: send_get(platform.port, "/ping")[0] == 200, "the next client")
    assert platform.stop() == 0
    answer = connection.getresponse()
    assert (answer.status, b"the server is being stopped" in answer.read()) == (503, True)
    connection.close()
    assert "Traceback" not in platform.read_log()
