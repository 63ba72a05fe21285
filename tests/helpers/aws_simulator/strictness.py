"""What AWS refuses or does and moto does not: the registry and CloudWatch; `job_checks` has transform jobs."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from moto.cloudwatch.exceptions import InvalidParameterValue
from moto.cloudwatch.models import CloudWatchBackend
from moto.core.responses import ActionResult, EmptyResult
from moto.sagemaker import models
from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.models import SageMakerModelBackend
from moto.sagemaker.responses import SageMakerResponse

from tests.helpers.aws_simulator import storage
from tests.helpers.aws_simulator.model_cards import check_card, check_package_card

LOCK = threading.RLock()
# Versions that each group has ever had: AWS gives no number twice, even after one was deleted.
VERSIONS: Counter[str] = Counter()
# Packages and their requests by the request's token: a repeated request is not done twice.
TOKENS: dict[str, tuple[str, dict[str, Any]]] = {}
# What moto forgets of a model package, by ARN: its card, and the key that it is encrypted with.
EXTRAS: dict[str, dict[str, Any]] = {}


def guard(backend: type, name: str, check: Callable[..., None]) -> None:
    """Let ``check`` refuse calls of a method of a backend; one call at a time."""
    original = getattr(backend, name)

    def guarded(self: Any, *args: Any, **given: Any) -> Any:
        with LOCK:
            check(self, *args, **given)
            return original(self, *args, **given)

    setattr(backend, name, guarded)


def replace(backend: type, name: str, method: Callable[..., Any]) -> None:
    """Give a backend ``method(original, self, …)`` instead of its own; one call at a time."""
    original = getattr(backend, name, None)

    def replaced(self: Any, *args: Any, **given: Any) -> Any:
        with LOCK:
            return method(original, self, *args, **given)

    setattr(backend, name, replaced)


def refuse(wrong: bool, why: str) -> None:
    if wrong:
        raise ValidationError(why)


def check_data(container: dict[str, Any]) -> None:
    url = container.get("ModelDataUrl")
    refuse(url is not None and storage.read(url) is None, f"Could not find model data at {url}.")


def check_model(self: Any, model_name: str, **given: Any) -> None:
    refuse(model_name in self._models, f'Cannot create already existing model "{model_name}".')
    refuse(not given["execution_role_arn"], "ExecutionRoleArn is required to create a model.")
    primary, several = given["primary_container"], given["containers"]
    refuse(bool(primary) == bool(several), "You must provide either PrimaryContainer or Containers.")
    for container in several or [primary]:
        package = container.get("ModelPackageName")
        refuse(bool(package) == bool(container.get("Image")), "You must provide either Image or ModelPackageName.")
        check_data(container)
        if package:
            refuse("ModelDataUrl" in container, "ModelDataUrl cannot be used together with ModelPackageName.")
            found = self.describe_model_package(package)
            approved = found.model_approval_status == "Approved" or found.model_package_version is None
            refuse(
                not approved,
                f"ModelPackage {package} has approval status {found.model_approval_status}; it must be Approved.",
            )


def check_group(self: Any, model_package_group_name: str, **_: Any) -> None:
    group = self.model_package_groups.get(model_package_group_name)
    refuse(group is not None, f"Model Package Group already exists: {group and group.arn}")


def create_package(original: Any, self: Any, **given: Any) -> str:
    token, group = given["client_token"], given["model_package_group_name"]
    if token and token in TOKENS:
        made, request = TOKENS[token]
        refuse(request != given, f"ClientToken {token} was used with other parameters.")
        return made
    refuse(bool(group and given["tags"]), "Tags are not supported on model package versions; tag their group.")
    refuse(not given["inference_specification"], "InferenceSpecification is required.")
    for container in given["inference_specification"]["Containers"]:
        refuse(not container.get("Image"), "Image is required in each container of a model package.")
        check_data(container)
    arn = str(original(self, **given))
    # AWS finds a version by its ARN alone; moto gives the latest under the group's name.
    if group:
        self.model_package_name_mapping.pop(group, None)
    if token:
        TOKENS[token] = (arn, given)
    return arn


class CountedPackage(models.ModelPackage):
    """A model package whose version is one above all that its group has had."""

    def __init__(self, **given: Any) -> None:
        if group := given["model_package_group_name"]:
            key = f"{given['account_id']}/{given['region_name']}/{group}"
            VERSIONS[key] += 1
            given["model_package_version"] = VERSIONS[key]
        if given["model_package_group_name"] and given["model_approval_status"] is None:
            given["model_approval_status"] = "PendingManualApproval"
        super().__init__(**given)


def update_package(original: Any, self: Any, **given: Any) -> str:
    """moto forgets what an update does not name; AWS keeps it, and adds to the metadata."""
    package = self.describe_model_package(given["model_package_arn"])
    metadata = {**(package.customer_metadata_properties or {}), **(given["customer_metadata_properties"] or {})}
    remaining = set(metadata) - set(given["customer_metadata_properties_to_remove"] or [])
    refuse(len(remaining) > 50, "CustomerMetadataProperties has more than 50 entries.")
    given["customer_metadata_properties"] = metadata
    given["approval_description"] = given["approval_description"] or package.approval_description
    given["model_approval_status"] = given["model_approval_status"] or package.model_approval_status
    return str(original(self, **given))


def delete_package(_original: Any, self: Any, model_package_name: str) -> None:
    arn = self.describe_model_package(model_package_name).arn
    EXTRAS.pop(arn, None)
    del self.model_packages[arn]
    for token in [token for token, (made, _) in TOKENS.items() if made == arn]:
        del TOKENS[token]
    self.model_package_name_mapping = {name: to for name, to in self.model_package_name_mapping.items() if to != arn}


def delete_group(_original: Any, self: Any, model_package_group_name: str) -> None:
    group = self.describe_model_package_group(model_package_group_name)
    used = any(package.model_package_group_name == model_package_group_name for package in self.model_packages.values())
    refuse(used, f"Model Package Group cannot be deleted as it still contains Model Packages: {group.arn}")
    del self.model_package_groups[model_package_group_name]


def tagged(original: Any, self: Any, arn: str) -> Any:
    refuse(":model-package/" in arn, "Tags are not supported on model package versions; tag their group.")
    found = original(self, arn)
    refuse(found is None, f"Could not find resource {arn}.")
    return found


def add_tags(original: Any, self: Any, arn: str, tags: list[dict[str, str]]) -> Any:
    """A tag replaces the one of the same key."""
    self.delete_tags(arn, [tag["Key"] for tag in tags])
    refuse(len(self._get_resource_from_arn(arn).tags) + len(tags) > 50, "A resource can have 50 tags at most.")
    return original(self, arn, tags)


def check_metrics(_: Any, namespace: str, metric_data: list[dict[str, Any]]) -> None:
    if namespace.startswith("AWS/"):
        raise InvalidParameterValue(f"The value {namespace} for parameter Namespace is invalid.")
    too_long = "The collection {} must not have a size greater than {}."
    if len(metric_data) > 1000:
        raise InvalidParameterValue(too_long.format("MetricData", 1000))
    for index, metric in enumerate(metric_data, 1):
        if len(metric.get("Dimensions", [])) > 30:
            raise InvalidParameterValue(too_long.format(f"MetricData.member.{index}.Dimensions", 30))


def update_card(original: Any, self: Any, model_card_name: str, content: Any, model_card_status: Any) -> str:
    """moto forgets what an update does not name; AWS takes one of the two and keeps the other."""
    refuse(bool(content) == bool(model_card_status), "Update either the content of a model card or its status.")
    if content:
        check_card(content)
    if model_card_name in self.model_cards:
        latest = self.model_cards[model_card_name][-1]
        content, model_card_status = content or latest.content, model_card_status or latest.model_card_status
    return str(original(self, model_card_name, content, model_card_status))


def respond_create_package(original: Any, self: Any) -> ActionResult:
    """A package has its card from the beginning; none comes into being where the card is wrong."""
    extras = {name: value for name in ("ModelCard", "SecurityConfig") if (value := self._get_param(name)) is not None}
    check_package_card(extras.get("ModelCard", {}))
    done: ActionResult = original(self)
    EXTRAS.setdefault(done.result["ModelPackageArn"], extras)
    return done


def respond_update_package(original: Any, self: Any) -> ActionResult:
    card = self._get_param("ModelCard") or {}
    check_package_card(card)
    done: ActionResult = original(self)
    kept = EXTRAS.setdefault(self._get_param("ModelPackageArn"), {})
    if card:
        kept["ModelCard"] = {**kept.get("ModelCard", {}), **card}
    return done


def respond_describe_package(original: Any, self: Any) -> ActionResult:
    described = original(self).result
    return ActionResult({**described, **EXTRAS.get(described.get("ModelPackageArn"), {})})


def respond_delete_package(self: Any) -> EmptyResult:
    self.sagemaker_backend.delete_model_package(self._get_param("ModelPackageName"))
    return EmptyResult()


def respond_delete_group(self: Any) -> EmptyResult:
    self.sagemaker_backend.delete_model_package_group(self._get_param("ModelPackageGroupName"))
    return EmptyResult()


def forget() -> None:
    """Forget versions and tokens, for a reset."""
    with LOCK:
        VERSIONS.clear()
        TOKENS.clear()
        EXTRAS.clear()


def install() -> None:
    """Make moto in this process strict."""
    backend: Any = SageMakerModelBackend
    response: Any = SageMakerResponse
    models.ModelPackage = CountedPackage  # type: ignore[assignment,misc]
    guard(backend, "create_model", check_model)
    guard(backend, "create_model_package_group", check_group)
    guard(backend, "create_model_card", lambda _, content, **given: check_card(content))
    guard(CloudWatchBackend, "put_metric_data", check_metrics)
    replace(backend, "update_model_card", update_card)
    replace(backend, "create_model_package", create_package)
    replace(backend, "update_model_package", update_package)
    replace(backend, "delete_model_package", delete_package)
    replace(backend, "delete_model_package_group", delete_group)
    replace(backend, "_get_resource_from_arn", tagged)
    replace(backend, "add_tags", add_tags)
    replace(response, "create_model_package", respond_create_package)
    replace(response, "update_model_package", respond_update_package)
    replace(response, "describe_model_package", respond_describe_package)
    response.delete_model_package = respond_delete_package
    response.delete_model_package_group = respond_delete_group
