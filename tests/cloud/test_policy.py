"""The command that prints the rights: what it says where it cannot. What it prints is tested with the simulated AWS."""

import json
import sys
from pathlib import Path

import pytest
from botocore import xform_name

from fer.cloud.policy import JOBS, build_policies, main
from fer.config.compose import load_overrides
from fer.core import installation
from tests.helpers.paths import PROJECT

NEEDED = ["aws.bucket=faces", "aws.role=arn:aws:iam::123456789012:role/fer"]


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["-h"], 0), (["--help"], 0)])
@pytest.mark.parametrize(("typed", "command"), [(None, "python -m fer.cloud.policy"), ("fer x", "fer cloud policy")])
def test_usage(
    arguments: list[str],
    code: int,
    typed: str | None,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(installation, "_program_name", typed)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    printed = capsys.readouterr()
    asked, unasked = (printed.out, printed.err) if arguments else (printed.err, printed.out)
    assert (ended.value.code, unasked) == (code, "")
    assert asked == f"usage: {command} aws.bucket=BUCKET aws.role=ARN [--pipelines] [key=value …]\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["aws.bucket=faces"], "aws.role: is needed; usage: python -m fer.cloud.policy aws.bucket=BUCKET"),
        (
            [*NEEDED, "trainer.max_epoch=3"],
            "trainer.max_epoch: there is no such key; did you mean trainer.max_epochs?",
        ),
    ],
)
def test_errors_are_told_as_by_the_other_commands(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["/code/x.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    assert printed.err.startswith(f"x.py: {said}")


def test_rights_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    main(NEEDED)
    assert {*json.loads(capsys.readouterr().out)} == {"caller", "role", "role_trust"}


# What the programs call, where the right to it has another name.
OPERATIONS = {
    **{"s3:ListBucket": "list_objects_v2", "s3:GetBucketPublicAccessBlock": "get_public_access_block"},
    **{"s3:DeleteObject": "delete_objects", "s3:AbortMultipartUpload": "upload_file"},
}
EVERYTHING = (
    *("aws.keep=none", "aws.cloudwatch.alarms=true", "aws.kms_key=alias/faces", "aws.volume_kms_key=alias/disks"),
    *("registry.deploy.target=async", "registry.deploy.autoscaling.min=0", "registry.deploy.autoscaling.max=2"),
    "registry.deploy.autoscaling.target=5",
)
# Rights that no request names: SageMaker, S3 and Application Auto Scaling ask for them of who sends another one.
IMPLIED = {
    *("iam:PassRole", "kms:GenerateDataKey", "kms:Decrypt", "kms:CreateGrant", "iam:CreateServiceLinkedRole"),
    *("sagemaker:UpdateEndpointWeightsAndCapacities", "cloudwatch:DescribeAlarms"),
}


@pytest.mark.parametrize("pipelines", [False, True])
def test_nothing_is_granted_to_a_caller_that_no_program_calls(pipelines: bool) -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (PROJECT / "fer").rglob("*.py"))
    config = load_overrides(["aws=sagemaker", *NEEDED, *EVERYTHING], "infer")
    granted = build_policies(config, pipelines)["caller"]["Statement"]
    for action in {action for statement in granted for action in statement["Action"]} - IMPLIED:
        name = OPERATIONS.get(action) or xform_name(action.partition(":")[2])
        if name.startswith(("create", "describe", "stop")):
            for kind in JOBS:
                name = name.replace(f"{kind}_job", "{self.kind}_job")
        assert f'"{name}"' in source or f".{name}(" in source, action


def test_deletions_are_granted_as_far_as_they_are_asked_for() -> None:
    def find_deletable(*overrides: str) -> tuple[list[str], bool]:
        policies = build_policies(load_overrides(["aws=sagemaker", *NEEDED, *overrides], "infer"))
        statements = {statement["Sid"]: statement for statement in policies["caller"]["Statement"]}
        assert all("s3:DeleteObject" not in statement["Action"] for statement in policies["role"]["Statement"])
        return statements["Deletion"]["Resource"], "sagemaker:DeleteModel" in statements["Model"]["Action"]

    objects = "arn:aws:s3:::faces/fer"
    registry = [f"{objects}/models/fer-mobilenetv2/*", f"{objects}/locks/fer-mobilenetv2.json"]
    assert find_deletable() == (registry, False)
    kept_less = ([*registry, f"{objects}/jobs/*"], True)
    assert find_deletable("aws.keep=answers") == find_deletable("aws.keep=none") == kept_less


@pytest.mark.parametrize(
    ("key", "resource", "alias"),
    [
        ("1234abcd-12ab-34cd-56ef-1234567890ab", "key/1234abcd-12ab-34cd-56ef-1234567890ab", None),
        ("alias/teams/faces", "key/*", "alias/teams/faces"),
        ("arn:aws:kms:eu-west-1:123456789012:alias/faces", "key/*", "alias/faces"),
        ("arn:aws:kms:eu-west-1:123456789012:key/mrk-1", "key/mrk-1", None),
    ],
)
def test_rights_are_given_on_the_key_that_an_alias_stands_for(key: str, resource: str, alias: str | None) -> None:
    keys = (f"aws.kms_key={key}", f"aws.volume_kms_key={key}", "aws.region=eu-west-1")
    policies = build_policies(load_overrides(["aws=sagemaker", *NEEDED, *keys], "infer"))
    found = [one for who in ("caller", "role") for one in policies[who]["Statement"] if one["Sid"].endswith("Key")]
    assert {one["Resource"] for one in found} == {f"arn:aws:kms:eu-west-1:123456789012:{resource}"}
    condition = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": alias}}
    assert [one.get("Condition") for one in found] == [condition if alias else None] * 3
    # AWS asks the role for it where outputs are encrypted.
    assert any("kms:Encrypt" in one["Action"] for one in policies["role"]["Statement"])


@pytest.mark.parametrize(
    ("uri", "objects"), [("s3://videos", "videos/*"), ("s3://videos/", "videos/*"), ("s3://videos/a/b", "videos/a/b*")]
)
def test_a_bucket_of_videos_gives_no_bucket_whose_name_begins_alike(uri: str, objects: str) -> None:
    policies = build_policies(load_overrides(["aws=sagemaker", *NEEDED, f"extraction.input={uri}"], "infer"))
    for who in ("caller", "role"):
        granted = {one["Sid"]: (one["Action"], one["Resource"]) for one in policies[who]["Statement"]}
        assert granted["Inputs"] == (["s3:GetObject"], [f"arn:aws:s3:::{objects}"])
        assert granted["InputBuckets"] == (["s3:ListBucket"], ["arn:aws:s3:::videos"])


def test_recordings_of_a_study_give_the_folder_that_has_all_with_consent(tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    files = {"ann": "s3://videos/panel/1/a.mp4", "bob": "s3://videos/panel/2/b.mp4", "carl": "s3://videos/other/c.mp4"}
    recordings = [{"file": file, "respondent": name, "stimulus": "spot"} for name, file in files.items()]
    people = {name: {"consent": name != "carl"} for name in files}
    content = {"stimuli": {"spot": {"duration_s": 10}}, "respondents": people, "recordings": recordings}
    study.write_text(json.dumps(content))
    policies = build_policies(load_overrides(["aws=sagemaker", *NEEDED, f"extraction.study={study}"], "infer"))
    for who in ("caller", "role"):
        granted = {one["Sid"]: one["Resource"] for one in policies[who]["Statement"]}
        assert granted["Inputs"] == ["arn:aws:s3:::videos/panel/*"]


def test_pipelines_add_their_rights_and_change_no_other() -> None:
    config = load_overrides(["aws=sagemaker", *NEEDED], "infer")
    plain, more = build_policies(config), build_policies(config, pipelines=True)
    for name in ("caller", "role"):
        assert all(statement in more[name]["Statement"] for statement in plain[name]["Statement"])
    added = [statement for statement in more["role"]["Statement"] if statement not in plain["role"]["Statement"]]
    # A pipeline starts jobs of its own names, and passes on no role but its own.
    assert {statement["Resource"] for statement in added if "iam:PassRole" in statement["Action"]} == {NEEDED[1][9:]}
    [steps] = [statement for statement in added if "sagemaker:CreateProcessingJob" in statement["Action"]]
    assert all(arn.endswith("-job/pipelines-*") for arn in steps["Resource"])
