"""Google Cloud Storage as a store of objects, with the credentials that Google's own programs take."""

import base64
import logging
import os
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from fer.core.extras import require_packages
from fer.core.io import atomic_write
from fer.errors import UserError, shorten_error
from fer.storage.base import ObjectStore, StoredObject

# Google's libraries are not installed everywhere (see fer/core/extras.py), and take a second to import.
if TYPE_CHECKING:
    from requests import Response

PART_BYTES = 8 << 20  # of an upload in parts, held in memory
# A request that fails on Google's side, or whose connection breaks, is sent again after so long, then ever longer.
FIRST_WAIT_S, LONGEST_WAIT_S, PATIENCE_S = 0.5, 20.0, 120.0
TIMEOUT_S = 60.0  # without a byte
DOWNLOADS = 3  # of an object that arrives otherwise than it is stored
PUBLIC_MEMBERS = {"allUsers": "everybody", "allAuthenticatedUsers": "every Google account"}
CHUNK_BYTES = 1 << 20
MAX_MESSAGE_LENGTH = 300  # characters
# Google's library would ask for each bucket's facts in the background, for traces that nobody collects.
os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
# What it has to say reaches the user as a sentence.
logging.getLogger("google").setLevel(logging.ERROR)


class GoogleError(UserError):
    """Google refused a request or did not answer; one sentence: what was asked, what went wrong, what to do."""


class GoogleStore(ObjectStore):
    """Google Cloud Storage, by its JSON API; STORAGE_EMULATOR_HOST names another server that speaks it.

    Raises:
        GoogleError: There are no credentials.
        UserError: Google's library is not installed.
    """

    scheme = "gs"

    def __init__(self) -> None:
        require_packages("google.cloud.storage", purpose="gs://")
        from google.cloud.storage import Client
        from google.cloud.storage.retry import DEFAULT_RETRY

        # Without a project: objects are named by buckets, and credentials need not know one.
        self.client: Any = _attempt("Google Cloud Storage", lambda: Client(project=None))
        delays = {"initial": FIRST_WAIT_S, "maximum": LONGEST_WAIT_S}
        self.options = {"retry": DEFAULT_RETRY.with_delay(**delays).with_timeout(PATIENCE_S), "timeout": TIMEOUT_S}

    @override
    def iter_objects(self, bucket: str, prefix: str) -> Iterator[StoredObject]:
        action = f"listing gs://{bucket}/{prefix}"
        fields = "items(name,size,generation),nextPageToken"
        pages = _attempt(
            action,
            lambda: self.client.list_blobs(bucket, prefix=prefix or None, fields=fields, **self.options).pages,
        )
        while (page := _attempt(action, lambda: next(pages, None))) is not None:
            for blob in page:
                yield StoredObject(blob.name, blob.size, str(blob.generation))

    @override
    def download(self, bucket: str, key: str, path: Path) -> None:
        action = f"reading gs://{bucket}/{key}"
        with atomic_write(path) as temporary:
            for _ in range(DOWNLOADS):
                stored = _attempt(action, lambda: self._receive(bucket, key, temporary))
                # One that was broken off is continued, and the library checks no such download.
                if stored is None or _compute_crc32c(temporary) == stored:
                    return
            raise GoogleError(f"{action}: arrived {DOWNLOADS} times otherwise than it is stored; try again")

    def _receive(self, bucket: str, key: str, path: Path) -> str | None:
        """Write an object to a file; returns the checksum that it is stored with."""
        blob = self._get_blob(bucket, key)
        with path.open("wb") as file:
            blob.download_to_file(file, raw_download=True, checksum=None, **self.options)
        return blob.crc32c

    @override
    def upload(self, path: Path, bucket: str, key: str) -> None:
        def send() -> None:
            blob = self._get_blob(bucket, key, PART_BYTES)
            # Google compares the checksum before the object gets its name.
            blob.upload_from_filename(str(path), checksum="crc32c", **self.options)

        _attempt(f"writing gs://{bucket}/{key}", send)

    def _get_blob(self, bucket: str, key: str, part_bytes: int | None = None) -> Any:
        """An object by its name, about which nothing is asked yet. Raises ValueError for a name that none can have."""
        return self.client.bucket(bucket).blob(key, chunk_size=part_bytes)

    @override
    def check_private(self, bucket: str, key: str) -> None:
        action = f"{key}: looking at the rights of gs://{bucket}"
        found = _attempt(action, lambda: self.client.get_bucket(bucket, **self.options))
        rights = found.iam_configuration
        if rights.get("publicAccessPrevention") == "enforced":
            return
        remedy = (
            f"prevent public access (gcloud storage buckets update gs://{bucket} --public-access-prevention), "
            "or name another"
        )
        if not rights.uniform_bucket_level_access_enabled:
            raise GoogleError(f"{key}: the bucket's objects have rights of their own, and may be public; {remedy}")
        policy = _attempt(action, lambda: found.get_iam_policy(requested_policy_version=3, **self.options))
        for binding in policy.bindings:
            if public := PUBLIC_MEMBERS.keys() & set(binding["members"]):
                who = PUBLIC_MEMBERS[min(public)]
                raise GoogleError(f"{key}: the bucket is open to {who} ({binding['role']}); {remedy}")


def _compute_crc32c(path: Path) -> str:
    """The checksum of a file as Google writes it."""
    from google_crc32c import Checksum

    checksum = Checksum()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            checksum.update(chunk)
    return base64.b64encode(checksum.digest()).decode("ascii")


def _attempt(action: str, send: Callable[[], Any]) -> Any:
    """Return what ``send`` returns; errors of Google's library become a GoogleError that begins with ``action``."""
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError, TransportError
    from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    try:
        return send()
    except RetryError as error:
        if isinstance(error.cause, GoogleAPICallError | InvalidResponse):
            raise _explain_refusal(action, error.cause.response) from None
        raise _explain_silence(action, error.cause or error) from None
    except GoogleAPICallError as error:
        raise _explain_refusal(action, error.response) from None
    except DataCorruption:
        raise GoogleError(f"{action}: arrived otherwise than it was sent; try again") from None
    except (TransportError, RequestException, HTTPError, ConnectionError, TimeoutError) as error:
        raise _explain_silence(action, error) from None
    except GoogleAuthError as error:
        raise GoogleError(
            f"{action}: no credentials that can be used ({_format_error(error)}); sign in "
            "(gcloud auth application-default login), or name a key's file in GOOGLE_APPLICATION_CREDENTIALS"
        ) from None
    except ValueError as error:
        raise GoogleError(f"{action}: is no name that a bucket or object can have ({_format_error(error)})") from None


def _explain_refusal(action: str, response: "Response") -> GoogleError:
    """Google's answer and the remedy as one sentence."""
    code = response.status_code
    message = _read_message(response)
    if code == HTTPStatus.FORBIDDEN:
        remedy = "; let somebody grant roles/storage.objectViewer, or objectUser to write, on the bucket"
    elif code == HTTPStatus.TOO_MANY_REQUESTS or code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        remedy = "; try again later"
    else:
        remedy = ""
    return GoogleError(f"{action}: {message} ({code}){remedy}")


def _read_message(response: "Response") -> str:
    """What Google says; its library would put the address before it."""
    try:
        text = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        text = response.reason or "refused"
    return " ".join(str(text).split()).rstrip(".")[:MAX_MESSAGE_LENGTH]


def _explain_silence(action: str, error: BaseException) -> GoogleError:
    return GoogleError(
        f"{action}: Google Cloud Storage cannot be reached ({_format_error(error)}); check the network, try again"
    )


def _format_error(error: BaseException) -> str:
    return shorten_error(error).rstrip(".")
