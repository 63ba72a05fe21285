"""A finished annotation, as the page and the merging of corrections read it."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fer.annotate.annotators import format_name
from fer.annotate.batches import BatchStore
from fer.annotate.faces import FaceFiles, open_faces
from fer.config import Config
from fer.core.installation import format_command, format_resume_command
from fer.core.parquet import read_parquet
from fer.core.run_layout import FACES_PARQUET, PARTS_DIR
from fer.errors import DataError, UserError, shorten_error
from fer.runs.run_directory import load_run_config

PROGRAM = "fer.annotate"


@dataclass(frozen=True)
class AnnotationRun:
    """A finished annotation: its directory, configuration, faces and all rows of labels."""

    directory: Path
    config: Config
    faces: FaceFiles
    labels: pd.DataFrame

    @property
    def annotators(self) -> list[str]:
        """The names of its annotators."""
        return list_annotators(self.config)


def open_run(directory: Path) -> AnnotationRun:
    """Open a finished annotation.

    Args:
        directory: The run.

    Raises:
        UserError: There is none, it is not finished, or its faces are gone.
    """
    config = load_run_config(directory, "annotate")
    faces = open_saved_faces(config, directory)
    store, count = BatchStore(directory, config.annotation.batch_size), len(faces.table)
    if missing := len(store.list_missing(count)):
        raise UserError(
            f"{directory}: {missing} batches are not labelled yet; go on with "
            f"`{format_resume_command(PROGRAM, directory)}`"
        )
    return AnnotationRun(directory, config, faces, store.read(count))


def open_saved_faces(config: Config, directory: Path) -> FaceFiles:
    """Open the faces of a run. Raises UserError where there is none, and DataError where its faces are gone."""
    path = directory / PARTS_DIR / FACES_PARQUET
    if not path.is_file() or config.annotation.input is None:
        raise UserError(f"{directory}: holds no run of {format_command(PROGRAM)}; name one")
    try:
        return open_faces(config.annotation.input, read_parquet(path))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: is damaged ({shorten_error(error)}); start a new run") from None


def list_annotators(config: Config) -> list[str]:
    """The names of a run's annotators."""
    return [format_name(name) for name in config.annotation.by]
