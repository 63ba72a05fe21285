"""The report of a training, gathered from the run."""

import shlex
from typing import Any

import numpy as np
import pandas as pd
import torch

from fer.config import Config
from fer.core.image import squeeze_gray
from fer.core.installation import format_command, format_resume_command
from fer.core.run_layout import PROFILE_HTML, REPORT_HTML, TRACKERS_DIR
from fer.data.manifest import Manifest
from fer.data.sources.base import SPLITS
from fer.reports.training import CaptionedImage, ReportExplanations, TrainingReport, write_training_report
from fer.runs.run_directory import Run
from fer.trackers.images import SAMPLES_FILE, write_sample_sheet
from fer.train.callbacks import HISTORY_COLUMNS
from fer.train.clip_inputs import find_pictures
from fer.train.evaluation import EvaluationResult
from fer.train.fit_result import FitResult
from fer.train.inputs import PreparedData
from fer.train.plugins import build_augmentation

SAMPLES_PER_CLASS = 6
MAX_ERRORS = 24


def write_report(
    config: Config,
    run: Run,
    data: PreparedData,
    results: dict[str, EvaluationResult],
    metrics: dict[str, Any],
    fit_result: FitResult | None,
    notes: list[str],
    explanations: ReportExplanations | None = None,
    explained_model: str | None = None,
) -> None:
    """Write report.html, and the sheet of training samples for the trackers.

    Args:
        config: The run's configuration.
        run: The run.
        data: The data it used.
        results: The evaluation of each split.
        metrics: Content of metrics.json.
        fit_result: The training; None where a model was only evaluated.
        notes: What a reader must know about the metrics.
        explanations: Where the network looked; None where that was not asked.
        explained_model: URI of the network whose maps a reader may ask for; None for the model of the run itself.
    """
    result = results.get("test") or results.get("val")
    errors = result.top_errors(MAX_ERRORS) if result else []
    if fit_result and fit_result.interrupted:
        command = format_resume_command("train.py", run.directory)
        best = fit_result.best_epoch is not None
        weights = "best epoch until then" if best else "weights at that moment, in the first epoch"
        notes = [f"Interrupted: the figures are those of the {weights}. To go on: {command}", *notes]
    samples = _render_samples(config, data)
    if config.tracker.collect_backends():
        sheet = [(sample.image, sample.caption) for sample in samples]
        write_sample_sheet(sheet, run.directory / TRACKERS_DIR / SAMPLES_FILE)
    report = TrainingReport(
        title=config.name,
        status="interrupted" if fit_result and fit_result.interrupted else "finished",
        command=_format_command_line(run.provenance["command"]),
        reproduce=f"{format_command('fer.replay')} {shlex.quote(str(run.directory))}",
        metrics=metrics,
        history=pd.DataFrame(fit_result.history if fit_result else [], columns=HISTORY_COLUMNS),
        classes=list(result.classes if result else data.manifest.classes),
        class_counts=_count_classes(data.manifest),
        findings=data.manifest.findings,
        samples=samples,
        mistakes=_render_mistakes(data, errors),
        config_yaml=run.config_text,
        environment=_describe_environment(run),
        notes=[*notes, *run.provenance["data_notes"]],
        profile=PROFILE_HTML if config.trainer.profile and (run.directory / PROFILE_HTML).is_file() else None,
        curves={split: evaluated.compute_curves() for split, evaluated in results.items()},
        explain=f"{format_command('fer.explain')} "
        f"{shlex.quote(f'model_uri={explained_model or _find_model(config, run)}')} IMAGE",
        explanations=explanations,
        unit="images" if data.store.clips is None else "clips",
        fitted_once=fit_result is not None and config.model.kind == "embedding_head",
    )
    write_training_report(report, run.directory / REPORT_HTML)


def _find_model(config: Config, run: Run) -> str:
    """The URI of the model that the report is about."""
    return str(run.directory) if config.model_uri is None else config.format_model_uri()


def _format_command_line(arguments: list[str]) -> str:
    """Format what was typed from the arguments of `python`."""
    if arguments[:2] == ["-m", "fer.cli.train"]:
        return shlex.join([*format_command("fer.cli.train").split(), *arguments[2:]])
    return "python " + shlex.join(arguments)


def _count_classes(manifest: Manifest) -> pd.DataFrame:
    """Images by class (rows) and split (columns), splits without images left out."""
    counts = pd.crosstab(manifest.samples["label"], manifest.samples["split"])
    splits = [split for split in SPLITS if split in counts.columns]
    return counts.reindex(index=list(manifest.classes), columns=splits, fill_value=0)


def _render_samples(config: Config, data: PreparedData) -> list[CaptionedImage]:
    """Some training images of each class as the network sees them, augmented as in the first epoch."""
    training, classes = data.manifest.get_split("train"), data.manifest.classes
    if training.empty:
        return []
    samples = pd.concat([training[training["label"] == name].head(SAMPLES_PER_CLASS) for name in classes])
    targets = torch.zeros(len(samples), len(classes))
    # A sheet shows single faces: mixing two would make each caption wrong.
    augmentation = build_augmentation(config, mixup=0, cutmix=0)
    images = torch.from_numpy(data.store.images[find_pictures(data.store, samples.index.to_numpy())])
    augmented, _ = augmentation(images, targets, config.model.image_size, (config.seed, 0, 0))
    pixels = (augmented.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
    return [CaptionedImage(squeeze_gray(image), label) for image, label in zip(pixels, samples["label"], strict=True)]


def _render_mistakes(data: PreparedData, errors: list[tuple[int, str]]) -> list[CaptionedImage]:
    """Rows of the store with their captions, a clip by its middle frame."""
    pictures = find_pictures(data.store, np.array([row for row, _ in errors], int))
    return [
        CaptionedImage(squeeze_gray(data.store.images[picture]), caption)
        for picture, (_, caption) in zip(pictures, errors, strict=True)
    ]


def _describe_environment(run: Run) -> dict[str, str]:
    """What a reader needs to know whether the metrics of two runs can be compared."""
    provenance = run.provenance
    return {
        "Device": str(provenance["device"]),
        "Processor": str(provenance["processor"]),
        "CPU threads": str(provenance["threads"]),
        "Python": str(provenance["python"]),
        "PyTorch": str(provenance["packages"]["torch"]),
        "timm": str(provenance["packages"]["timm"]),
        "Git commit": str(provenance["git_commit"])
        + (" with uncommitted changes" if provenance["git_diff_sha256"] else ""),
        "Data fingerprint": str(provenance["data_fingerprint"]),
        "Started": str(provenance["start"]),
    }
