"""What a run of a temporal model keeps of its windows: what it cannot do is refused, and its page tells of them."""

import pandas as pd

from fer.config import Config
from fer.errors import ConfigError
from fer.infer.route import uses_transform
from fer.infer.window_sampling import find_sparse_videos
from fer.infer.windows import WindowFormat
from fer.runs.run_directory import Run

# In provenance.json.
WINDOW = "window"


def keep_window(run: Run, config: Config, window: WindowFormat) -> None:
    """Keep what a temporal model looks at in provenance.json, also for a report that is made anew.

    Raises:
        ConfigError: The run is to do what such a model cannot.
    """
    if uses_transform(config):
        raise ConfigError(
            f"model_uri={config.model_uri}: is a temporal model, and a batch transform sends single faces; classify in "
            "this process: inference.route=process"
        )
    run.update_provenance(**{WINDOW: {"length": window.length, "step_s": window.step_s, "position": window.position}})
    refuse_explanations(config, run)


def refuse_explanations(config: Config, run: Run) -> None:
    """Refuse maps of where a temporal model looked, before anything is written. Raises ConfigError."""
    if WINDOW in run.provenance and config.extraction.explain and "report" in config.extraction.stages:
        raise ConfigError(
            f"extraction.explain=true: shows where a model looked in one picture, and {config.model_uri} looks at "
            "windows of many; leave it out, or name a model of single faces"
        )


def describe_window(run: Run) -> dict[str, str]:
    """What the page says of a temporal model's windows; nothing for other models."""
    if (window := run.provenance.get(WINDOW)) is None:
        return {}
    side = {"causal": "a frame and those before it", "centred": "a frame and those around it"}[window["position"]]
    return {"Windows of": f"{window['length']} frames, {window['step_s']:g} s apart: {side}"}


def build_window_notes(run: Run, table: pd.DataFrame) -> list[str]:
    """A remark for the top of the page where frames are too sparse for a temporal model.

    Args:
        run: The run.
        table: Its emotion table.
    """
    if (window := run.provenance.get(WINDOW)) is None:
        return []
    sparse, step_s = find_sparse_videos(table, window["step_s"]), window["step_s"]
    if not sparse:
        return []
    which = sparse[0] if len(sparse) == 1 else f"{len(sparse)} of {table['video'].nunique()} videos"
    return [
        f"The model looks at a frame every {step_s:g} s, and {which} had fewer analysed: points of its windows stayed "
        "empty there, so that it may answer worse than its figures say. Take more frames (extraction.fps), if the "
        "recording has them."
    ]
