"""A lock among machines: one object in S3, which conditional requests create, renew and delete."""

import json
import logging
import os
import socket
import time
import uuid
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from fer.aws.client import AwsClient, CloudError
from fer.core.process_identity import has_ended, identify_process
from fer.errors import UserError

# A holder that was killed on another machine keeps others out for so long; one that is slower finds out in ``confirm``.
EXPIRES_S = 900.0
PATIENCE_S = EXPIRES_S + 60
POLL_S = 0.5
# S3's answers to a condition that does not hold, and to two conditional requests at the same moment.
LOST_CODES = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
GONE_CODES = {"NoSuchKey", "404"}
log = logging.getLogger(__name__)


class S3Lock:
    """Holds off others that take the same lock, for the length of a ``with`` block.

    Args:
        client: Client for AWS.
        bucket: The bucket.
        key: Key of the object that stands for the lock.
        encryption: Arguments of PutObject.
        patience_s: How long to wait for others, seconds.
        subject: What is changed meanwhile, for messages.

    Raises:
        UserError: Another holder has not ended within ``patience_s``.
        CloudError: AWS refused or did not answer.
    """

    def __init__(
        self,
        client: AwsClient,
        bucket: str,
        key: str,
        encryption: dict[str, str],
        patience_s: float = PATIENCE_S,
        subject: str = "model",
    ) -> None:
        self.client, self.bucket, self.key, self.encryption = client, bucket, key, encryption
        self.patience_s, self.subject = patience_s, subject
        self._etag = ""

    @property
    def uri(self) -> str:
        """The s3:// URI of the object."""
        return f"s3://{self.bucket}/{self.key}"

    def __enter__(self) -> Self:
        deadline, told = time.monotonic() + self.patience_s, False
        while not self._try_to_take():
            if time.monotonic() > deadline:
                raise UserError(
                    f"{self.uri}: another process changes this {self.subject} ({self._read_holder()}); try again when "
                    "it has ended, or delete this object if it was killed"
                )
            if not told:
                log.info("Another process changes this %s (%s): waiting", self.subject, self._read_holder())
                told = True
            time.sleep(POLL_S)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        try:
            self._request("delete_object", IfMatch=self._etag)
        except CloudError as error:
            if error.code not in LOST_CODES | GONE_CODES:
                log.warning("The lock %s stays for a while: %s", self.uri, error)

    def confirm(self) -> None:
        """Renew the lock. Raises UserError where another process has taken it, because this one was too slow."""
        if not self._put(IfMatch=self._etag):
            raise UserError(f"{self.uri}: another process has changed this {self.subject} meanwhile; try again")

    def _try_to_take(self) -> bool:
        """Create the object, or replace one whose holder has ended or is too slow; returns whether this worked."""
        if self._put(IfNoneMatch="*"):
            return True
        found = self._read()
        if found is None or not (_is_expired(found) or _is_left(found)):
            return False
        if not self._put(IfMatch=found["ETag"]):
            return False
        log.warning("%s: was left by a process that has ended; it is taken over", self.uri)
        return True

    def _put(self, **condition: str) -> bool:
        """Write the object under a condition; returns whether it held."""
        # No two contents are alike, so that no two ETags are.
        holder = f"process {os.getpid()} on {socket.gethostname()}"
        content = {"holder": holder, "id": uuid.uuid4().hex, "process": identify_process()}
        body = json.dumps(content).encode()
        try:
            self._etag = str(self._request("put_object", Body=body, **self.encryption, **condition)["ETag"])
            return True
        except CloudError as error:
            if error.code not in LOST_CODES | GONE_CODES:
                raise
        # The answer to a first try may have been lost.
        found = self._read()
        if found is None or found["content"] != body:
            return False
        self._etag = str(found["ETag"])
        return True

    def _read(self) -> dict[str, Any] | None:
        """Return the object with its content; None where there is none."""
        try:
            found = self._request("get_object")
            return {**found, "content": found["Body"].read()}
        except CloudError as error:
            if error.code not in GONE_CODES:
                raise
            return None

    def _read_holder(self) -> str:
        found = self._read()
        if found is None:
            return "ended"
        return f"{_parse_content(found).get('holder', 'unknown')}, {found['LastModified']:%H:%M} UTC"

    def _request(self, operation: str, **parameters: Any) -> dict[str, Any]:
        # In a dry run the lock is free.
        target = {"Bucket": self.bucket, "Key": self.key}
        return self.client.request("s3", operation, {**target, **parameters}, {"ETag": '"dry-run"'})


def _is_expired(found: dict[str, Any]) -> bool:
    return bool((datetime.now(UTC) - found["LastModified"]).total_seconds() >= EXPIRES_S)


def _parse_content(found: dict[str, Any]) -> dict[str, Any]:
    """What the object says of its holder; empty where that cannot be read."""
    try:
        content = json.loads(found["content"])
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_left(found: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that has ended."""
    process = _parse_content(found).get("process")
    return isinstance(process, dict) and has_ended(process)
