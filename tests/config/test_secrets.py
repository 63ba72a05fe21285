"""What is secret does not get into a configuration, which run files keep."""

import pytest

from fer.config.compose import load_overrides
from fer.config.secrets import refuse_secret_addresses, refuse_secrets
from fer.errors import ConfigError

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "WANDB_API_KEY", "HF_TOKEN", "MLFLOW_TRACKING_PASSWORD"])
def test_a_secret_of_the_environment_is_refused_without_being_repeated(name: str) -> None:
    with pytest.raises(ConfigError) as raised:
        refuse_secrets({"dataset": {"sources": [{"root": f"/data/{SECRET}"}]}}, {name: SECRET})
    assert str(raised.value).startswith(f"dataset.sources.root: holds what the environment variable {name} is set to")
    assert SECRET not in str(raised.value)


def test_an_interpolation_does_not_reach_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with pytest.raises(ConfigError, match="name: holds what the environment variable AWS_SECRET_ACCESS_KEY"):
        load_overrides(["name=${oc.env:AWS_SECRET_ACCESS_KEY}"])


@pytest.mark.parametrize(
    "address",
    [
        "https://anna:secret@host/x",
        "https://ghp_0123456789abcdef0123@github.com/x",
        "https://host/x?token=abc",
        "s3://bucket/x?X-Amz-Signature=00ff",
        "https://host/x?a=1&api_key=abc",
        "postgresql://anna:pass@host/db",
    ],
)
def test_addresses_with_secrets_are_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="^x: is an address with a password or token") as raised:
        refuse_secret_addresses({"x": address})
    assert address not in str(raised.value)


@pytest.mark.parametrize(
    "text", ["s3://bucket/key/x", "models:/fer@champion", "https://host:8080/x", "a@b.c", "sqlite:///x.db", "key=x"]
)
def test_other_texts_stay(text: str) -> None:
    refuse_secrets({"x": text}, {"HOME": "/root", "KEY": "short"})
    refuse_secret_addresses({"x": text})
