"""Whether the times of a study lie inside of its recordings and stimuli."""

from collections.abc import Iterable, Mapping

from fer.config.study import Stimulus, Study
from fer.config.study_loading import shorten_name
from fer.study.checks import format_recording, has_consent
from fer.video.reader import VideoInfo

# Containers tell a length that is a few frames off.
TOLERANCE_S = 0.1
# From here on it is said that a recording ends before its stimulus.
_EARLY_S = 0.5


def get_end(info: VideoInfo) -> float:
    """When a recording ends, seconds on a player's clock; 0 where its file does not tell."""
    return info.start_s + info.duration_s if info.duration_s else 0.0


def find_wrong_times(study: Study, infos: Mapping[str, VideoInfo]) -> Iterable[str]:
    """Find times that lie behind an end.

    Args:
        study: A study whose stimuli have their durations, where they are known.
        infos: What its recordings declare, by file; those that are missing are not checked.

    Returns:
        A sentence each.
    """
    for index, item in enumerate(study.recordings):
        end_s = get_end(infos[item.file]) if has_consent(study, item) and item.file in infos else 0.0
        for key, value in (("onset_s", item.onset_s), ("offset_s", item.offset_s)):
            # An onset at the end leaves nothing, an offset there is usual.
            slack_s = TOLERANCE_S if key == "offset_s" else 0.0
            if end_s and value is not None and (value > end_s + slack_s or (key == "onset_s" and value == end_s)):
                yield (
                    f"{format_recording(index, item)}: {key}={value:g}: lies behind the end of the recording, "
                    f"which has {end_s:.2f} s"
                )
                break
    for name, stimulus in study.stimuli.items():
        yield from _find_late_parts(study, infos, name, stimulus)


def _find_late_parts(study: Study, infos: Mapping[str, VideoInfo], name: str, stimulus: Stimulus) -> Iterable[str]:
    """Events and scenes behind the end of their stimulus."""
    length_s, of_what = stimulus.duration_s, "the stimulus"
    if length_s is None:
        length_s, of_what = _find_longest_stretch(study, infos, name), "the longest recording of it"
    if length_s is None:
        return
    parts = [
        *((f"events.{number}", "time_s", x.name, x.time_s, x.end_s) for number, x in enumerate(stimulus.events, 1)),
        *((f"scenes.{number}", "start_s", x.name, x.start_s, x.end_s) for number, x in enumerate(stimulus.scenes, 1)),
    ]
    for key, start_key, part, start_s, end_s in parts:
        place = f"stimuli.{shorten_name(name)}.{key} ({shorten_name(part)})"
        behind = f"lies behind the end of {of_what}, which has {length_s:.2f} s"
        if start_s >= length_s:
            yield f"{place}: {start_key}={start_s:g}: {behind}"
        elif end_s is not None and end_s > length_s + TOLERANCE_S:
            yield f"{place}: end_s={end_s:g}: {behind}"


def _find_longest_stretch(study: Study, infos: Mapping[str, VideoInfo], stimulus: str) -> float | None:
    """How long a stimulus was recorded at most, seconds; None where a recording does not tell."""
    stretches = []
    for item in study.recordings:
        if item.stimulus != stimulus or not has_consent(study, item):
            continue
        end_s = item.offset_s if item.offset_s is not None else get_end(infos[item.file]) if item.file in infos else 0.0
        if not end_s:
            return None
        stretches.append(end_s - item.onset_s)
    return max(stretches, default=None)


def find_time_cautions(study: Study, infos: Mapping[str, VideoInfo]) -> Iterable[str]:
    """Tell which stimuli have no length, and which recordings lack a part of theirs or of the baseline.

    Args:
        study: As for ``find_wrong_times``.
        infos: As for ``find_wrong_times``.

    Returns:
        A sentence for each stimulus, and of each kind for the recordings.
    """
    for name, stimulus in study.stimuli.items():
        if stimulus.duration_s is None and any(
            item.stimulus == name and item.offset_s is None and has_consent(study, item) for item in study.recordings
        ):
            yield (
                f"stimuli.{shorten_name(name)}: its length is not known, so the whole ends with each recording; "
                "add duration_s"
            )
    early, late = [], []
    for item in study.recordings:
        if item.file not in infos or not has_consent(study, item):
            continue
        length_s, end_s = study.stimuli[item.stimulus].duration_s, get_end(infos[item.file])
        if item.offset_s is None and length_s is not None and end_s and item.onset_s + length_s > end_s + _EARLY_S:
            early.append(f"{item.file} ({item.onset_s + length_s - end_s:.1f} s missing)")
        if study.baseline is not None and item.onset_s + study.baseline.start_s < 0:
            late.append(item.file)
    if early:
        yield f"{_count(early)} before the stimulus does: {_list_names(early)}; what is missing counts for nobody"
    if late and study.baseline is not None:
        yield (
            f"the baseline, from {study.baseline.start_s:g} s on, lies before the beginning of {len(late)} "
            f"recording{'s' * (len(late) != 1)}, wholly or in part: {_list_names(late)}"
        )


def _count(names: list[str]) -> str:
    return f"{len(names)} recordings end" if len(names) != 1 else "1 recording ends"


def _list_names(names: list[str], most: int = 5) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
