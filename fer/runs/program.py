"""The frame of the programs: a new run directory, and expected errors as one sentence with an exit code."""

import errno
import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fer.config.compose import check_config_name, expand_config_dir, refuse_executable_yaml
from fer.config.error_messages import LIST_KEYS, STUDY_KEYS, convert_composition_error, convert_group_error
from fer.config.quoting import is_readable, quote_literally, quote_overrides, read_text
from fer.core.installation import format_command, format_documentation, get_program_name
from fer.core.process import LAUNCHED_ENV, end_on_closed_pipe, get_global_rank
from fer.core.run_layout import RUN_YAML
from fer.core.visible import log_visibly, make_visible
from fer.errors import ConfigError, ExitCode, StudyError, UserError
from fer.runs.hydra_options import check_hydra_options
from fer.runs.run_directory import create_unique_directory, remove_if_empty

# Packages whose RuntimeError means that a process of theirs was killed.
LAUNCHERS = ("joblib", "submitit")
RESUME, RUN_DIR = "resume=", "hydra.run.dir="
NO_TEMPORARY = "No usable temporary directory found"


def exit_with_error(message: str, code: int) -> NoReturn:
    """Print what is wrong, each line prefixed by the program's name, and exit with a code."""
    # Of several processes the one that has started them prints.
    if LAUNCHED_ENV not in os.environ:
        name = get_program_name()
        print("\n".join(f"{name}: {line}" for line in make_visible(message).splitlines()), file=sys.stderr, flush=True)
    sys.exit(code)


@contextmanager
def user_errors_to_exit_code(run_directory: Path | None = None) -> Iterator[None]:
    """Print errors that a user can correct as one sentence and exit with their code; let bugs raise.

    Args:
        run_directory: The run directory, which is removed again where it holds nothing but an empty log.

    Raises:
        SystemExit: With the error's code (``ExitCode``).
    """
    log_visibly()
    try:
        with end_on_closed_pipe():
            yield
    except ConfigError as error:
        remove_if_empty(run_directory)
        hint = STUDY_KEYS if isinstance(error, StudyError) else LIST_KEYS
        exit_with_error(f"{error}\n{hint}", error.exit_code)
    except (HydraException, OmegaConfBaseException) as error:
        exit_with_error(f"{convert_composition_error(error)}\n{LIST_KEYS}", ConfigError.exit_code)
    except ValueError as error:
        exit_with_error(f"{convert_group_error(error, sys.argv[1:])}\n{LIST_KEYS}", ConfigError.exit_code)
    except UserError as error:
        remove_if_empty(run_directory)
        exit_with_error(str(error), error.exit_code)
    except KeyboardInterrupt:
        exit_with_error("interrupted", ExitCode.INTERRUPTED)
    except RuntimeError as error:
        if type(error).__module__.partition(".")[0] not in LAUNCHERS:
            raise
        exit_with_error(
            "a process that ran jobs was killed, perhaps for lack of memory; go on with sweep.resume=DIR", 1
        )
    except OSError as error:
        # What the standard library says where every disk is full.
        if NO_TEMPORARY in str(error):
            exit_with_error("no place for temporary files: make room, or name a directory by TMPDIR", 1)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        location = f"{error.filename}: " if error.filename else ""
        exit_with_error(f"{location}{os.strerror(error.errno).lower()}; make room or choose another place", 1)


def log_to_stderr() -> None:
    """Log to standard error: standard output is what another program reads."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stdout:
            handler.setStream(sys.stderr)


def run_program(main: Callable[[], object], expand_arguments: Callable[[list[str]], list[str]] = list) -> None:
    """Run a program that is decorated with ``hydra.main``.

    Args:
        main: The program; `--help` shows the docstring of its module.
        expand_arguments: Replaces the arguments of the command line.

    Raises:
        SystemExit: With the code of an expected error, or 130 after Ctrl-C.
    """
    documentation = format_documentation(sys.modules[main.__module__].__doc__)
    OmegaConf.register_new_resolver("program_help", lambda: documentation, replace=True)
    OmegaConf.register_new_resolver("command", format_command, replace=True)
    # What is imported stays: neither now nor at the end of the process it is looked through for garbage.
    gc.freeze()
    # Otherwise Hydra would print errors itself and exit with 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    with user_errors_to_exit_code():
        _refuse_unreadable_directory()
        arguments = expand_config_dir(expand_arguments(sys.argv[1:]))
        multirun = bool({"-m", "--multirun"} & set(arguments))
        sys.argv[1:] = _resume_in_place(quote_overrides(arguments, multirun))
        refuse_executable_yaml(sys.argv[1:])
        check_config_name(sys.argv[1:])
        check_hydra_options(sys.argv[1:])
        main()


def _refuse_unreadable_directory() -> None:
    """Refuse a current directory whose name Hydra cannot keep in its configuration."""
    if not is_readable(os.getcwd()):
        raise ConfigError(f"{os.getcwd()}: a directory whose name holds ${{ without }} cannot be worked in; rename it")


def _resume_in_place(arguments: list[str]) -> list[str]:
    """Have Hydra log into the run that `resume=RUN` names, instead of opening a directory for a new one."""
    named = [index for index, argument in enumerate(arguments) if argument.startswith(RESUME)]
    if len(named) != 1 or arguments[named[0]] == f"{RESUME}null" or get_global_rank():
        return arguments
    run = Path(read_text("resume", arguments[named[0]].removeprefix(RESUME))).resolve()
    if not (run / RUN_YAML).is_file():
        return arguments
    quoted = quote_literally(str(run))
    arguments[named[0]] = f"{RESUME}{quoted}"
    return arguments if any(text.startswith(RUN_DIR) for text in arguments) else [*arguments, f"{RUN_DIR}{quoted}"]


def get_run_directory() -> Path:
    """The run directory of a program that ``hydra.main`` has started; no part of its name is an interpolation."""
    runtime = OmegaConf.to_container(HydraConfig.get().runtime, resolve=False)
    assert isinstance(runtime, dict)
    return Path(runtime["output_dir"])


def get_overrides() -> list[str]:
    """The overrides of a program that ``hydra.main`` has started, less those of Hydra's own keys."""
    overrides = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    assert isinstance(overrides, list)
    return [str(text) for text in overrides]


# At import, because a process that a launcher starts for a job imports this module and then composes.
OmegaConf.register_new_resolver("fresh_directory", create_unique_directory, use_cache=True, replace=True)
OmegaConf.register_new_resolver(
    "run_log", lambda: str(get_run_directory() / f"{HydraConfig.get().job.name}.log"), replace=True
)
