"""Which frames each kind of sampling takes."""

from fractions import Fraction
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from fer.config import Extraction
from fer.video.reader import FrameSampler, iter_frames, open_video
from fer.video.sampling import SAMPLING, AllFramesSampler, EveryNSampler, IntervalSampler, SceneSampler
from tests.helpers.clips import write_clip


def taken(sampling: FrameSampler, times: list[float]) -> list[int]:
    return [index for index, time_s in enumerate(times) if sampling.should_sample(index, time_s)]


def test_an_interval_of_one_second_on_an_even_grid() -> None:
    assert taken(IntervalSampler(1.0), [index / 25 for index in range(80)]) == [0, 25, 50, 75]


@pytest.mark.parametrize("fps", [1, 2, 3, 5, 6, 7, 10, 15, 29.97, 30, 60])
def test_a_grid_of_the_same_rate_is_taken_whole_in_spite_of_rounding(fps: float) -> None:
    exact = [index / fps for index in range(5000)]
    assert taken(IntervalSampler(fps), exact) == list(range(5000))
    assert taken(IntervalSampler(fps), [round(time_s, 6) for time_s in exact]) == list(range(5000))
    assert taken(IntervalSampler(fps), [round(time_s, 3) for time_s in exact]) == list(range(5000))
    assert taken(IntervalSampler(fps), np.cumsum([0, *[1 / fps] * 4999]).tolist()) == list(range(5000))


def test_the_frame_just_before_a_step_is_not_taken_for_it() -> None:
    ntsc = [float(index * Fraction(1001, 30000)) for index in range(30_000)]
    expected = [next(i for i in range(int(k * 29.97) - 2, len(ntsc)) if ntsc[i] >= k) for k in range(1, 1000)]
    assert taken(IntervalSampler(1.0), ntsc)[1:1000] == expected
    assert taken(IntervalSampler(1.0), [0.0, 0.9999, 1.0001, 1.9985, 2.0]) == [0, 2, 4]


def test_a_gap_is_not_made_up_for_afterwards() -> None:
    assert taken(IntervalSampler(1.0), [0.0, 0.5, 3.7, 3.8, 3.9, 4.0, 4.2, 5.5, 5.6]) == [0, 2, 5, 7]
    assert taken(IntervalSampler(2.0), [0.3, 0.4, 0.6]) == [0, 2]


def test_a_rate_above_that_of_the_source_takes_every_frame_once() -> None:
    assert taken(IntervalSampler(100.0), [index / 25 for index in range(50)]) == list(range(50))


def test_every_nth_and_all() -> None:
    assert taken(EveryNSampler(4), [0.0] * 10) == [0, 4, 8]
    assert taken(EveryNSampler(1), [0.0] * 3) == taken(AllFramesSampler(), [0.0] * 3) == [0, 1, 2]


def test_a_scene_gives_its_middle_frame(tmp_path: Path) -> None:
    scenes = [(0, 40), (255, 30), (0, 50)]
    path = write_clip(tmp_path / "cuts.mp4", range(120), shown=[number for number, size in scenes for _ in range(size)])
    frames = list(iter_frames(path, SceneSampler(path)))
    assert [frame.index for frame in frames] == [19, 54, 94]
    assert [frame.time_s for frame in frames] == pytest.approx([19 / 25, 54 / 25, 94 / 25])


def test_a_clip_without_a_cut_is_one_scene(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "one.mp4", range(30), shown=[5] * 30)
    assert [frame.index for frame in iter_frames(path, SceneSampler(path))] == [14]


def test_every_kind_of_the_configuration_has_its_sampler(tmp_path: Path) -> None:
    assert set(get_args(Extraction.model_fields["sampling"].annotation)) == set(SAMPLING)
    options = Extraction.model_construct(fps=5.0, every_n=10)
    info = open_video(write_clip(tmp_path / "clip.mp4", range(100), shown=[0] * 100))
    samplers = {kind: sampling.make(options, info) for kind, sampling in SAMPLING.items()}
    counts = {kind: len(list(iter_frames(info, sampler))) for kind, sampler in samplers.items()}
    assert counts == {"interval": 20, "every_n": 10, "all": 100, "scene": 1}
    estimates = {kind: sampling.estimate(options, info) for kind, sampling in SAMPLING.items()}
    assert estimates == pytest.approx({**counts, "scene": 100})
