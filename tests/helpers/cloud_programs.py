"""Programs run in a directory of their own, on this machine or against AWS as tests simulate it."""

import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil

from tests.helpers.paths import PROJECT
from tests.helpers.programs import INFER, PROBABILITIES, SMOOTHED, Done, environment, run, table_of

REGISTER = str(PROJECT / "register.py")
BUCKET = "faces-of-tests"
ROLE = "arn:aws:iam::123456789012:role/fer"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/fer:1"
NAME = "fer-mobilenetv2"
BUCKET_ONLY = ("aws=sagemaker", f"aws.bucket={BUCKET}")
REGISTERING = (*BUCKET_ONLY, f"aws.image={IMAGE}")
SAGEMAKER = (*BUCKET_ONLY, f"aws.role={ROLE}", "aws.transform.poll_s=0.1")
# Two epochs teach little.
ANY_MODEL = (
    "registry.gate.min_accuracy=0",
    "registry.gate.min_macro_f1=0",
    "registry.gate.max_calibration_error=1",
)
TOLERANCE = 1e-5
# Rights that the operations of S3 need where they are called otherwise.
RIGHTS = {
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:UploadPart": "s3:PutObject",
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
}


@dataclass(frozen=True)
class Place:
    """A directory in which programs run, and the environment that they have."""

    directory: Path
    environment: dict[str, str]

    @classmethod
    def of(cls, directory: Path, aws: dict[str, str]) -> "Place":
        """``aws`` are the variables of a simulator."""
        directory.mkdir(parents=True, exist_ok=True)
        return cls(directory, {**environment(), **aws})

    def run(self, *command: str) -> Done:
        """Run `python COMMAND…` to its end."""
        return run(*command, cwd=self.directory, surroundings=self.environment)

    def start(self, *command: str) -> "subprocess.Popen[str]":
        """Start `python COMMAND…`, without a terminal to ask at."""
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def infer(self, *overrides: str) -> Done:
        return self.run(INFER, "trainer.threads=1", *overrides)

    def begin(self, *overrides: str) -> "subprocess.Popen[str]":
        """Start infer.py."""
        return self.start(INFER, "trainer.threads=1", *overrides)

    def runs(self) -> list[Path]:
        """The directories of its runs of infer.py, the first one first."""
        return sorted((self.directory / "outputs" / "infer").glob("*/*"))


def without_aws(directory: Path) -> Place:
    """A place that knows nothing of AWS, and where nothing can be reached."""
    plain = {name: value for name, value in environment().items() if not name.startswith("AWS_")}
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_EC2_METADATA_DISABLED": "true"}
    return Place(directory, {**plain, **nowhere, "HOME": str(directory)})


def succeeded(done: Done) -> Done:
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def refused(done: Done, code: int, *words: str) -> None:
    """The program ended with this exit code and one sentence that has these words."""
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith(("infer.py: ", "register.py: "))]
    assert said and all(word in said[0] for word in words), done.stderr


def assert_same_table(one: Path, other: Path) -> None:
    """The tables of two runs are identical, but for probabilities, which differ by 1e-5 at most."""
    first, second = table_of(one), table_of(other)
    figures = [*PROBABILITIES, *SMOOTHED, "confidence"]
    pd.testing.assert_frame_equal(first.drop(columns=figures), second.drop(columns=figures))
    np.testing.assert_allclose(first[figures], second[figures], rtol=0, atol=TOLERANCE)


def servers_below(pid: int) -> list[psutil.Process]:
    """The model's servers among the processes that a process has started, itself or through others."""
    found = []
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(pid).children(recursive=True):
            # One that has ended meanwhile is none.
            with suppress(psutil.NoSuchProcess):
                if "fer.serving" in (child.name(), *child.cmdline()):
                    found.append(child)
    return found


def answered(run: Path) -> int:
    """How many requests of a run's batch are answered."""
    return len(list(run.glob("shards/*.out")))


def allowed(statements: list[dict[str, Any]], action: str, resource: str | None = None) -> bool:
    """Whether a policy allows an action, on a resource if one is named."""
    for statement in statements:
        on = statement["Resource"]
        resources = [on] if isinstance(on, str) else on
        fits = resource is None or any(fnmatchcase(resource, pattern) for pattern in resources)
        if action in statement["Action"] and fits:
            return True
    return False
