"""Kinds of pictures: their measures and quarters."""

import cv2
import numpy as np
import pytest

from fer.audit.slices import build_slices, measure_images
from fer.data.sources.base import ImageInfo
from fer.video.detectors import Detector, Face
from fer.video.quality import compute_yaw
from tests.helpers.image_data import array_source, noise

NOT_TOLD = "neither a source nor YuNet tells it; extraction.detector.weights=FILE names YuNet"


def test_measures_are_those_of_the_pictures() -> None:
    images = [noise(n, 48) for n in range(4)]
    images[1] = np.full((48, 48), 200, np.uint8)
    source = array_source(images, ["test"] * 4, ["fear"] * 4)
    sides = {path: 100 + 10 * n for n, path in enumerate(source.table["path"])}
    source = type(source)("drawn", source.table, source.read, get_info=lambda path: ImageInfo("", sides[path], False))
    samples = source.table.assign(source="drawn").iloc[[0, 1, 3]]
    table = measure_images(np.stack(images)[..., None], samples, [source])
    assert table.index.tolist() == [0, 1, 3]
    assert table["face_size"].tolist() == [100, 110, 130]
    assert table["pose"].isna().all()
    for row in (0, 1, 3):
        assert table.loc[row, "brightness"] == pytest.approx(images[row].mean() / 255, abs=1e-6)
        assert table.loc[row, "contrast"] == pytest.approx(images[row].std() / 255, abs=1e-6)
        sharpness = cv2.Laplacian(images[row].astype(np.float32), cv2.CV_32F).var()
        assert table.loc[row, "sharpness"] == pytest.approx(sharpness, rel=1e-4, abs=1e-6)


def test_sides_are_read_where_the_source_does_not_tell_them() -> None:
    source = array_source([noise(0, 96)], ["test"], ["fear"])
    table = measure_images(noise(0, 48)[None, ..., None], source.table.assign(source="drawn", yaw=[-12.5]), [source])
    assert table["face_size"].tolist() == [96] and table["pose"].tolist() == [12.5]


def test_the_pose_that_no_source_tells_is_that_of_the_detected_eye_points() -> None:
    points = np.array([[60, 70], [100, 70], [92, 95], [65, 120], [95, 120]], float)

    class BrightFaces(Detector):
        """Finds a face in bright pictures, its nose off the middle of the eyes by 12 of their 40 pixels."""

        margin, core_fraction = 0.0, 0.0

        def detect(self, bgr: np.ndarray) -> list[Face]:
            assert bgr.shape == (160, 160, 3) and bgr.dtype == np.uint8
            return [Face(20, 20, 120, 120, 0.9, points)] if bgr.mean() > 100 else []

    images = np.stack([np.full((48, 48, 1), value, np.uint8) for value in (200, 20, 200)])
    source = array_source(list(images[..., 0]), ["test"] * 3, ["fear"] * 3)
    samples = source.table.assign(source="drawn", yaw=[np.nan, np.nan, -12.5])
    found = measure_images(images, samples, [source], BrightFaces())["pose"].tolist()
    assert found[0] == pytest.approx(abs(compute_yaw(points)))
    assert found[0] > 20 and np.isnan(found[1]) and found[2] == 12.5


def test_quarters_hold_a_quarter_each() -> None:
    import pandas as pd

    values = np.random.default_rng(0).permutation(np.arange(1, 101)).astype(float)
    measures = pd.DataFrame({"brightness": values, "pose": np.nan, "face_size": 48.0, "sharpness": 2000 * values})
    measures.loc[3, "brightness"] = np.nan
    slices, left_out = build_slices(measures)
    assert left_out == {"pose": NOT_TOLD, "face_size": "48 in at least half of the images"}
    titles, counts = np.unique(slices["sharpness"].astype(str), return_counts=True)
    assert titles.tolist() == ["1: 2000–51500", "2: 51500–101000", "3: 101000–150500", "4: 150500–200000"]
    assert counts.tolist() == [25] * 4
    assert slices["brightness"][3] is None
    for title, low, high in (("1", 0, 25.75), ("2", 25.75, 50.5), ("3", 50.5, 75.25), ("4", 75.25, 100)):
        inside = values[np.array([text.startswith(title) for text in slices["sharpness"]])]
        assert low < inside.min() and inside.max() <= high


def test_a_measure_that_few_images_differ_in_is_named_by_what_most_have() -> None:
    import pandas as pd

    _, left_out = build_slices(pd.DataFrame({"face_size": [40.0] + [48.0] * 9}))
    assert left_out == {"face_size": "48 in at least half of the images"}


def test_narrow_slices_have_different_names() -> None:
    import pandas as pd

    slices, _ = build_slices(pd.DataFrame({"brightness": 0.5 + np.arange(100) * 1e-6, "sharpness": np.arange(100)}))
    assert sorted(set(slices["brightness"])) == [
        *("1: 0.5–0.50002", "2: 0.50002–0.50005", "3: 0.50005–0.50007", "4: 0.50007–0.5001")
    ]
    assert "1: 0–24.8" in set(slices["sharpness"])


def test_values_that_repeat_make_fewer_slices_and_no_equal_names() -> None:
    import pandas as pd

    slices, _ = build_slices(pd.DataFrame({"face_size": [48.0] * 60 + [48.01] * 20 + [100.0] * 20}))
    assert len(set(slices["face_size"])) == 2
    assert (slices["face_size"][:60] == slices["face_size"][0]).all()
