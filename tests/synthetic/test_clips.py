from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fer.emotions import EMOTIONS
from fer.synthetic.clips import OFFSET, ONSET, ClipSeries, write_clips
from fer.video.reader import iter_frames, open_video
from fer.video.sampling import AllFramesSampler

PLAIN = ClipSeries(seed=0, subjects=5, fps=8, seconds=1, motion="plain")
DIRECTION = replace(PLAIN, motion="direction", seconds=2)


def test_a_clip_depends_on_the_series_and_its_index_alone():
    clip, again = PLAIN.draw_clip(11), replace(PLAIN).draw_clip(11)
    np.testing.assert_array_equal(clip.draw_frames(32), again.draw_frames(32))
    assert clip.draw_frames(32).shape == (8, 32, 32, 3)
    np.testing.assert_allclose(clip.times, np.arange(8) / 8)
    other = replace(PLAIN, seed=1).draw_clip(11)
    assert (other.draw_frames(32) != clip.draw_frames(32)).any()
    with pytest.raises(ValueError, match="unknown motion 'still'"):
        replace(PLAIN, motion="still").draw_clip(0)


def test_people_show_each_emotion_in_turn_and_stay_who_they_are():
    clips = [PLAIN.draw_clip(index) for index in range(70)]
    assert Counter((clip.subject, clip.emotion) for clip in clips) == {
        (subject, emotion): 2 for subject in range(5) for emotion in EMOTIONS
    }
    for subject in range(5):
        assert len({clip.identity for clip in clips if clip.subject == subject}) == 1


def test_an_expression_rises_to_an_apex_at_a_random_time():
    clips = [replace(PLAIN, seconds=2).draw_clip(7 * number + 3) for number in range(60)]
    assert {clip.emotion for clip in clips} == {"happiness"}
    courses = np.array([[moment.lip_corner for moment in clip.moments] for clip in clips])
    assert (courses[:, 0] < 0.25).mean() > 0.9, "clips begin near neutral"
    assert (courses.max(1) - courses[:, 0] > 0.25).all()
    assert len(set(courses.argmax(1))) > 6


def test_the_direction_clips_are_the_same_frames_in_reverse_order():
    for pair in range(3):
        onset, offset = DIRECTION.draw_clip(2 * pair), DIRECTION.draw_clip(2 * pair + 1)
        assert (onset.emotion, offset.emotion) == (ONSET, OFFSET) and onset.subject == offset.subject
        np.testing.assert_array_equal(onset.draw_frames(32), offset.draw_frames(32)[::-1])
        assert (onset.times == offset.times).all()


def test_the_order_of_frames_tells_the_direction_and_nothing_else_does():
    clips = [DIRECTION.draw_clip(index) for index in range(800)]
    smiles = np.array([[moment.lip_corner for moment in clip.moments] for clip in clips])
    onset = np.array([clip.emotion == ONSET for clip in clips])
    # Most steps go up in one class and down in the other.
    rising = (np.diff(smiles, axis=1) > 0).mean(1)
    assert ((rising > 0.5) == onset).mean() > 0.99
    # At each place of the clip the smile is distributed alike: no difference of means beyond four standard errors.
    difference = smiles[onset].mean(0) - smiles[~onset].mean(0)
    errors = np.sqrt(smiles[onset].var(0) / onset.sum() + smiles[~onset].var(0) / (~onset).sum())
    assert (np.abs(difference / errors) < 4).all()


def test_written_clips_are_videos_with_a_table(tmp_path):
    table = pd.read_csv(write_clips(tmp_path, replace(PLAIN, fps=10, seconds=0.5), 3))
    assert table["path"].tolist() == ["clip-00000.mp4", "clip-00001.mp4", "clip-00002.mp4"]
    assert table["label"].tolist() == list(EMOTIONS[:3]) and set(table["subject"]) == {"person-000"}
    info = open_video(tmp_path / "clip-00001.mp4")
    assert (info.width, info.height, info.fps) == (320, 240, 10)
    assert len(list(iter_frames(info, AllFramesSampler()))) == 5
