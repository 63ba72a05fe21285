"""Which images a run uses, with which targets and weights, and why it leaves the others out."""

import logging
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from fer.data.joined_sources import check_source_problems
from fer.data.label_rules import IS_CONTEMPT, NO_AGREEMENT, NO_EMOTION
from fer.data.manifest import LIMITED, Manifest
from fer.data.sources import Source, read_source
from fer.data.sources.base import VOTE_COLUMNS
from fer.data.splits import LEAK
from fer.emotions import EMOTIONS, FERPLUS_VOTES
from fer.errors import DataError
from tests.helpers.image_data import Laid, array_source, encoded, noise

ManifestOf = Callable[..., Manifest]
RULES = {"label_rule": "majority", "eval_label_rule": "majority", "contempt": "drop"}


def labelled(
    counts: dict[str, tuple[int, int, int]], first: int = 0, name: str = "drawn", parts: Sequence[str] = ()
) -> Source:
    """Distinct images: class: numbers of (train, val, test) images."""
    rows = [
        (part, emotion)
        for emotion, numbers in counts.items()
        for part, number in zip(parts or ("train", "val", "test"), numbers, strict=True)
        for _ in range(number)
    ]
    images = [noise(first + number, 24) for number in range(len(rows))]
    return array_source(images, [part for part, _ in rows], [emotion for _, emotion in rows], name)


def votes(**counts: int) -> list[int]:
    return [counts.get(name, 0) for name in FERPLUS_VOTES]


def accounted(manifest: Manifest, total: int) -> None:
    """Every image is either used or excluded with a reason, never both."""
    used, out = manifest.samples["sample_id"], manifest.excluded["sample_id"]
    assert used.is_unique and out.is_unique and not set(used) & set(out)
    assert len(used) + len(out) == total
    assert (manifest.excluded["reason"].str.len() > 5).all()
    assert manifest.excluded.columns.tolist() == ["sample_id", "source", "path", "part", "reason"]


def test_columns_targets_and_rows_of_the_store(manifest_of: ManifestOf) -> None:
    one = labelled({"fear": (3, 1, 1), "anger": (2, 1, 0)}, name="one")
    manifest = manifest_of([one])
    assert manifest.samples.columns.tolist() == [
        *("sample_id", "source", "path", "split", "label"),
        *VOTE_COLUMNS,
        *(f"target_{emotion}" for emotion in EMOTIONS),
        *("weight", "content_hash", "perceptual_hash", "duplicate_group"),
    ]
    assert manifest.classes == EMOTIONS
    assert manifest.samples["sample_id"].tolist() == [f"one/{number:05d}.png" for number in range(8)]
    assert manifest.samples.index.tolist() == list(range(8))
    assert manifest.get_split("val")["label"].tolist() == ["fear", "anger"]
    assert manifest.get_targets("val").dtype == np.float32
    assert manifest.get_targets("val").tolist() == [[0, 0, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0]]
    assert (manifest.samples["weight"] == 1).all()
    accounted(manifest, 8)


def test_label_rules_are_those_of_each_source_and_part(manifest_of: ManifestOf) -> None:
    divided = votes(anger=5, sadness=5)
    rows = [divided, votes(anger=6, sadness=4), divided, votes(anger=6, sadness=4), votes(NF=10), votes(contempt=10)]
    voted = array_source(
        [noise(number) for number in range(6)], ["train", "train", "val", "val", "train", "test"], rows
    )
    plain = labelled({"fear": (2, 1, 1)}, first=50, name="plain")
    rules = {"drawn": {**RULES, "label_rule": "probability"}}
    manifest = manifest_of([voted, plain], rules)
    training = manifest.get_targets("train")[:2, [EMOTIONS.index("anger"), EMOTIONS.index("sadness")]]
    assert np.allclose(training, [[0.5, 0.5], [0.6, 0.4]])
    assert manifest.get_split("val")["label"].tolist() == ["anger", "fear"]  # judged by the majority
    assert manifest.get_targets("val")[0].tolist() == [1, 0, 0, 0, 0, 0, 0]
    assert manifest.get_split("test")["label"].tolist() == ["fear"]
    out = manifest.excluded.set_index("sample_id")["reason"].to_dict()
    assert out == {"drawn/00002.png": NO_AGREEMENT, "drawn/00004.png": NO_EMOTION, "drawn/00005.png": IS_CONTEMPT}
    assert {(NO_AGREEMENT, 1, "left out"), (NO_EMOTION, 1, "left out"), (IS_CONTEMPT, 1, "left out")} <= set(
        manifest.findings
    )
    accounted(manifest, 10)
    eight = manifest_of([voted, plain], rules, classes=8)
    assert eight.get_split("test")["label"].tolist() == ["contempt", "fear"] and eight.get_targets("test").shape == (
        2,
        8,
    )


def leaking() -> Source:
    """Two test and three validation images that stand in an earlier part; one of them only looks like it."""
    images = [noise(number) for number in range(20)]
    lighter = np.clip(noise(3) // 2 + 20, 0, 255).astype(np.uint8)  # other pixels, the same perceptual hash
    images += [images[0], images[1], lighter, images[10], images[0]]
    parts = ["train"] * 10 + ["val"] * 5 + ["test"] * 5 + ["val"] * 3 + ["test"] * 2
    return array_source(images, parts, ["fear"] * 25)


MESSAGE = (
    "3 validation images also stand in an earlier part (2 pixel for pixel); "
    "2 test images also stand in an earlier part (2 pixel for pixel)"
)


def test_leaks_are_dropped_from_the_later_part(manifest_of: ManifestOf, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        manifest = manifest_of([leaking()], on_leak="drop")
    assert f"Leak: {MESSAGE}: left out" in caplog.text
    assert (MESSAGE, 5, "left out") in manifest.findings
    assert manifest.samples["split"].value_counts().to_dict() == {"train": 10, "val": 5, "test": 5}
    assert manifest.excluded["reason"].tolist() == [LEAK] * 5
    assert manifest.excluded["sample_id"].tolist() == [f"drawn/{number:05d}.png" for number in range(20, 25)]
    assert (manifest.samples.groupby("duplicate_group")["split"].nunique() == 1).all()
    accounted(manifest, 25)


def test_leaks_are_refused_kept_or_compared_by_pixels(manifest_of: ManifestOf) -> None:
    with pytest.raises(DataError) as caught:
        manifest_of([leaking()], on_leak="error")
    assert str(caught.value) == f"{MESSAGE}; set dataset.on_leak=drop to leave them out of the later part"
    manifest = manifest_of([leaking()], on_leak="ignore")
    assert len(manifest.samples) == 25 and len(manifest.excluded) == 0
    assert (MESSAGE, 5, "kept (dataset.on_leak=ignore)") in manifest.findings
    by_pixels = manifest_of([leaking()], on_leak="drop", near_duplicate_bits=-1)
    assert len(by_pixels.excluded) == 4 and "drawn/00022.png" in set(by_pixels.samples["sample_id"])
    # A stratified split keeps them together, so there is nothing to refuse.
    divided = manifest_of([leaking()], on_leak="error", split="stratified", fractions=(0.6, 0.2, 0.2))
    assert (divided.samples.groupby("duplicate_group")["split"].nunique() == 1).all() and len(divided.samples) == 25
    assert ("images that repeat another one pixel for pixel", 4, "grouped") in divided.findings
    assert ("images that repeat another one, by perceptual hash", 5, "grouped") in divided.findings


def test_corrupt_images_and_lone_rows_are_refused_or_listed(lay: Laid, manifest_of: ManifestOf) -> None:
    content: dict[str, bytes | str] = {}
    for seed, part in enumerate(("train", "test")):
        for number in range(1, 8):
            content[f"{part}/{number}/{part}_{number}.jpg"] = encoded(10 * seed + number, suffix=".jpg")
        rows = [f"{part}_{number}.jpg,{number}\n" for number in range(1, 8)]
        content[f"{part}_labels.csv"] = "image,label\n" + "".join(rows)
    more = range(20, 50)
    content |= {f"train/1/more_{number}.jpg": encoded(number, suffix=".jpg") for number in more}
    conflict = str(content["train_labels.csv"]).replace("train_2.jpg,2", "train_2.jpg,3")
    content["train_labels.csv"] = conflict + "".join(f"more_{number}.jpg,1\n" for number in more)
    content["test_labels.csv"] = str(content["test_labels.csv"]) + "gone.jpg,1\n"
    content["train/1/more_20.jpg"] = b"nothing"
    content["test/7/test_7.jpg"] = bytes(content["test/7/test_7.jpg"])[:-400]
    source = read_source("raf", "rafdb", root=lay(content))
    with pytest.raises(DataError) as caught:
        manifest_of([source], on_corrupt="error")
    assert str(caught.value) == (
        "raf/train/2/train_2.jpg (train_labels.csv says disgust, its folder fear); "
        "raf/gone.jpg (row of test_labels.csv without an image); raf/test/7/test_7.jpg (the image is damaged); "
        "raf/train/1/more_20.jpg (not an image). "
        "Fix them, or set dataset.on_corrupt=skip to list them and go on without"
    )
    manifest = manifest_of([source], on_corrupt="skip")
    assert manifest.excluded.set_index("sample_id")["reason"].to_dict() == {
        "raf/train/2/train_2.jpg": "train_labels.csv says disgust, its folder fear",
        "raf/gone.jpg": "row of test_labels.csv without an image",
        "raf/train/1/more_20.jpg": "not an image",
        "raf/test/7/test_7.jpg": "the image is damaged",
    }
    assert manifest.get_split("test")["label"].tolist().count("neutral") == 0
    accounted(manifest, 45)
    for reason in manifest.excluded["reason"]:
        assert manifest.findings.count((reason, 1, "left out")) == 1


def test_only_five_of_many_bad_images_are_named(lay: Laid, manifest_of: ManifestOf) -> None:
    root = lay({f"train/fear/{number}.png": b"" for number in range(8)})
    with pytest.raises(DataError) as caught:
        manifest_of([read_source("own", "folder", root=root, class_map={})])
    named = "; ".join(f"own/train/fear/{number}.png (not an image)" for number in range(5))
    assert str(caught.value).startswith(f"{named}; and 3 more. Fix them, or set dataset.on_corrupt=skip")


def test_a_source_of_nothing_but_lone_rows_is_refused_by_name(lay: Laid, manifest_of: ManifestOf) -> None:
    root = lay({"EmoLabel/list_patition_label.txt": "train_1.jpg 1\n"})
    source = read_source("raf", "rafdb", root=root)
    with pytest.raises(DataError) as caught:
        manifest_of([source])
    assert str(caught.value).startswith(
        "raf/Image/aligned/train_1_aligned.jpg (row of EmoLabel/list_patition_label.txt without an image). Fix them"
    )


def test_empty_classes_and_parts(manifest_of: ManifestOf) -> None:
    source = labelled({"fear": (5, 1, 0), "anger": (0, 2, 1)})
    with pytest.raises(DataError) as caught:
        manifest_of([source], on_empty_class="error")
    assert str(caught.value) == (
        "no training images of anger, disgust, happiness, neutral, sadness, surprise; add some, or set "
        "dataset.on_empty_class=ignore to train without"
    )
    manifest = manifest_of([source], on_empty_class="ignore")
    text = "no training images of anger, disgust, happiness, neutral, sadness, surprise"
    assert (text, 6, "trained without") in manifest.findings
    whole = labelled(dict.fromkeys(EMOTIONS, (2, 1, 0)))
    assert len(manifest_of([whole], on_empty_class="error").samples) == 21
    nothing = array_source(
        [noise(number) for number in range(4)],
        ["train", "train", "val", "val"],
        [votes(NF=10)] * 2 + [votes(fear=9)] * 2,
    )
    with pytest.raises(DataError) as caught:
        manifest_of([nothing], {"drawn": RULES})
    assert str(caught.value) == (
        "there are no training images (left out: 2 because of: annotators see no emotion or no face); check the "
        "source's parts, or set dataset.split=stratified"
    )


def test_the_limit_keeps_so_many_of_each_part_drawn_by_the_seed(
    manifest_of: ManifestOf, caplog: pytest.LogCaptureFixture
) -> None:
    source = labelled({"fear": (40, 8, 20), "anger": (40, 7, 20)})
    with caplog.at_level(logging.INFO):
        manifest = manifest_of([source], limit=15)
    assert f"Left out: 90 ({LIMITED})" in caplog.messages
    assert manifest.samples["split"].value_counts().to_dict() == {"train": 15, "val": 15, "test": 15}
    assert manifest.excluded["reason"].tolist() == [LIMITED] * 90
    assert set(manifest.get_split("train")["label"]) == {"fear", "anger"}  # not the first fifteen
    accounted(manifest, 135)
    again, other = manifest_of([source], limit=15), manifest_of([source], limit=15, seed=1)
    assert again.samples.equals(manifest.samples) and not other.samples.index.equals(manifest.samples.index)


@pytest.mark.parametrize("balance", ["weighted_sampling", "class_weights"])
def test_weights_are_inverse_to_the_class_and_one_on_average(balance: str, manifest_of: ManifestOf) -> None:
    manifest = manifest_of([labelled({"fear": (12, 2, 2), "anger": (4, 1, 0), "sadness": (8, 0, 0)})], balance=balance)
    training = manifest.get_split("train")
    assert training["weight"].mean() == pytest.approx(1)
    weights = training.groupby("label")["weight"].unique().map(lambda of_class: of_class.item()).to_dict()
    assert weights == {"fear": pytest.approx(24 / 36), "anger": pytest.approx(2), "sadness": pytest.approx(1)}
    assert (manifest.get_split("val")["weight"] == 1).all() and (manifest.get_split("test")["weight"] == 1).all()


def test_a_stratified_split_divides_sources_and_classes_whatever_their_parts(manifest_of: ManifestOf) -> None:
    one = labelled({"fear": (30, 0, 0), "anger": (50, 0, 0)}, name="one", parts=("", "", ""))
    two = labelled({"fear": (20, 0, 20), "contempt": (10, 0, 0)}, first=200, name="two")
    manifest = manifest_of([one, two], split="stratified")
    counts = manifest.samples.groupby(["source", "label"])["split"].value_counts().unstack().to_dict("index")
    assert counts == {
        ("one", "anger"): {"train": 40, "val": 5, "test": 5},
        ("one", "fear"): {"train": 24, "val": 3, "test": 3},
        ("two", "fear"): {"train": 32, "val": 4, "test": 4},
    }
    assert manifest.excluded["reason"].tolist() == [IS_CONTEMPT] * 10
    accounted(manifest, 130)
    again, other = manifest_of([one, two], split="stratified"), manifest_of([one, two], split="stratified", seed=1)
    assert again.samples["split"].equals(manifest.samples["split"])
    assert not other.samples["split"].equals(manifest.samples["split"])


def test_parts_that_a_split_mixes_are_told(manifest_of: ManifestOf, caplog: pytest.LogCaptureFixture) -> None:
    one = labelled({"fear": (10, 0, 0), "anger": (10, 0, 0)}, name="one", parts=("", "", ""))
    two = labelled({"fear": (20, 5, 10)}, first=200, name="two")
    manifest = manifest_of([one, two], split="stratified")
    said = "parts that are mixed: two (train 20, val 5, test 10)"
    assert (said, 35, "divided anew (dataset.split=stratified)") in manifest.findings
    assert f"dataset.split=stratified: {said}; dataset.split=official keeps them" in caplog.messages
    caplog.clear()
    kept, alone = manifest_of([two], split="official"), manifest_of([one], split="stratified")
    assert not any("mixed" in text for text, *_ in (*kept.findings, *alone.findings))
    assert not any("mixed" in text for text in caplog.messages)


def test_what_the_source_does_not_use_is_listed_counted_and_logged(
    lay: Laid, manifest_of: ManifestOf, caplog: pytest.LogCaptureFixture
) -> None:
    content = {
        f"{part}/fear/{number}.png": encoded(number) for part, number in (("train", 0), ("train", 1), ("dev", 2))
    }
    root = lay({**content, **{f"{number}.txt": "x" for number in range(7)}, "dev/loose.png": encoded(9)})
    source = read_source("own", "folder", root=root, class_map={})
    with caplog.at_level(logging.WARNING):
        manifest = manifest_of([source])
    accounted(manifest, 3 + 8)
    listed = "own/0.txt, own/1.txt, own/2.txt, own/3.txt, own/4.txt, and 2 more"
    assert {finding for finding in manifest.findings if finding[0].startswith("files")} == {
        (f"files not used, no image that can be read: {listed}", 7, "left out"),
        ("files not used, image outside of the layout: own/dev/loose.png", 1, "left out"),
    }
    assert f"Not used: 7 (no image that can be read): {listed}" in caplog.messages


@pytest.mark.parametrize("limit", [None, 1])
def test_one_training_image_is_a_sentence(limit: int | None, manifest_of: ManifestOf) -> None:
    source = labelled({"fear": (1 if limit is None else 5, 2, 0)})
    with pytest.raises(DataError, match="^the training part holds 1 image; at least 2 are needed, since batch norm"):
        manifest_of([source], limit=limit)


def test_malformed_rows_are_refused_with_their_line_or_skipped_and_listed(lay: Laid, manifest_of: ManifestOf) -> None:
    pixels = [" ".join(map(str, noise(number).ravel())) for number in range(4)]
    rows = [f"1,{pixels[0]},Training", "1,7 7 7,Training", f"2,{pixels[1]},Training", f"3,{pixels[2]},dev"]
    source = read_source("fer", "fer2013", root=lay({"fer2013.csv": "\n".join(["emotion,pixels,Usage", *rows])}))
    for check in (lambda: manifest_of([source]), lambda: check_source_problems([source])):
        with pytest.raises(DataError, match=r"^fer/fer2013\.csv, line 3 \(row without an emotion .* Fix them, or set"):
            check()
    manifest = manifest_of([source], on_corrupt="skip")
    assert manifest.excluded["path"].tolist() == ["fer2013.csv, line 3"] and len(manifest.samples) == 3


def test_an_evaluation_needs_no_training_images(manifest_of: ManifestOf) -> None:
    only_test = labelled({"fear": (0, 0, 3), "anger": (0, 1, 0)})
    manifest = manifest_of([only_test], on_empty_class="error", balance="class_weights", training=False)
    assert manifest.samples["split"].value_counts().to_dict() == {"test": 3, "val": 1}
    without_parts = labelled({"fear": (3,), "anger": (1,)}, parts=("",))
    assert (manifest_of([without_parts], training=False).samples["split"] == "test").all()
    unseen = array_source([noise(9)], ["test"], [votes(NF=10)])
    with pytest.raises(
        DataError, match=r"there are no .* to evaluate \(left out: 1 because of: annotators see .*\); check the"
    ):
        manifest_of([unseen], {"drawn": RULES}, training=False)
