"""The pipeline of infer.py: faces of videos, their probabilities, tables and page, in one run directory."""

import json
import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from fer.config import Config, Extraction
from fer.errors import ConfigError, DataError, UserError
from fer.extraction import Ended, Piece, VideoFaces, crop_path
from fer.files import write_text
from fer.parts import FOLDER, Parts
from fer.progress import progress
from fer.run import RUN_YAML, Run, saved_config, thread_count
from fer.serving import Predictor
from fer.tables import write_tables
from fer.video.ahead import ahead
from fer.video.decode import VideoError, open_video
from fer.video.media import Media, find_media

EXCLUDED, NOTHING_USABLE = 3, 1
MEDIA = "media.json"
# Faces are judged when so many batches wait, or so many pieces: faceless stretches have no faces to wait for.
BATCHES_WAITING, PIECES_WAITING = 4, 64
# Probabilities in tables; what arithmetic leaves behind that depends on the machine.
DECIMALS = 6
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


def resume(config: Config, directory: Path) -> int:
    """Go on with the run in ``directory``; what is finished stays. Raises UserError."""
    listed = directory / FOLDER / MEDIA
    if not listed.is_file():
        raise UserError(f"resume={directory}: holds no run of infer.py that could go on")
    media = [Media(Path(item["path"]), item["name"], item["kind"]) for item in json.loads(listed.read_text())]
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
    """Finish every video's pieces. Decoding, detection and judging run at the same time, each in its thread."""
    chosen = config.extraction
    pieces: Iterator[Piece | Ended] = iter(())
    if "predict" in chosen.stages:
        pieces = saved_pieces(run.directory, len(media))
    if "extract" in chosen.stages:
        pieces = chain(pieces, ahead(VideoFaces(chosen, run.directory).pieces(media), 2))
    shown = progress(pieces, expected_frames(chosen, media), "Frames", "frames", size=frames_in)
    if "predict" not in chosen.stages:
        for item in shown:
            keep(run.directory, item)
        return
    threads = thread_count(config.trainer.threads)
    predictor = Predictor.load(str(config.model_uri), runtime=config.inference.runtime, threads=threads)
    Judging(predictor, config.inference.batch_size, config.inference.flip, run.directory).judge(shown)


@dataclass(frozen=True)
class Judging:
    """Adds probabilities to pieces and keeps them, in their order."""

    predictor: Predictor
    batch_size: int
    flip: bool
    run_directory: Path

    def judge(self, pieces: Iterable[Piece | Ended]) -> None:
        waiting: list[Piece | Ended] = []
        for item in pieces:
            waiting.append(item)
            faces = sum(len(piece.crops) for piece in waiting if isinstance(piece, Piece))
            if faces >= BATCHES_WAITING * self.batch_size or len(waiting) >= PIECES_WAITING:
                self.finish(waiting)
                waiting = []
        self.finish(waiting)

    def finish(self, waiting: Sequence[Piece | Ended]) -> None:
        """Judge the faces of several pieces together, and keep the pieces."""
        pieces = [item for item in waiting if isinstance(item, Piece)]
        crops = list(chain.from_iterable(piece.crops for piece in pieces))
        probabilities = self.probabilities(crops)
        start = 0
        for item in waiting:
            if isinstance(item, Piece):
                end = start + len(item.crops)
                item = with_probabilities(item, probabilities[start:end], self.predictor.classes)
                start = end
            keep(self.run_directory, item)

    def probabilities(self, crops: list[np.ndarray]) -> np.ndarray:
        """(N, classes); the last batch is filled up, so that a face's figures do not depend on what stands beside it.

        Only so does a run that was killed and continued give the same bytes.
        """
        if not crops:
            return np.empty((0, len(self.predictor.classes)), np.float32)
        missing = -len(crops) % self.batch_size
        filled = [*crops, *[crops[-1]] * missing]
        return self.predictor.predict(filled, batch_size=self.batch_size, flip=self.flip)[: len(crops)]


def with_probabilities(piece: Piece, probabilities: np.ndarray, classes: Sequence[str]) -> Piece:
    """The piece with p_<emotion>, emotion, confidence, and a small picture where an emotion is at its strongest."""
    rows = piece.rows.copy()
    ok = (rows["status"] == "ok").to_numpy()
    values = np.full((len(rows), len(classes)), np.nan)
    values[ok] = probabilities.round(DECIMALS)
    rows[[f"p_{name}" for name in classes]] = values
    rows["emotion"] = None
    rows["confidence"] = np.nan
    rows["picture"] = None
    if ok.any():
        leading = values[ok].argmax(1)
        rows.loc[ok, "emotion"] = [classes[column] for column in leading]
        rows.loc[ok, "confidence"] = values[ok].max(1)
        places = np.flatnonzero(ok)
        for peak in set(values[ok].argmax(0).tolist()):
            rows.at[places[peak], "picture"] = cv2.imencode(".png", piece.crops[peak][..., ::-1])[1].tobytes()
    return Piece(piece.video, piece.number, rows, [])


def keep(run_directory: Path, item: Piece | Ended) -> None:
    parts = Parts.of(run_directory, item.video)
    if isinstance(item, Ended):
        parts.end(item.facts)
    else:
        parts.add(item.number, item.rows)


def saved_pieces(run_directory: Path, videos: int) -> Iterator[Piece | Ended]:
    """The pieces of an earlier extraction that are not judged yet, with their saved crops. Raises DataError."""
    for number in range(videos):
        for file in Parts.of(run_directory, number).files():
            rows = pd.read_parquet(file)
            if "emotion" in rows:
                continue
            rows["place"] = rows.groupby("frame").cumcount()
            ok = rows.loc[rows["status"] == "ok", ["frame", "place"]].to_numpy(int)
            del rows["place"]
            crops = []
            for frame, place in ok.tolist():
                path = crop_path(run_directory, number, frame, place)
                bgr = cv2.imread(str(path))
                if bgr is None:
                    raise DataError(f"{path}: cannot be read; extract again in a new run")
                crops.append(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
            yield Piece(number, int(file.stem), rows, crops)


def frames_in(item: Piece | Ended) -> int:
    return item.rows["frame"].nunique() if isinstance(item, Piece) else 0


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
