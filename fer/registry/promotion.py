"""Which version is in use: the champion, its challenger, and the way back."""

from fer.errors import UserError
from fer.registry.base import CHALLENGER, CHAMPION, Aliases, Registry, Version
from fer.registry.gate import APPROVED, REJECTED


def enrol(registry: Registry, version: Version) -> None:
    """Give a registered version its alias: an approved one becomes champion where there is none, else challenger."""
    aliases = registry.aliases(version.name)
    if version.status != APPROVED or version.version in (aliases.champion, *aliases.history):
        return
    if aliases.champion is None:
        registry.set_aliases(version.name, Aliases(version.version))
    elif aliases.challenger is None or aliases.challenger < version.version:
        registry.set_aliases(version.name, Aliases(aliases.champion, version.version, aliases.history))


def promote(registry: Registry, name: str, number: int | None) -> Version:
    """Make a version, by default the challenger, the champion; one that is pending is approved thereby.

    Raises UserError, also for a rejected one.
    """
    with registry.changing(name):
        version = registry.find(name, CHALLENGER if number is None else number)
        aliases = registry.aliases(name)
        if version.status == REJECTED:
            raise UserError(f"{version.uri}: was rejected, so it cannot be champion; its verdict: {version.reasons}")
        if aliases.champion == version.version:
            raise UserError(f"{version.uri}: is the champion already")
        if version.status != APPROVED:
            registry.approve(version, "Approved by hand, by its promotion.")
        last = () if aliases.champion is None else (aliases.champion,)
        left = None if aliases.challenger == version.version else aliases.challenger
        registry.set_aliases(name, Aliases(version.version, left, aliases.before + last))
        return registry.find(name, version.version)


def rollback(registry: Registry, name: str) -> Version:
    """Make the champion before the present one champion again. Raises UserError where there was none."""
    with registry.changing(name):
        present = registry.find(name, CHAMPION)
        aliases = registry.aliases(name)
        if not aliases.before:
            raise UserError(f"{present.uri}: is the first champion; there is none before it to go back to")
        *earlier, before = aliases.before
        left = None if aliases.challenger == before else aliases.challenger
        registry.set_aliases(name, Aliases(before, left, tuple(earlier)))
        return registry.find(name, before)
