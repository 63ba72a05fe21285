"""How good each recording of a study is, and which are left out, with the reason in words."""

from collections.abc import Mapping

import pandas as pd

from fer.config.study import Study
from fer.study.frames import cut_frames, list_recordings

# Of each recording; a camera that fails has many.
MOST_CAUSES = 3
QUALITY_COLUMNS = ("frames", "usable_share", "tracking_losses", "brightness", "people", "included", "reason")


def assess_recordings(
    study: Study,
    table: pd.DataFrame,
    names: Mapping[str, str],
    durations: Mapping[str, float | None],
    problems: Mapping[str, str],
) -> pd.DataFrame:
    """Build ``StudyData.recordings``.

    Args:
        study: The study.
        table: The emotion table, smoothed.
        names: The name in the emotion table of each recording's file; those that were not opened may be absent.
        durations: Length of each stimulus, seconds; None, or absent, where it is unknown.
        problems: Why a video, by its name in the emotion table, cannot be read or ends early; "" or absent where not.

    Returns:
        What ``list_recordings`` gives, and QUALITY_COLUMNS, of the sampled frames between onset and offset:

        - frames; ``usable_share``, that of frames with a usable face of the respondent, 0 without frames;
        - ``tracking_losses``: how often a frame in which the respondent's face was found is followed by one in which it
          is not, or in which the tracker takes it for another person's; unreadable frames are passed over;
        - brightness, the median of the face's; people, the most faces in a frame; empty where nothing tells;
        - included, and the reason why one is not, else ""; what is this recording's own in it follows a colon.
    """
    recordings = list_recordings(study, names, durations)
    frames = cut_frames(table, recordings, study.baseline)
    shown = frames[frames["in_stimulus"]]
    groups = shown.groupby("place")
    is_usable = shown["status"] == "ok"
    usable = is_usable.groupby(shown["place"]).sum().reindex(recordings.index, fill_value=0)
    recordings["frames"] = groups.size().reindex(recordings.index, fill_value=0).astype("int64")
    recordings["usable_share"] = usable / recordings["frames"].clip(lower=1)
    recordings["tracking_losses"] = _count_losses(shown).reindex(recordings.index, fill_value=0).astype("int64")
    recordings["brightness"] = groups["brightness"].median().reindex(recordings.index)
    recordings["people"] = groups["people"].max().reindex(recordings.index).astype("Int64")
    in_baseline = set(frames.loc[frames["in_baseline"] & (frames["status"] == "ok"), "place"])
    read = set(table["video"])
    reasons = []
    for place, name, respondent, sampled, count in zip(
        *(recordings.index, recordings["recording"], recordings["respondent"], recordings["frames"], usable),
        strict=True,
    ):
        person = study.respondents.get(respondent)
        if person is None or not person.consent:
            reason = "the respondent has not agreed to be analysed"
        elif name not in read:
            reason = f"the video cannot be read: {problems.get(name) or 'no frame could be decoded'}"
        elif sampled == 0:
            reason = "the video ends before the onset of the stimulus"
        elif count == 0:
            reason = f"no frame has a usable face: {_count_causes(shown[shown['place'] == place])}"
        elif count / sampled < study.min_usable:
            causes = _count_causes(shown[shown["place"] == place])
            reason = (
                f"too few usable frames: {count} of {sampled} frames are usable ({causes}); "
                f"min_usable={study.min_usable:g} asks for more"
            )
        elif study.baseline is not None and place not in in_baseline:
            window = f"{study.baseline.start_s:g} to {study.baseline.end_s:g}"
            causes = _count_causes(frames[frames["in_baseline"] & (frames["place"] == place)])
            reason = f"no usable face in the baseline, {window} seconds from the onset: {causes}"
        else:
            reason = ""
        reasons.append(reason)
    recordings["included"] = [not reason for reason in reasons]
    recordings["reason"] = pd.Series(reasons, recordings.index, dtype="str")
    return recordings


def _count_causes(frames: pd.DataFrame) -> str:
    """Why frames are not usable, the most frequent cause first."""
    if frames.empty:
        return "the recording has no frame there"
    lacking = frames[frames["status"] != "ok"]
    causes = lacking["reason"].where(lacking["reason"].fillna("") != "", lacking["status"]).value_counts()
    said = [f"{cause} in {number}" for cause, number in causes.head(MOST_CAUSES).items()]
    rest = causes.iloc[MOST_CAUSES:].sum()
    return ", ".join([*said, f"other causes in {rest}"] if rest else said)


def _count_losses(frames: pd.DataFrame) -> pd.Series:
    """Losses by ``place``, of frames in the order of recordings and time."""
    readable = frames[frames["face_w"].notna() | (frames["status"] != "decode_error")]
    track = readable["track_id"].astype("float64").where(readable["face_w"].notna())
    before = track.groupby(readable["place"]).shift()
    lost = before.notna() & ~(track == before)
    return lost.groupby(readable["place"]).sum()
