"""The manifest of clips: subjects, leaks across them, and clips that cannot be used."""

import re
from dataclasses import replace

import numpy as np
import pytest

from fer.data.clip_store import open_clip_store
from fer.data.manifest import ManifestConfig, build_manifest
from fer.data.splits import CLIP_LEAK, SUBJECT_LEAK
from fer.errors import DataError
from tests.data.conftest import MANIFEST
from tests.helpers.clip_data import OPTIONS, clip_source, noise_clip


@pytest.fixture
def manifest_of(tmp_path):
    def make(source, options=OPTIONS, **changes):
        store = open_clip_store([source], 224, str(tmp_path / "cache"), options)
        return build_manifest([source], store, ManifestConfig(label_rules={}, **{**MANIFEST, **changes}))

    return make


def two_a_subject(subjects=12):
    """Two clips of each subject, of alternating classes; subjects 0…7 train, 8 and 9 validate, 10 and 11 test."""
    clips = [noise_clip(number) for number in range(2 * subjects)]
    names = [f"s{number // 2:02d}" for number in range(len(clips))]
    parts = ["train" if number < 16 else "val" if number < 20 else "test" for number in range(len(clips))]
    return clips, parts, ["fear", "anger"] * subjects, names


def test_a_row_is_a_clip_and_its_subject_a_column(manifest_of):
    manifest = manifest_of(clip_source(*two_a_subject()))
    assert len(manifest.samples) == 24 and manifest.samples.index.tolist() == list(range(24))
    assert manifest.samples.columns[-2:].tolist() == ["duplicate_group", "subject"]
    assert manifest.samples["subject"].tolist() == two_a_subject()[3]
    assert manifest.samples["split"].value_counts().to_dict() == {"train": 16, "val": 4, "test": 4}


def test_official_parts_that_share_a_subject_are_a_leak(manifest_of):
    clips, parts, labels, names = two_a_subject()
    names[18] = names[19] = "s00"
    names[20] = "s09"  # which is no subject of another part any more
    source = clip_source(clips, parts, labels, names)
    manifest = manifest_of(source)
    assert manifest.samples["split"].value_counts().to_dict() == {"train": 16, "val": 2, "test": 4}
    left_out = manifest.excluded[manifest.excluded["reason"] == SUBJECT_LEAK]
    assert left_out["path"].tolist() == ["clip-018", "clip-019"]
    message = "2 validation and test clips show people who are in an earlier part, too (1)"
    assert (message, 2, "left out") in manifest.findings
    with pytest.raises(DataError, match=f"{re.escape(message)}; set dataset.on_leak=drop"):
        manifest_of(source, on_leak="error")
    kept = manifest_of(source, on_leak="ignore")
    assert len(kept.samples) == 24 and (message, 2, "kept (dataset.on_leak=ignore)") in kept.findings


def test_clips_of_unknown_subjects_share_none(manifest_of):
    clips, parts, labels, _ = two_a_subject()
    assert len(manifest_of(clip_source(clips, parts, labels)).samples) == 24
    assert len(manifest_of(clip_source(clips, parts, labels, [None] * 24)).samples) == 24


def test_a_stratified_split_tells_that_people_are_in_several_parts(manifest_of):
    manifest = manifest_of(clip_source(*two_a_subject()), split="stratified", fractions=(0.5, 0.25, 0.25))
    assert len(manifest.samples) == 24
    assert any("who are in an earlier part" in text and "stratified" in done for text, _, done in manifest.findings)


@pytest.mark.parametrize("seed", range(5))
def test_a_split_by_subject_keeps_people_apart_and_classes_even(manifest_of, seed):
    manifest = manifest_of(clip_source(*two_a_subject()), split="subject", fractions=(0.5, 0.25, 0.25), seed=seed)
    assert (manifest.samples.groupby("subject")["split"].nunique() == 1).all()
    counts = manifest.samples.groupby(["split", "label"]).size().unstack()
    assert counts.loc["train"].tolist() == [6, 6] and counts.loc["val"].tolist() == [3, 3]


def test_a_split_by_subject_needs_subjects(manifest_of):
    clips, parts, labels, names = two_a_subject()
    with pytest.raises(DataError, match=r"whom 24 of 24 samples show is not known, such as drawn/clip-000"):
        manifest_of(clip_source(clips, parts, labels), split="subject")
    with pytest.raises(DataError, match=r"whom 1 of 24 samples show is not known, such as drawn/clip-003"):
        manifest_of(clip_source(clips, parts, labels, [*names[:3], None, *names[4:]]), split="subject")
    with pytest.raises(DataError, match="the only is the only subject, and one must train and another validate"):
        manifest_of(clip_source(clips, parts, labels, ["the only"] * 24), split="subject")
    two = manifest_of(clip_source(clips, parts, labels, ["a", "b"] * 12), split="subject")
    assert two.samples["split"].value_counts().to_dict() == {"train": 12, "val": 12}


def test_the_same_clip_in_two_parts_is_a_leak_and_so_is_one_that_looks_alike_in_the_middle(manifest_of):
    clips, parts, labels, names = two_a_subject()
    clips[18] = clips[0]
    # Other frames around the same middle one.
    clips[22] = np.concatenate((noise_clip(90, 2), clips[1][2:3], noise_clip(91, 1)))
    manifest = manifest_of(clip_source(clips, parts, labels, names))
    left_out = manifest.excluded[manifest.excluded["reason"] == CLIP_LEAK]
    assert left_out["path"].tolist() == ["clip-018", "clip-022"]
    found = (
        "1 validation clips also stand in an earlier part (1 pixel for pixel); 1 test clips also stand in an earlier "
    )
    assert (f"{found}part (0 pixel for pixel)", 2, "left out") in manifest.findings
    pixels = manifest_of(clip_source(clips, parts, labels, names), near_duplicate_bits=-1)
    assert pixels.excluded["path"].tolist() == ["clip-018"]


def test_clips_without_enough_of_a_face_are_left_out_and_unreadable_ones_refused(manifest_of):
    clips, parts, labels, names = two_a_subject()
    clips[3] = clips[3][:2]
    source = clip_source(clips, parts, labels, names)
    manifest = manifest_of(source, on_corrupt="error")
    assert manifest.excluded[["path", "reason"]].to_numpy().tolist() == [
        ["clip-003", "it has fewer than dataset.clips.min_frames=3 frames"]
    ]
    for split in ("official", "stratified", "subject"):
        with pytest.raises(DataError, match=r"no clips are left \(left out: 24 because of: it has fewer than .*; name"):
            manifest_of(source, options=replace(OPTIONS, min_frames=9), split=split)
