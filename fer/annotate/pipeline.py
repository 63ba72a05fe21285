"""The pipeline of fer annotate: faces, labels by every annotator in batches, tables and page, in one run directory."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pandas as pd

from fer.annotate.annotators import format_name, open_annotators
from fer.annotate.batches import BatchStore, label_batches
from fer.annotate.faces import FaceFiles, open_faces
from fer.annotate.label_monitor import read_reference
from fer.annotate.results import find_silent, format_training, write_results
from fer.annotate.run import PROGRAM, list_annotators, open_saved_faces
from fer.config import Config
from fer.config.annotation import DEEPFACE
from fer.core.extras import require_packages
from fer.core.installation import format_command, format_resume_command
from fer.core.io import atomic_write
from fer.core.run_layout import FACES_PARQUET, PARTS_DIR, REPORT_HTML
from fer.emotions import CONTEMPT, EMOTIONS
from fer.errors import ConfigError, ExitCode, UserError
from fer.registry.resolve import pin_model_uri
from fer.runs.run_directory import Run, load_run_config

log = logging.getLogger(__name__)


def annotate(config: Config, directory: Path) -> int:
    """Label faces in a new run directory.

    Args:
        config: The configuration of fer annotate.
        directory: The new run directory.

    Returns:
        The exit code: 0, 1 (an annotator gave no label at all) or 3 (some faces have no label of an annotator).

    Raises:
        UserError: Something that a user can correct.

    Examples:
        >>> annotate(load_overrides(["annotation.input=FACES"], "annotate"), Path("outputs/annotate/mine"))
        <ExitCode.OK: 0>
    """
    if config.annotation.input is None:
        raise ConfigError(
            f"annotation.input: name the faces, such as `{format_command(PROGRAM)} FACES`: a run of infer.py with "
            "extraction.save=dataset, or a folder of pictures"
        )
    if config.inference.device == "gpu" or config.inference.precision == "16":
        raise ConfigError("inference.device=gpu, inference.precision=16: labels are computed on CPUs in full precision")
    if len(config.annotation.by) > 2:
        require_packages("statsmodels", purpose="Fleiss' kappa of more than two annotators")
    faces = open_faces(config.annotation.input)
    config = _pin_annotators(config)
    if config.annotation.reference is not None:
        # A mistake in it is answered before hours of work.
        read_reference(Path(config.annotation.reference), list_annotators(config), EMOTIONS)
    run = Run(directory, config, PROGRAM)
    with atomic_write(directory / PARTS_DIR / FACES_PARQUET) as temporary:
        faces.table.to_parquet(temporary, index=False)
    return _run(config, run, faces)


def resume(config: Config, directory: Path) -> int:
    """Go on with a run that was interrupted; what is finished stays.

    Args:
        config: The configuration of fer annotate, as the run has it.
        directory: The run.

    Returns:
        The exit code, see ``annotate``.

    Raises:
        UserError: There is no run to go on with, or something else that a user can correct.
    """
    saved = load_run_config(directory, "annotate").annotation
    # Only the time that DeepFace is given, where it stands, and what is compared with may change.
    changeable = {"deepface": saved.deepface, "reference": saved.reference}
    if config.annotation.model_copy(update=changeable) != saved or (
        config.annotation.deepface.actions != saved.deepface.actions
    ):
        raise ConfigError(
            f"annotation: differs from what the finished part of {directory} was made with; start a new run instead"
        )
    faces = open_saved_faces(config, directory)
    return _run(config, Run.resume(directory, config, PROGRAM), faces)


def _pin_annotators(config: Config) -> Config:
    """The configuration with annotators that will always mean the same models. Raises UserError."""
    by = [
        name if name == DEEPFACE else pin_model_uri(config.model_copy(update={"model_uri": name})).model_uri
        for name in config.annotation.by
    ]
    if twice := next((name for name in by if by.count(name) > 1), None):
        raise ConfigError(f"annotation.by: {format_name(str(twice))} is named twice; name each annotator once")
    return config.model_copy(update={"annotation": config.annotation.model_copy(update={"by": tuple(by)})})


def _run(config: Config, run: Run, faces: FaceFiles) -> int:
    """Label what is not labelled yet, and write all tables. Raises UserError."""
    try:
        labels = _label(config, run, faces)
        annotators = list_annotators(config)
        monitor = write_results(config, run.directory, faces, labels, annotators)
    except KeyboardInterrupt:
        run.finish("interrupted")
        log.warning("Interrupted; go on with: %s", format_resume_command(PROGRAM, run.directory))
        raise
    except BaseException as error:
        run.finish("failed", error=f"{type(error).__name__}: {error}")
        if isinstance(error, UserError):
            log.warning("What is labelled stays; go on with: %s", format_resume_command(PROGRAM, run.directory))
        raise
    for row in monitor[monitor["state"] == "shift"].itertuples():
        log.warning("Batch %d of %s: its labels have shifted (PSI %.3f)", row.batch, row.annotator, row.psi)
    unlabelled = int((labels["label"] == "").sum())
    if unlabelled:
        log.warning("Without a label: %d (column problem of labels.csv says why)", unlabelled)
    run.finish("finished", faces=len(faces.table), unlabelled=unlabelled)
    log.info("Train on them: %s", format_training(run.directory, faces.root))
    log.info("Correct doubtful ones: %s %s", format_command("fer.annotate.page"), run.directory)
    log.info("Report: %s", run.directory / REPORT_HTML)
    if find_silent(labels, annotators):
        return ExitCode.ERROR
    return ExitCode.PARTIAL if unlabelled else ExitCode.OK


def _label(config: Config, run: Run, faces: FaceFiles) -> pd.DataFrame:
    """All rows of labels, those of finished batches among them."""
    store = BatchStore(run.directory, config.annotation.batch_size)
    if store.list_missing(len(faces.table)):
        with ExitStack() as stack:
            annotators = open_annotators(config, run.directory / PARTS_DIR)
            for annotator in annotators:
                stack.callback(annotator.close)
            label_batches(faces, annotators, _list_emotions([annotator.emotions for annotator in annotators]), store)
    return store.read(len(faces.table))


def _list_emotions(known: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The classes that any annotator knows, in their order."""
    return tuple(name for name in (*EMOTIONS, CONTEMPT) if any(name in own for own in known))
