"""register.py as a user runs it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fer.registry.mlflow import MlflowRegistry
from tests.helpers.paths import PROJECT
from tests.helpers.programs import Done, Program, environment, provenance_of, start
from tests.helpers.registering import until

REGISTER = str(PROJECT / "register.py")
NAME = "fer-program"
EASY = ("registry.gate.min_accuracy=0", "registry.gate.min_macro_f1=0", "registry.gate.max_calibration_error=1")
Register = Callable[..., Done]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "registry"


@pytest.fixture
def register(program: Program, store: Path) -> Register:
    """Run register.py on a store of this test's own to its end."""

    def run(*overrides: str) -> Done:
        return program(REGISTER, f"registry.store={store}", f"registry.name={NAME}", *overrides)

    return run


def test_register_and_the_same_again(register: Register, finished: Path, store: Path, workplace: Path) -> None:
    done = register(f"model_uri={finished}", *EASY, f"hydra.run.dir={workplace / 'registered'}")
    assert done.returncode == 0, done.stderr
    assert f"Registered models:/{NAME}/1 (Approved; champion)\nAll limits are kept on the test part" in done.stdout
    assert "its answers as in the run" in done.stdout
    assert done.stderr == ""
    assert provenance_of(workplace / "registered")["version"] == f"models:/{NAME}/1"
    again = register(f"model_uri={finished}")
    assert again.returncode == 0
    assert f"Registered already: models:/{NAME}/1 (Approved; champion)" in again.stdout
    before = sorted((workplace / "outputs").rglob("*"))
    back = register("registry.action=rollback")
    assert back.returncode == 1
    assert back.stderr == (
        f"register.py: models:/{NAME}/1: is the first champion; there is none before it to go back to\n"
    )
    assert sorted((workplace / "outputs").rglob("*")) == before


def test_a_model_that_is_not_good_enough_is_kept_as_rejected(register: Register, finished: Path) -> None:
    done = register(f"model_uri={finished}", "registry.gate.min_accuracy=1")
    assert done.returncode == 3
    assert f"Registered models:/{NAME}/1 (Rejected)\nNot reached on the test part" in done.stdout


def test_two_at_once_and_one_that_is_killed(register: Register, finished: Path, store: Path, tmp_path: Path) -> None:
    def begun(name: str) -> subprocess.Popen[str]:
        given = (f"registry.store={store}", f"registry.name={NAME}", f"model_uri={finished}", *EASY)
        return start(REGISTER, *given, f"hydra.run.dir={tmp_path / name}", cwd=tmp_path)

    killed = begun("killed")
    until(lambda: list((tmp_path / "killed").glob("model.tar.gz*")) or killed.poll() is not None, 300)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert MlflowRegistry(store).list_versions(NAME) == []
    both = [begun(name) for name in ("one", "other")]
    said = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sorted("already" in text for text in said) == [False, True]
    [version] = MlflowRegistry(store).list_versions(NAME)
    assert version.aliases == ("champion",)


def test_a_dry_run_needs_neither_network_nor_credentials(finished: Path, tmp_path: Path) -> None:
    given = [
        f"model_uri={finished}",
        "aws=sagemaker",
        "aws.bucket=some-bucket",
        "aws.image=some/image:1",
        "dry_run=true",
    ]
    kept = {name: value for name, value in environment().items() if not name.startswith("AWS_")}
    # Whoever asks the network meets a closed port.
    closed = {
        "AWS_EC2_METADATA_DISABLED": "true",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
    }
    home, place = tmp_path / "home", tmp_path / "place"
    for folder in (home, place):
        folder.mkdir()
    surroundings = {**kept, **closed, "HOME": str(home)}
    command = [sys.executable, REGISTER, *given]
    done = subprocess.run(command, cwd=place, env=surroundings, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    requests = json.loads(done.stdout)
    assert {request["service"] for request in requests} == {"s3", "sagemaker"}
    [created] = [request for request in requests if request["operation"] == "create_model_package"]
    assert created["parameters"]["InferenceSpecification"]["Containers"][0]["Image"] == "some/image:1"
    assert [path for path in place.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["model_uri=/no/such/run"], "register.py: model_uri=/no/such/run: there is no such directory"),
        (["dry_run=true"], "register.py: dry_run=true: aws=local sends no requests to AWS; add aws=sagemaker"),
        (
            ["model_uri=FINISHED", "aws=sagemaker", "aws.bucket=some-bucket", "aws.region=eu-west-1"],
            "register.py: aws.image: a registered model",
        ),
    ],
)
def test_mistakes_are_sentences(overrides: list[str], said: str, register: Register, finished: Path) -> None:
    done = register(*(text.replace("FINISHED", str(finished)) for text in overrides))
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
