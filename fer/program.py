"""What the programs share: a fresh run directory, and errors as one sentence with an exit code."""

import errno
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import yaml
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fer.config.explain import LIST_KEYS, composition_error, group_error
from fer.errors import ConfigError, UserError

INTERRUPTED = 130
# Their errors mean that they have lost a process.
LAUNCHERS = ("joblib", "submitit")
# What Hydra calls by name, what logging's configuration calls by name, and where Hydra would read further YAML.
CALLING_KEYS = ("_target_", "()", "class", "searchpath")


def fresh_directory(wanted: str) -> str:
    """Create and return a directory that nobody had before: ``wanted``, or ``wanted-2``, ``wanted-3`` and so on.

    ``os.mkdir`` fails where the directory exists, so two programs that start in the same second get two.
    """
    path, attempt = Path(wanted), 1
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            path.mkdir()
            return str(path)
        except FileExistsError:
            attempt += 1
            path = Path(f"{wanted}-{attempt}")


def refuse_executable_yaml(arguments: list[str]) -> None:
    """Refuse a ``--config-dir`` whose YAML could make Hydra import and call something (CALLING_KEYS).

    Raises ConfigError. Run directories get passed from hand to hand; replaying one must not run foreign code.
    """
    for place, argument in enumerate(arguments):
        option, _, value = argument.partition("=")
        # Hydra also takes the beginning of an option's name.
        if option != "-cd" and not (option.startswith("--config-d") and "--config-dir".startswith(option)):
            continue
        folder = Path(value or (arguments[place + 1] if place + 1 < len(arguments) else ""))
        if not folder.is_dir():
            raise ConfigError(f"--config-dir {folder}: no such directory")
        for file in sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")]):
            try:
                hostile = calling_key(yaml.safe_load(file.read_text(encoding="utf-8")))
            except (OSError, UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
                raise ConfigError(f"{file}: cannot be read as YAML ({str(error).splitlines()[0]})") from None
            if hostile:
                raise ConfigError(f"{file}: holds `{hostile}`, which could run code; remove it")


def calling_key(node: object) -> str | None:
    """The first of CALLING_KEYS that any mapping inside a YAML document has."""
    if isinstance(node, dict):
        if named := [key for key in CALLING_KEYS if key in node]:
            return named[0]
        node = list(node.values())
    return next(filter(None, map(calling_key, node)), None) if isinstance(node, list) else None


def fail(message: str, code: int) -> NoReturn:
    """Print what is wrong, prefixed by the program's name, and leave."""
    name = Path(sys.argv[0]).name
    print("\n".join(f"{name}: {line}" for line in message.splitlines()), file=sys.stderr, flush=True)
    sys.exit(code)


@contextmanager
def reported(run_directory: Path | None = None) -> Iterator[None]:
    """Turn errors that a user can mend into a sentence and an exit code, wherever they arise inside.

    A run directory in which nothing but the log was written is removed again.
    """
    try:
        yield
    except ConfigError as error:
        discard(run_directory)
        fail(f"{error}\n{LIST_KEYS}", error.exit_code)
    except (HydraException, OmegaConfBaseException) as error:
        fail(f"{composition_error(error)}\n{LIST_KEYS}", ConfigError.exit_code)
    except ValueError as error:
        fail(f"{group_error(error, sys.argv[1:])}\n{LIST_KEYS}", ConfigError.exit_code)
    except UserError as error:
        discard(run_directory)
        fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED)
    except RuntimeError as error:
        if type(error).__module__.partition(".")[0] not in LAUNCHERS:
            raise
        fail("a process that ran jobs was killed, perhaps for lack of memory; go on with sweep.resume=DIR", 1)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        place = f"{error.filename}: " if error.filename else ""
        fail(f"{place}{os.strerror(error.errno).lower()}; make room or choose another place", 1)


def discard(directory: Path | None) -> None:
    """Remove a directory that holds nothing but Hydra's empty log, and the day's directory when that is empty then."""
    if (
        directory is None
        or not directory.is_dir()
        or any(file.suffix != ".log" or file.stat().st_size for file in directory.iterdir())
    ):
        return
    for file in directory.iterdir():
        file.unlink()
    directory.rmdir()
    # Fails where other runs are left; asking first would race against one that starts now.
    with suppress(OSError):
        directory.parent.rmdir()


def log_into(directory: Path) -> None:
    """Go on with the log of a run in its own directory: Hydra has opened one where a new run would be."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            name = Path(handler.baseFilename).name
            handler.close()
            handler.baseFilename = str((directory / name).resolve())


def log_to_stderr() -> None:
    """Leave standard output to what another program reads."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stdout:
            handler.setStream(sys.stderr)


def run_program(main: Callable[[], object], meant: Callable[[list[str]], list[str]] = list) -> None:
    """Run a program decorated with ``hydra.main``; exit code 0, or that of the error, or 130 after Ctrl-C.

    ``meant`` gives the arguments that those of the command line stand for.
    """
    # Hydra would print errors itself and exit with 1; with this it hands them on as they are.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    with reported():
        sys.argv[1:] = meant(sys.argv[1:])
        refuse_executable_yaml(sys.argv[1:])
        main()


# A process that a launcher starts for a job imports this module and then composes: it needs them as well.
OmegaConf.register_new_resolver("fresh_directory", fresh_directory, use_cache=True, replace=True)
OmegaConf.register_new_resolver("program_help", lambda: sys.modules["__main__"].__doc__, replace=True)
