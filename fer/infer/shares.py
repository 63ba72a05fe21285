"""Shares of a run's videos, which jobs of a sweep do: which videos they have, and what the command line means."""

from fer.config import Config
from fer.config.extraction import MAX_SHARES, Extraction
from fer.errors import ConfigError

SHARE, SHARES = "extraction.share=", "extraction.shares="


def list_numbers(extraction: Extraction, count: int) -> range:
    """The numbers of the videos that a run does, of so many: those of its share, or all.

    Neighbours go to different shares: what was recorded together is mostly of the same length.
    """
    return range(count) if extraction.share is None else range(extraction.share, count, extraction.shares)


def expand_shares(arguments: list[str]) -> list[str]:
    """Have a sweep of so many shares do each of them once: `-m extraction.shares=4` is enough."""
    named = [text.removeprefix(SHARES) for text in arguments if text.startswith(SHARES)]
    if not {"-m", "--multirun"} & set(arguments) or not named or any(text.startswith(SHARE) for text in arguments):
        return arguments
    if not named[-1].isdecimal() or not 1 <= int(named[-1]) <= MAX_SHARES:
        return arguments  # it is refused with the other values
    return [*arguments, SHARE + ",".join(map(str, range(int(named[-1]))))]


class JobCheck:
    """Refuses, before a sweep's first job, what cannot be one, and shares that could not be joined."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def __call__(self, config: Config) -> None:
        """Check the next job. Raises ConfigError."""
        if config.dry_run or config.resume:
            key = "dry_run" if config.dry_run else "resume"
            raise ConfigError(f"{key}: is for a single run; leave it out, or leave out -m")
        share = config.extraction.share
        if share is None:
            return
        if share in self.seen:
            raise ConfigError(
                f"extraction.share={share}: would be done twice; the shares of one configuration are joined, so "
                "nothing else may be swept with them"
            )
        self.seen.add(share)
