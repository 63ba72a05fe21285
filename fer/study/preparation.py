"""A study's file, read and checked before anything runs, with what its videos add: lengths and scenes."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fer.config.study import BetweenContrast, Scene, Stimulus, Study
from fer.config.study_loading import raise_problems, shorten_name
from fer.core.io import compute_sha256
from fer.study.checks import count_denied, describe_denied, find_problems, has_consent
from fer.study.cuts import find_scenes
from fer.study.file_checks import find_denied_files, find_missing_files, open_recordings
from fer.study.reading import KEY, read_study
from fer.study.time_checks import find_time_cautions, find_wrong_times
from fer.video.reader import VideoError, open_video

_MAX_NAMED = 5
# A study may round the length of a video.
_LONGER_S = 0.5


@dataclass(frozen=True)
class PreparedStudy:
    """A study that can be analysed.

    Attributes:
        study: As it was understood: paths absolute, lengths of stimuli known, scenes from cuts added.
        cautions: What does not stop the analysis and ought to be known, sentences.
        sha256: Of its file.
    """

    study: Study
    cautions: tuple[str, ...]
    sha256: str


def prepare_study(path: Path, key: str = KEY) -> PreparedStudy:
    """Read a study's file, and check all of it that can be checked before anything runs.

    A recording without consent is not opened, under whatever name, and need not be there.

    Args:
        path: YAML, CSV, or an Excel workbook.
        key: The configuration key that names the file, for messages.

    Raises:
        StudyError: What is wrong, a line each.
    """
    source = f"{key}={path}"
    study = read_study(path, key)
    sha256 = compute_sha256(path)
    _raise_all(source, [*find_problems(study), *find_denied_files(study), *find_missing_files(study)])
    completed, problems, lengths = _complete_stimuli(study)
    infos, unreadable = open_recordings(completed)
    _raise_all(source, [*problems, *find_wrong_times(completed, infos)])
    cautions = [
        *_find_exclusions(study),
        *unreadable,
        *find_time_cautions(completed, infos),
        *lengths,
        *_find_unused_names(study),
        *_find_missing_groups(study),
    ]
    return PreparedStudy(completed, tuple(cautions), sha256)


def read_checked_study(path: Path, key: str = KEY) -> Study:
    """Read a study's file and check its names; nothing that it names is opened. Raises StudyError."""
    study = read_study(path, key)
    _raise_all(f"{key}={path}", [*find_problems(study), *find_denied_files(study)])
    return study


def _raise_all(source: str, problems: Iterable[str]) -> None:
    raise_problems([f"{source}: {problem}" for problem in dict.fromkeys(problems)])


def _complete_stimuli(study: Study) -> tuple[Study, list[str], list[str]]:
    """The study with lengths and scenes from the videos of its stimuli; what is wrong with these, and cautions."""
    stimuli: dict[str, Stimulus] = {}
    problems: list[str] = []
    cautions: list[str] = []
    for name, stimulus in study.stimuli.items():
        stimuli[name] = stimulus
        if stimulus.file is None:
            continue
        place = f"stimuli.{shorten_name(name)}"
        try:
            info = open_video(Path(stimulus.file))
            # A picture is a stimulus too, and has no length.
            scenes = find_scenes(info) if stimulus.cuts and info.duration_s else ()
        except VideoError as error:
            problems.append(f"{place}.file={stimulus.file}: {error.reason}")
            continue
        problems += _find_same_names(place, stimulus, scenes)
        of_video = round(info.start_s + info.duration_s, 3) if info.duration_s else None
        length_s = stimulus.duration_s or of_video
        if of_video and stimulus.duration_s and stimulus.duration_s > of_video + _LONGER_S:
            cautions.append(
                f"{place}.duration_s={stimulus.duration_s:g}: its video has {of_video:.2f} s; the former is taken"
            )
        stimuli[name] = stimulus.model_copy(
            update={"duration_s": length_s, "scenes": (*stimulus.scenes, *_cut_off(scenes, length_s)), "cuts": False}
        )
    return study.model_copy(update={"stimuli": stimuli}), problems, cautions


def _find_same_names(place: str, stimulus: Stimulus, scenes: Iterable[Scene]) -> list[str]:
    taken = {scene.name for scene in stimulus.scenes}
    return [
        f"{place}.scenes: {scene.name} is what a scene from cuts is called; give yours another name"
        for scene in scenes
        if scene.name in taken
    ]


def _cut_off(scenes: Iterable[Scene], length_s: float | None) -> list[Scene]:
    """Scenes up to the length that a study gives its stimulus, which may be a part of the video."""
    if length_s is None:
        return list(scenes)
    return [
        scene.model_copy(update={"end_s": min(scene.end_s, length_s)}) for scene in scenes if scene.start_s < length_s
    ]


def _find_exclusions(study: Study) -> Iterable[str]:
    denied = count_denied(study)
    if denied["recordings"]:
        yield describe_denied(**denied)


def _find_unused_names(study: Study) -> Iterable[str]:
    for what, key, names in (
        ("respondents", "respondent", study.respondents),
        ("stimuli", "stimulus", study.stimuli),
    ):
        used = {getattr(item, key) for item in study.recordings}
        unused = [name for name in names if name not in used]
        # Sentences are kept by the run: those without consent are counted.
        named = [name for name in unused if key != "respondent" or study.respondents[name].consent]
        counted = [f"{len(unused) - len(named)} without consent"] if len(named) < len(unused) else []
        if unused:
            yield f"{what} without a recording: {' and '.join([*([_list_names(named)] if named else []), *counted])}"


def _find_missing_groups(study: Study) -> Iterable[str]:
    factors = dict.fromkeys(item.factor for item in study.contrasts if isinstance(item, BetweenContrast))
    recorded = {item.respondent for item in study.recordings if has_consent(study, item)}
    for factor in factors:
        missing = [
            name for name in study.respondents if name in recorded and not study.respondents[name].groups.get(factor)
        ]
        if factor != "condition" and missing:
            yield f"respondents without {shorten_name(factor)} belong to none of its groups: {_list_names(missing)}"


def _list_names(names: list[str]) -> str:
    rest = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(map(shorten_name, names[:_MAX_NAMED])) + rest
