"""The command that prints the rights: what it says where it cannot. What it prints is tested with the simulated AWS."""

import json
import sys

import pytest

from fer.cloud.policy import main
from fer.core import installation

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
    assert asked == f"usage: {command} aws.bucket=BUCKET aws.role=ARN [key=value …]\n"


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
