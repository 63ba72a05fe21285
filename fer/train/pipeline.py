"""The pipeline of train.py: data, training, judgement, bundle and report, in one run directory."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from fer.bundle.io import Faces, describe, load_bundle, save_bundle
from fer.bundle.model_card import model_card
from fer.bundle.reference_samples import Samples, write_samples
from fer.config import Config
from fer.core.io import write_text
from fer.core.process import global_rank
from fer.data.image_store import images_like
from fer.errors import ExitCode, UserError
from fer.registry.resolve import at_hand
from fer.runs.run_directory import Run, saved_config, status_of
from fer.serving import Predictor
from fer.synthetic import draw_dataset_face
from fer.trackers.background import tracked
from fer.train.baseline import write_baseline
from fer.train.device import device_of
from fer.train.distributed import apply_launcher, launch, needs_launch, run_rank
from fer.train.evaluation import headline, judge
from fer.train.fit import Fitted, fit
from fer.train.inputs import prepare_data, record_data
from fer.train.pruning import Pruned, raise_if_pruned
from fer.train.reproducibility import seed_everything, set_threads
from fer.train.results import conclude, metrics_of
from fer.train.trainer import FULL_MEMORY

SAMPLES, SAMPLE_SIDE, SAMPLE_SEED = 14, 96, 2**31
log = logging.getLogger(__name__)


def train(config: Config, directory: Path) -> None:
    """Do the stages of ``config`` in a new run directory.

    Raises UserError for what a user can mend. After Ctrl-C the run is completed with the best weights so far and
    marked interrupted; then SystemExit(130) is raised.
    """
    start(apply_launcher(config), directory, Run)


def resume(directory: Path) -> None:
    """Go on with a run in its own directory, after its last finished epoch; its figures are those of an unbroken run.

    A directory that holds nothing but run.yaml is begun. Raises as ``train``.
    """
    config = saved_config(directory)
    if status_of(directory) == "finished":
        log.info("%s: the run is finished", directory)
        return
    start(apply_launcher(config), directory, lambda *_: Run.begun_or_again(directory, config, "train.py"))


def start(config: Config, directory: Path, open_run: Callable[[Path, Config], Run]) -> None:
    """Do the stages in this process, as its rank has them, or have them done by several that are started here."""
    if needs_launch(config):
        # What is wrong with the device is said once, before there are processes.
        device_of(config)
        launch(config, directory)
    elif global_rank():
        logging.getLogger().handlers.clear()
        run_rank(lambda: join_training(config, directory))
    else:
        run_rank(lambda: do_tracked(config, open_run(directory, config)))


def join_training(config: Config, directory: Path) -> None:
    """What another rank than 0 does: the same training, of which it keeps nothing."""
    set_threads(config.trainer.threads, config.trainer.devices)
    seed_everything(config.seed)
    device = device_of(config)
    data = prepare_data(config, config.model.image_size)
    try:
        fit(config, data.store, data.manifest, directory, device)
    except torch.OutOfMemoryError:
        raise UserError(FULL_MEMORY) from None


def do_tracked(config: Config, run: Run) -> None:
    """Do the stages while trackers are told of them."""
    with tracked(run.directory, config.tracker.others()):
        do_stages(config, run)


def do_stages(config: Config, run: Run) -> None:
    """What ``train`` and ``resume`` have in common."""
    directory = run.directory
    try:
        # The sums depend on the number of threads: a run goes on with that it began with.
        threads = set_threads(config.trainer.threads or run.provenance.get("threads"), config.trainer.devices)
        seed_everything(config.seed)
        device = device_of(config)
        run.note(threads=threads, device=torch.cuda.get_device_name() if device == "cuda" else device)
        fitted = None
        if "fit" in config.trainer.stages:
            fitted = fit_and_judge(config, run, device)
        else:
            judge_only(config, run, device)
    except KeyboardInterrupt:
        run.end("interrupted")
        raise
    except Pruned as hopeless:
        run.end("pruned", pruned_after_epoch=hopeless.epoch)
        log.info("Pruned after epoch %d: the sweep's other jobs were better", hopeless.epoch)
        raise SystemExit(ExitCode.PRUNED) from None
    except torch.OutOfMemoryError as error:
        run.end("failed", error=str(error))
        raise UserError(FULL_MEMORY) from None
    except BaseException as error:
        run.end("failed", error=f"{type(error).__name__}: {error}")
        raise
    interrupted = fitted is not None and fitted.interrupted
    run.end("interrupted" if interrupted else "finished")
    log.info("Run directory: %s", directory)
    if (directory / "report.html").is_file():
        log.info("Report: %s", directory / "report.html")
    if interrupted:
        raise SystemExit(ExitCode.INTERRUPTED)


def fit_and_judge(config: Config, run: Run, device: str) -> Fitted:
    """Train, judge the best weights, and write bundle, figures and report."""
    data = prepare_data(config, config.model.image_size)
    record_data(run, data)
    store, manifest = data.store, data.manifest
    fitted = fit(config, store, manifest, run.directory, device)
    assert fitted is not None, "rank 0 keeps what a training ends with"
    raise_if_pruned(run.directory)
    run.note(
        fit_seconds=fitted.seconds,
        starting_weights_sha256=fitted.starting_weights_sha256,
        weights="best epoch" if fitted.best_epoch is not None else "at the interruption, in the first epoch",
    )
    parts = ["val", "test"] if "test" in config.trainer.stages else ["val"]
    judged, temperature = judge(fitted.network.to(device), store.images, manifest, parts, None)
    metrics = metrics_of(config, judged, temperature, fitted)
    faces = Faces(store.side, store.colour)
    facts = {
        "metrics": {part: headline(metrics[part]) for part in ("val", "test")},
        "data_fingerprint": store.fingerprint,
        "config_sha256": run.config_sha256,
    }
    description = describe(fitted.network, manifest.classes, faces, temperature, facts)
    metrics["weights_sha256"] = save_bundle(run.directory / "bundle", fitted.network, description)
    add_samples(run.directory / "bundle")
    write_baseline(run.directory / "bundle", store, judged.get("test", judged["val"]))
    card = model_card(config.name, description, metrics, run.provenance["data_notes"], run.config_text)
    write_text(run.directory / "bundle" / "model_card.md", card)
    conclude(config, run, store, manifest, judged, metrics, fitted)
    return fitted


def add_samples(bundle: Path) -> None:
    """Drawn faces and what the trained network answers, by which every later copy of the bundle is checked."""
    images = np.stack([draw_dataset_face(SAMPLE_SEED, number, SAMPLE_SIDE).image for number in range(SAMPLES)])
    write_samples(bundle, Samples(images, Predictor.load(str(bundle)).predict(list(images))))


def judge_only(config: Config, run: Run, device: str) -> None:
    """Judge the bundle of ``model_uri`` on this configuration's data; its own temperature is kept."""
    bundle = load_bundle(str(at_hand(config, run.directory / "model").bundle))
    if len(bundle.description.classes) != config.dataset.classes:
        count = len(bundle.description.classes)
        raise UserError(f"model_uri={config.model_uri}: has {count} classes; set dataset.classes={count}")
    data = prepare_data(config, bundle.network.image_size)
    record_data(run, data)
    store, manifest = data.store, data.manifest
    faces = bundle.description.faces
    images = images_like(store, faces.side, faces.colour)
    judged, temperature = judge(
        bundle.network.to(device), images, manifest, ["val", "test"], bundle.description.temperature
    )
    metrics = metrics_of(config, judged, temperature, None)
    metrics["weights_sha256"] = bundle.description.weights_sha256
    conclude(config, run, store, manifest, judged, metrics, None)
