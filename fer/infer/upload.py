"""Tables and pages of a run in a folder of a bucket, ``extraction.upload``."""

import logging
from pathlib import Path

from fer.config import Config
from fer.core.file_tree import is_hidden
from fer.core.installation import format_resume_command
from fer.core.run_layout import PROVENANCE_JSON, STUDY_DIR
from fer.errors import UserError
from fer.registry.resolve import open_stores
from fer.storage.uploads import check_folder, upload_files

KEY = "extraction.upload"
log = logging.getLogger(__name__)


def check_upload(config: Config, is_new: bool) -> None:
    """Check before hours of work that the results of a run may go where they are to go.

    Args:
        config: The configuration of infer.py.
        is_new: Whether the run is new: what it finds in the folder is another's.

    Raises:
        UserError: They may not.
    """
    if config.extraction.upload is not None:
        check_folder(open_stores(config), config.extraction.upload, KEY, is_new)


def upload_results(config: Config, directory: Path) -> None:
    """Put tables and pages of a finished run where ``extraction.upload`` says; pictures and clips stay here.

    Args:
        config: The configuration of infer.py.
        directory: The run directory.

    Raises:
        UserError: The service refuses or cannot be reached; the sentence says how to try again.
    """
    folder = config.extraction.upload
    if folder is None:
        return
    files = list_results(directory)
    try:
        upload_files(open_stores(config), files, folder, PROVENANCE_JSON)
    except UserError as error:
        again = format_resume_command("infer.py", directory)
        raise UserError(f"{error}; the results are in {directory}, upload them by `{again}`") from None
    log.info("Uploaded: %d files to %s", len(files), folder)


def list_results(directory: Path) -> dict[str, Path]:
    """Map the names of a run's tables, pages and facts to their paths; neither logs, nor pictures nor clips."""
    paths = [path for path in directory.iterdir() if path.is_file() and path.suffix != ".log"]
    paths += [path for path in (directory / STUDY_DIR).rglob("*") if path.is_file()]
    names = {path.relative_to(directory): path for path in paths if not is_hidden(path)}
    return {name.as_posix(): names[name] for name in sorted(names)}
