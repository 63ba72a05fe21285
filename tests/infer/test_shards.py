"""What is sent for batch transform, and what counts as an answer."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from fer.emotions import EMOTIONS
from fer.errors import DataError
from fer.infer.transform.shards import INDEX, Request, pack, read_answers
from fer.serving.requests import MAX_IMAGES, parse_images
from tests.helpers.networks import faces
from tests.helpers.transforming import FACES, IDS, PAIR_MB, crops, line

MB = 1_000_000
EVEN = dict.fromkeys(EMOTIONS, 1 / len(EMOTIONS))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def members(shard: Path) -> dict[str, bytes]:
    with tarfile.open(shard) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar.getmembers()}  # type: ignore[union-attr]


def test_same_crops_give_the_same_shards_and_keep_their_ids(tmp_path: Path) -> None:
    given = crops(tmp_path)
    requests = pack(given, tmp_path / "one", "shard", PAIR_MB)
    pack(given, tmp_path / "other", "shard", PAIR_MB)
    assert contents(tmp_path / "one") == contents(tmp_path / "other")
    assert [request.sample_ids for request in requests] == [IDS[:2], IDS[2:4], IDS[4:]]
    for request in requests:
        assert request.path.stat().st_size <= PAIR_MB * MB
        wanted = {f"{sample}.png": path.read_bytes() for sample, path in given if sample in request.sample_ids}
        assert members(request.path) == wanted
        # The server names its answers by the same ids.
        assert tuple(picture.id for picture in parse_images(request.path.read_bytes(), "shard")) == request.sample_ids
        assert request.output_path == tmp_path / "one" / f"{request.path.name}.out"


def test_crop_larger_than_a_shard_stands_alone(tmp_path: Path) -> None:
    given = crops(tmp_path, [FACES[0], faces(1, 200)[0], FACES[1], FACES[2]])
    requests = pack(given, tmp_path / "shards", "shard", PAIR_MB)
    assert [len(request.sample_ids) for request in requests] == [1, 1, 2]
    assert [request.path.stat().st_size > PAIR_MB * MB for request in requests] == [False, True, False]


def test_shard_holds_no_more_than_the_server_takes(tmp_path: Path) -> None:
    [(_, path)] = crops(tmp_path, [faces(1, 8)[0]])
    many = [(f"{number:06d}", path) for number in range(MAX_IMAGES + 1)]
    requests = pack(many, tmp_path / "shards", "shard", 20)
    assert [len(request.sample_ids) for request in requests] == [MAX_IMAGES, 1]


def test_images_are_sent_one_by_one(tmp_path: Path) -> None:
    requests = pack(crops(tmp_path), tmp_path / "images", "image", PAIR_MB)
    assert [(request.path.name, request.sample_ids) for request in requests] == [
        (f"{name}.jpg", (name,)) for name in IDS
    ]
    for request, face in zip(requests, FACES, strict=True):
        bgr = cv2.imread(str(request.path))
        assert bgr is not None
        sent = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        assert sent.shape == face.shape
        assert np.abs(sent.astype(int) - face).mean() < 20


def test_nothing_is_sent_for_no_crops(tmp_path: Path) -> None:
    assert pack([], tmp_path, "shard", PAIR_MB) == pack([], tmp_path, "shard", PAIR_MB) == []


@pytest.mark.parametrize("packing", ["shard", "image"])
def test_packing_that_was_interrupted_is_done_again_and_a_complete_one_stays(tmp_path: Path, packing: str) -> None:
    given = crops(tmp_path / "crops")
    whole = pack(given, tmp_path / "whole", packing, PAIR_MB)

    def interrupted() -> Iterator[tuple[str, Path]]:
        yield from given[:5]
        raise KeyboardInterrupt

    folder = tmp_path / "shards"
    with pytest.raises(KeyboardInterrupt):
        pack(interrupted(), folder, packing, PAIR_MB)
    assert not (folder / INDEX).exists()
    requests = pack(given, folder, packing, PAIR_MB)
    assert contents(folder) == contents(tmp_path / "whole")
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    # Crops are not looked at again: this would raise.
    assert pack(interrupted(), folder, packing, PAIR_MB) == requests
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert [(request.path.name, request.sample_ids) for request in requests] == [
        (request.path.name, request.sample_ids) for request in whole
    ]


@pytest.mark.parametrize("damage", ["half", "text", "columns"])
def test_damaged_index_is_a_sentence(tmp_path: Path, damage: str) -> None:
    given = crops(tmp_path / "crops")
    folder = tmp_path / "shards"
    pack(given, folder, "shard", PAIR_MB)
    index = folder / INDEX
    if damage == "columns":
        pd.DataFrame({"key": ["a"]}).to_parquet(index)
    else:
        index.write_bytes(b"no table" if damage == "text" else index.read_bytes()[: index.stat().st_size // 2])
    with pytest.raises(DataError, match=rf"{INDEX}: is damaged \(.+\); remove {folder} and resume, which packs anew$"):
        pack(given, folder, "shard", PAIR_MB)


@pytest.mark.parametrize("packing", ["shard", "image"])
def test_crop_that_is_lost_is_a_sentence(tmp_path: Path, packing: str) -> None:
    given = crops(tmp_path)
    given[3][1].unlink()
    with pytest.raises(DataError, match=r"3.png: is missing; extract again"):
        pack(given, tmp_path / "shards", packing, PAIR_MB)


def test_crop_that_is_no_picture_is_a_sentence(tmp_path: Path) -> None:
    given = crops(tmp_path)
    given[3][1].write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"3.png: cannot be read; extract again"):
        pack(given, tmp_path / "images", "image", PAIR_MB)


def request_with(folder: Path, answer: str | bytes, name: str = "shard-000000.tar", ids: int = 2) -> Request:
    request = Request(folder / name, IDS[:ids])
    request.output_path.write_bytes(answer if isinstance(answer, bytes) else answer.encode())
    return request


def test_sound_answer(tmp_path: Path) -> None:
    row = {name: (number + 1) / 28 for number, name in enumerate(EMOTIONS)}
    found = read_answers(request_with(tmp_path, line(IDS[0], row) + line(IDS[1])), EMOTIONS)
    assert found is not None
    assert list(found) == list(IDS[:2])
    assert found[IDS[0]] == pytest.approx(list(row.values()), abs=1e-7)


def test_face_that_the_model_could_not_read_keeps_its_reason(tmp_path: Path) -> None:
    answer = f'{{"id": "{IDS[0]}", "error": "the picture is damaged"}}\n{line(IDS[1])}'
    found = read_answers(request_with(tmp_path, answer), EMOTIONS)
    assert found is not None
    assert found[IDS[0]] == "the picture is damaged"
    assert isinstance(found[IDS[1]], np.ndarray)


def test_image_that_was_sent_alone_gets_its_id_back(tmp_path: Path) -> None:
    found = read_answers(request_with(tmp_path, line("image"), f"{IDS[0]}.jpg", 1), EMOTIONS)
    assert found is not None and list(found) == [IDS[0]]
    assert read_answers(request_with(tmp_path, line("image") * 2, f"{IDS[0]}.jpg", 1), EMOTIONS) is None


def test_no_answer_yet(tmp_path: Path) -> None:
    assert read_answers(Request(tmp_path / "shard-000000.tar", IDS), EMOTIONS) is None


@pytest.mark.parametrize(
    "answer",
    [
        *("", "\n", "no JSON\n", line(IDS[0])[:-40], line(IDS[0]) + line(IDS[1])[:-40]),
        *(line(IDS[0]), line(IDS[1]) + line(IDS[0]), line(IDS[0]) + line(IDS[0]) + line(IDS[1])),
        *(line(IDS[0]) + line(IDS[1]) + line(IDS[2]), line(IDS[0]) + line("image"), f"[]\n{line(IDS[1])}"),
        *(f"5\n{line(IDS[1])}", f'"error"\n{line(IDS[1])}', f'{{"id": "{IDS[0]}"}}\n{line(IDS[1])}'),
        (line(IDS[0]) + line(IDS[1])).encode("utf-16"),
        f"{'[' * 100_000}\n{line(IDS[1])}",
    ],
)
def test_what_is_no_answer(tmp_path: Path, answer: str | bytes) -> None:
    assert read_answers(request_with(tmp_path, answer), EMOTIONS) is None


@pytest.mark.parametrize(
    "probabilities",
    [
        {**EVEN, "anger": float("nan")},
        {**EVEN, "anger": float("inf")},
        {**EVEN, "anger": EVEN["anger"] + 0.01},
        {**EVEN, "anger": -0.1, "fear": EVEN["fear"] + EVEN["anger"] + 0.1},
        {**EVEN, "anger": None},
        {**EVEN, "anger": "much"},
        {**EVEN, "anger": 10**400},
        {**EVEN, "contempt": 0.0},
        dict(reversed(EVEN.items())),
        dict.fromkeys(EMOTIONS[1:], 1 / 6),
        {},
        list(EMOTIONS),
        "even",
        0.5,
    ],
)
def test_what_are_no_probabilities(tmp_path: Path, probabilities: object) -> None:
    answer = line(IDS[0]) + line(IDS[1], probabilities)
    assert read_answers(request_with(tmp_path, answer), EMOTIONS) is None
