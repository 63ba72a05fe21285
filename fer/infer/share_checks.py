"""Whether jobs that share videos out have understood the same; otherwise some are done twice, and others not at all."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fer.core.run_layout import PARTS_DIR, STUDY_YAML
from fer.errors import UserError
from fer.infer.inputs import MEDIA, load_media
from fer.infer.shares import list_numbers
from fer.infer.video_stores import open_video_stores
from fer.runs.run_directory import load_run_config, read_provenance
from fer.video.media import Media

# Which files stand behind names of the configuration, as a run found them.
_FOUND = ("detector", "model")


def check_shares(jobs: Sequence[Path]) -> None:
    """Check that the videos of jobs can be joined: one list, one study and one configuration. Raises UserError.

    Args:
        jobs: Their run directories.
    """
    first = jobs[0]
    media, settings, found = _list_media(first), _list_settings(first), read_provenance(first)
    for job in jobs[1:]:
        if (other := _list_media(job)) != media:
            differing = next((pair for pair in zip(media, other, strict=False) if pair[0] != pair[1]), None)
            how = f"{differing[1][0]} stands for {differing[0][0]}" if differing else f"{len(other)} for {len(media)}"
            raise _build_error(job, first, f"looked at other videos ({how}, {PARTS_DIR}/{MEDIA})")
        if _read_study(job) != _read_study(first):
            raise _build_error(job, first, f"goes by another study ({STUDY_YAML})")
        theirs = _list_settings(job)
        if changed := [key for key, value in settings.items() if theirs[key] != value]:
            raise _build_error(job, first, f"has another {changed[0]}")
        facts = read_provenance(job)
        # A share without a face has asked no model.
        if changed := [key for key in _FOUND if key in facts and key in found and facts[key] != found[key]]:
            raise _build_error(job, first, f"had another {changed[0]} (provenance.json)")


def check_videos(job: Path, media: Sequence[Media]) -> None:
    """Check that what a job has of each video is of that one in the list of all. Raises UserError.

    Args:
        job: The run directory. What was moved by an earlier join is gone from it.
        media: The list.
    """
    numbers = list_numbers(load_run_config(job, "infer").extraction, len(media))
    for number, store in open_video_stores(job, numbers).items():
        names = {record["video"]} if (record := store.completion_record()) else set[str]()
        if store.has_rows():
            names |= set(store.read(["video"])["video"].unique())
        if wrong := sorted(names - {media[number].name}):
            raise UserError(
                f"{store.folder}: holds {wrong[0]}, where the list of all videos has {media[number].name}; start the "
                "sweep anew"
            )


def _list_media(job: Path) -> list[tuple[str, str, str]]:
    """Name, kind and place of each video; what was fetched or drawn lies in the job's own directory."""
    return [(item.name, item.kind, item.remote or _name_place(item.path, job)) for item in load_media(job)]


def _name_place(path: Path, job: Path) -> str:
    return str(path.relative_to(job) if path.is_relative_to(job) else path)


def _read_study(job: Path) -> bytes | None:
    path = job / STUDY_YAML
    return path.read_bytes() if path.is_file() else None


def _list_settings(job: Path) -> dict[str, Any]:
    """What decides on the rows of a video, by configuration key."""
    config = load_run_config(job, "infer")
    sections = {"extraction": config.extraction, "inference": config.inference}
    settings = {
        f"{section}.{key}": value for section, model in sections.items() for key, value in model.model_dump().items()
    }
    del settings["extraction.share"]
    return {"model_uri": config.model_uri, **settings}


def _build_error(job: Path, first: Path, difference: str) -> UserError:
    return UserError(
        f"{job}: {difference} than {first}, so that their videos cannot be joined; what they share out has changed "
        "between them: start the sweep anew"
    )
