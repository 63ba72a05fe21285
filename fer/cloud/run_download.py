"""The run directory that a training job leaves in S3, fetched, unpacked and checked."""

import logging
import tarfile
from pathlib import Path

from fer.aws.client import AwsClient
from fer.core.archive import CHECKSUMS, ArchiveLimits, compute_checksums, unpack
from fer.core.bounded_stream import StreamError
from fer.errors import DataError, ModelError, shorten_error

ATTEMPTS = 2
# Enough for checkpoints of the largest networks and the files of trackers.
LIMITS = ArchiveLimits(100_000, 1 << 40, 200)
log = logging.getLogger(__name__)


def download_run(client: AwsClient, uri: str, folder: Path) -> Path:
    """Download and unpack the run directory that a training job has left; what arrives damaged is fetched again.

    Args:
        client: Client for AWS.
        uri: s3:// URI of the archive.
        folder: Directory for archive and run.

    Returns:
        The run directory below ``folder``, with exactly the files that the job has listed.

    Raises:
        CloudError: AWS refused or did not answer.
        DataError: The archive in S3 is damaged.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    for attempt in range(ATTEMPTS):
        archive, run = folder / f"{attempt}.tar.gz", folder / f"{attempt}"
        client.download(bucket, key, archive)
        try:
            unpack_run(archive, run)
            return run
        except DataError as error:
            problem = str(error)
        finally:
            archive.unlink()
        log.warning("%s: arrived damaged (%s)", uri, problem)
    raise DataError(f"{uri}: holds no whole run ({problem})")


def unpack_run(archive: Path, run: Path) -> None:
    """Unpack the archive of a training job into the new directory ``run``.

    Raises:
        DataError: It is damaged, or its files are not those that the job has listed.
    """
    run.mkdir()
    try:
        unpack(archive, run, LIMITS)
        complete = (run / CHECKSUMS).read_bytes() == compute_checksums(run).encode()
    except (tarfile.TarError, StreamError, ModelError, FileNotFoundError) as error:
        raise DataError(shorten_error(error)) from None
    if not complete:
        raise DataError("its files are not those that the job has listed")
    (run / CHECKSUMS).unlink()
