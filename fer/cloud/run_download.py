"""The run directory that a training job leaves in S3, fetched, unpacked and checked."""

import gzip
import logging
import tarfile
import zlib
from pathlib import Path

from fer.aws.client import AwsCalls
from fer.core.archive import SUMS, sums_of, unpack
from fer.errors import DataError, ModelError, first_line

ATTEMPTS = 2
# Checkpoints of the largest networks, and what trackers leave.
MOST_FILES, MOST_BYTES = 100_000, 1 << 40
log = logging.getLogger(__name__)


def bring_home(calls: AwsCalls, uri: str, folder: Path) -> Path:
    """The run directory in the archive at ``uri``, below ``folder``, with just the files that the job left.

    What arrives damaged is fetched once more. Raises UserError.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    for attempt in range(ATTEMPTS):
        archive, run = folder / f"{attempt}.tar.gz", folder / f"{attempt}"
        calls.download(bucket, key, archive)
        run.mkdir()
        try:
            unpack(archive, run, MOST_FILES, MOST_BYTES)
            if (run / SUMS).read_bytes() == sums_of(run).encode():
                (run / SUMS).unlink()
                return run
            problem = "its files are not those that the job has listed"
        except (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile, ModelError, FileNotFoundError) as error:
            problem = first_line(error)
        finally:
            archive.unlink()
        log.warning("%s: arrived damaged (%s)", uri, problem)
    raise DataError(f"{uri}: holds no whole run ({problem})")
