"""What pyproject.toml cannot say: all packages that there are, and conf/, which the wheel has inside the package."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["fer", "fer.*"]), "fer.conf", "hydra_plugins"],
    package_dir={"fer.conf": "conf"},
)
