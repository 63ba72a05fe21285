"""Figures per video: how much of it could be judged, what was left out and why, and each emotion's part."""

import pandas as pd

from fer.infer.smoothing import emotions_of

EXCLUDED = ("no_face", "low_quality", "decode_error")


def per_video(table: pd.DataFrame, videos: pd.DataFrame) -> pd.DataFrame:
    """``videos`` (a row each, named by the column video) with figures from the emotion table beside its columns.

    ``sampled`` and ``usable_frames`` count frames, the latter those with a usable face, and ``usable_share`` is their
    ratio (0 where nothing was sampled); ``usable_rows`` and the columns of EXCLUDED count rows by status, and
    ``exclusions`` says why in words. Of the usable rows, mean_, max_ and min_<emotion> describe the probability and
    share_<emotion> is the share in which the emotion leads; empty where there are none.
    """
    usable = table[table["status"] == "ok"]
    by_video = usable.groupby("video")
    counts = {
        "sampled": table.groupby("video")["frame"].nunique(),
        "usable_frames": by_video["frame"].nunique(),
        "usable_rows": by_video.size(),
        **{status: table[table["status"] == status].groupby("video").size() for status in EXCLUDED},
    }
    figures: dict[str, pd.Series] = {}
    for name in emotions_of(table):
        probability = by_video[f"p_{name}"]
        figures |= {f"mean_{name}": probability.mean(), f"max_{name}": probability.max()}
        figures |= {f"min_{name}": probability.min()}
        figures |= {f"share_{name}": (usable["emotion"] == name).groupby(usable["video"]).mean()}
    found = pd.DataFrame(counts).reindex(videos["video"]).fillna(0).astype("int64")
    found.insert(2, "usable_share", found["usable_frames"] / found["sampled"].clip(lower=1))
    found["exclusions"] = exclusions(table).reindex(found.index).fillna("")
    found = found.join(pd.DataFrame(figures, dtype="float64").reindex(found.index))
    return videos.reset_index(drop=True).join(found.reset_index(drop=True))


def exclusions(table: pd.DataFrame) -> pd.Series:
    """For each video with excluded rows, words such as `12 no_face (no face was found)`; the most frequent first."""
    excluded = table[table["status"] != "ok"]
    counts = excluded.groupby(["video", "status", "reason"]).size().rename("rows").reset_index()
    counts = counts.sort_values(["video", "rows", "status", "reason"], ascending=[True, False, True, True])
    words = counts["rows"].astype("str") + " " + counts["status"] + " (" + counts["reason"] + ")"
    return words.groupby(counts["video"]).agg("; ".join).astype("str")
