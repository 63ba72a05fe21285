"""Changing the version in use: registration, promotion and rollback of aliases."""

from fer.errors import UserError
from fer.registry.base import CHALLENGER, CHAMPION, Aliases, ModelRegistry, ModelVersion
from fer.registry.decisions import add_decision, build_manual_decision
from fer.registry.status import APPROVED, ARCHIVED, REJECTED


def assign_alias(registry: ModelRegistry, version: ModelVersion) -> None:
    """Give a newly registered version its alias.

    An approved version becomes champion where there is none, else challenger where the present one is older. Others
    get no alias. Raises UserError.
    """
    aliases = registry.get_aliases(version.name)
    if version.status != APPROVED or version.version in (aliases.champion, *aliases.history):
        return
    if aliases.champion is None:
        registry.set_aliases(version.name, Aliases(version.version))
    elif aliases.challenger is None or aliases.challenger < version.version:
        registry.set_aliases(version.name, Aliases(aliases.champion, version.version, aliases.history))


def promote(registry: ModelRegistry, name: str, number: int | None) -> ModelVersion:
    """Make a version the champion; a pending version is approved thereby.

    Args:
        registry: The registry.
        name: Name of the model.
        number: Number of the version, by default the challenger.

    Returns:
        The new champion.

    Raises:
        UserError: There is no such version, it was rejected, or it is the champion already.
    """
    with registry.lock(name):
        version = registry.find(name, CHALLENGER if number is None else number)
        aliases = registry.get_aliases(name)
        if version.status == REJECTED:
            raise UserError(f"{version.uri}: was rejected, so it cannot be champion; its verdict: {version.reasons}")
        if version.status == ARCHIVED:
            raise UserError(f"{version.uri}: is archived; registry.action=judge decides anew whether it may be used")
        if aliases.champion == version.version:
            raise UserError(f"{version.uri}: is the champion already")
        if version.status != APPROVED:
            note = "Approved by hand, by its promotion."
            add_decision(registry, version, build_manual_decision(APPROVED, note))
            registry.set_status(version, APPROVED, note)
        replaced = () if aliases.champion is None else (aliases.champion,)
        challenger = None if aliases.challenger == version.version else aliases.challenger
        registry.set_aliases(name, Aliases(version.version, challenger, aliases.previous_champions + replaced))
        return registry.find(name, version.version)


def roll_back(registry: ModelRegistry, name: str) -> ModelVersion:
    """Make the previous champion of a model champion again; returns it. Raises UserError where there was none."""
    with registry.lock(name):
        current = registry.find(name, CHAMPION)
        aliases = registry.get_aliases(name)
        if not aliases.previous_champions:
            raise UserError(f"{current.uri}: is the first champion; there is none before it to go back to")
        *earlier, previous = aliases.previous_champions
        challenger = None if aliases.challenger == previous else aliases.challenger
        registry.set_aliases(name, Aliases(previous, challenger, tuple(earlier)))
        return registry.find(name, previous)
