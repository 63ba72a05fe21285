"""Packages that not every installation has: which extra of fer-experiments brings them."""

import importlib.util

from fer.errors import UserError

# Package: the extra of pyproject.toml that installs it.
EXTRAS = {
    "boto3": "aws",
    "captum": "analysis",
    "cleanlab": "analysis",
    "nncf": "export",
    "openpyxl": "study",
    "openvino": "export",
    "pyreadstat": "study",
    "statsmodels": "study",
    "sagemaker": "aws",
    "prometheus_client": "serve",
    "starlette": "serve",
    "streamlit": "app",
    "uvicorn": "serve",
    "tensorboard": "trackers",
    "wandb": "trackers",
}
SERVER_PACKAGES = ("prometheus_client", "starlette", "uvicorn")


def require_packages(*packages: str, purpose: str | None = None) -> None:
    """Check that packages of EXTRAS can be imported, without importing them.

    Args:
        packages: Their names in ``import``.
        purpose: What needs them: a key of the configuration with its value, or a service.

    Raises:
        UserError: One is not installed; the message says how to install it.
    """
    for package in packages:
        if not _is_importable(package):
            sentence = f"needs {package}; install it with pip install 'fer-experiments[{EXTRAS[package]}]'"
            raise UserError(f"{purpose}: {sentence}" if purpose else sentence)


def _is_importable(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ImportError:
        return False
