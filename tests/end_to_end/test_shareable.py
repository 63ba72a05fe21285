"""What the programs write holds no secret, and what is passed on of it no path and no name of a user."""

import re
from pathlib import Path

import pytest

from tests.helpers.paths import PROJECT
from tests.helpers.programs import FAST, INFER, environment, run

SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
    "AWS_SESSION_TOKEN": "FwoGZXIvYXdzEXAMPLESESSION",
    "WANDB_API_KEY": "0123456789abcdef0123456789abcdef01234567",
    "HF_TOKEN": "hf_abcdefghijklmnopqrstuvwxyz",
    "MLFLOW_TRACKING_PASSWORD": "correct-horse-battery",
}
# Keys of AWS and tokens of any name, and addresses with a password.
SHAPES = re.compile(rb"\bAKIA[0-9A-Z]{16}\b|\bhf_[a-z]{20,}|\bghp_\w{20,}|://[^/\s:@]+:[^/\s@]+@")
SHAREABLE = ("report.html", "model_card.md", "bundle.yaml", "monitoring.json", "index.html", "comparison.html")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that the programs write, in the home of a user with a name."""
    home = tmp_path_factory.mktemp("home") / "anna-mustermann"
    (home / "work").mkdir(parents=True)
    known = {**environment(), **SECRETS, "HOME": str(home), "USER": "anna-mustermann"}

    def do(*command: str) -> None:
        done = run(*command, cwd=home / "work", surroundings=known)
        assert done.returncode in (0, 3, 4), done.stderr
        assert not any(secret in done.stdout + done.stderr for secret in SECRETS.values())

    train, infer, out = (home / "work" / name for name in ("trained", "inferred", "compared"))
    do(str(PROJECT / "train.py"), *FAST, "trainer.max_epochs=1", "tracker=mlflow", f"hydra.run.dir={train}")
    do(INFER, f"model_uri={train}", "inference.runtime=onnx", f"hydra.run.dir={infer}")
    do("-m", "fer.compare", str(train), "--out", str(out))
    do(str(PROJECT / "register.py"), f"model_uri={train}", f"registry.store={home / 'registry'}")
    return home


def test_nothing_that_is_written_holds_a_secret(outputs: Path) -> None:
    files = [path for path in outputs.rglob("*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        content = path.read_bytes()
        assert not [name for name, secret in SECRETS.items() if secret.encode() in content], path
        assert not SHAPES.search(content), path


def test_what_is_passed_on_holds_no_path_and_no_user(outputs: Path) -> None:
    files = [path for path in outputs.rglob("*") if path.name in SHAREABLE]
    assert {"report.html", "model_card.md", "bundle.yaml", "monitoring.json"} <= {path.name for path in files}
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert str(outputs) not in text and "anna-mustermann" not in text and str(PROJECT) not in text, path
    assert str(outputs) in (outputs / "work" / "inferred" / "run.yaml").read_text(), "a replay needs the path"
