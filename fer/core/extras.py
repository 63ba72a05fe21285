"""Packages that not every installation has: which extra of fer-experiments brings them."""

import importlib.util

from fer.errors import UserError

# Package: the extra of pyproject.toml that installs it.
EXTRAS = {
    "boto3": "aws",
    "sagemaker": "aws",
    "prometheus_client": "serve",
    "starlette": "serve",
    "uvicorn": "serve",
    "tensorboardX": "trackers",
    "wandb": "trackers",
}


def require_extra(package: str, purpose: str) -> None:
    """Check that ``package`` can be imported, which ``purpose`` (a key, a command) needs.

    Raises:
        UserError: It is not installed; the message says how to install it.
    """
    try:
        found = importlib.util.find_spec(package) is not None
    except ImportError:
        found = False
    if not found:
        raise UserError(f"{purpose}: needs {package}; install it with pip install 'fer-experiments[{EXTRAS[package]}]'")
