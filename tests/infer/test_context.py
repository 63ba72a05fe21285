"""What a run that was killed looks at again, and what it refuses to take for the same."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fer.errors import DataError
from fer.infer.chunk_store import ChunkStore
from fer.infer.context import list_track_ids, read_context, set_track_ids
from fer.infer.extract import FrameFaces, VideoEnd
from fer.infer.saved_crops import insert_pending_crops


def row(frame: int, track_id: int | None, status: str = "ok") -> dict[str, Any]:
    facts = {"video": "a.mp4", "frame": frame, "time_s": frame / 10, "status": status, "reason": ""}
    return facts | {"track_id": track_id}


@pytest.fixture
def store(tmp_path: Path) -> ChunkStore:
    """Two chunks: the person of frame 2 comes back in frame 4, which shows another one as well."""
    found = ChunkStore.for_video(tmp_path, 0)
    rows = [row(0, 0), row(1, None, "no_face"), row(2, 0), row(3, 0, "low_quality"), row(4, 1), row(4, 0)]
    for number, part in enumerate((rows[:3], rows[3:])):
        found.write_chunk(number, pd.DataFrame(part).astype({"track_id": "Int64"}))
    return found


def test_context_begins_with_the_first_usable_face_in_reach(store: ChunkStore) -> None:
    assert list_track_ids(read_context(store, 0.25)) == {2: [0], 3: [], 4: [1, 0]}
    assert list_track_ids(read_context(store, 0.3)) == {2: [0], 3: [], 4: [1, 0]}
    assert list_track_ids(read_context(store, 9)) == {0: [0], 1: [], 2: [0], 3: [], 4: [1, 0]}
    assert list_track_ids(read_context(store, 0.05, before=3)) == {2: [0]}
    assert list_track_ids(read_context(store, 0.05, before=2)) == {}
    # A model of single faces looks at nothing again.
    assert read_context(store, 0.0).empty
    assert read_context(ChunkStore(store.folder / "none"), 1.0).empty


def test_a_frame_that_now_has_other_faces_is_told() -> None:
    rows = [{**row(4, None), "video": "a.mp4"}, {**row(4, None, "low_quality"), "video": "a.mp4"}]
    set_track_ids(rows, [7])
    assert rows[0]["track_id"] == 7 and rows[1]["track_id"] is None
    with pytest.raises(DataError, match=r"a\.mp4: frame 4 now has 1 usable faces instead of 2: .* start a new run"):
        set_track_ids(rows, [7, 8])


def test_what_an_earlier_extraction_left_comes_right_before_the_rest_of_its_video(tmp_path: Path) -> None:
    stores = [ChunkStore.for_video(tmp_path, number) for number in range(3)]
    empty = pd.DataFrame([row(0, None, "no_face")]).astype({"track_id": "Int64"})
    for store in stores:
        store.write_chunk(0, empty)
    # The first is classified, the second only extracted, the third half extracted.
    stores[0].write_chunk(0, empty.assign(emotion=None))
    for store in stores[:2]:
        store.mark_complete({"video": "a.mp4", "problem": ""})
    extracted = [FrameFaces(2, 1, [row(1, None, "no_face")], []), VideoEnd(2, {})]
    found = list(insert_pending_crops(tmp_path, range(3), extracted, 0.0))
    assert [(item.video, getattr(item, "chunk_index", None)) for item in found] == [(1, 0), (2, 0), (2, 1), (2, None)]
    # Without its rest, an unfinished video waits: the last windows would lack what comes.
    assert [item.video for item in insert_pending_crops(tmp_path, range(3), [], 0.0)] == [1]
