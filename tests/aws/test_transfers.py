"""Files that go to S3 and come from there: whole or not at all."""

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from fer.aws.client import AwsClient, CloudError
from tests.helpers.aws_client import CONTENT, large
from tests.helpers.aws_simulator.simulator import Simulated
from tests.helpers.registering import BUCKET

GET = "s3:GetObject of s3://faces/"


def test_large_file_arrives_whole_although_a_part_was_broken_off(
    stored: Simulated, calls_of: Callable[[int], AwsClient], tmp_path: Path
) -> None:
    path = large(tmp_path)
    stored.fault("reset", operation="UploadPart", skip=1)
    calls = calls_of(2)
    calls.upload(path, BUCKET, "deep/läge 1", ServerSideEncryption="AES256")
    counted = stored.calls()
    assert (counted["s3:CreateMultipartUpload"], counted["s3:UploadPart"], counted["s3:PutObject"]) == (1, 4, 1)
    assert stored.client("s3").head_object(Bucket=BUCKET, Key="deep/läge 1")["ServerSideEncryption"] == "AES256"
    calls.download(BUCKET, "deep/läge 1", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(("kind", "said"), [("reset", "cannot be reached"), ("denied", "fer.cloud.policy")])
def test_large_upload_that_fails_leaves_nothing(
    stored: Simulated, calls_of: Callable[[int], AwsClient], tmp_path: Path, kind: str, said: str
) -> None:
    stored.fault(kind, operation="UploadPart", skip=1, times=None)
    with pytest.raises(CloudError, match=rf"^s3:PutObject of s3://{BUCKET}/large: .*{said}"):
        calls_of(1).upload(large(tmp_path), BUCKET, "large")
    s3 = stored.client("s3")
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == ["content"]
    assert not s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads")


def test_download_of_what_is_not_there_leaves_what_was(
    stored: Simulated, calls_of: Callable[[int], AwsClient], tmp_path: Path
) -> None:
    target = tmp_path / "file"
    with pytest.raises(CloudError, match=rf"^{GET}other: Not Found \(404\)"):
        calls_of(1).download(BUCKET, "other", target)
    assert not list(tmp_path.iterdir())
    target.write_text("as before")
    with pytest.raises(CloudError, match="404"):
        calls_of(1).download(BUCKET, "other", target)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert target.read_text() == "as before"


class Breaking(BaseHTTPRequestHandler):
    """S3 with one object, whose connection ends in the middle of the body."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.send_header("ETag", '"e"')
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(CONTENT[: len(CONTENT) // 2])

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def breaking() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Breaking) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_download_that_breaks_off_leaves_no_half_file(
    breaking: str, stored: Simulated, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", breaking)
    with pytest.raises(CloudError, match=rf"^{GET}content broke off: .*; try again$"):
        AwsClient().download(BUCKET, "content", tmp_path / "got")
    assert not list(tmp_path.iterdir())
