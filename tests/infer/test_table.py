"""The emotion table from chunks of this version and of earlier ones."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from fer.emotions import EMOTIONS
from fer.errors import DataError
from fer.infer.chunk_store import ChunkStore
from fer.infer.report import _read_chunks
from fer.infer.table import ROW_COLUMNS, build_answer_schema, build_arrow_table, build_table


def chunk_of(version: str) -> pd.DataFrame:
    """A chunk of two faces; earlier versions measured no pose and counted no faces."""
    face = {"video": "a.mp4", "frame": 0, "time_s": 0.0, "track_id": 0, "status": "ok", "reason": "", "face_w": 50.0}
    rows = [{**face, "frame": frame, "yaw": 3.0, "pitch": -2.0, "roll": 1.0, "faces": 2} for frame in (0, 1)]
    table = build_table(rows).assign(**{f"p_{name}": 1 / 7 for name in EMOTIONS}, emotion="fear", confidence=1 / 7)
    return table.drop(columns=["yaw", "pitch", "roll", "faces"]) if version == "earlier" else table


@pytest.mark.parametrize("versions", [("earlier", "earlier"), ("earlier", "this"), ("this", "this")])
def test_chunks_of_earlier_versions_have_empty_poses_and_counts(versions: tuple[str, ...], tmp_path: Path) -> None:
    store = ChunkStore.for_video(tmp_path, 0)
    for index, version in enumerate(versions):
        store.write_chunk(index, chunk_of(version))
    table, classes = _read_chunks([store], tmp_path)
    assert tuple(classes) == EMOTIONS
    assert str(table["faces"].dtype) == "Int64" and str(table["yaw"].dtype) == "float64"
    known = np.repeat([version == "this" for version in versions], 2)
    for column in ("yaw", "pitch", "roll", "faces"):
        assert (table[column].notna() == known).all()
    # The rows of a chunk that was extracted earlier become a chunk again when they are classified.
    assert build_table(store.read_chunk(store.list_chunks()[0]).to_dict("records"))["faces"].notna().all() == known[0]


def test_a_run_without_rows_has_all_columns(tmp_path: Path) -> None:
    table, _ = _read_chunks([], tmp_path)
    assert list(table.columns[: len(ROW_COLUMNS)]) == list(ROW_COLUMNS)
    assert ROW_COLUMNS[-5:] == ("brightness", "yaw", "pitch", "roll", "faces")


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"video": "a.jpg", "frame": 0, "time_s": 0.0, "status": "no_face", "reason": "no face was found", "faces": 0}],
        [
            {"video": "ä.mp4", "frame": 3, "time_s": 0.1, "track_id": 2, "status": "ok", "reason": "", "yaw": np.nan},
            {"video": "ä.mp4", "frame": 4, "time_s": 1, "status": "decode_error", "reason": None, "track_id": None},
        ],
    ],
)
def test_an_arrow_table_is_the_same_file(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    store = ChunkStore.for_video(tmp_path, 0)
    store.write_chunk(0, build_table(rows))
    store.write_chunk(1, build_arrow_table(rows))
    first, second = (file.read_bytes() for file in store.list_chunks())
    assert first == second


@pytest.mark.parametrize("emotion", ["anger", None])
@pytest.mark.parametrize("picture", [b"png", None])
def test_a_chunk_with_answers_has_the_types_that_pandas_gives_it(
    emotion: str | None, picture: bytes | None, tmp_path: Path
) -> None:
    row = {"video": "a.jpg", "frame": 0, "time_s": 0.0, "status": "ok", "track_id": 0}
    answers = {"p_anger": 1.0, "emotion": emotion, "confidence": 1.0, "valence": 0.5, "picture": picture}
    texts = {name: pd.Series([answers[name]], dtype=object) for name in ("emotion", "picture")}
    store = ChunkStore.for_video(tmp_path, 0)
    store.write_chunk(0, build_table([row]).assign(**(answers | texts)))
    schema = build_answer_schema(("anger", "valence"), emotion is not None, picture is not None)
    store.write_chunk(1, build_arrow_table([row | answers], schema))
    first, second = (file.read_bytes() for file in store.list_chunks())
    assert first == second
    # Chunks of several forms, one after the other, are what pandas reads of each.
    store.write_chunk(2, build_arrow_table([row | {"emotion": None}], build_answer_schema(("anger",), False, False)))
    expected = pd.concat([pd.read_parquet(file) for file in store.list_chunks()], ignore_index=True)
    pd.testing.assert_frame_equal(store.read(), expected, check_exact=True)


def test_a_damaged_chunk_is_a_sentence(tmp_path: Path) -> None:
    store = ChunkStore.for_video(tmp_path, 0)
    store.write_chunk(0, build_arrow_table([]))
    store.list_chunks()[0].write_bytes(b"PAR1, and then nothing")
    with pytest.raises(DataError, match=r"000000\.parquet: is damaged .* which does this video anew"):
        store.read_as_arrow(pa.schema([("frame", pa.int64())]))


def test_a_chunk_of_something_else_is_a_sentence(tmp_path: Path) -> None:
    store = ChunkStore.for_video(tmp_path, 0)
    store.write_chunk(0, pd.DataFrame({"frame": [0], "status": [1]}))
    with pytest.raises(DataError, match=r"000000\.parquet: is damaged \(it has no column reason\)"):
        store.read()


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"fps": "thirty"}, "fps is not a number"),
        ({"codec": ["h264"]}, "codec is not a text"),
        ({"problem": None}, "problem is missing, or is not a text"),
        ({"video": 3}, "video is missing, or is not a text"),
    ],
)
def test_damaged_facts_about_a_video_are_a_sentence(facts: dict[str, Any], why: str, tmp_path: Path) -> None:
    store = ChunkStore.for_video(tmp_path, 0)
    store.mark_complete({"video": "a.mp4", "problem": "", "fps": 30.0, "codec": "h264"} | facts)
    with pytest.raises(DataError, match=rf"video\.json: is damaged \({why}\); remove the directory"):
        store.completion_record()
