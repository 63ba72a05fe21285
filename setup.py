"""What pyproject.toml cannot say: all packages that there are; a wheel has conf/ and schemas/ inside the package."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["fer", "fer.*"]), "fer.conf", "fer.schemas", "hydra_plugins"],
    package_dir={"fer.conf": "conf", "fer.schemas": "schemas"},
)
