"""The pipeline of register.py: package, check, gate, registry; and which version is in use."""

import json
import logging
import tempfile
from pathlib import Path

import pandas as pd

from fer.aws.client import AwsCalls
from fer.bundle.model_card import with_verdict
from fer.cli import log_to_stderr
from fer.config import Config, SageMakerAws
from fer.core.io import write_text, written_beside
from fer.errors import ConfigError, ExitCode
from fer.registry.base import CARD, CHAMPION, SHOWN_FIGURES, TEST_TABLE, Candidate, Registry, Version
from fer.registry.factory import open_registry
from fer.registry.gate import REJECTED, Champion, Verdict, judge
from fer.registry.package import PACKAGE, build_package, fingerprint
from fer.registry.promotion import enrol, promote, rollback
from fer.registry.resolve import at_hand, pinned
from fer.registry.run_artifacts import Origin, read_origin, read_table
from fer.registry.sagemaker_model_card import quality
from fer.registry.verify_package import check_package
from fer.runs.run_directory import Run, discard

log = logging.getLogger(__name__)


def act(config: Config, directory: Path) -> int:
    """Do ``registry.action``; the exit code: 0, or 3 where the version is rejected.

    Only registering uses ``directory``. Raises UserError.
    """
    if config.dry_run:
        discard(directory)
        return rehearse(config)
    if config.registry.action == "register":
        return register(config, directory)
    discard(directory)
    print(managed(config, open_registry(config)))
    return 0


def rehearse(config: Config) -> int:
    """Print the requests to AWS that the action would send, as JSON, and nothing else."""
    if not isinstance(config.aws, SageMakerAws):
        raise ConfigError("dry_run=true: aws=local sends no requests to AWS; add aws=sagemaker")
    log_to_stderr()
    calls = AwsCalls(config.aws.region, dry_run=True)
    registry = open_registry(config, calls)
    if config.registry.action == "register":
        registry.ready()
        config = pinned(config)
        if str(config.model_uri).startswith(("s3://", "models:")):
            raise ConfigError(f"model_uri={config.model_uri}: a dry run fetches nothing; name a run on this machine")
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            registered(config, registry, read_origin(at_hand(config, folder).bundle), folder)
    else:
        managed(config, registry)
    print(json.dumps(calls.requests, indent=2))
    return 0


def register(config: Config, directory: Path) -> int:
    """Register the model of ``model_uri`` in a run directory of its own; the exit code."""
    config = pinned(config)
    with tempfile.TemporaryDirectory() as place:
        origin = read_origin(at_hand(config, Path(place)).bundle)
        registry = open_registry(config)
        registry.ready()
        run = Run(directory, config, "register.py")
        try:
            version = registered(config, registry, origin, directory)
        except KeyboardInterrupt:
            run.end("interrupted")
            raise
        except BaseException as error:
            run.end("failed", error=f"{type(error).__name__}: {error}")
            raise
    run.end("finished", version=version.uri, verdict=version.status)
    return ExitCode.PARTIAL if version.status == REJECTED else ExitCode.OK


def registered(config: Config, registry: Registry, origin: Origin, directory: Path) -> Version:
    """The version of a model: the one that exists already, or a new one, with its alias."""
    name = config.registry.name
    with registry.changing(name):
        version = registered_already(registry, name, origin)
        word = "Registered already:" if version else "Registered"
        version = version or register_new(config, registry, origin, directory)
        enrol(registry, version)
        version = registry.find(name, version.version)
    log.info("%s %s (%s)", word, version.uri, "; ".join([version.status, *version.aliases]))
    log.info("%s", version.reasons)
    return version


def registered_already(registry: Registry, name: str, origin: Origin) -> Version | None:
    """The version that has the same bundle."""
    wanted = fingerprint(origin.description.folder)
    return next((version for version in registry.versions(name) if version.fingerprint == wanted), None)


def register_new(config: Config, registry: Registry, origin: Origin, directory: Path) -> Version:
    """Package, check, judge and register; the files are left in ``directory``."""
    name = config.registry.name
    sha256 = build_package(origin.description.folder, directory / PACKAGE)
    difference = check_package(directory / PACKAGE)
    log.info("Package: %s, its answers as in the run (to %.1g)", directory / PACKAGE, difference)
    # A dry run knows nothing of the champion.
    champion = None if config.dry_run else champion_of(registry, name, directory)
    verdict = judge(config.registry.gate, origin.metrics, origin.table, champion)
    candidate = Candidate(
        name=name,
        verdict=verdict,
        sha256=sha256,
        fingerprint=fingerprint(origin.description.folder),
        files={**origin.files, **written(origin, verdict, directory)},
        metrics=origin.metrics,
        description=origin.description.content,
        settings=origin.settings,
        facts=origin.facts,
    )
    return registry.register(candidate)


def champion_of(registry: Registry, name: str, directory: Path) -> Champion | None:
    """The version in use and its test table."""
    number = registry.aliases(name).champion
    if number is None:
        return None
    version = registry.find(name, number)
    with tempfile.TemporaryDirectory(dir=directory) as place:
        path = registry.fetch_file(version, TEST_TABLE, Path(place))
        return Champion(version.uri, None if path is None else read_table(path))


def written(origin: Origin, verdict: Verdict, directory: Path) -> dict[str, Path]:
    """The files that registering itself adds, by name."""
    files = {PACKAGE: directory / PACKAGE}
    texts = {"verdict.json": json.dumps(verdict.content(), indent=2) + "\n", "quality.json": quality(origin.metrics)}
    card = origin.description.folder / CARD
    if card.is_file():
        texts[CARD] = with_verdict(card.read_text(encoding="utf-8"), verdict.status, verdict.reasons)
    for name, text in texts.items():
        write_text(directory / name, text)
        files[name] = directory / name
    if origin.table is not None:
        with written_beside(directory / TEST_TABLE) as beside:
            origin.table.to_parquet(beside, index=False)
        files[TEST_TABLE] = directory / TEST_TABLE
    return files


def managed(config: Config, registry: Registry) -> str:
    """Do an action on what is registered; what to tell of it."""
    name, number = config.registry.name, config.registry.version
    match config.registry.action:
        case "list":
            return table(registry.versions(name), name)
        case "show":
            return facts(registry.find(name, CHAMPION if number is None else number))
        case "promote":
            version = promote(registry, name, number)
        case _:
            version = rollback(registry, name)
    return f"{version.uri} is champion now"


def table(versions: list[Version], name: str) -> str:
    """A row a version."""
    if not versions:
        return f"No version of {name} is registered; register one with register.py"
    rows = [
        {
            "version": version.version,
            "status": version.status,
            "aliases": ", ".join(version.aliases),
            "accuracy": shown(version, "accuracy"),
            "macro-F1": shown(version, "macro_f1"),
            "created": version.created,
        }
        for version in versions
    ]
    return pd.DataFrame(rows).to_string(index=False)


def facts(version: Version) -> str:
    """All that is known of a version, a line each."""
    lines = {
        "status": "; ".join([version.status, *version.aliases]),
        "verdict": version.reasons,
        **{name: shown(version, name) for name in SHOWN_FIGURES},
        "created": version.created,
        **version.facts,
        "bundle_fingerprint": version.fingerprint,
        "package_sha256": version.sha256,
        "package": version.package,
        "model_card": version.card,
        "source": version.source,
    }
    return "\n".join([version.uri, *[f"  {key:20} {value}" for key, value in lines.items()]])


def shown(version: Version, figure: str) -> str:
    return f"{version.figures[figure]:.3f}" if figure in version.figures else "–"
