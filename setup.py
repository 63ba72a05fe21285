"""What pyproject.toml cannot say: all packages that there are; conf/ and schemas/ lie inside the package in the wheel."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["fer", "fer.*"]), "fer.conf", "fer.schemas", "hydra_plugins"],
    package_dir={"fer.conf": "conf", "fer.schemas": "schemas"},
)
