"""Which faces of a clip stay visible, by a run of infer.py that has analysed it."""

from collections.abc import Collection
from pathlib import Path

from fer.core.parquet import read_parquet
from fer.core.run_layout import VIDEO_PREDICTIONS
from fer.errors import DataError, UserError, shorten_error
from fer.infer.covering import collect_boxes
from fer.infer.inputs import load_media
from fer.video.face_cover import KnownFaces

_COLUMNS = ["video", "frame", "track_id", "status", "face_x", "face_y", "face_w", "face_h"]


def find_run_faces(run: Path, clip: Path, tracks: Collection[int]) -> KnownFaces:
    """Find where a run has seen the persons who are to stay visible.

    Args:
        run: The run directory.
        clip: The video or image, by the path under which the run knows it, or by a name that only one has.
        tracks: Their track ids; none of them means the person with most usable frames.

    Returns:
        The faces.

    Raises:
        UserError: The run has not analysed the clip, or knows no such track.
    """
    media = load_media(run)
    named = [item for item in media if not item.remote and item.path.resolve() == clip.resolve()]
    named = named or [item for item in media if item.path.name == clip.name]
    if len(named) != 1:
        raise UserError(f"--run {run}: has not analysed {clip}; name the run that has")
    path = run / f"{VIDEO_PREDICTIONS}.parquet"
    try:
        table = read_parquet(path, _COLUMNS)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({shorten_error(error)}); name a finished run of infer.py") from None
    rows = table[(table["video"] == named[0].name) & table["track_id"].notna()]
    frequent = rows.loc[rows["status"] == "ok", "track_id"].value_counts()
    known = sorted(int(track) for track in rows["track_id"].unique())
    if not tracks and frequent.empty:
        raise UserError(f"--run {run}: found no usable face in {clip}, so that there is nobody to keep")
    if missing := sorted(set(tracks) - set(known)):
        has = ", ".join(map(str, known)) or "none"
        raise UserError(f"--keep {missing[0]}: {run} has no such track_id in {named[0].name}; it has {has}")
    return KnownFaces(collect_boxes(rows[rows["track_id"].isin(list(tracks) or [frequent.index[0]])]))
