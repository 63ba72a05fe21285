"""Options of Hydra that it would answer with a traceback, or by reading what it must not."""

import os
from argparse import Namespace
from collections.abc import Sequence

from hydra._internal.utils import get_args_parser

from fer.core.installation import format_command
from fer.errors import ConfigError

SHELLS = ("bash", "fish", "zsh")
COMPLETION_COMMANDS = ("install", "uninstall", "query")


def check_hydra_options(arguments: Sequence[str]) -> None:
    """Refuse options of Hydra that do not go together, or ask for what is not there.

    Args:
        arguments: Those of the command line.

    Raises:
        ConfigError: With what to type instead.
        SystemExit: With code 2 where an option is none, or has a value that it does not take, which is printed.
    """
    options = get_args_parser().parse_args(list(arguments))
    if options.help:
        return
    if options.experimental_rerun is not None:
        raise ConfigError(
            "--experimental-rerun: reads a pickle, which may run anything; a run is run again by "
            f"{format_command('train.py')} --config-dir RUN --config-name run"
        )
    _check_resolve(options)
    if options.hydra_help:
        return
    _check_modes(options)
    if options.shell_completion:
        _check_completion(options.overrides)


def _check_resolve(options: Namespace) -> None:
    if options.resolve and options.cfg is None:
        raise ConfigError("--resolve: shows values in place of ${…} and needs --cfg; add --cfg job")
    if options.resolve and options.cfg != "job":
        raise ConfigError(
            f"--cfg {options.cfg} --resolve: Hydra's own keys get their values when a run begins; use --cfg job "
            f"--resolve, or --cfg {options.cfg} alone"
        )


def _check_modes(options: Namespace) -> None:
    asked = {
        "--run": options.run,
        "--multirun": options.multirun,
        "--cfg": options.cfg is not None,
        "--info": options.info is not None,
        "--shell-completion": options.shell_completion,
    }
    given = [option for option, is_given in asked.items() if is_given]
    if len(given) < 2:
        return
    if given[0] == "--multirun":
        remedy = f"{given[1]} is about one run, not a sweep; leave --multirun (-m) out and give each key one value"
    else:
        remedy = "leave all but one out"
    raise ConfigError(f"{' and '.join(given)}: cannot be given together; {remedy}")


def _check_completion(overrides: Sequence[str]) -> None:
    """Refuse what is not `install=SHELL`, `uninstall=SHELL`, or the `query=SHELL` of a shell itself."""
    commands = [text.partition("=") for text in overrides if text.partition("=")[0] in COMPLETION_COMMANDS]
    if len(commands) != 1 or commands[0][2] not in SHELLS:
        shown = " ".join(["--shell-completion", *overrides])
        raise ConfigError(f"{shown}: allowed are install=SHELL and uninstall=SHELL; SHELL is {', '.join(SHELLS)}")
    if commands[0][0] == "query" and not os.environ.get("COMP_LINE"):
        raise ConfigError(
            "--shell-completion query: is what a shell asks, with the typed line in COMP_LINE; "
            "--shell-completion install=SHELL prints how it is set up"
        )
