"""The faces that are labelled: those of a data set of infer.py, or all pictures of a folder."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fer.core.parquet import read_parquet
from fer.core.run_layout import CROPS_DIR, FACES_PARQUET
from fer.data.decoding import decode
from fer.data.sources.archive import DatasetFiles
from fer.errors import DataError, shorten_error

# What a data set of infer.py says of a face that its labels keep.
COLUMNS = ("path", "picture")
_REMEDY = "extract the faces anew with extraction.save=dataset"


@dataclass(frozen=True)
class FaceFiles:
    """Pictures of faces.

    Attributes:
        root: Directory or archive in which their paths begin.
        table: A row a face: ``path``, and ``picture``, the photograph that it was cut from ("" where none is known).
        files: What lies there.
    """

    root: Path
    table: pd.DataFrame
    files: DatasetFiles

    def read(self, path: str) -> np.ndarray:
        """Read a face, (H, W) or (H, W, 3) uint8 RGB. Raises DataError."""
        if path not in self.files:
            raise DataError("the picture is not there any more")
        return decode(self.files.read(path))


def open_faces(name: str, saved: pd.DataFrame | None = None) -> FaceFiles:
    """Open the faces that a user names.

    Args:
        name: A run of infer.py with extraction.save=dataset, its folder of crops, or any folder or archive of pictures.
        saved: The table of a run that goes on; then nothing is looked for anew.

    Raises:
        DataError: There is nothing, or its table cannot be read.
    """
    root = Path(name)
    inner = root / CROPS_DIR
    root = inner if (inner / FACES_PARQUET).is_file() else root
    files = DatasetFiles(str(root))
    if saved is not None:
        return FaceFiles(root, saved, files)
    listing = root / FACES_PARQUET
    if listing.is_file():
        try:
            table = read_parquet(listing, COLUMNS).astype(str)
        except (OSError, ValueError) as error:
            raise DataError(f"{listing}: cannot be read ({shorten_error(error)}); {_REMEDY}") from None
        if table["path"].duplicated().any():
            raise DataError(f"{listing}: names a face twice; {_REMEDY}")
    else:
        table = pd.DataFrame({"path": files.list_images(""), "picture": ""}, dtype=object)
    if table.empty:
        raise DataError(
            f"annotation.input={name}: there are no pictures of faces; found {files.describe()}. Of photographs and "
            f"videos, {_REMEDY}"
        )
    return FaceFiles(root, table, files)
