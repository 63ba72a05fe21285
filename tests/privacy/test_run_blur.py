"""What a run keeps and shows of people: `extraction.blur`, `report.faces`, and for how long."""

import json
import re
from base64 import b64decode
from datetime import date, timedelta
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from fer.config.compose import load_overrides
from fer.errors import ConfigError
from fer.infer import covering
from fer.infer.covering import FaceCoverer, keeps_pictures
from fer.infer.pipeline import infer
from fer.infer.resume import resume
from fer.infer.table import build_table
from fer.privacy.expired import _list_expired, find_expired
from fer.video.detectors import HaarDetector
from fer.video.face_cover import COVER_GRAY
from fer.video.media import Media
from fer.video.reader import iter_frames
from fer.video.sampling import AllFramesSampler
from tests.helpers.face_clips import LEFT, RIGHT, WIDTH, write_face_clip

pytestmark = pytest.mark.slow

TWO = ((8, LEFT), (5, RIGHT))
OPTIONS = ("extraction.detector.kind=haar", "extraction.detector.min_size=60", "extraction.fps=5", "trainer.threads=1")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_face_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", [TWO] * 8)


def collect_images(run: Path) -> dict[str, list[np.ndarray]]:
    """Every picture of a run: files, tables, and what the page holds."""
    images: dict[str, list[np.ndarray]] = {
        "frames": [read_image(path) for path in sorted(run.glob("frames/*/*.jpg"))],
        "crops": [read_image(path) for path in sorted(run.glob("crops/*/*"))],
        "copies": [
            frame.bgr
            for path in run.glob("annotated/*")
            for frame in iter_frames(path, AllFramesSampler())
            if frame.bgr is not None
        ],
        "parts": [
            cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
            for path in run.glob("parts/*/*.parquet")
            for picture in pd.read_parquet(path).get("picture", pd.Series(dtype=object)).dropna()
        ],
    }
    page = (run / "report.html").read_text(encoding="utf-8")
    images["page"] = [
        cv2.imdecode(np.frombuffer(b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        for data in re.findall(r"data:image/(?:jpeg|png);base64,([^\"]+)", page)
    ]
    return images


def read_image(path: Path) -> np.ndarray:
    image = cv2.imread(str(path))
    assert image is not None
    return image


def find_faces(images: list[np.ndarray]) -> list[list[float]]:
    return [[face.x for face in HaarDetector().detect(image)] for image in images]


def test_with_all_no_file_of_a_run_shows_anybody(clip: Path, tmp_path: Path) -> None:
    overrides = [*OPTIONS, f"extraction.input={clip}", "extraction.save=frames", "extraction.annotate=true"]
    assert infer(load_overrides([*overrides, "extraction.blur=all"], "infer"), tmp_path / "run") == 0
    images = collect_images(tmp_path / "run")
    assert len(images["frames"]) == 4 and len(images["copies"]) == 8
    assert not images["crops"] and not images["parts"] and not images["page"]
    assert not any(find_faces(images["frames"] + images["copies"]))
    # The faces were analysed all the same.
    assert (pd.read_parquet(tmp_path / "run" / "predictions.parquet")["status"] == "ok").all()
    embedded = re.findall(r"data:video/mp4;base64,([^\"]+)", (tmp_path / "run" / "report.html").read_text())
    assert [b64decode(data) for data in embedded] == [(tmp_path / "run/annotated/clip.mp4").read_bytes()]


def test_with_others_only_the_analysed_person_is_shown(clip: Path, tmp_path: Path) -> None:
    overrides = [*OPTIONS, f"extraction.input={clip}", "extraction.save=frames", "extraction.blur=others"]
    assert infer(load_overrides(overrides, "infer"), tmp_path / "run") == 0
    images = collect_images(tmp_path / "run")
    table = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    sides = (table["face_x"] < WIDTH / 2 - 40).tolist()
    assert [[x < WIDTH / 2 - 40 for x in found] for found in find_faces(images["frames"])] == [[side] for side in sides]
    assert images["parts"] and images["page"]
    # The recording shows everybody, and there is no covered copy to be played.
    page = (tmp_path / "run" / "report.html").read_text()
    assert "<video" not in page and "data:video" not in page


@pytest.mark.parametrize("blur", ["others", "all"])
def test_in_a_study_the_respondent_is_shown_and_not_who_is_largest_for_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blur: str
) -> None:
    monkeypatch.setattr(covering, "_find_weights", lambda extraction: None)
    passing = range(5, 8)
    frames = [TWO if index in range(4, 9) else TWO[:1] for index in range(12)]
    clip = write_face_clip(tmp_path / "clip.mp4", frames)
    # The table has the largest face of each frame, which for a moment is somebody who passes by.
    rows = build_table(
        [
            {
                **{"video": "clip.mp4", "frame": index, "time_s": index / 10, "status": "ok", "reason": ""},
                **{"track_id": int(index in passing), "face_y": 85.0, "face_w": 70.0, "face_h": 70.0},
                "face_x": (RIGHT if index in passing else LEFT)[0] - 35,
            }
            for index in range(12)
        ]
    )
    config = load_overrides([*OPTIONS, f"extraction.blur={blur}"], "infer")
    extraction = config.extraction.model_copy(update={"study": "study.yaml"})
    coverer = FaceCoverer(config.model_copy(update={"extraction": extraction}))
    shown = [frame.bgr for frame in coverer.iter_frames(Media(clip, "clip.mp4", "video"), rows)]
    is_covered = {
        x: [bgr is not None and bool((bgr[110:130, int(x) - 15 : int(x) + 15] == COVER_GRAY).all()) for bgr in shown]
        for x, _ in (LEFT, RIGHT)
    }
    assert is_covered[LEFT[0]] == [blur == "all"] * 12
    assert all(is_covered[RIGHT[0]][4:9])


def test_pictures_are_left_out_on_request_also_of_what_was_made_before(clip: Path, tmp_path: Path) -> None:
    overrides = [*OPTIONS, f"extraction.input={clip}"]
    assert infer(load_overrides(overrides, "infer"), tmp_path / "run") == 0
    images = collect_images(tmp_path / "run")
    assert images["parts"] and images["page"] and "data:video" in (tmp_path / "run" / "report.html").read_text()
    changes = ["report.faces=false", "extraction.retention_days=30", "extraction.stages=[report]"]
    assert resume(load_overrides(changes, "infer", tmp_path / "run"), tmp_path / "run") == 0
    images, page = collect_images(tmp_path / "run"), (tmp_path / "run" / "report.html").read_text()
    assert not images["parts"] and not images["page"]
    assert "data:video" not in page and "<video" in page
    # The date counts from the day on which the run was begun.
    provenance = json.loads((tmp_path / "run" / "provenance.json").read_text())
    last = date.fromisoformat(provenance["start"][:10]) + timedelta(days=30)
    assert provenance["delete_after"] == last.isoformat()
    assert f"To be deleted after {last}" in page
    assert f"# To be deleted after {last}" in (tmp_path / "run" / "run.yaml").read_text()


def test_what_would_keep_nothing_but_faces_is_refused() -> None:
    for overrides, message in (
        (["extraction.blur=all", "extraction.save=crops"], "save=crops keeps faces"),
        (["extraction.blur=all", "extraction.stages=[extract]"], "keeps crops of faces"),
        (["extraction.blur=others", "extraction.faces=all"], "faces=all analyses all"),
        (["extraction.retention_days=0"], "retention_days"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_overrides(overrides, "infer")


def test_pictures_are_kept_unless_it_is_said_otherwise() -> None:
    values = {(): True, ("report.faces=false",): False, ("report.faces=true",): True, ("extraction.blur=all",): False}
    assert {keys: keeps_pictures(load_overrides(list(keys), "infer")) for keys in values} == values


def write_run(directory: Path, delete_after: str | None) -> Path:
    directory.mkdir(parents=True)
    (directory / "run.yaml").write_text("seed: 0\n")
    (directory / "provenance.json").write_text(json.dumps({"status": "finished", "delete_after": delete_after}))
    return directory


def test_runs_past_their_date_are_listed_and_deleted_only_on_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = write_run(tmp_path / "2026" / "old", "2026-03-31")
    others = [write_run(tmp_path / "new", "9999-01-01"), write_run(tmp_path / "kept", None)]
    (tmp_path / "linked").symlink_to(old)
    assert list(find_expired(tmp_path, date(2026, 4, 1))) == [(old, date(2026, 3, 31))]
    assert list(find_expired(tmp_path, date(2026, 3, 31))) == []
    assert _list_expired(tmp_path, delete=False) == 0 and old.is_dir()
    assert "Nothing is deleted; 1 would be" in capsys.readouterr().out
    assert _list_expired(tmp_path, delete=True) == 0
    assert not old.exists() and all(run.is_dir() for run in others)
    assert _list_expired(tmp_path, delete=True) == 0 and "no run is past its date" in capsys.readouterr().out
