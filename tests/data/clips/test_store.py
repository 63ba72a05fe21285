"""The store of clips: what it holds, that it is built once, and that nothing is left of one that was not finished."""

import errno
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fer.data.clip_store import open_clip_store
from fer.errors import DataError
from tests.helpers.clip_data import OPTIONS, clip_source, noise_clip
from tests.helpers.image_data import array_source, noise

CLIPS = [noise_clip(0, 4), noise_clip(1, 7), noise_clip(2, 3)]


def test_the_frames_of_a_clip_follow_each_other(tmp_path):
    store = open_clip_store([clip_source(CLIPS)], 224, str(tmp_path), OPTIONS)
    assert (store.side, store.colour, store.images.shape) == (16, True, (14, 16, 16, 3))
    assert store.clips.starts.tolist() == [0, 4, 11, 14] and store.clips.starts.dtype == np.int64
    for number, clip in enumerate(CLIPS):
        span = store.clips.get_frames(number)
        np.testing.assert_array_equal(store.images[span], clip)
        np.testing.assert_allclose(store.clips.times[span], np.arange(len(clip)) / 10, atol=1e-6)
    assert len(store.index) == 3 and (store.index["problem"] == "").all() and (store.index["unfit"] == "").all()
    assert store.index["content_hash"].nunique() == 3


def test_hashes_are_those_of_all_frames_and_of_the_look_of_the_middle_one(tmp_path):
    forth = noise_clip(5, 5)
    changed = forth.copy()
    changed[4, 0, 0] ^= 255
    same, back = forth.copy(), forth[::-1].copy()
    index = open_clip_store([clip_source([forth, same, back, changed])], 224, str(tmp_path), OPTIONS).index
    hashes = index["content_hash"].tolist()
    assert hashes[0] == hashes[1] and len(set(hashes)) == 3
    assert index["perceptual_hash"].nunique() == 1


def test_clips_are_read_once_and_changed_ones_anew(tmp_path):
    read: list[str] = []
    first = open_clip_store([clip_source(CLIPS, watch=read.append)], 224, str(tmp_path), OPTIONS)
    assert sorted(read) == ["clip-000", "clip-001", "clip-002"]
    again = open_clip_store([clip_source(CLIPS, watch=read.append)], 224, str(tmp_path), OPTIONS)
    assert len(read) == 3 and again.fingerprint == first.fingerprint
    assert again.index.equals(first.index) and (again.clips.times == first.clips.times).all()
    for options in (replace(OPTIONS, min_frames=4), replace(OPTIONS, fps=5), replace(OPTIONS, detector="yunet")):
        read.clear()
        other = open_clip_store([clip_source(CLIPS, watch=read.append)], 224, str(tmp_path), options)
        assert len(read) == 3 and other.fingerprint == first.fingerprint, "the data are the same"
    read.clear()
    open_clip_store([clip_source(CLIPS, watch=read.append)], 224, str(tmp_path), replace(OPTIONS, threads=3))
    assert not read, "how many threads work changes nothing"


def test_a_clip_of_too_few_frames_has_none_and_says_why(tmp_path):
    store = open_clip_store([clip_source(CLIPS)], 224, str(tmp_path), replace(OPTIONS, min_frames=4))
    assert store.clips.starts.tolist() == [0, 4, 11, 11]
    assert store.index["unfit"].tolist() == ["", "", "it has fewer than dataset.clips.min_frames=4 frames"]
    assert store.index.loc[2, ["content_hash", "perceptual_hash"]].tolist() == ["", ""]
    none = open_clip_store([clip_source(CLIPS)], 224, str(tmp_path), replace(OPTIONS, min_frames=9))
    assert none.images.shape == (0, 16, 16, 3) and (none.index["unfit"] != "").all()


def test_frames_are_kept_up_to_the_networks_and_the_configured_side(tmp_path):
    clips = [noise_clip(0, 4, 40), noise_clip(1, 4, 20)]
    for largest, maximum, side in ((224, 224, 40), (32, 224, 32), (224, 34, 34)):
        options = replace(OPTIONS, max_side=maximum)
        assert open_clip_store([clip_source(clips)], largest, str(tmp_path), options).images.shape[1:] == (
            side,
            side,
            3,
        )


def test_nothing_stays_behind_when_building_fails(tmp_path):
    def fail(path: str) -> None:
        if path == "clip-001":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    cache = tmp_path / "cache"
    with pytest.raises(OSError, match="No space left on device"):
        open_clip_store([clip_source(CLIPS, watch=fail)], 224, str(cache), OPTIONS)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("file", ["images.npy", "starts.npy", "times.npy", "index.parquet", "store.json"])
@pytest.mark.parametrize("damage", ["removed", "cut", "of another store"])
def test_a_damaged_cache_names_the_folder_to_remove(file, damage, tmp_path):
    cache, other = tmp_path / "cache", tmp_path / "other"
    open_clip_store([clip_source(CLIPS)], 224, str(cache), OPTIONS)
    (folder,) = cache.iterdir()
    path = folder / file
    if damage == "removed":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        open_clip_store([clip_source(CLIPS[:1])], 224, str(other), OPTIONS)
        path.write_bytes((next(other.iterdir()) / file).read_bytes())
    with pytest.raises(
        DataError, match=rf"{re.escape(str(folder))}: the cached clips cannot .*; remove this directory"
    ):
        open_clip_store([clip_source(CLIPS)], 224, str(cache), OPTIONS)


def test_clips_beside_images_are_refused(tmp_path: Path):
    images = array_source([noise(0)], ["train"], ["fear"], name="pictures")
    with pytest.raises(DataError, match="drawn has clips and pictures has images"):
        open_clip_store([clip_source(CLIPS), images], 224, str(tmp_path), OPTIONS)
