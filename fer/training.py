"""The pipeline of train.py: data, training, judgement, bundle and report, in one run directory."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fer.baseline import write_baseline
from fer.config import Config
from fer.data.manifest import Manifest, build_manifest
from fer.data.sources import label_rules
from fer.data.store import Store, open_store
from fer.determinism import seed_everything, set_threads
from fer.drawn import draw_dataset_face
from fer.errors import UserError
from fer.evaluation import Judgement, headline, images_like, judge
from fer.files import write_text, written_beside
from fer.fitted import Fitted, fit
from fer.fitting import FULL_MEMORY, device_of
from fer.inputs import sources_of
from fer.machines import is_helper, this_machine
from fer.model.bundle import Faces, describe, load_bundle, save_bundle
from fer.model.card import model_card
from fer.model.samples import Samples, write_samples
from fer.program import INTERRUPTED
from fer.pruning import Pruned, raise_if_pruned
from fer.reporting import write_report
from fer.resolving import at_hand
from fer.run import Run, saved_config, status_of
from fer.serving import Predictor
from fer.trackers.beside import tracked
from fer.train_process import PRUNED

SAMPLES, SAMPLE_SIDE, SAMPLE_SEED = 14, 96, 2**31
log = logging.getLogger(__name__)


def train(config: Config, directory: Path) -> None:
    """Do the stages of ``config`` in a new run directory.

    Raises UserError for what a user can mend. After Ctrl-C the run is completed with the best weights so far and
    marked interrupted; then SystemExit(130) is raised.
    """
    run = Run(directory, config)
    do_tracked(config, run)


def resume(directory: Path) -> None:
    """Go on with a run in its own directory, after its last finished epoch; its figures are those of an unbroken run.

    A directory that holds nothing but run.yaml is begun. Raises as ``train``.
    """
    config = saved_config(directory)
    if status_of(directory) == "finished":
        log.info("%s: the run is finished", directory)
        return
    run = Run.begun_or_again(directory, config, "train.py")
    do_tracked(config, run)


def do_tracked(config: Config, run: Run) -> None:
    """Do the stages; of several machines the first one, which has the run, tells the trackers."""
    with tracked(run.directory, {} if is_helper(config.trainer.num_nodes) else config.tracker.others()):
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
            run.note(node_rank=this_machine(config.trainer.num_nodes).number)
            fitted = fit_and_judge(config, run, device)
        else:
            judge_only(config, run, device)
    except KeyboardInterrupt:
        run.end("interrupted")
        raise
    except Pruned as hopeless:
        run.end("pruned", pruned_after_epoch=hopeless.epoch)
        log.info("Pruned after epoch %d: the sweep's other jobs were better", hopeless.epoch)
        raise SystemExit(PRUNED) from None
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
        raise SystemExit(INTERRUPTED)


def prepare(config: Config, run: Run, largest_side: int) -> tuple[Store, Manifest]:
    """Read, decode, check and split the data; writes manifest.parquet and exclusions.parquet."""
    chosen = config.dataset
    specs = {name: spec.model_dump() for name, spec in chosen.sources.items()}
    sources = sources_of(config)
    notes = [f"{source.name}: {note}" for source in sources for note in source.notes]
    for note in notes:
        log.info("Source %s", note)
    store = open_store(sources, largest_side, chosen.cache_dir)
    run.note(data_fingerprint=store.fingerprint, data_notes=notes)
    manifest = build_manifest(
        sources,
        store,
        label_rules(specs),
        classes=chosen.classes,
        split=chosen.split,
        fractions=chosen.fractions,
        on_leak=chosen.on_leak,
        near_duplicate_bits=chosen.near_duplicate_bits,
        on_corrupt=chosen.on_corrupt,
        on_empty_class=chosen.on_empty_class,
        balance=chosen.balance,
        limit=chosen.limit,
        seed=config.seed,
    )
    for name, table in (("manifest.parquet", manifest.samples), ("exclusions.parquet", manifest.excluded)):
        with written_beside(run.directory / name) as beside:
            table.to_parquet(beside, index=False)
    return store, manifest


def fit_and_judge(config: Config, run: Run, device: str) -> Fitted | None:
    """Train, judge the best weights, and write bundle, figures and report; None where another machine does that."""
    store, manifest = prepare(config, run, config.model.image_size)
    fitted = fit(config, store, manifest, run.directory, device)
    if fitted is None:
        log.info("The training is done; machine 0 judges it and has the run")
        return None
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
    store, manifest = prepare(config, run, bundle.network.image_size)
    images = images_like(bundle.description.faces, store)
    judged, temperature = judge(
        bundle.network.to(device), images, manifest, ["val", "test"], bundle.description.temperature
    )
    metrics = metrics_of(config, judged, temperature, None)
    metrics["weights_sha256"] = bundle.description.weights_sha256
    conclude(config, run, store, manifest, judged, metrics, None)


def metrics_of(
    config: Config, judged: dict[str, Judgement], temperature: float, fitted: Fitted | None
) -> dict[str, Any]:
    """The content of metrics.json, less the weights' hash."""
    return {
        "monitor": config.trainer.early_stopping.monitor,
        "best_epoch": fitted.best_epoch if fitted else None,
        "epochs": len(fitted.history) if fitted else 0,
        "temperature": temperature,
        **{part: judged[part].figures() if part in judged else None for part in ("val", "test")},
    }


def conclude(
    config: Config,
    run: Run,
    store: Store,
    manifest: Manifest,
    judged: dict[str, Judgement],
    metrics: dict[str, Any],
    fitted: Fitted | None,
) -> None:
    """Write predictions, metrics.json and report.html, and say what came out."""
    for part, judgement in judged.items():
        judgement.save(run.directory / f"predictions_{part}.parquet")
    run.write_metrics(metrics)
    notes = []
    if "test" in config.trainer.stages and "test" not in judged:
        notes.append("The data have no test part: the figures are those of validation, on which the epoch was chosen.")
        log.warning("Test: there is no test part; validation is reported")
    write_report(config, run, store, manifest, judged, metrics, fitted, notes)
    for part, word in (("val", "Validation"), ("test", "Test")):
        if part in judged:
            figures = metrics[part]
            log.info(
                "%s (%d images): accuracy %s, balanced accuracy %s, macro-F1 %s",
                *(word, figures["samples"]),
                *(with_bounds(figures[name]) for name in ("accuracy", "balanced_accuracy", "macro_f1")),
            )


def with_bounds(figure: dict[str, float]) -> str:
    """`0.861 [0.848, 0.873]`: a figure and its 95 % interval."""
    return f"{figure['value']:.4f} [{figure['low']:.3f}, {figure['high']:.3f}]"
