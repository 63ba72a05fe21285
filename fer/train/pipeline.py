"""The pipeline of train.py: data, training, judgement, bundle and report, in one run directory."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from fer.bundle.io import FaceFormat, build_description, load_bundle, save_bundle
from fer.bundle.metadata import MODEL_CARD_FILE
from fer.bundle.model_card import render_model_card
from fer.bundle.reference_samples import ReferenceSamples, write_samples
from fer.config import Config
from fer.core.io import write_text
from fer.core.process import get_global_rank
from fer.core.run_layout import BUNDLE_DIR, REPORT_HTML
from fer.data.image_store import convert_images
from fer.errors import ExitCode, UserError
from fer.registry.resolve import fetch_model
from fer.runs.run_directory import Run, load_run_config, read_status
from fer.serving import Predictor
from fer.synthetic import draw_dataset_face
from fer.trackers.background import run_trackers
from fer.train.baseline import write_baseline
from fer.train.device import resolve_device
from fer.train.distributed import apply_launcher, launch_workers, needs_launch, run_worker
from fer.train.evaluation import evaluate, summary_metrics
from fer.train.fit import FitResult, fit
from fer.train.inputs import prepare_data, record_data
from fer.train.pruning import TrialPruned, raise_if_pruned
from fer.train.reproducibility import seed_everything, set_threads
from fer.train.results import build_metrics, write_results
from fer.train.trainer import OUT_OF_MEMORY

SAMPLE_COUNT, SAMPLE_SIDE, SAMPLE_SEED = 14, 96, 2**31
log = logging.getLogger(__name__)


def train(config: Config, directory: Path) -> None:
    """Do the stages of ``config`` in a new run directory.

    Raises UserError for what a user can mend. After Ctrl-C the run is completed with the best weights so far and
    marked interrupted; then SystemExit(130) is raised.
    """
    _run_or_launch(apply_launcher(config), directory, Run)


def resume(directory: Path) -> None:
    """Go on with a run in its own directory, after its last finished epoch; its figures are those of an unbroken run.

    A directory that holds nothing but run.yaml is begun. Raises as ``train``.
    """
    config = load_run_config(directory)
    if read_status(directory) == "finished":
        log.info("%s: the run is finished", directory)
        return
    _run_or_launch(apply_launcher(config), directory, lambda *_: Run.create_or_resume(directory, config, "train.py"))


def _run_or_launch(config: Config, directory: Path, open_run: Callable[[Path, Config], Run]) -> None:
    """Do the stages in this process, as its rank has them, or have them done by several that are started here."""
    if needs_launch(config):
        # What is wrong with the device is said once, before there are processes.
        resolve_device(config)
        launch_workers(config, directory)
    elif get_global_rank():
        logging.getLogger().handlers.clear()
        run_worker(lambda: _join_training(config, directory))
    else:
        run_worker(lambda: _run_with_trackers(config, open_run(directory, config)))


def _join_training(config: Config, directory: Path) -> None:
    """What another rank than 0 does: the same training, of which it keeps nothing."""
    set_threads(config.trainer.threads, config.trainer.devices)
    seed_everything(config.seed)
    device = resolve_device(config)
    data = prepare_data(config, config.model.image_size)
    try:
        fit(config, data.store, data.manifest, directory, device)
    except torch.OutOfMemoryError:
        raise UserError(OUT_OF_MEMORY) from None


def _run_with_trackers(config: Config, run: Run) -> None:
    """Do the stages while trackers are told of them."""
    with run_trackers(run.directory, config.tracker.collect_backends()):
        _run_stages(config, run)


def _run_stages(config: Config, run: Run) -> None:
    """What ``train`` and ``resume`` have in common."""
    directory = run.directory
    try:
        # The sums depend on the number of threads: a run goes on with that it began with.
        threads = set_threads(config.trainer.threads or run.provenance.get("threads"), config.trainer.devices)
        seed_everything(config.seed)
        device = resolve_device(config)
        run.update_provenance(threads=threads, device=torch.cuda.get_device_name() if device == "cuda" else device)
        fit_result = None
        if "fit" in config.trainer.stages:
            fit_result = _fit_and_evaluate(config, run, device)
        else:
            _evaluate_pretrained(config, run, device)
    except KeyboardInterrupt:
        run.finish("interrupted")
        raise
    except TrialPruned as hopeless:
        run.finish("pruned", pruned_after_epoch=hopeless.epoch)
        log.info("Pruned after epoch %d: the sweep's other jobs were better", hopeless.epoch)
        raise SystemExit(ExitCode.PRUNED) from None
    except torch.OutOfMemoryError as error:
        run.finish("failed", error=str(error))
        raise UserError(OUT_OF_MEMORY) from None
    except BaseException as error:
        run.finish("failed", error=f"{type(error).__name__}: {error}")
        raise
    interrupted = fit_result is not None and fit_result.interrupted
    run.finish("interrupted" if interrupted else "finished")
    log.info("Run directory: %s", directory)
    if (directory / REPORT_HTML).is_file():
        log.info("Report: %s", directory / REPORT_HTML)
    if interrupted:
        raise SystemExit(ExitCode.INTERRUPTED)


def _fit_and_evaluate(config: Config, run: Run, device: str) -> FitResult:
    """Train, judge the best weights, and write bundle, figures and report."""
    data = prepare_data(config, config.model.image_size)
    record_data(run, data)
    store, manifest = data.store, data.manifest
    fit_result = fit(config, store, manifest, run.directory, device)
    assert fit_result is not None, "rank 0 keeps what a training ends with"
    raise_if_pruned(run.directory)
    run.update_provenance(
        fit_seconds=fit_result.seconds,
        starting_weights_sha256=fit_result.starting_weights_sha256,
        weights="best epoch" if fit_result.best_epoch is not None else "at the interruption, in the first epoch",
    )
    splits = ["val", "test"] if "test" in config.trainer.stages else ["val"]
    results, temperature = evaluate(fit_result.network.to(device), store.images, manifest, splits, None)
    metrics = build_metrics(config, results, temperature, fit_result)
    faces = FaceFormat(store.side, store.colour)
    facts = {
        "metrics": {part: summary_metrics(metrics[part]) for part in ("val", "test")},
        "data_fingerprint": store.fingerprint,
        "config_sha256": run.config_sha256,
    }
    description = build_description(fit_result.network, manifest.classes, faces, temperature, facts)
    metrics["weights_sha256"] = save_bundle(run.directory / BUNDLE_DIR, fit_result.network, description)
    _write_reference_samples(run.directory / BUNDLE_DIR)
    write_baseline(run.directory / BUNDLE_DIR, store, results.get("test", results["val"]))
    card = render_model_card(config.name, description, metrics, run.provenance["data_notes"], run.config_text)
    write_text(run.directory / BUNDLE_DIR / MODEL_CARD_FILE, card)
    write_results(config, run, store, manifest, results, metrics, fit_result)
    return fit_result


def _write_reference_samples(bundle: Path) -> None:
    """Drawn faces and what the trained network answers, by which every later copy of the bundle is checked."""
    images = np.stack([draw_dataset_face(SAMPLE_SEED, number, SAMPLE_SIDE).image for number in range(SAMPLE_COUNT)])
    write_samples(bundle, ReferenceSamples(images, Predictor.load(str(bundle)).predict(list(images))))


def _evaluate_pretrained(config: Config, run: Run, device: str) -> None:
    """Judge the bundle of ``model_uri`` on this configuration's data; its own temperature is kept."""
    bundle = load_bundle(str(fetch_model(config, run.directory / "model").bundle))
    if len(bundle.description.classes) != config.dataset.classes:
        count = len(bundle.description.classes)
        raise UserError(f"model_uri={config.model_uri}: has {count} classes; set dataset.classes={count}")
    data = prepare_data(config, bundle.network.image_size)
    record_data(run, data)
    store, manifest = data.store, data.manifest
    faces = bundle.description.faces
    images = convert_images(store, faces.side, faces.colour)
    results, temperature = evaluate(
        bundle.network.to(device), images, manifest, ["val", "test"], bundle.description.temperature
    )
    metrics = build_metrics(config, results, temperature, None)
    metrics["weights_sha256"] = bundle.description.weights_sha256
    write_results(config, run, store, manifest, results, metrics, None)
