"""The pipeline of infer.py: faces of videos, their probabilities, tables and page, in one run directory."""

import json
import logging
import math
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from fer.config import Config, Extraction
from fer.errors import ConfigError, DataError, UserError, first_line
from fer.extraction import Ended, Seen, VideoFaces
from fer.files import write_text
from fer.following import Following
from fer.judging import Judging, keep, saved_crops
from fer.parts import FOLDER, Parts
from fer.progress import progress
from fer.run import RUN_YAML, Run, saved_config, thread_count
from fer.serving import Predictor
from fer.tables import write_tables
from fer.video.decode import VideoError, open_video
from fer.video.media import Media, find_media

EXCLUDED, NOTHING_USABLE = 3, 1
MEDIA = "media.json"
log = logging.getLogger(__name__)


def infer(config: Config, directory: Path) -> int:
    """Do the stages of ``config`` in a new run directory; the exit code: 0, 3 (some excluded) or 1 (nothing usable).

    Raises UserError for what a user can mend.
    """
    stages = config.extraction.stages
    if stages[0] != "extract":
        raise ConfigError(f"extraction.stages={list(stages)}: goes on with an earlier run; name it with resume=RUN")
    if "predict" in stages:
        config = config.model_copy(update={"model_uri": config.model_uri or newest_model()})
    media = find_media(inputs) if (inputs := inputs_of(config)) else None
    run = Run(directory, config, "infer.py")
    if media is None:
        from fer.drawn.clip import write_clip

        media = [Media(write_clip(directory / "drawn"), "clip.mp4", "video")]
    content = [{"path": str(item.path), "name": item.name, "kind": item.kind} for item in media]
    write_text(directory / FOLDER / MEDIA, json.dumps(content, indent=2) + "\n")
    return do_stages(config, run, media)


def saved_media(directory: Path) -> list[Media]:
    """What the run in ``directory`` was to look at. Raises UserError where there is no run to go on with."""
    listed = directory / FOLDER / MEDIA
    if not listed.is_file():
        raise UserError(f"resume={directory}: holds no run of infer.py that could go on")
    try:
        content = json.loads(listed.read_text(encoding="utf-8"))
        return [Media(Path(item["path"]), item["name"], item["kind"]) for item in content]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{listed}: is damaged ({first_line(error)}); start a new run") from None


def resume(config: Config, directory: Path) -> int:
    """Go on with the run in ``directory``; what is finished stays. Raises UserError."""
    media = saved_media(directory)
    refuse_changes(config, directory)
    if "predict" in config.extraction.stages:
        config = config.model_copy(update={"model_uri": config.model_uri or newest_model()})
    return do_stages(config, Run.again(directory, config, "infer.py"), media)


def refuse_changes(config: Config, directory: Path) -> None:
    """Refuse another configuration of what the finished pieces were made with. Raises ConfigError."""
    saved = saved_config(directory, "infer")
    later = {"stages", "smoothing", "groups", "baseline_seconds", "annotate"}
    changed = {
        f"extraction.{key}"
        for key in type(config.extraction).model_fields
        if key not in later and getattr(config.extraction, key) != getattr(saved.extraction, key)
    }
    if saved.model_uri is not None and saved.model_uri != config.model_uri:
        changed.add("model_uri")
    if config.inference != saved.inference:
        changed.add("inference")
    if changed:
        raise ConfigError(
            f"{', '.join(sorted(changed))}: differ from {directory / RUN_YAML}, with which the finished part was made; "
            "start a new run instead of resume"
        )


def inputs_of(config: Config) -> tuple[str, ...]:
    chosen = config.extraction.input
    return () if chosen is None else (chosen,) if isinstance(chosen, str) else chosen


def newest_model() -> str:
    """The newest finished training below outputs/train. Raises UserError."""
    runs = sorted(Path("outputs/train").glob("*/*/bundle/bundle.yaml"))
    if not runs:
        raise UserError("model_uri: there is no trained model below outputs/train; run train.py, or name one")
    return str(runs[-1].parents[1].resolve())


def do_stages(config: Config, run: Run, media: Sequence[Media]) -> int:
    """Extraction, prediction and report as asked for; marks how the run ended."""
    stages = config.extraction.stages
    try:
        run.note(threads=thread_count(config.trainer.threads))
        if "extract" in stages or "predict" in stages:
            extract_and_predict(config, run, media)
        parts = [Parts.of(run.directory, number) for number in range(len(media))]
        facts = [fact for part in parts if (fact := part.ended()) is not None]
        if len(facts) < len(parts):
            raise UserError(
                f"{run.directory}: some videos are unfinished; go on with `infer.py resume={run.directory}`"
            )
        usable = sum(part.usable() for part in parts)
        if "report" in stages:
            write_tables(config, run, media)
    except KeyboardInterrupt:
        run.end("interrupted")
        log.warning("Interrupted; go on with: python infer.py resume=%s", run.directory)
        raise
    except BaseException as error:
        run.end("failed", error=f"{type(error).__name__}: {error}")
        raise
    excluded = [fact for fact in facts if fact["problem"]]
    for fact in excluded:
        log.warning("Excluded: %s: %s", fact["video"], fact["problem"])
    run.end("finished", excluded=len(excluded))
    log.info("Run directory: %s", run.directory)
    if "report" in stages:
        log.info("Report: %s", run.directory / "report.html")
    if not usable:
        log.warning("Nothing usable: no face in any frame could be judged")
        return NOTHING_USABLE
    return EXCLUDED if excluded else 0


def extract_and_predict(config: Config, run: Run, media: Sequence[Media]) -> None:
    """Finish every video's pieces. Decoding, detection and judging run at the same time, each in its threads."""
    chosen = config.extraction
    detecting, judging = threads_of(config)
    items: Iterator[Seen | Ended] = iter(())
    if "predict" in chosen.stages:
        items = saved_crops(run.directory, len(media))
    if "extract" in chosen.stages:
        items = chain(items, VideoFaces(chosen, run.directory, detecting).seen(media))
    shown = progress(items, expected_frames(chosen, media), "Frames", "frames", size=frames_in)
    following = Following(run.directory, chosen.max_missed)
    if "predict" not in chosen.stages:
        keep(following, ((item, None) for item in shown))
        return
    predictor = Predictor.load(str(config.model_uri), runtime=config.inference.runtime, threads=judging)
    judged = Judging(predictor, config.inference.batch_size, config.inference.flip).judged(shown)
    keep(following, judged, predictor.classes)


def threads_of(config: Config) -> tuple[int, int]:
    """Threads for detection and for judging. Together they fill the cores that the run may use.

    Haar takes many times as long as all the rest, YuNet about as long.
    """
    count = thread_count(config.trainer.threads)
    detecting = {"haar": count, "yunet": max(count // 2, 1), "none": 1}[config.extraction.detector.kind]
    return detecting, count if config.extraction.stages == ("predict",) else max(count // 2, 1)


def frames_in(item: Seen | Ended) -> int:
    return len({row["frame"] for row in item.rows}) if isinstance(item, Seen) else 0


def expected_frames(config: Extraction, media: Sequence[Media]) -> int:
    """About how many frames will be sampled, for the time that is left; unreadable videos count as none."""
    total = 0.0
    for item in media:
        if item.kind == "image":
            total += 1
            continue
        try:
            info = open_video(item.path)
        except VideoError:
            continue
        match config.sampling:
            case "interval":
                total += max(info.duration_s * min(config.fps, info.fps or config.fps), 1)
            case "every_n":
                total += max(info.frames / config.every_n, 1)
            case _:
                total += info.frames
    return math.ceil(total)
