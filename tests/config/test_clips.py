"""Clips in the configuration: what goes with them, and what is refused."""

import pytest

from fer.config.contradictions import find_contradictions
from fer.errors import ConfigError
from tests.helpers.composing import load_values

CLIPS, TEMPORAL = ("dataset=synthetic_clips", "model=temporal"), "model=temporal"


@pytest.mark.parametrize(
    ("options", "override", "words"),
    [
        (("dataset=synthetic_clips",), "seed=1", "model.kind=frame looks at single faces, and dataset.sources.synth"),
        ((TEMPORAL,), "seed=1", "model.kind=temporal looks at clips, and dataset.sources.synthetic has images; use"),
        (CLIPS, "+dataset.sources.faces={kind: synthetic}", "synthetic_clips has clips and faces has images, and no"),
        (CLIPS, "dataset.sources.synthetic_clips.motion=back", "allowed are plain or direction"),
        (CLIPS, "dataset.clips.max_side=512", "dataset.clips.max_side=512"),
        (CLIPS, "+dataset.sources.more={kind: clips, root: /, naming: affew}", "allowed are auto, folder, table, afew"),
        (CLIPS, "+dataset.sources.more={kind: clips, root: /, class_map: {calm: calm}}", "which is no emotion"),
    ],
)
def test_what_does_not_go_together_is_refused(options: tuple[str, ...], override: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_values(override, options=options)
    assert words in str(refused.value)


def test_a_model_that_is_evaluated_says_itself_what_it_looks_at() -> None:
    config = load_values(
        "trainer.stages=[test]", "model_uri=pretrained", options=("dataset=synthetic_clips",), program="train"
    )
    assert config.dataset.has_clips and config.model.kind == "frame"


def test_clips_of_fewer_frames_than_windows_ask_for_are_told() -> None:
    slow = load_values("dataset.sources.synthetic_clips.fps=4", options=CLIPS)
    assert any("synthetic_clips.fps=4 gives a frame every 0.25 s" in line for line in find_contradictions(slow))
    videos = "+dataset.sources.more={kind: clips, root: /}"
    slow = load_values(videos, "dataset.clips.fps=5", options=CLIPS)
    assert any("use dataset.clips.fps=8, or model.temporal.step_s=0.2" in line for line in find_contradictions(slow))
    fast = load_values(videos, "dataset.clips.fps=25", "trainer.threads=1", options=CLIPS)
    assert not any("fps" in line for line in find_contradictions(fast))
