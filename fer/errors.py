"""Errors that a user can correct, one clear sentence without a traceback, and the exit codes of all programs."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of all programs."""

    OK = 0
    ERROR = 1
    CONFIG = 2
    # Some of many were done: videos were left out, jobs failed, or a model was rejected.
    PARTIAL = 3
    # A batch is beyond a limit of its monitoring.
    DRIFT = 4
    # A sweep's sampler ended a hopeless trial.
    PRUNED = 5
    INTERRUPTED = 130


class UserError(Exception):
    """Something outside the program is wrong; the message names the thing and the remedy."""

    exit_code = ExitCode.ERROR


class ConfigError(UserError):
    """The configuration is wrong; nothing was started."""

    exit_code = ExitCode.CONFIG


class StudyError(ConfigError):
    """A study's file is wrong; nothing was started."""


class PreconditionError(UserError):
    """What the configuration names is not there or does not fit; nothing was started."""

    exit_code = ExitCode.CONFIG


class DataError(UserError):
    """A data set is missing, broken or laid out otherwise than expected."""


class ModelError(UserError):
    """Weights or a bundle are missing, broken or of another architecture."""


def shorten_error(error: BaseException) -> str:
    """Return the first line of a library's error, cut to what fits into a sentence."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
