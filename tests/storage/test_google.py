"""Objects that go to Google Cloud Storage and come from there: whole or not at all, over HTTP."""

from pathlib import Path

import pytest

from fer.core.object_uri import map_uri_to_path
from fer.errors import UserError
from fer.storage.google import PART_BYTES, GoogleError, GoogleStore
from fer.storage.listing import find_objects
from fer.storage.stores import ObjectStores
from tests.helpers.google_storage import Bucket, GoogleStorage

CONTENT = bytes(range(256)) * 700


def test_an_object_comes_as_it_is_stored(google: GoogleStorage, tmp_path: Path) -> None:
    google.put("faces", {"deep/läge 1%20&?#.png": CONTENT, "empty": b""})
    stores = ObjectStores()
    stores.download("gs://faces/deep/läge 1%20&?#.png", tmp_path / "a" / "got")
    stores.download("gs://faces/empty", tmp_path / "empty")
    assert (tmp_path / "a" / "got").read_bytes() == CONTENT
    assert (tmp_path / "empty").read_bytes() == b""
    assert google.calls == {"get": 2}


def test_a_name_that_is_too_long_for_a_file_is_cut_and_stays_one_of_its_own(
    google: GoogleStorage, tmp_path: Path
) -> None:
    long = "笑顔" * 120
    names = [f"{long}{end}.mp4" for end in "ab"]
    google.put("faces", {name: name.encode() for name in names})
    paths = [tmp_path / map_uri_to_path(f"gs://faces/{name}") for name in names]
    for name, path in zip(names, paths, strict=True):
        ObjectStores().download(f"gs://faces/{name}", path)
        assert path.name.startswith("笑顔笑顔") and path.suffix == ".mp4"
    assert [path.read_bytes() for path in paths] == [name.encode() for name in names]
    assert map_uri_to_path("gs://faces/a/.././b.mp4") == Path("gs/faces/a/%../%./b.mp4")


@pytest.mark.parametrize("kind", [429, 500, 503, "away", "half", "short", "wrong"])
def test_a_failure_that_passes_is_not_noticed(google: GoogleStorage, tmp_path: Path, kind: int | str) -> None:
    google.put("faces", {"a": CONTENT})
    google.fault(kind, "get", times=2)
    google.fault(503, "list")
    GoogleStore().download("faces", "a", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == CONTENT
    assert google.calls["get"] == 3
    assert [item.size for item in GoogleStore().iter_objects("faces", "")] == [len(CONTENT)]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (403, r"injected 403 \(403\); let somebody grant roles/storage.objectViewer, or objectUser to write, on the b"),
        (401, r"no credentials that can be used \(.*\); sign in \(gcloud auth application-default login\), or name"),
        (404, r"injected 404 \(404\)$"),
        (429, r"injected 429 \(429\); try again later$"),
        (500, r"injected 500 \(500\); try again later$"),
        ("away", r"Google Cloud Storage cannot be reached \(.*\); check the network, try again$"),
        ("half", r"Google Cloud Storage cannot be reached \(.*\); check the network, try again$"),
        ("wrong", "arrived 3 times otherwise than it is stored; try again$"),
        ("short", "arrived 3 times otherwise than it is stored; try again$"),
    ],
)
def test_a_failure_that_stays_is_a_sentence_and_leaves_what_was(
    google: GoogleStorage, tmp_path: Path, kind: int | str, said: str
) -> None:
    google.put("faces", {"a": CONTENT})
    google.fault(kind, "get", times=10_000)
    (tmp_path / "got").write_text("as before")
    with pytest.raises(GoogleError, match=f"^reading gs://faces/a: {said}"):
        GoogleStore().download("faces", "a", tmp_path / "got")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("got", "as before")]


def test_what_is_not_there_is_a_sentence(google: GoogleStorage, tmp_path: Path) -> None:
    google.put("faces", {"a": CONTENT})
    store = GoogleStore()
    with pytest.raises(GoogleError, match=r"^reading gs://faces/b: No such object: faces/b \(404\)$"):
        store.download("faces", "b", tmp_path / "got")
    with pytest.raises(GoogleError, match=r"^listing gs://nobodys/a: The specified bucket does not exist \(404\)$"):
        list(store.iter_objects("nobodys", "a"))
    with pytest.raises(GoogleError, match=r"^writing gs://nobodys/a: The specified bucket does not exist \(404\)$"):
        store.upload(Path(__file__), "nobodys", "a")
    with pytest.raises(GoogleError, match="^listing gs://-x-/: is no name that a bucket or object can have"):
        list(store.iter_objects("-x-", ""))
    assert not list(tmp_path.iterdir())


def test_a_file_is_stored_whole_although_requests_fail(google: GoogleStorage, tmp_path: Path) -> None:
    google.put("faces", {})
    google.buckets["faces"] = Bucket()
    small, large = tmp_path / "small.csv", tmp_path / "large"
    small.write_bytes(CONTENT)
    large.write_bytes(CONTENT * (2 * PART_BYTES // len(CONTENT)) + CONTENT)
    for kind in (503, "away"):
        google.fault(kind, "insert")
        google.fault(kind, "part")
    ObjectStores().upload(small, "gs://faces/deep/small.csv")
    ObjectStores().upload(large, "gs://faces/large")
    assert google.read("faces", "deep/small.csv") == CONTENT
    assert google.read("faces", "large") == large.read_bytes()
    # However large it is, it is never held as a whole.
    assert google.largest_part == PART_BYTES
    google.fault(403, "part", times=10_000)
    with pytest.raises(GoogleError, match=r"^writing gs://faces/other: injected 403 \(403\); let somebody grant"):
        ObjectStores().upload(large, "gs://faces/other")
    assert [*google.buckets["faces"].objects] == ["deep/small.csv", "large"]


def test_an_address_is_an_object_or_a_folder_on_any_page(google: GoogleStorage) -> None:
    wanted = [f"study/{number}.png" for number in range(7)]
    google.put("faces", dict.fromkeys([*wanted, "study/", "study/.cache/a", "study2/a", "study.mp4"], b"1"))
    store = GoogleStore()
    for uri in ("gs://faces/study", "gs://faces/study/"):
        assert [item.key for item in find_objects(store, uri)] == wanted
    assert [item.key for item in find_objects(store, "gs://faces/study.mp4")] == ["study.mp4"]
    assert find_objects(store, "gs://faces/stud") == []
    assert len(find_objects(store, "gs://faces")) == 9
    before = {item.version for item in find_objects(store, "gs://faces/study2")}
    google.put("faces", {"study2/a": b"1"})
    assert before.isdisjoint(item.version for item in find_objects(store, "gs://faces/study2"))


@pytest.mark.parametrize(
    ("rights", "members", "said"),
    [
        ({"uniformBucketLevelAccess": {"enabled": True}}, ["allUsers"], r"is open to everybody \(roles/viewer\)"),
        ({"uniformBucketLevelAccess": {"enabled": True}}, ["allAuthenticatedUsers"], "open to every Google account"),
        ({"publicAccessPrevention": "inherited"}, [], "the bucket's objects have rights of their own"),
    ],
)
def test_a_bucket_that_may_be_public_is_refused(
    google: GoogleStorage, rights: dict[str, object], members: list[str], said: str
) -> None:
    google.buckets["faces"] = Bucket(rights=rights, members=members)
    with pytest.raises(GoogleError, match=rf"^upload=x: .*{said}.*; prevent public access \(gcloud .*gs://faces --pub"):
        GoogleStore().check_private("faces", "upload=x")
    google.buckets["faces"] = Bucket(rights={"publicAccessPrevention": "enforced"}, members=members)
    GoogleStore().check_private("faces", "upload=x")
    google.buckets["faces"] = Bucket(members=["user:me@example.org"])
    GoogleStore().check_private("faces", "upload=x")
    with pytest.raises(GoogleError, match="^upload=x: looking at the rights of gs://other: .*does not exist"):
        GoogleStore().check_private("other", "upload=x")


def test_without_credentials_nothing_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    with pytest.raises(
        GoogleError, match=r"^Google Cloud Storage: no credentials that can be used \(.*key.json.*sign in"
    ):
        ObjectStores().get("gs://faces")


def test_a_missing_library_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = __import__("importlib.util").util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "google.cloud.storage" else find_spec(name)
    )
    with pytest.raises(
        UserError, match=r"^gs://: needs google.cloud.storage; install it with pip install 'fer-exp.*\[g"
    ):
        ObjectStores().get("gs://faces")
