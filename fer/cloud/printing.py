"""Commands that print a JSON document which follows from the section `aws` alone: rights, and infrastructure."""

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from fer.config import Config
from fer.config.compose import load_overrides
from fer.core.installation import format_command
from fer.errors import ExitCode
from fer.runs.program import user_errors_to_exit_code

PIPELINES_OPTION = "--pipelines"


def select_sagemaker(overrides: Sequence[str]) -> list[str]:
    """Return overrides that choose `aws=sagemaker` unless they choose another option of `aws`."""
    chosen = any(text.startswith("aws=") for text in overrides)
    return [*overrides] if chosen else ["aws=sagemaker", *overrides]


def format_usage(module: str) -> str:
    """Say how the command of a module is typed."""
    return f"usage: {format_command(module)} aws.bucket=BUCKET aws.role=ARN [{PIPELINES_OPTION}] [key=value …]"


def print_document(module: str, build: Callable[[Config, bool], Any], arguments: Sequence[str]) -> None:
    """Print what a command line asks for, or how it is typed.

    Args:
        module: The command's module, such as ``fer.cloud.policy``.
        build: Builds the document of a configuration; the flag says whether pipelines are meant too.
        arguments: Overrides, and perhaps PIPELINES_OPTION.
    """
    asked = bool({"-h", "--help"}.intersection(arguments))
    if asked or not arguments:
        print(format_usage(module), file=sys.stdout if asked else sys.stderr)
        sys.exit(ExitCode.OK if asked else ExitCode.CONFIG)
    overrides = select_sagemaker([text for text in arguments if text != PIPELINES_OPTION])
    with user_errors_to_exit_code():
        print(json.dumps(build(load_overrides(overrides, "infer"), PIPELINES_OPTION in arguments), indent=2))
