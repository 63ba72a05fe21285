"""Versions of installed distributions."""

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

# OpenCV's two builds, of which an environment has one: that of jobs has the one without windows.
OPENCV = ("opencv-python", "opencv-python-headless")


def get_installed_version(*distributions: str) -> str:
    """Return the version of the first of these distributions that is installed.

    Raises:
        PackageNotFoundError: None of them is; it names the last.
    """
    *others, last = distributions
    for name in others:
        with suppress(PackageNotFoundError):
            return version(name)
    return version(last)
