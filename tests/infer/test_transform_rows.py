"""From the crops of a run to requests, and from answers back to its rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer.infer.chunk_store import ChunkStore
from fer.infer.extract import build_crop_path
from fer.infer.transform.shards import Answers
from fer.infer.transform.stage import attach_answers, iter_crop_files
from tests.helpers.programs import png
from tests.helpers.transforming import FACES

# Frame, status: the second frame has two faces, of which one is fit, and the third has none.
ROWS = {0: [(0, "ok"), (0, "ok")], 1: [(30, "low_quality"), (30, "ok"), (60, "no_face")]}
WANTED = ["00000-00000000-0", "00000-00000000-1", "00000-00000030-1"]


def row(frame: int, status: str) -> dict[str, Any]:
    return {"video": "a.mp4", "frame": frame, "time_s": 0.0, "status": status, "reason": ""}


def run_of(folder: Path) -> Path:
    """A run with one video in two pieces, and a second one without any face."""
    faces = iter(FACES)
    for piece, rows in ROWS.items():
        ChunkStore.for_video(folder, 0).write_chunk(piece, pd.DataFrame([row(*item) for item in rows]))
    for name in WANTED:
        _, frame, place = map(int, name.split("-"))
        path = build_crop_path(folder, 0, frame, place)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(next(faces)))
    ChunkStore.for_video(folder, 1).write_chunk(0, pd.DataFrame([row(0, "no_face")]))
    return folder


def test_faces_that_are_fit_are_sent_under_ids_of_their_place(tmp_path: Path) -> None:
    found = list(iter_crop_files(run_of(tmp_path), 2))
    assert [sample for sample, _ in found] == WANTED
    assert [path.read_bytes() for _, path in found] == [png(face) for face in FACES[:3]]


def test_answers_find_their_rows_and_what_could_not_be_read_says_so(tmp_path: Path) -> None:
    found: Answers = {WANTED[0]: np.eye(7)[0], WANTED[1]: "the picture is damaged", WANTED[2]: np.eye(7)[2]}
    pieces = list(attach_answers(run_of(tmp_path), 2, found, 7))
    assert [(seen.video, seen.chunk_index) for seen, _ in pieces] == [(0, 0), (0, 1), (1, 0)]
    statuses = [[row["status"] for row in seen.rows] for seen, _ in pieces]
    assert statuses == [["ok", "decode_error"], ["low_quality", "ok", "no_face"], ["no_face"]]
    assert pieces[0][0].rows[1]["reason"] == "the model could not read the face: the picture is damaged"
    for (seen, probabilities), classes, face in zip(pieces[:2], ([0], [2]), (FACES[0], FACES[2]), strict=True):
        np.testing.assert_array_equal(probabilities, np.eye(7)[classes])
        np.testing.assert_array_equal(seen.crops, [face])
    assert (pieces[2][1].shape, pieces[2][0].crops) == ((0, 7), [])
