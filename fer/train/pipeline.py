"""The pipeline of train.py: data, training, evaluation, bundle and report in one run directory."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from fer.bundle.calibration import CALIBRATION, UNCERTAINTY
from fer.bundle.ensemble_network import EnsembleNetwork
from fer.bundle.io import save_bundle
from fer.bundle.metadata import MODEL_CARD_FILE
from fer.bundle.model_card import render_model_card
from fer.config import Config
from fer.config.contradictions import find_contradictions
from fer.config.temporal import CLIP_MODEL_KINDS
from fer.core.installation import format_resume_command
from fer.core.io import write_text
from fer.core.process import LAUNCHED_ENV, get_global_rank
from fer.core.run_layout import BUNDLE_DIR, PROFILE_HTML, REPORT_HTML
from fer.core.system import keep_freed_memory
from fer.data.image_store import convert_images
from fer.data.sources import Source
from fer.errors import ExitCode, UserError
from fer.registry.reference_faces import write_reference_samples
from fer.registry.resolve import fetch_model, pin_model_uri
from fer.runs.run_directory import Run, load_run_config, read_status
from fer.trackers.background import run_trackers
from fer.train.audit import audit, check_audit, check_audited_data
from fer.train.baseline import write_baseline
from fer.train.calibration import (
    build_bundle_metrics,
    build_calibration_metrics,
    compute_decision_offsets,
    fit_uncertainty,
)
from fer.train.clip_extraction import pin_clip_detector
from fer.train.clip_inputs import get_format, refuse_face_stages, select_windows
from fer.train.description import build_run_description
from fer.train.device import resolve_device, resolve_precision
from fer.train.distillation import find_teacher_weights, record_teachers
from fer.train.distributed import apply_launcher, launch_workers, needs_launch, run_worker
from fer.train.embed import embed_data
from fer.train.encoder import match_colour
from fer.train.ensemble import keep_ensemble, load_network
from fer.train.evaluation import evaluate
from fer.train.explanations import explain_results
from fer.train.fit import fit
from fer.train.inputs import prepare_data, record_data
from fer.train.model_classes import check_protocol_classes, describe_other_classes
from fer.train.model_keys import pin_models
from fer.train.module_factory import build_encoder, build_module, check_optimization, needs_encoder
from fer.train.plugins import check_plugins, record_plugins
from fer.train.preconditions import refuse_before_start
from fer.train.pruning import TrialPrunedError, raise_if_pruned
from fer.train.reproducibility import seed_everything, set_threads
from fer.train.results import build_metrics, write_first_results, write_results
from fer.train.trainer import OUT_OF_MEMORY

log = logging.getLogger(__name__)


def train(config: Config, directory: Path, sources: list[Source] | None = None) -> None:
    """Train, evaluate and export one model into a new run directory.

    Without ``fit`` in ``trainer.stages`` the model of ``model_uri`` is evaluated instead. With several devices the
    processes that train are started here, or were by torchrun or srun.

    Args:
        config: The checked configuration.
        directory: The run directory, which must not hold a run yet.
        sources: The data sets, where they were read already.

    Raises:
        UserError: Something outside the program is wrong: data, weights, the device, another process.
        SystemExit: With 130 after Ctrl-C or SIGTERM, once the run is completed with the best weights so far; with 5
            where the sweep has ended it.

    Examples:
        >>> train(load_overrides(["trainer=debug"]), Path("outputs/train/first"))
    """
    if "fit" not in config.trainer.stages and config.model_uri is not None:
        config = pin_model_uri(config)
    config = pin_clip_detector(pin_models(apply_launcher(config)))
    _run_or_launch(resolve_precision(config), directory, Run, sources)


def resume(directory: Path, sources: list[Source] | None = None) -> None:
    """Go on with a killed run in its own directory, after its last finished epoch.

    Its metrics are those of an unbroken run. A run that has finished is left as it is, and a directory that holds
    nothing but run.yaml is begun.

    Args:
        directory: The run directory.
        sources: The data sets, where they were read already.

    Raises:
        UserError: As ``train``, or the directory holds no readable run.yaml.
        SystemExit: As ``train``.
    """
    config = load_run_config(directory)
    if read_status(directory) == "finished":
        log.info("%s: the run is finished", directory)
        return
    # A run.yaml written by hand, of a run that was not begun, may still say auto.
    config = resolve_precision(pin_clip_detector(apply_launcher(config)))
    _run_or_launch(config, directory, lambda *_: Run.create_or_resume(directory, config, "train.py"), sources)


def _run_or_launch(
    config: Config, directory: Path, open_run: Callable[[Path, Config], Run], sources: list[Source] | None
) -> None:
    """Run the stages in this process as its rank demands, or in several processes that are started here."""
    if needs_launch(config):
        # What is wrong with device or weights is said once, before there are processes.
        _check_start(config)
        launch_workers(config, directory)
    elif get_global_rank():
        logging.getLogger().handlers.clear()
        run_worker(lambda: _join_training(config, directory, sources))
    else:
        run_worker(lambda: _open_and_run(config, lambda: open_run(directory, config), sources))


def _check_start(config: Config) -> None:
    """Check device, plugins, network, weights and optimizer while there is no run. Raises PreconditionError."""
    with refuse_before_start():
        device = resolve_device(config)
        check_plugins(config)
        check_audit(config)
        # Random weights are thrown away: the run draws its own after it was seeded.
        if needs_encoder(config):
            build_encoder(config)
        elif "fit" in config.trainer.stages:
            module, _ = build_module(config, config.dataset.classes, device)
            check_optimization(module.network, config)
            if config.model.kind in CLIP_MODEL_KINDS:
                refuse_face_stages(config)
            find_teacher_weights(config)


def _join_training(config: Config, directory: Path, sources: list[Source] | None) -> None:
    """Train as another rank than 0, which writes nothing."""
    if "fit" not in config.trainer.stages:
        return
    keep_freed_memory()
    set_threads(config.trainer.threads, config.trainer.devices)
    seed_everything(config.seed)
    device = resolve_device(config)
    data = prepare_data(config, config.model.image_size, sources)
    check_audited_data(config, data)
    try:
        fit(config, data, directory, device)
    except torch.OutOfMemoryError:
        raise UserError(OUT_OF_MEMORY) from None


def _open_and_run(config: Config, open_run: Callable[[], Run], sources: list[Source] | None) -> None:
    # The process that has started this one has checked it; the others would be ahead of the one that has the run.
    if LAUNCHED_ENV not in os.environ:
        _check_start(config)
    run = open_run()
    record_plugins(run, config)
    record_teachers(run, config)
    for line in find_contradictions(config) if "fit" in config.trainer.stages else ():
        log.warning("%s", line)
    with run_trackers(run.directory, config.tracker.collect_backends()):
        _run_stages(config, run, sources)


def _run_stages(config: Config, run: Run, sources: list[Source] | None) -> None:
    """Run the stages of a new or a resumed run, and mark how it ended."""
    with _record_failure(run):
        keep_freed_memory()
        # Sums depend on the number of threads: a resumed run keeps the number that it began with.
        threads = set_threads(config.trainer.threads or run.provenance.get("threads"), config.trainer.devices)
        seed_everything(config.seed)
        device = resolve_device(config)
        run.update_provenance(threads=threads, device=torch.cuda.get_device_name() if device == "cuda" else device)
        if "fit" in config.trainer.stages:
            interrupted = _fit_and_evaluate(config, run, device, sources)
        elif "embed" in config.trainer.stages:
            embed_data(config, run, device, sources)
            interrupted = False
        else:
            _evaluate_pretrained(config, run, device, sources)
            interrupted = False
    run.finish("interrupted" if interrupted else "finished")
    log.info("Run directory: %s", run.directory)
    if (run.directory / REPORT_HTML).is_file():
        log.info("Report: %s", run.directory / REPORT_HTML)
    if config.trainer.profile and (run.directory / PROFILE_HTML).is_file():
        log.info("Profile: %s", run.directory / PROFILE_HTML)
    if interrupted:
        raise SystemExit(ExitCode.INTERRUPTED)


@contextmanager
def _record_failure(run: Run) -> Iterator[None]:
    """Mark in the provenance why a run ended before its time."""
    try:
        yield
    except KeyboardInterrupt:
        run.finish("interrupted")
        raise
    except TrialPrunedError as error:
        run.finish("pruned", pruned_after_epoch=error.epoch)
        log.info("Pruned after epoch %d: the sweep's other jobs were better", error.epoch)
        raise SystemExit(ExitCode.PRUNED) from None
    except torch.OutOfMemoryError as error:
        run.finish("failed", error=str(error))
        raise UserError(OUT_OF_MEMORY) from None
    except BaseException as error:
        run.finish("failed", error=f"{type(error).__name__}: {error}")
        raise


def _fit_and_evaluate(config: Config, run: Run, device: str, sources: list[Source] | None) -> bool:
    """Train, evaluate the best weights, and write bundle, metrics and report; whether it was interrupted."""
    data = match_colour(config, prepare_data(config, config.model.image_size, sources))
    check_audited_data(config, data)
    record_data(run, data)
    fit_result = fit(config, data, run.directory, device)
    assert fit_result is not None, "rank 0 has the result of a training"
    raise_if_pruned(run.directory)
    if fit_result.interrupted:
        epochs = fit_result.history[-1]["epoch"] if fit_result.history else 0
        log.warning(
            "Interrupted after %g of %d epochs; what follows is of %s. To go on: %s",
            *(epochs, config.trainer.max_epochs),
            "the weights of this moment" if fit_result.best_epoch is None else "the best until then",
            format_resume_command("train.py", run.directory),
        )
    run.update_provenance(
        fit_seconds=fit_result.seconds,
        starting_weights_sha256=fit_result.starting_weights_sha256,
        weights="best epoch" if fit_result.best_epoch is not None else "at the interruption, in the first epoch",
    )
    splits = ["val", "test"] if "test" in config.trainer.stages else ["val"]
    network = fit_result.network.to(device)
    cfg = config.evaluation
    offsets = compute_decision_offsets(config, data.manifest)
    windows = select_windows(data.store, get_format(network))
    results, choice = evaluate(
        *(fit_result.embedded or network, data.store.images, data.manifest, splits, cfg.calibration),
        offsets=offsets,
        windows=windows,
    )
    assert choice is not None, "it was fitted on validation"
    metrics = build_metrics(config, results, choice.calibration.temperature, fit_result)
    metrics[CALIBRATION] = build_calibration_metrics(choice, results["val"])
    uncertainty = fit_uncertainty(results["val"], cfg.precision_target)
    if UNCERTAINTY in uncertainty:
        metrics[UNCERTAINTY] = uncertainty[UNCERTAINTY]
    description = build_run_description(run, data, network, choice.calibration, uncertainty, metrics)
    bundle_dir = run.directory / BUNDLE_DIR
    metrics["weights_sha256"] = save_bundle(bundle_dir, network, description)
    write_reference_samples(bundle_dir)
    write_baseline(bundle_dir, data.store, results.get("test", results["val"]))
    card = render_model_card(config.name, description, metrics, run.provenance["data_notes"], run.config_text)
    write_text(bundle_dir / MODEL_CARD_FILE, card)
    write_first_results(run, results, metrics)
    audit(config, data, data.store.images, network, choice.calibration, results, metrics, run.directory)
    explanations = explain_results(config, network, data.store.images, results)
    write_results(config, run, data, results, metrics, fit_result, explanations=explanations)
    return fit_result.interrupted


def _evaluate_pretrained(config: Config, run: Run, device: str, sources: list[Source] | None) -> None:
    """Evaluate the bundle of ``model_uri`` on this configuration's data, with the bundle's own calibration."""
    folder = fetch_model(config, run.directory / "model").bundle
    network, description = load_network(config, folder, device)
    classes, faces, calibration = description.classes, description.faces, description.calibration
    check_protocol_classes(config, classes)
    format = description.temporal
    if format is not None:
        refuse_face_stages(config)
    data = prepare_data(config, description.image_size, sources)
    windows = select_windows(data.store, format)
    check_audited_data(config, data)
    record_data(run, data)
    images = convert_images(data.store, faces.side, faces.colour)
    results, _ = evaluate(*(network, images, data.manifest, ["val", "test"], calibration, classes), windows=windows)
    metrics = build_metrics(config, results, calibration.temperature, None)
    metrics |= build_bundle_metrics(description)
    metrics["weights_sha256"] = description.weights_sha256
    if isinstance(config.model_uri, tuple):
        description = keep_ensemble(config.name, run.directory, folder, data, results, metrics)
    write_first_results(run, results, metrics)
    audit(config, data, images, network, calibration, results, metrics, run.directory)
    remarks = describe_other_classes(classes, data.manifest, results)
    explanations = None if isinstance(network, EnsembleNetwork) else explain_results(config, network, images, results)
    # Maps are of one network.
    first = str(description.members[0].description.folder) if description.members else None
    write_results(config, run, data, results, metrics, None, remarks, explanations, first)
