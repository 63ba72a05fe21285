"""Versions that are judged anew, archived and deleted: the same on this machine and in AWS."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fer.cloud.policy import build_policies
from fer.config import Config
from fer.config.compose import load_overrides
from fer.config.registry import Gate
from fer.errors import ConfigError, ModelError, UserError
from fer.registry.base import Aliases, ModelRegistry, ModelVersion
from fer.registry.decisions import read_decisions
from fer.registry.factory import open_registry
from fer.registry.gate import APPROVED, PENDING, REJECTED, Status
from fer.registry.lifecycle import archive, delete, judge_anew
from fer.registry.pipeline import run_action
from fer.registry.promotion import assign_alias, promote, roll_back
from fer.registry.status import ARCHIVED
from tests.helpers.aws_simulator.simulator import Simulated
from tests.helpers.candidates import BUCKET, METRICS, NAME, candidate, replace_package
from tests.helpers.cloud_programs import RIGHTS, allowed

pytestmark = pytest.mark.slow

# The candidates' accuracy is 0.9, their calibration error 0.1.
GATE = Gate(min_accuracy=0.5, min_macro_f1=0.5, max_calibration_error=0.2, tolerance=0.02, min_common_images=100)
STRICT = GATE.model_copy(update={"min_accuracy": 0.95})


def add(registry: ModelRegistry, folder: Path, mark: str, status: Status = APPROVED) -> ModelVersion:
    given = candidate(folder, mark, status)
    (folder / mark / "metrics.json").write_text(json.dumps(METRICS))
    (folder / mark / "model_card.md").write_text(f"# Card {mark}\n\n## Intended use\nNone.\n")
    version = registry.register(
        type(given)(**{**vars(given), "files": {**given.files, "metrics.json": folder / mark / "metrics.json"}})
    )
    assign_alias(registry, version)
    return registry.find(NAME, version.version)


def statuses(registry: ModelRegistry, number: int) -> list[str]:
    return [decision.status for decision in read_decisions(registry, registry.find(NAME, number))]


def stored(registry: ModelRegistry, version: ModelVersion, request: pytest.FixtureRequest) -> list[str]:
    """The files that the registry holds of a version, wherever they are."""
    if not version.package.startswith("s3://"):
        return sorted(path.name for path in Path(version.source).glob("*"))
    aws: Simulated = request.getfixturevalue("aws")
    prefix = version.package.removeprefix(f"s3://{BUCKET}/").rpartition("/")[0]
    found = aws.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/").get("Contents", [])
    return sorted(item["Key"].rpartition("/")[2] for item in found)


def test_a_rejected_version_is_judged_anew_and_the_history_is_kept(registry: ModelRegistry, tmp_path: Path) -> None:
    add(registry, tmp_path, "1", REJECTED)
    assert judge_anew(registry, STRICT, NAME, 1).status == REJECTED
    version = judge_anew(registry, GATE, NAME, 1)
    assert (version.status, version.aliases) == (APPROVED, ("champion",))
    assert version.reasons.startswith("Judged anew. All limits are kept on the test part")
    assert "Verdict 1." not in version.reasons
    assert version.facts == candidate(tmp_path).facts
    first, second, third = read_decisions(registry, version)
    assert (first.status, first.reasons, first.limits) == (REJECTED, ("Verdict 1.",), {})
    assert (second.status, second.limits["min_accuracy"]) == (REJECTED, 0.95)
    assert second.reasons[0].startswith("Not reached on the test part (140 images): accuracy 0.900")
    assert (third.status, third.limits["min_accuracy"]) == (APPROVED, 0.5)
    assert first.time <= second.time <= third.time
    registry.fetch(version, tmp_path / "fetched")
    assert json.loads((tmp_path / "fetched" / "verdict.json").read_text())["status"] == APPROVED
    card = (tmp_path / "fetched" / "model_card.md").read_text()
    assert card.count("## Verdict: ") == 1 and "## Verdict: Approved\n- All limits are kept" in card


def test_one_that_is_no_longer_approved_loses_its_alias(registry: ModelRegistry, tmp_path: Path) -> None:
    add(registry, tmp_path, "1")
    assert add(registry, tmp_path, "2").aliases == ("challenger",)
    version = judge_anew(registry, STRICT, NAME, 2)
    assert (version.status, version.aliases) == (REJECTED, ())
    assert registry.get_aliases(NAME) == Aliases(1, None, ())
    with pytest.raises(UserError, match="so it cannot be champion; its verdict: Judged anew. Not reached"):
        promote(registry, NAME, 2)
    with pytest.raises(UserError, match=f"models:/{NAME}/1: is the champion"):
        judge_anew(registry, STRICT, NAME, 1)


def test_it_is_compared_with_the_champion(registry: ModelRegistry, tmp_path: Path) -> None:
    add(registry, tmp_path, "1")
    add(registry, tmp_path, "2", REJECTED)
    version = judge_anew(registry, GATE, NAME, 2)
    assert (version.status, version.aliases) == (APPROVED, ("challenger",))
    assert f"champion models:/{NAME}/1 on 140 images in common: +0.000" in version.reasons


def test_a_promotion_by_hand_is_a_decision_too(registry: ModelRegistry, tmp_path: Path) -> None:
    add(registry, tmp_path, "1", PENDING)
    assert judge_anew(registry, GATE.model_copy(update={"min_common_images": 1}), NAME, 1).status == APPROVED
    add(registry, tmp_path, "2", PENDING)
    # Too few images in common: somebody has to decide.
    few = GATE.model_copy(update={"min_common_images": 1000})
    assert judge_anew(registry, few, NAME, 2).status == PENDING
    promoted = promote(registry, NAME, 2)
    assert promoted.reasons.startswith("Judged anew. All limits are kept")
    assert promoted.reasons.endswith("Approved by hand, by its promotion.")
    assert statuses(registry, 2) == [PENDING, PENDING, APPROVED]


def test_a_changed_package_is_not_judged(
    registry: ModelRegistry, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    version = add(registry, tmp_path, "1", REJECTED)
    replace_package(version, request)
    with pytest.raises(ModelError, match="is not the file that was registered"):
        judge_anew(registry, GATE, NAME, 1)
    assert statuses(registry, 1) == [REJECTED]


def test_an_archived_version_is_out_of_use_until_it_is_judged_anew(registry: ModelRegistry, tmp_path: Path) -> None:
    for mark in ("1", "2", "3"):
        add(registry, tmp_path, mark)
    assert promote(registry, NAME, 2).aliases == ("champion",)
    archived = archive(registry, NAME, 1)
    assert (archived.status, archived.aliases, archived.facts) == (ARCHIVED, (), candidate(tmp_path).facts)
    assert registry.get_aliases(NAME) == Aliases(2, 3, ())
    with pytest.raises(UserError, match="is archived; registry.action=judge decides anew"):
        promote(registry, NAME, 1)
    with pytest.raises(UserError, match="is archived already"):
        archive(registry, NAME, 1)
    with pytest.raises(UserError, match="is the first champion"):
        roll_back(registry, NAME)
    assert registry.fetch(archived, tmp_path / "fetched").is_file()
    assert judge_anew(registry, GATE, NAME, 1).status == APPROVED
    assert statuses(registry, 1) == [APPROVED, ARCHIVED, APPROVED]
    assert [version.status for version in registry.list_versions(NAME)] == [APPROVED] * 3


@pytest.mark.parametrize(("number", "left"), [(1, (None, 3, ())), (2, (1, 3, ())), (3, (1, None, ()))])
def test_of_a_deleted_version_alias_and_model_are_gone(
    number: int,
    left: tuple[int | None, int | None, tuple[int, ...]],
    registry: ModelRegistry,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    versions = [add(registry, tmp_path, mark) for mark in ("1", "2", "3")]
    gone = versions[number - 1]
    assert "model.tar.gz" in stored(registry, gone, request)
    delete(registry, NAME, number)
    assert registry.get_aliases(NAME) == Aliases(*left)
    assert [version.version for version in registry.list_versions(NAME)] == sorted({1, 2, 3} - {number})
    assert stored(registry, gone, request) == []
    for other in (version for version in versions if version.version != number):
        assert "model.tar.gz" in stored(registry, other, request)
    with pytest.raises(UserError, match=f"models:/{NAME}/{number}: there is no such version; versions: "):
        registry.find(NAME, number)
    with pytest.raises(UserError, match="there is no such version"):
        delete(registry, NAME, number)
    # Its number is not given again.
    assert add(registry, tmp_path, "4").version == 4


def test_one_cannot_go_back_to_a_deleted_champion(registry: ModelRegistry, tmp_path: Path) -> None:
    for mark in ("1", "2", "3"):
        add(registry, tmp_path, mark)
    for number in (2, 3):
        promote(registry, NAME, number)
    delete(registry, NAME, 2)
    assert registry.get_aliases(NAME) == Aliases(3, None, (1,))
    assert roll_back(registry, NAME).version == 1


def test_the_card_of_sagemaker_follows_its_version(in_aws: ModelRegistry, aws: Simulated, tmp_path: Path) -> None:
    add(in_aws, tmp_path, "1", REJECTED)
    version = in_aws.find(NAME, 1)

    def described() -> dict[str, Any]:
        return dict(aws.client("sagemaker").describe_model_package(ModelPackageName=version.source))

    assert described()["ModelCard"]["ModelCardStatus"] == "Draft"
    judge_anew(in_aws, GATE, NAME, 1)
    assert described()["ModelCard"]["ModelCardStatus"] == "Approved"
    archive(in_aws, NAME, 1)
    assert described()["ModelCard"]["ModelCardStatus"] == "Draft"
    # No one can make a model of it.
    assert described()["ModelApprovalStatus"] == REJECTED
    delete(in_aws, NAME, 1)
    assert in_aws.list_versions(NAME) == []


def test_the_policy_allows_what_becomes_of_versions(in_aws: ModelRegistry, aws: Simulated, tmp_path: Path) -> None:
    for mark in ("1", "2"):
        add(in_aws, tmp_path, mark)
    judge_anew(in_aws, GATE, NAME, 2)
    archive(in_aws, NAME, 2)
    before = aws.calls()
    deleted = delete(in_aws, NAME, 2)
    assert (aws.calls() - before)["s3:DeleteObjects"] == 1
    role = "aws.role=arn:aws:iam::123456789012:role/fer"
    config = load_overrides(["aws=sagemaker", f"aws.bucket={BUCKET}", role, f"registry.name={NAME}"], "infer")
    caller = build_policies(config)["caller"]["Statement"]
    rights = {**RIGHTS, "s3:DeleteObjects": "s3:DeleteObject"}
    for action in {rights.get(call, call) for call in aws.calls()} - {"s3:CreateBucket"}:
        assert allowed(caller, action), action
    assert allowed(caller, "s3:DeleteObject", deleted.package.replace("s3://", "arn:aws:s3:::"))
    assert not allowed(caller, "s3:DeleteObject", f"arn:aws:s3:::{BUCKET}/fer/models/another/x/model.tar.gz")


def test_a_deletion_that_broke_off_is_finished_by_the_next(
    in_aws: ModelRegistry, aws: Simulated, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    version = add(in_aws, tmp_path, "1")
    aws.fault("denied", operation="DeleteModelPackage")
    with pytest.raises(UserError, match="not allowed"):
        delete(in_aws, NAME, 1)
    assert in_aws.get_aliases(NAME) == Aliases()
    assert in_aws.find(NAME, 1).version == 1
    delete(in_aws, NAME, 1)
    assert in_aws.list_versions(NAME) == [] and stored(in_aws, version, request) == []


def test_users_judge_show_archive_and_delete(
    configured: Callable[..., Config], small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def done(*overrides: str) -> tuple[int, str]:
        capsys.readouterr()
        code = run_action(configured(*overrides), tmp_path / "run")
        return code, capsys.readouterr().out

    assert done(f"model_uri={small}", "registry.gate.max_calibration_error=0.01")[0] == 3
    anew = ("registry.action=judge", "registry.version=1")
    code, text = done(*anew, "registry.gate.max_calibration_error=0.02")
    assert code == 3 and text.startswith(f"models:/{NAME}/1 (Rejected): Judged anew. Not reached on the test part")
    code, text = done(*anew, "registry.gate.max_calibration_error=0.5")
    assert code == 0 and text.startswith(f"models:/{NAME}/1 (Approved; champion): Judged anew. All limits are kept")
    shown = done("registry.action=show")[1].splitlines()
    decisions = [line.split(maxsplit=4) for line in shown if line.startswith("  decision ")]
    assert [line[3] for line in decisions] == ["Rejected:", "Rejected:", "Approved:"]
    assert ["max_calibration_error=0.01" in line[4] for line in decisions] == [True, False, False]
    assert done("registry.action=archive", "registry.version=1") == (0, f"models:/{NAME}/1 is archived\n")
    assert done("registry.action=list")[1].splitlines()[1].split()[:2] == ["1", "Archived"]
    assert done("registry.action=delete", "registry.version=1") == (0, f"models:/{NAME}/1 is deleted\n")
    assert open_registry(configured()).list_versions(NAME) == []
    for action in ("judge", "archive", "delete"):
        with pytest.raises(ConfigError, match=f"registry.version: registry.action={action} needs one; add"):
            done(f"registry.action={action}")


def test_a_bundle_without_a_run_is_judged_by_its_own_figures(
    configured: Callable[..., Config], small: Path, tmp_path: Path
) -> None:
    run_action(configured(f"model_uri={small / 'bundle'}"), tmp_path / "run")
    registry = open_registry(configured())
    version = judge_anew(registry, GATE, NAME, 1)
    assert version.status == PENDING and "comes without any figures" in version.reasons


@pytest.mark.parametrize("action", ["judge", "archive", "delete"])
def test_dry_runs_print_requests_and_send_none(
    action: str, aws: Simulated, configured: Callable[..., Config], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configured("aws=sagemaker", f"registry.action={action}", "registry.version=2", "dry_run=true")
    before = aws.calls()
    assert run_action(config, tmp_path / "left") == 0
    operations = {request["operation"] for request in json.loads(capsys.readouterr().out)}
    sent = {"delete_objects", "delete_model_package"} if action == "delete" else {"put_object"}
    assert sent <= operations
    assert ("update_model_package" in operations) == (action != "delete")
    assert aws.calls() == before
