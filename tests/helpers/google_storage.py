"""A server that speaks the JSON API of Google Cloud Storage over HTTP, as fake-gcs-server does, with faults on demand.

It checks what it gets as Google does: names of buckets, checksums of what is uploaded, ranges of parts.
"""

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from google_crc32c import value as crc32c

PAGE = 3  # objects, so that few make several pages
BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
UNIFORM = {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "inherited"}


def checksum(content: bytes) -> str:
    return base64.b64encode(crc32c(content).to_bytes(4, "big")).decode()


@dataclass
class Fault:
    """What happens to requests instead: a status, ``half`` of an object, ``wrong`` bytes, or ``away``, no answer."""

    kind: int | str
    operation: str
    times: int


@dataclass
class Bucket:
    objects: dict[str, tuple[bytes, int]] = field(default_factory=dict)  # content and generation
    rights: dict[str, Any] = field(default_factory=lambda: UNIFORM)
    members: list[str] = field(default_factory=list)


class GoogleStorage:
    """The server's state, for tests to fill and to look at.

    Attributes:
        address: What STORAGE_EMULATOR_HOST is set to.
        calls: Requests by operation: get_bucket, get_policy, list, get, insert, part.
        largest_part: Bytes of the largest body.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.buckets: dict[str, Bucket] = {}
        self.faults: list[Fault] = []
        self.calls: Counter[str] = Counter()
        self.uploads: dict[str, dict[str, Any]] = {}
        self.largest_part = 0
        self.lock = threading.Lock()
        self._generation = 0

    def clear(self) -> None:
        self.buckets.clear()
        self.faults.clear()
        self.calls.clear()
        self.largest_part = 0

    def put(self, bucket: str, objects: dict[str, bytes]) -> None:
        for key, content in objects.items():
            self._generation += 1
            self.buckets.setdefault(bucket, Bucket()).objects[key] = (content, self._generation)

    def fault(self, kind: int | str, operation: str, times: int = 1) -> None:
        self.faults.append(Fault(kind, operation, times))

    def take_fault(self, operation: str) -> int | str | None:
        with self.lock:
            self.calls[operation] += 1
            for fault in self.faults:
                if fault.operation == operation and fault.times > 0:
                    fault.times -= 1
                    return fault.kind
        return None

    def read(self, bucket: str, key: str) -> bytes:
        return self.buckets[bucket].objects[key][0]


class _Refusal(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    storage: GoogleStorage

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def _answer(self, method: str) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        self.storage.largest_part = max(self.storage.largest_part, length)
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        names = [unquote(name) for name in parts.path.strip("/").split("/")]
        try:
            self._route(method, names, query, body)
        except _Refusal as error:
            content = {"error": {"code": error.status, "message": str(error)}}
            self._send(error.status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _route(self, method: str, names: list[str], query: dict[str, str], body: bytes) -> None:
        match method, names:
            case "GET", ["storage", "v1", "b", bucket]:
                self._begin("get_bucket")
                self._send_json({"name": bucket, "iamConfiguration": self._find(bucket).rights})
            case "GET", ["storage", "v1", "b", bucket, "iam"]:
                self._begin("get_policy")
                members = self._find(bucket).members
                self._send_json({"version": 3, "bindings": [{"role": "roles/viewer", "members": members}]})
            case "GET", ["storage", "v1", "b", bucket, "o"]:
                self._begin("list")
                self._list(bucket, query)
            case "GET", ["download", "storage", "v1", "b", bucket, "o", key]:
                self._download(bucket, key, query)
            case "POST", ["upload", "storage", "v1", "b", bucket, "o"]:
                self._begin("insert")
                self._insert(bucket, query, body)
            case "PUT", ["upload", "storage", "v1", "b", bucket, "o"]:
                self._begin("part")
                self._add_part(bucket, query["upload_id"], body)
            case _:
                raise _Refusal(404, f"no such method: {method} {self.path}")

    def _begin(self, operation: str) -> int | str | None:
        fault = self.storage.take_fault(operation)
        if isinstance(fault, int):
            raise _Refusal(fault, f"injected {fault}.")
        if fault == "away":
            self.close_connection = True
            raise ConnectionAbortedError
        return fault

    def _find(self, bucket: str) -> Bucket:
        assert BUCKET_NAME.fullmatch(bucket), bucket
        if bucket not in self.storage.buckets:
            raise _Refusal(404, "The specified bucket does not exist.")
        return self.storage.buckets[bucket]

    def _list(self, bucket: str, query: dict[str, str]) -> None:
        objects = self._find(bucket).objects
        after = query.get("pageToken", "")
        keys = sorted(key for key in objects if key.startswith(query.get("prefix", "")) and key > after)
        items = [self._describe(bucket, key) for key in keys[:PAGE]]
        more = {"nextPageToken": keys[PAGE - 1]} if len(keys) > PAGE else {}
        self._send_json({"items": items, **more})

    def _describe(self, bucket: str, key: str) -> dict[str, str]:
        content, generation = self.storage.buckets[bucket].objects[key]
        digest = base64.b64encode(hashlib.md5(content).digest()).decode()
        size = str(len(content))
        return {
            **{"name": key, "bucket": bucket, "size": size, "generation": str(generation)},
            **{"md5Hash": digest, "crc32c": checksum(content)},
        }

    def _download(self, bucket: str, key: str, query: dict[str, str]) -> None:
        fault = self._begin("get")
        found = self._find(bucket).objects.get(key)
        if found is None or query.get("generation", str(found[1])) != str(found[1]):
            raise _Refusal(404, f"No such object: {bucket}/{key}")
        content, generation = found
        headers = {"X-Goog-Generation": str(generation), "X-Goog-Stored-Content-Length": str(len(content))}
        headers["X-Goog-Hash"] = f"crc32c={checksum(content)}"
        status, sent = 200, content
        if match := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            status, start = 206, int(match[1])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            sent = content[start:]
        if fault == "wrong":
            sent = bytes([sent[0] ^ 1]) + sent[1:]
        elif fault == "short":
            # As a proxy that cuts: whole as HTTP has it.
            sent = sent[: len(sent) // 2]
        if fault != "half":
            self._send(status, sent, headers)
            return
        self._send_head(status, {**headers, "Content-Length": str(len(sent))})
        self.wfile.write(sent[: len(sent) // 2])
        self.close_connection = True

    def _insert(self, bucket: str, query: dict[str, str], body: bytes) -> None:
        self._find(bucket)
        if query["uploadType"] == "resumable":
            number = str(len(self.storage.uploads))
            self.storage.uploads[number] = {**json.loads(body), "content": b""}
            path = f"/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={number}"
            self._send(200, b"", {"Location": self.storage.address + path})
            return
        assert query["uploadType"] == "multipart", query
        boundary = re.search(rb'boundary="?([^";]+)"?', self.headers["Content-Type"].encode())
        assert boundary is not None
        _, first, second, _ = body.split(b"--" + boundary[1])
        described = json.loads(first.split(b"\r\n\r\n", 1)[1])
        self._store(bucket, described, second.split(b"\r\n\r\n", 1)[1][:-2])

    def _add_part(self, bucket: str, number: str, body: bytes) -> None:
        upload = self.storage.uploads[number]
        match = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", self.headers["Content-Range"])
        assert match is not None, self.headers["Content-Range"]
        if match[1] is not None:
            assert int(match[1]) == len(upload["content"])
            assert int(match[2]) - int(match[1]) + 1 == len(body)
            upload["content"] += body
        if match[3] == str(len(upload["content"])):
            # The library sends the checksum of a large upload with the last part.
            given = dict(pair.split("=", 1) for pair in self.headers.get("X-Goog-Hash", "").split(",") if pair)
            self._store(bucket, {**upload, **given}, upload["content"])
        else:
            self._send(308, b"", {"Range": f"bytes=0-{len(upload['content']) - 1}"} if upload["content"] else {})

    def _store(self, bucket: str, described: dict[str, Any], content: bytes) -> None:
        if described.get("crc32c", checksum(content)) != checksum(content):
            raise _Refusal(400, "Provided CRC32C doesn't match calculated CRC32C.")
        assert "crc32c" in described, "uploaded without a checksum"
        self.storage.put(bucket, {described["name"]: content})
        self._send_json(self._describe(bucket, described["name"]))

    def _send_json(self, content: dict[str, Any]) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self._send_head(status, {**headers, "Content-Length": str(len(content))})
        self.wfile.write(content)

    def _send_head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Say nothing: connections are broken off on purpose."""


@contextlib.contextmanager
def google_storage() -> Iterator[GoogleStorage]:
    """The server, for as long as the block lasts."""
    handler = type("Handler", (_Handler,), {})
    with _Server(("127.0.0.1", 0), handler) as server:
        handler.storage = GoogleStorage(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield handler.storage
        server.shutdown()
        thread.join()
