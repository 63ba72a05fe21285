"""The package of a registered version in a folder of a bucket, ``registry.upload``."""

import logging
import tempfile
from pathlib import Path

from fer.bundle.metadata import MODEL_CARD_FILE
from fer.config import Config
from fer.registry.base import ModelRegistry, ModelVersion
from fer.registry.package import PACKAGE
from fer.registry.resolve import open_stores
from fer.registry.status import REJECTED
from fer.storage.uploads import check_folder, upload_files

KEY = "registry.upload"
log = logging.getLogger(__name__)


def check_upload(config: Config) -> None:
    """Check before a model is packaged that its package may go where it is to go. Raises UserError."""
    if config.registry.upload is not None:
        check_folder(open_stores(config), config.registry.upload, KEY, is_new=False)


def upload_package(config: Config, registry: ModelRegistry, version: ModelVersion) -> str | None:
    """Put package and card of a version where ``registry.upload`` says, unless the version is rejected.

    Args:
        config: The configuration of register.py.
        registry: The registry that has the version.
        version: The version.

    Returns:
        The package's address, as ``model_uri`` takes it; None where nothing is uploaded.

    Raises:
        UserError: The service refuses or cannot be reached; the same command tries it again.
    """
    if config.registry.upload is None or version.status == REJECTED:
        return None
    # The same package has the same address, whichever registry has counted the version.
    folder = f"{config.registry.upload}/{version.name}/{version.sha256[:16]}"
    with tempfile.TemporaryDirectory() as temporary:
        files = {PACKAGE: registry.fetch(version, Path(temporary))}
        if (card := Path(temporary) / MODEL_CARD_FILE).is_file():
            files[MODEL_CARD_FILE] = card
        upload_files(open_stores(config), files, folder, PACKAGE)
    log.info("Uploaded: %s/%s", folder, PACKAGE)
    return f"{folder}/{PACKAGE}"
