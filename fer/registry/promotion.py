"""Which version is in use: the champion, its challenger, and the way back."""

from fer.errors import UserError
from fer.registry.base import CHALLENGER, CHAMPION, Aliases, ModelRegistry, ModelVersion
from fer.registry.gate import APPROVED, REJECTED


def assign_alias(registry: ModelRegistry, version: ModelVersion) -> None:
    """Give a registered version its alias: an approved one becomes champion where there is none, else challenger."""
    aliases = registry.get_aliases(version.name)
    if version.status != APPROVED or version.version in (aliases.champion, *aliases.history):
        return
    if aliases.champion is None:
        registry.set_aliases(version.name, Aliases(version.version))
    elif aliases.challenger is None or aliases.challenger < version.version:
        registry.set_aliases(version.name, Aliases(aliases.champion, version.version, aliases.history))


def promote(registry: ModelRegistry, name: str, number: int | None) -> ModelVersion:
    """Make a version, by default the challenger, the champion; one that is pending is approved thereby.

    Raises UserError, also for a rejected one.
    """
    with registry.lock(name):
        version = registry.find(name, CHALLENGER if number is None else number)
        aliases = registry.get_aliases(name)
        if version.status == REJECTED:
            raise UserError(f"{version.uri}: was rejected, so it cannot be champion; its verdict: {version.reasons}")
        if aliases.champion == version.version:
            raise UserError(f"{version.uri}: is the champion already")
        if version.status != APPROVED:
            registry.approve(version, "Approved by hand, by its promotion.")
        last = () if aliases.champion is None else (aliases.champion,)
        left = None if aliases.challenger == version.version else aliases.challenger
        registry.set_aliases(name, Aliases(version.version, left, aliases.previous_champions + last))
        return registry.find(name, version.version)


def roll_back(registry: ModelRegistry, name: str) -> ModelVersion:
    """Make the champion before the present one champion again. Raises UserError where there was none."""
    with registry.lock(name):
        present = registry.find(name, CHAMPION)
        aliases = registry.get_aliases(name)
        if not aliases.previous_champions:
            raise UserError(f"{present.uri}: is the first champion; there is none before it to go back to")
        *earlier, before = aliases.previous_champions
        left = None if aliases.challenger == before else aliases.challenger
        registry.set_aliases(name, Aliases(before, left, tuple(earlier)))
        return registry.find(name, before)
