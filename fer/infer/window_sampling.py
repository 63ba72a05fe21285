"""How densely frames are sampled for a temporal model: the points of its windows are empty where there are too few."""

import logging

import pandas as pd

from fer.config import Config
from fer.infer.windows import WindowFormat
from fer.runs.run_directory import Run, write_config
from fer.video.sampling import DEFAULT_FPS

# The largest extraction.fps.
MAX_FPS = 1000.0
# Frames of videos do not fall on the points of a window: distances up to so many steps fill nearly all of them.
SPARSE_STEPS = 1.1
log = logging.getLogger(__name__)


def settle_sampling(config: Config, run: Run, window: WindowFormat | None) -> Config:
    """Settle ``extraction.fps`` where it was left open, in run.yaml as well, so that a replay samples alike.

    Args:
        config: The configuration of the run.
        run: The run.
        window: What its model looks at where it is a temporal one.

    Returns:
        The configuration with a number: one frame for each step of the model's windows, or one a second.
    """
    extraction, wanted = config.extraction, DEFAULT_FPS
    if window is not None:
        wanted = min(round(1 / window.step_s, 6), MAX_FPS)
    if extraction.fps is None:
        config = config.model_copy(update={"extraction": extraction.model_copy(update={"fps": wanted})})
        write_config(run.directory, config, "infer.py", run.provenance.get("delete_after"))
    elif window is not None and extraction.sampling == "interval" and extraction.fps < wanted / SPARSE_STEPS:
        log.warning(
            "extraction.fps=%g: the model looks at a frame every %g s, so that points of its windows stay empty; "
            "extract with extraction.fps=%g",
            *(extraction.fps, window.step_s, wanted),
        )
    return config


def find_sparse_videos(table: pd.DataFrame, step_s: float) -> list[str]:
    """Names of the videos whose sampled frames are further apart than the points of a window.

    Args:
        table: The emotion table.
        step_s: Seconds between the points.
    """
    times = table.groupby("video", sort=False)["time_s"].agg(["min", "max", "nunique"])
    spacing = (times["max"] - times["min"]) / (times["nunique"] - 1).clip(lower=1)
    return [str(name) for name in times.index[spacing > SPARSE_STEPS * step_s]]
