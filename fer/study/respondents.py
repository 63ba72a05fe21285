"""Who of the faces in a recording is the respondent."""

from collections import defaultdict

import numpy as np
import pandas as pd

# A face may be the respondent's up to so many widths of that face away from where it usually is. Who sits beside
# somebody is the width of the shoulders away, which is about three.
REACH = 2.0
# So much smaller or larger may the respondent become by leaning back or forward.
SIZE_RATIO = 2.0
# What a frame has without anybody's face; all else tells of the face.
_FRAME_COLUMNS = ("video", "frame", "time_s", "status", "reason", "faces")


def select_respondent_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Select the row of the person who is recorded, in every frame.

    That person is the track with the largest sum of face sizes (the root of the area) over the whole recording: who is
    large for long, not who is largest in a frame, as someone passing close to the camera may be. A respondent who was
    lost and found again has several tracks. Another track counts as the same person where its usual place is within
    REACH face widths of the first one's, its usual size within a factor of SIZE_RATIO, and the two never stand in the
    same frame.

    Args:
        table: The emotion table.

    Returns:
        A row a frame, in the order of videos and frames, with a new index. Where the frame shows only other people it
        is one without a face: status `no_face`, and all columns of a face empty.
    """
    is_respondent = _find_respondents(table)
    video = pd.factorize(table["video"])[0]
    size = (table["face_w"] * table["face_h"]).to_numpy()
    # Numbers sort much faster than names do.
    order = np.lexsort((-size, ~is_respondent, table["frame"], video))
    place = np.stack((video, table["frame"]))[:, order]
    chosen = order[np.concatenate(([True], (np.diff(place) != 0).any(axis=0)))] if len(order) else order
    rows = table.iloc[chosen].reset_index(drop=True)
    is_foreign = ~is_respondent[chosen] & rows["face_w"].notna()
    for name in rows.columns.difference(list(_FRAME_COLUMNS)):
        rows[name] = rows[name].mask(is_foreign)
    rows.loc[is_foreign, ["status", "reason"]] = "no_face", "only other people are in the frame"
    return rows


def _find_respondents(table: pd.DataFrame) -> np.ndarray:
    """(rows,) bool: whether each is of its video's respondent."""
    faces = table.loc[table["face_w"].notna(), ["video", "frame", "track_id", "face_x", "face_y", "face_w", "face_h"]]
    faces = faces.assign(
        track_id=faces["track_id"].fillna(-1),
        x=faces["face_x"] + 0.5 * faces["face_w"],
        y=faces["face_y"] + 0.5 * faces["face_h"],
        side=np.sqrt(faces["face_w"] * faces["face_h"]),
    )
    groups = faces.groupby(["video", "track_id"])
    tracks = groups[["x", "y", "side"]].median().join(groups["side"].sum().rename("total")).reset_index()
    tracks = tracks.sort_values(["video", "total"], ascending=[True, False], kind="stable")
    chosen = tracks[["video", "track_id"]].assign(_mine=True).drop_duplicates("video")
    several = tracks[tracks["video"].duplicated(keep=False)]
    if not several.empty:
        crowded = faces[faces["video"].isin(several["video"])]
        frames: _Frames = defaultdict(set)
        for video, track, frame in zip(crowded["video"], crowded["track_id"], crowded["frame"], strict=True):
            frames[video, track].add(frame)
        others = [(video, track) for video, rows in several.groupby("video") for track in _find_further(rows, frames)]
        further = pd.DataFrame(others, columns=["video", "track_id"])
        chosen = pd.concat([chosen, further.assign(_mine=True)])
    chosen = chosen.assign(track_id=chosen["track_id"].astype("int64"))
    mine = faces[["video", "track_id"]].astype({"track_id": "int64"}).merge(chosen, how="left")["_mine"].notna()
    found = np.zeros(len(table), bool)
    found[table["face_w"].notna().to_numpy()] = mine
    return found


# Frames of each video and track.
_Frames = defaultdict[tuple[str, int], set[int]]


def _find_further(tracks: pd.DataFrame, frames: _Frames) -> list[int]:
    """The tracks of a video, the one of the largest total first, that are the same person as the first one."""
    video, first = str(tracks["video"].iloc[0]), tracks.iloc[0]
    distance = np.hypot(tracks["x"] - first["x"], tracks["y"] - first["y"])
    ratio = tracks["side"] / first["side"]
    is_near = (distance <= REACH * first["side"]) & ratio.between(1 / SIZE_RATIO, SIZE_RATIO)
    taken = set(frames[video, int(first["track_id"])])
    further = []
    for track in tracks.loc[is_near, "track_id"].astype(int).tolist():
        own = frames[video, track]
        if taken.isdisjoint(own):
            further.append(track)
            taken |= own
    return further
