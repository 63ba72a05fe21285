"""What a training's report is made of, gathered from the run."""

import shlex
from typing import Any

import numpy as np
import pandas as pd
import torch

from fer.config import Config
from fer.data.augmentation import Augmentation
from fer.data.image_store import Store
from fer.data.manifest import Manifest
from fer.data.sources.base import PARTS
from fer.reports.training import Picture, TrainingReport, write_training_report
from fer.runs.run_directory import Run
from fer.trackers.images import PLACE, SAMPLES, write_sample_sheet
from fer.train.callbacks import HISTORY_COLUMNS
from fer.train.evaluation import Judgement
from fer.train.fit import Fitted

SAMPLES_PER_CLASS = 6
MOST_MISTAKES = 24


def write_report(
    config: Config,
    run: Run,
    store: Store,
    manifest: Manifest,
    judged: dict[str, Judgement],
    metrics: dict[str, Any],
    fitted: Fitted | None,
    notes: list[str],
) -> None:
    """Write report.html."""
    worst = judged.get("test") or judged.get("val")
    mistakes = worst.worst_mistakes(MOST_MISTAKES) if worst else []
    if fitted and fitted.interrupted:
        notes = ["Interrupted: the figures are those of the best epoch until then.", *notes]
    samples = sample_sheet(config, store, manifest)
    if config.tracker.others():
        sheet = [(sample.image, sample.caption) for sample in samples]
        write_sample_sheet(sheet, run.directory / PLACE / SAMPLES)
    report = TrainingReport(
        title=config.name,
        status="interrupted" if fitted and fitted.interrupted else "finished",
        command="python " + shlex.join(run.provenance["command"]),
        reproduce=f"python -m fer.replay {shlex.quote(str(run.directory))}",
        metrics=metrics,
        history=pd.DataFrame(fitted.history if fitted else [], columns=HISTORY_COLUMNS),
        classes=list(manifest.classes),
        class_counts=class_counts(manifest),
        findings=manifest.findings,
        samples=samples,
        mistakes=[Picture(picture(store.images[row]), caption) for row, caption in mistakes],
        config_yaml=run.config_text,
        environment=environment(run),
        notes=[*notes, *run.provenance["data_notes"]],
    )
    write_training_report(report, run.directory / "report.html")


def class_counts(manifest: Manifest) -> pd.DataFrame:
    """Images by class (rows) and part (columns), parts without images left out."""
    counts = pd.crosstab(manifest.samples["label"], manifest.samples["split"])
    parts = [part for part in PARTS if part in counts.columns]
    return counts.reindex(index=list(manifest.classes), columns=parts, fill_value=0)


def sample_sheet(config: Config, store: Store, manifest: Manifest) -> list[Picture]:
    """Some training images of each class as the network sees them: augmented as in the first epoch."""
    training = manifest.part("train")
    chosen = [training[training["label"] == name].head(SAMPLES_PER_CLASS) for name in manifest.classes]
    samples = pd.concat(chosen)
    targets = torch.zeros(len(samples), len(manifest.classes))
    # A sheet shows single faces: mixing two would make each caption wrong.
    settings = {**config.dataset.augment.model_dump(), "mixup": 0, "cutmix": 0}
    images = torch.from_numpy(store.images[samples.index.to_numpy()])
    seen, _ = Augmentation(**settings)(images, targets, config.model.image_size, (config.seed, 0, 0))
    pixels = (seen.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
    return [Picture(picture(image), label) for image, label in zip(pixels, samples["label"], strict=True)]


def picture(image: np.ndarray) -> np.ndarray:
    """(H, W, 1 or 3) as (H, W) or (H, W, 3)."""
    return np.asarray(image[..., 0] if image.shape[-1] == 1 else image)


def environment(run: Run) -> dict[str, str]:
    """What a reader needs to judge whether figures can be compared."""
    known = run.provenance
    return {
        "Device": str(known["device"]),
        "Processor": str(known["processor"]),
        "CPU threads": str(known["threads"]),
        "Python": str(known["python"]),
        "PyTorch": str(known["packages"]["torch"]),
        "timm": str(known["packages"]["timm"]),
        "Git commit": str(known["git_commit"]) + (" with uncommitted changes" if known["git_diff_sha256"] else ""),
        "Data fingerprint": str(known["data_fingerprint"]),
        "Started": str(known["start"]),
    }
