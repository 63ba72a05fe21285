"""The pipeline of an export: bundle, graph, files, their check against the bundle, figures."""

import json
import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fer.bundle.io import load_bundle
from fer.bundle.locate import PRETRAINED
from fer.bundle.metadata import MODEL_CARD_FILE, read_description
from fer.config import Config
from fer.core.io import write_text
from fer.core.run_layout import EXPORT_JSON
from fer.data.sources import Source
from fer.errors import UserError
from fer.export.check import TOLERANCE, CheckedModel, FileChecker, list_files
from fer.export.clip_graph import build_clip_graph
from fer.export.formats import FORMATS
from fer.export.graph import build_graph, check_kind
from fer.export.images import CheckImages, collect_images
from fer.export.measurement import Metrics, compare_metrics
from fer.export.table import print_models
from fer.registry.resolve import fetch_model, pin_model_uri
from fer.runs.run_directory import Run
from fer.train.reproducibility import set_threads

log = logging.getLogger(__name__)


def export_model(config: Config, directory: Path, sources: list[Source]) -> None:
    """Export a model in the formats of the configuration, each of them checked: all or none.

    Args:
        config: The checked configuration.
        directory: The run directory, which must not hold a run yet.
        sources: The data sets, by whose images the files are judged.

    Raises:
        UserError: The model cannot be had or expressed, answers otherwise than its bundle, or loses too much.

    Examples:
        >>> config = load_overrides(["export.format=[onnx]", "model_uri=RUN"], "export")
        >>> export_model(config, Path("outputs/export/first"), read_sources(config))
    """
    for name in config.export.format:
        for path in list_files(directory, name, config.export.quantize):
            if path.exists():
                raise UserError(f"{path}: is there already, and nothing is overwritten; choose another hydra.run.dir")
    config = pin_model_uri(config, default=PRETRAINED)
    run = Run(directory, config, "fer.export")
    try:
        # In the same file system as the run, where finished files are only renamed.
        with tempfile.TemporaryDirectory(dir=directory, prefix=".") as temporary:
            _export(config, run, sources, Path(temporary))
    except KeyboardInterrupt:
        run.finish("interrupted")
        raise
    except BaseException as error:
        run.finish("failed", error=f"{type(error).__name__}: {error}")
        raise
    run.finish("finished")
    log.info("Exported into %s", directory)


def _export(config: Config, run: Run, sources: list[Source], temporary: Path) -> None:
    threads = set_threads(config.trainer.threads)
    run.update_provenance(threads=threads, device="cpu")
    folder = str(fetch_model(config, temporary).bundle)
    check_kind(read_description(folder))
    bundle = load_bundle(folder)
    images = collect_images(config, bundle.description, sources)
    graph = build_graph(bundle) if bundle.description.temporal is None else build_clip_graph(bundle)
    checker = FileChecker(bundle, graph, images, config.export, threads)
    files = temporary / "files"
    files.mkdir()
    models = [checker.measure_bundle()]
    for name in config.export.format:
        log.info("Writing and checking %s", FORMATS[name].title)
        models.append(checker.write(name, files))
    metrics = compare_metrics(images.labels, bundle.description.classes, [model.answers for model in models])
    print_models(models, metrics)
    # Terms of use and figures go where the model goes.
    card = bundle.description.folder / MODEL_CARD_FILE
    if card.is_file():
        write_text(files / MODEL_CARD_FILE, card.read_text(encoding="utf-8"))
    content = _build_content(config, checker, images, models, metrics)
    write_text(files / EXPORT_JSON, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    for path in sorted(files.iterdir()):
        os.replace(path, run.directory / path.name)


def _build_content(
    config: Config,
    checker: FileChecker,
    images: CheckImages,
    models: Sequence[CheckedModel],
    metrics: Sequence[Metrics],
) -> dict[str, Any]:
    """Content of export.json; versions and machine stand in provenance.json."""
    figures = [{**model.to_dict(), **metric} for model, metric in zip(models, metrics, strict=True)]
    return {
        "model_uri": config.model_uri,
        "facts": dict(checker.graph.facts),
        "quantize": config.export.quantize,
        "threads": checker.threads,
        "images": {
            "drawn": len(images.drawn),
            "validation": len(images.validation),
            "calibration": len(images.calibration),
            "sources": list(config.dataset.sources),
        },
        "tolerance": TOLERANCE if config.export.quantize == "none" else None,
        "max_loss": None if config.export.quantize == "none" else config.export.max_loss,
        "bundle": figures[0],
        "files": figures[1:],
    }
