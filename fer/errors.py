"""Errors that a user can mend: one clear sentence, no traceback."""


class UserError(Exception):
    """Something outside the program is wrong; the message names the thing and the remedy."""

    exit_code = 1


class ConfigError(UserError):
    """The configuration is wrong; nothing was started."""

    exit_code = 2


class DataError(UserError):
    """A data set is missing, broken or laid out otherwise than expected."""


class ModelError(UserError):
    """Weights or a bundle are missing, broken or of another architecture."""


def first_line(error: BaseException) -> str:
    """What an error of a library says first, cut to what fits into a sentence."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
