"""The pipeline of register.py: package, check, gate, registry; and changing the version in use."""

import json
import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from fer.aws.settings import connect
from fer.bundle.metadata import MODEL_CARD_FILE
from fer.bundle.model_card import insert_verdict
from fer.config import Config, SageMakerAws
from fer.config.registry import Registry
from fer.core.io import atomic_write, write_text
from fer.core.object_uri import is_object_uri
from fer.core.visible import make_visible
from fer.errors import ConfigError, ExitCode
from fer.registry.base import (
    CHAMPION,
    SHOWN_METRICS,
    TEST_TABLE_FILE,
    Candidate,
    ModelRegistry,
    ModelVersion,
)
from fer.registry.decisions import DECISIONS_FILE, Decision, build_gate_decision, format_decisions, read_decisions
from fer.registry.factory import open_registry
from fer.registry.gate import REJECTED, Verdict, evaluate_gate
from fer.registry.lifecycle import VERDICT_FILE, archive, delete, judge_anew, load_champion
from fer.registry.package import PACKAGE, build_package, compute_fingerprint
from fer.registry.promotion import assign_alias, promote, roll_back
from fer.registry.resolve import fetch_model, pin_model_uri
from fer.registry.run_artifacts import RunArtifacts, read_run_artifacts
from fer.registry.sagemaker_model_card import build_quality_report
from fer.registry.upload import check_upload, upload_package
from fer.registry.verify_package import check_package
from fer.runs.program import log_to_stderr
from fer.runs.run_directory import Run, remove_if_empty

log = logging.getLogger(__name__)


def run_action(config: Config, directory: Path) -> int:
    """Do what ``registry.action`` says, and print the result.

    Args:
        config: The validated configuration.
        directory: Run directory, of which only registering makes use; otherwise it is removed.

    Returns:
        The exit code: ExitCode.PARTIAL where the registered version is rejected.

    Raises:
        UserError: Something is missing or refused; nothing was registered or changed.
    """
    if config.dry_run:
        remove_if_empty(directory)
        return _dry_run(config)
    if config.registry.action == "register":
        return _run_registration(config, directory)
    remove_if_empty(directory)
    text, code = _manage_versions(config, open_registry(config))
    print(make_visible(text))
    return code


def _dry_run(config: Config) -> int:
    """Print the requests to AWS that the action would send, as JSON, and nothing else; returns the exit code."""
    if not isinstance(config.aws, SageMakerAws):
        raise ConfigError("dry_run=true: aws=local sends no requests to AWS; add aws=sagemaker")
    log_to_stderr()
    client = connect(config.aws, dry_run=True)
    registry = open_registry(config, client)
    if config.registry.action == "register":
        registry.check_ready()
        config = pin_model_uri(config)
        if remote := [uri for uri in config.list_model_uris() if is_object_uri(uri) or uri.startswith("models:")]:
            raise ConfigError(f"model_uri={remote[0]}: a dry run fetches nothing; name a run on this machine")
        with tempfile.TemporaryDirectory() as temp_dir:
            folder = Path(temp_dir)
            _register_model(config, registry, read_run_artifacts(fetch_model(config, folder).bundle), folder)
    else:
        text, _ = _manage_versions(config, registry)
        if config.registry.action not in ("list", "show"):
            log.info("A dry run assumes the versions 1, 2 (champion) and 3 (challenger, approved): %s", text)
    print(json.dumps(client.recorded_requests, indent=2))
    return ExitCode.OK


def _run_registration(config: Config, directory: Path) -> int:
    """Register the model of ``model_uri`` in a run directory of its own; returns the exit code."""
    config = pin_model_uri(config)
    with tempfile.TemporaryDirectory() as temp_dir:
        artifacts = read_run_artifacts(fetch_model(config, Path(temp_dir)).bundle)
        registry = open_registry(config)
        registry.check_ready()
        check_upload(config)
        run = Run(directory, config, "register.py")
        try:
            version = _register_model(config, registry, artifacts, directory)
            uploaded = upload_package(config, registry, version)
        except KeyboardInterrupt:
            run.finish("interrupted")
            raise
        except BaseException as error:
            run.finish("failed", error=f"{type(error).__name__}: {error}")
            raise
    facts = {} if uploaded is None else {"package": uploaded}
    run.finish("finished", version=version.uri, verdict=version.status, **facts)
    return ExitCode.PARTIAL if version.status == REJECTED else ExitCode.OK


def _register_model(config: Config, registry: ModelRegistry, artifacts: RunArtifacts, directory: Path) -> ModelVersion:
    """Return the version of a model, registered now or earlier, with its alias."""
    name = config.registry.name
    with registry.lock(name):
        version = _find_registered_version(registry, name, artifacts)
        prefix = "Registered already:" if version else "Would be registered:" if config.dry_run else "Registered"
        version = version or _register_new_version(config, registry, artifacts, directory)
        assign_alias(registry, version)
        version = registry.find(name, version.version)
    log.info("%s %s (%s)", prefix, version.uri, "; ".join([version.status, *version.aliases]))
    log.info("%s", version.reasons)
    if config.dry_run:
        log.info("A dry run asks for no champion: the comparison with one may still decide otherwise")
    return version


def _find_registered_version(registry: ModelRegistry, name: str, artifacts: RunArtifacts) -> ModelVersion | None:
    """Return the version that has the same bundle, None where there is none."""
    fingerprint = compute_fingerprint(artifacts.description.folder)
    return next((version for version in registry.list_versions(name) if version.fingerprint == fingerprint), None)


def _register_new_version(
    config: Config, registry: ModelRegistry, artifacts: RunArtifacts, directory: Path
) -> ModelVersion:
    """Build and check the package, pass the gate and register; the files stay in ``directory``."""
    name = config.registry.name
    sha256 = build_package(artifacts.description.folder, directory / PACKAGE)
    difference = check_package(directory / PACKAGE)
    log.info("Package: %s, its answers as in the run (to %.1g)", directory / PACKAGE, difference)
    # A dry run knows nothing of the champion.
    champion = None if config.dry_run else load_champion(registry, name)
    verdict = evaluate_gate(config.registry.gate, artifacts.metrics, artifacts.table, champion)
    candidate = Candidate(
        name=name,
        verdict=verdict,
        sha256=sha256,
        fingerprint=compute_fingerprint(artifacts.description.folder),
        files={**artifacts.files, **_write_artifacts(config, artifacts, verdict, directory)},
        metrics=artifacts.metrics,
        description=artifacts.description.content,
        settings=artifacts.settings,
        facts=artifacts.facts,
    )
    return registry.register(candidate)


def _write_artifacts(config: Config, artifacts: RunArtifacts, verdict: Verdict, directory: Path) -> dict[str, Path]:
    """Write what registering adds to the files of the run; returns the paths by name."""
    files = {PACKAGE: directory / PACKAGE}
    texts = {
        VERDICT_FILE: json.dumps(verdict.to_dict(), indent=2) + "\n",
        DECISIONS_FILE: format_decisions([build_gate_decision(verdict, config.registry.gate)]),
        "quality.json": build_quality_report(artifacts.metrics),
    }
    card = artifacts.description.folder / MODEL_CARD_FILE
    if card.is_file():
        texts[MODEL_CARD_FILE] = insert_verdict(card.read_text(encoding="utf-8"), verdict.status, verdict.reasons)
    for name, text in texts.items():
        write_text(directory / name, text)
        files[name] = directory / name
    if artifacts.table is not None:
        with atomic_write(directory / TEST_TABLE_FILE) as tmp_path:
            artifacts.table.to_parquet(tmp_path, index=False)
        files[TEST_TABLE_FILE] = directory / TEST_TABLE_FILE
    return files


def _manage_versions(config: Config, registry: ModelRegistry) -> tuple[str, int]:
    """Do an action on registered versions; returns what to print, and the exit code. Raises UserError."""
    return ACTIONS[config.registry.action](config.registry, registry)


def _list(section: Registry, registry: ModelRegistry) -> tuple[str, int]:
    return _format_versions(registry.list_versions(section.name), section.name), ExitCode.OK


def _show(section: Registry, registry: ModelRegistry) -> tuple[str, int]:
    version = registry.find(section.name, CHAMPION if section.version is None else section.version)
    return _format_version(version, read_decisions(registry, version)), ExitCode.OK


def _promote(section: Registry, registry: ModelRegistry) -> tuple[str, int]:
    return f"{promote(registry, section.name, section.version).uri} is champion now", ExitCode.OK


def _roll_back(section: Registry, registry: ModelRegistry) -> tuple[str, int]:
    return f"{roll_back(registry, section.name).uri} is champion now", ExitCode.OK


def _judge(section: Registry, registry: ModelRegistry) -> tuple[str, int]:
    version = judge_anew(registry, section.gate, section.name, _require_version(section))
    if registry.is_dry_run:
        log.warning("A dry run fetches no figures, so the status in its requests is not what would be decided")
    text = f"{version.uri} ({'; '.join([version.status, *version.aliases])}): {version.reasons}"
    return text, ExitCode.PARTIAL if version.status == REJECTED else ExitCode.OK


def _archive(section: Registry, registry: ModelRegistry) -> tuple[str, int]:
    return f"{archive(registry, section.name, _require_version(section)).uri} is archived", ExitCode.OK


def _delete(section: Registry, registry: ModelRegistry) -> tuple[str, int]:
    return f"{delete(registry, section.name, _require_version(section)).uri} is deleted", ExitCode.OK


def _require_version(section: Registry) -> int:
    """Return the version to change; none is chosen silently."""
    if section.version is None:
        raise ConfigError(f"registry.version: registry.action={section.action} needs one; add registry.version=N")
    return section.version


# By ``registry.action``; what registers has a run directory, and is not among them.
ACTIONS: dict[str, Callable[[Registry, ModelRegistry], tuple[str, int]]] = {
    "list": _list,
    "show": _show,
    "promote": _promote,
    "rollback": _roll_back,
    "judge": _judge,
    "archive": _archive,
    "delete": _delete,
}


def _format_versions(versions: list[ModelVersion], name: str) -> str:
    """Return a table with a row for each version."""
    if not versions:
        return f"No version of {name} is registered; register one with register.py"
    rows = [
        {
            "version": version.version,
            "status": version.status,
            "aliases": ", ".join(version.aliases),
            "accuracy": _format_metric(version, "accuracy"),
            "macro-F1": _format_metric(version, "macro_f1"),
            "created": version.created,
        }
        for version in versions
    ]
    return pd.DataFrame(rows).to_string(index=False)


def _format_version(version: ModelVersion, decisions: Sequence[Decision]) -> str:
    """Return all that is known of a version, a line each."""
    lines = {
        "status": "; ".join([version.status, *version.aliases]),
        "verdict": version.reasons,
        **{name: _format_metric(version, name) for name in SHOWN_METRICS},
        "created": version.created,
        **version.facts,
        "bundle_fingerprint": version.fingerprint,
        "package_sha256": version.sha256,
        "package": version.package,
        "model_card": version.card_uri,
        "source": version.source,
        **{f"decision {number}": _format_decision(decision) for number, decision in enumerate(decisions, 1)},
    }
    return "\n".join([version.uri, *[f"  {key:20} {value}" for key, value in lines.items()]])


def _format_decision(decision: Decision) -> str:
    limits = ", ".join(f"{name}={limit:g}" for name, limit in decision.limits.items() if limit is not None)
    return f"{decision.time} {decision.status}: {' '.join(decision.reasons)}" + (f" ({limits})" if limits else "")


def _format_metric(version: ModelVersion, metric: str) -> str:
    return f"{version.metrics[metric]:.3f}" if metric in version.metrics else "–"
