"""What pyproject.toml cannot say: all packages that there are, and conf/ and schemas/, which the wheel has inside the package."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["fer", "fer.*"]), "fer.conf", "fer.schemas", "hydra_plugins"],
    package_dir={"fer.conf": "conf", "fer.schemas": "schemas"},
)
