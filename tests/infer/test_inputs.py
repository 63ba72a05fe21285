"""Videos and images in S3: listed, fetched one at a time, removed again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fer.aws.client import AwsClient, CloudError
from fer.config.compose import load_overrides
from fer.errors import DataError, UserError
from fer.infer.inputs import FETCHED, MediaFetcher, check_inputs_are_there, resolve_media
from fer.storage.stores import ObjectStores
from tests.helpers.aws_simulator.simulator import Simulated
from tests.helpers.registering import BUCKET, put

# Each with its own content. Those of the second line are legal keys that are no paths of files.
KEYS = [
    *("videos/a.mp4", "videos/deep/a.mp4", "videos/with space.MOV", "videos/grüße ½+%20&?#.webm", "videos/face.png"),
    *("videos//twice.mp4", "videos/../../../up.mp4", "videos/./dot.mp4", "videos/a/../../b.mp4", "videos/é\u0301.mp4"),
]
OTHERS = ["videos/", "videos/notes.txt", "videos/no-suffix", "videos/folder.mp4/", "other/c.mp4"]


@pytest.fixture(scope="module", autouse=True)
def _found_by_this_process(simulator: Simulated) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**simulator.environment, "AWS_MAX_ATTEMPTS": "1"}.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def calls() -> AwsClient:
    return AwsClient()


@pytest.fixture
def stored(aws: Simulated) -> Simulated:
    aws.client("s3").create_bucket(Bucket=BUCKET)
    put(aws, {key: key.encode() for key in (*KEYS, *OTHERS)})
    return aws


def test_each_video_is_fetched_in_its_turn_and_removed(stored: Simulated, calls: AwsClient, tmp_path: Path) -> None:
    run = tmp_path / "run"
    media = resolve_media([f"s3://{BUCKET}/videos/"], run, ObjectStores(client=calls))
    assert sorted(item.remote for item in media) == sorted(f"s3://{BUCKET}/{key}" for key in KEYS)
    assert len({item.name for item in media}) == len({item.path for item in media}) == len(KEYS)
    assert [item.kind for item in media if item.remote.endswith(".png")] == ["image"]
    assert stored.calls()["s3:GetObject"] == 0
    fetching = MediaFetcher(None, keep=False)
    for item in media:
        # Never beside or above the run.
        assert item.path.resolve().is_relative_to(run / FETCHED)
        assert not item.path.exists()
        with fetching(item):
            assert item.path.read_bytes().decode() == item.remote.removeprefix(f"s3://{BUCKET}/")
        assert not item.path.exists()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert stored.calls()["s3:GetObject"] == len(KEYS)


def test_an_address_is_an_object_or_a_folder_never_what_begins_so(
    stored: Simulated, calls: AwsClient, tmp_path: Path
) -> None:
    def keys(uri: str) -> list[str]:
        return [item.remote for item in resolve_media([uri], tmp_path, ObjectStores(client=calls))]

    assert keys(f"s3://{BUCKET}/videos/a.mp4") == [f"s3://{BUCKET}/videos/a.mp4"]
    assert keys(f"s3://{BUCKET}/other") == keys(f"s3://{BUCKET}/other/") == [f"s3://{BUCKET}/other/c.mp4"]
    with pytest.raises(UserError, match="no video or image there"):
        keys(f"s3://{BUCKET}/o")
    assert len(keys(f"s3://{BUCKET}")) == len(KEYS) + 1


def test_siblings_and_hidden_objects_of_a_folder_are_left_out(
    stored: Simulated, calls: AwsClient, tmp_path: Path
) -> None:
    wanted = ["study1/a b=c.mp4", "study1/deep/_b.mp4"]
    others = ["study1.mp4", "study10/a.mp4", "study1-old/a.mp4", "study1/.a.mp4", "study1/.cache/a.mp4"]
    others += ["study1/__MACOSX/a.mp4", "study1/deep/", "study1/x.mp4_$folder$"]
    put(stored, dict.fromkeys([*wanted, *others], b"1"))
    for uri in (f"s3://{BUCKET}/study1", f"s3://{BUCKET}/study1/"):
        media = resolve_media([uri], tmp_path, ObjectStores(client=calls))
        assert [item.remote for item in media] == [f"s3://{BUCKET}/{key}" for key in wanted]
    [named] = resolve_media([f"s3://{BUCKET}/study1/.a.mp4"], tmp_path, ObjectStores(client=calls))
    assert named.remote == f"s3://{BUCKET}/study1/.a.mp4"


def test_objects_that_are_left_out_are_counted_in_the_log(
    stored: Simulated, calls: AwsClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    used = [f"study/{number}.mp4" for number in range(3)]
    notes = [f"study/{number}.txt" for number in range(6)] + ["study/deep/recording"]
    hidden = ["study/.DS_Store", "study/thumbs.DB", "study/@eaDir/0.mp4", "study/_SUCCESS", "study/a/.git/1.mp4"]
    put(stored, dict.fromkeys([*used, *notes, *hidden, "study/", "study/deep/", "study/x_$folder$"], b"1"))
    uri = f"s3://{BUCKET}/study"
    assert [item.remote for item in resolve_media([uri], tmp_path, ObjectStores(client=calls))] == [
        f"s3://{BUCKET}/{key}" for key in used
    ]
    assert sorted(caplog.messages) == [
        f"{uri}: 5 objects are hidden: not used: .DS_Store, @eaDir/0.mp4, _SUCCESS, a/.git/1.mp4, thumbs.DB",
        f"{uri}: 7 objects are no video or image by their suffix: not used: 0.txt, 1.txt, 2.txt, 3.txt, 4.txt, …",
    ]
    caplog.clear()
    assert resolve_media([f"{uri}/0.mp4", f"s3://{BUCKET}/other"], tmp_path, ObjectStores(client=calls))
    assert not caplog.messages


def test_what_two_inputs_name_is_looked_at_once_and_files_come_first(
    stored: Simulated, calls: AwsClient, tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").touch()
    inputs = [f"s3://{BUCKET}/videos/deep/", f"s3://{BUCKET}/videos/deep/a.mp4", str(tmp_path / "a.mp4")]
    media = resolve_media(inputs, tmp_path / "run", ObjectStores(client=calls))
    assert [item.remote for item in media] == ["", f"s3://{BUCKET}/videos/deep/a.mp4"]
    assert len({item.name for item in media}) == 2
    with MediaFetcher(None, keep=False)(media[0]):
        assert stored.calls()["s3:GetObject"] == 0
    assert media[0].path.exists()


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://", "s3://: names no bucket; it must have the form s3://BUCKET/KEY"),
        (f"s3://{BUCKET}/nothing/", f"s3://{BUCKET}/nothing/: no video or image there"),
        (f"s3://{BUCKET}/videos/notes.txt", f"s3://{BUCKET}/videos/notes.txt: no video or image there"),
    ],
)
def test_input_that_gives_nothing_is_a_sentence(
    stored: Simulated, calls: AwsClient, tmp_path: Path, uri: str, said: str
) -> None:
    with pytest.raises(UserError) as caught:
        resolve_media([uri], tmp_path, ObjectStores(client=calls))
    assert str(caught.value) == said


def test_files_that_are_not_there_are_told_before_any_is_looked_into(tmp_path: Path) -> None:
    (tmp_path / "[a].mp4").touch()
    there = [f"{tmp_path}/[[]a].mp4", f"{tmp_path}/*.mov", f"{tmp_path}/[a].mp4", "s3://nobodys/videos"]
    config = load_overrides([], "infer")

    def check(*inputs: str) -> None:
        check_inputs_are_there(
            config.model_copy(update={"extraction": config.extraction.model_copy(update={"input": inputs})})
        )

    check(*there)
    with pytest.raises(DataError, match="^no/b.mp4: there is no such file or directory, and it is no glob$"):
        check(*there, "no/b.mp4")


def test_bucket_of_nobody_is_a_sentence(stored: Simulated, calls: AwsClient, tmp_path: Path) -> None:
    with pytest.raises(CloudError, match=r"^s3:ListObjectsV2: .*bucket does not exist \(NoSuchBucket\)$"):
        resolve_media(["s3://nobodys/videos/"], tmp_path, ObjectStores(client=calls))


def test_video_is_removed_after_an_error_and_kept_where_it_is_needed_again(
    stored: Simulated, calls: AwsClient, tmp_path: Path
) -> None:
    [item] = resolve_media([f"s3://{BUCKET}/other/"], tmp_path, ObjectStores(client=calls))
    with pytest.raises(ZeroDivisionError), MediaFetcher(None, keep=False)(item):
        raise ZeroDivisionError
    assert not item.path.exists()
    keeping = MediaFetcher(None, keep=True)
    for _ in range(2):
        with keeping(item):
            assert item.path.is_file()
    assert item.path.is_file()
    # Once for each of the two.
    assert stored.calls()["s3:GetObject"] == 2


def test_video_that_has_gone_since_it_was_listed(stored: Simulated, calls: AwsClient, tmp_path: Path) -> None:
    [item] = resolve_media([f"s3://{BUCKET}/other/"], tmp_path, ObjectStores(client=calls))
    stored.client("s3").delete_object(Bucket=BUCKET, Key="other/c.mp4")
    with pytest.raises(CloudError, match=rf"^s3:GetObject of {item.remote}: "), MediaFetcher(None, keep=False)(item):
        pytest.fail("there is nothing to look at")
    assert not item.path.exists()
