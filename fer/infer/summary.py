"""Summary of each video: how much of it was usable, what was left out and why, and how each emotion did."""

import pandas as pd

from fer.emotions import list_emotions

EXCLUDED_STATUSES = ("no_face", "low_quality", "decode_error")


def summarize_videos(table: pd.DataFrame, videos: pd.DataFrame) -> pd.DataFrame:
    """Summarize the emotion table by video.

    Args:
        table: The emotion table.
        videos: A row a video, named by the column ``video``.

    Returns:
        ``videos`` with more columns: ``sampled`` and ``usable_frames`` count frames, the latter those with a usable
        face, and ``usable_share`` is their ratio (0 where nothing was sampled); ``usable_rows`` and those of
        EXCLUDED_STATUSES count rows by status, and ``exclusions`` gives the reasons. Of the usable rows, mean_, max_
        and min_<emotion> describe the probability before smoothing and share_<emotion> is the fraction in which the
        emotion leads; empty where there are none. The rows are of all people together.
    """
    usable = table[table["status"] == "ok"]
    by_video = usable.groupby("video")
    counts = {
        "sampled": table.groupby("video")["frame"].nunique(),
        "usable_frames": by_video["frame"].nunique(),
        "usable_rows": by_video.size(),
        **{status: table[table["status"] == status].groupby("video").size() for status in EXCLUDED_STATUSES},
    }
    metrics = describe_emotions(usable, ["video"], "p", "emotion")
    result = pd.DataFrame(counts).reindex(videos["video"]).fillna(0).astype("int64")
    result.insert(2, "usable_share", result["usable_frames"] / result["sampled"].clip(lower=1))
    result["exclusions"] = _format_exclusions(table).reindex(result.index).fillna("")
    result = result.join(metrics.reindex(result.index))
    return videos.reset_index(drop=True).join(result.reset_index(drop=True))


def describe_emotions(usable: pd.DataFrame, keys: list[str], kind: str, leading: str) -> pd.DataFrame:
    """Describe each emotion over the usable rows that agree in ``keys``.

    Args:
        usable: Usable rows of the emotion table.
        keys: Columns that tell the groups of rows apart.
        kind: The columns that are described: "p", or "s" for smoothed ones.
        leading: The column that names the emotion which leads a row.

    Returns:
        mean_, max_, min_ and share_<emotion>, a row for each group.
    """
    groups = usable.groupby(keys)
    metrics: dict[str, pd.Series] = {}
    for name in list_emotions(usable):
        probability = groups[f"{kind}_{name}"]
        metrics |= {f"mean_{name}": probability.mean(), f"max_{name}": probability.max()}
        metrics |= {f"min_{name}": probability.min()}
        metrics |= {f"share_{name}": (usable[leading] == name).groupby([usable[key] for key in keys]).mean()}
    return pd.DataFrame(metrics, dtype="float64")


def summarize_persons(table: pd.DataFrame) -> pd.DataFrame:
    """Summarize the emotion table by person: by track, as far as the tracker follows one.

    Args:
        table: The emotion table, smoothed.

    Returns:
        A row for each ``video`` and ``track_id`` with a usable face: ``usable_rows``, ``first_s`` and ``last_s``, the
        columns of ``describe_emotions`` before smoothing, and after it, with ``smoothed_`` before their names.
    """
    keys = ["video", "track_id"]
    usable = table[table["status"] == "ok"]
    times = usable.groupby(keys)["time_s"]
    columns = pd.DataFrame({"usable_rows": times.size(), "first_s": times.min(), "last_s": times.max()})
    raw = describe_emotions(usable, keys, "p", "emotion")
    smoothed = describe_emotions(usable, keys, "s", "smoothed_emotion").add_prefix("smoothed_")
    return columns.join([raw, smoothed]).reset_index()


def _format_exclusions(table: pd.DataFrame) -> pd.Series:
    """For each video with excluded rows, text such as `12 no_face (no face was found)`; the most frequent first."""
    excluded = table[table["status"] != "ok"]
    counts = excluded.groupby(["video", "status", "reason"]).size().rename("rows").reset_index()
    counts = counts.sort_values(["video", "rows", "status", "reason"], ascending=[True, False, True, True])
    texts = counts["rows"].astype("str") + " " + counts["status"] + " (" + counts["reason"] + ")"
    return texts.groupby(counts["video"]).agg("; ".join).astype("str")
