"""`python -m benchmarks.pages`: size of pages of many or long videos and of studies, and how long Chromium opens them.

The tables are made up, the faces drawn. The first chart is scrolled to, so that Plotly is unpacked and draws it. The
page of a study draws its curves and its heat map as it loads.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from fer.emotions import EMOTIONS
from fer.infer.group_analysis import compare_groups, compute_group_curves
from fer.infer.smoothing import smooth
from fer.infer.summary import summarize_videos
from fer.infer.video_pages import build_video_pages
from fer.reports.study import StudyPage, write_study_page
from fer.reports.videos import GroupPage, VideoReport, write_video_report
from fer.synthetic.dataset import draw_dataset_face
from fer.video.media import Media
from tests.helpers.study_tables import study_data, study_page

FACES, CHUNK_ROWS = 40, 128
HOUR_S, SAMPLES_PER_S = 3600, 5
PATIENCE_S, TIMES = 60, 5


@dataclass(frozen=True)
class Case:
    """A run: how many files of how many sampled frames with how many people, and whether they are respondents."""

    name: str
    files: int
    frames: int
    people: int = 1
    groups: bool = False


CASES = (
    Case("200 images", 200, 1),
    Case("5,000 images", 5000, 1),
    Case("an hour at 5/s", 1, HOUR_S * SAMPLES_PER_S),
    Case("an hour at 5/s, 20 people", 1, HOUR_S * SAMPLES_PER_S, people=20),
    Case("20 respondents in two groups, 10 minutes at 5/s", 20, 600 * SAMPLES_PER_S, groups=True),
)
# Respondents and seconds of studies with two stimuli.
STUDIES = ((100, 60), (200, 120))


def make_table(case: Case, names: list[str], random: np.random.Generator) -> pd.DataFrame:
    """An emotion table of slowly and quickly changing probabilities; every tenth frame shows nobody."""
    size = case.files * case.frames * case.people
    frame = np.tile(np.repeat(np.arange(case.frames), case.people), case.files)
    logits = random.normal(0, 1.5, (size, len(EMOTIONS))) + 2 * np.sin(
        frame[:, None] / (50 + 30 * np.arange(len(EMOTIONS)))
    )
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    ok = (frame % 10 != 9) | (case.frames == 1)
    table = pd.DataFrame(
        {
            "video": np.repeat(names, case.frames * case.people),
            "frame": frame,
            "time_s": frame / SAMPLES_PER_S,
            "track_id": pd.array(np.tile(np.arange(case.people), case.files * case.frames), dtype="Int64"),
            "status": np.where(ok, "ok", "no_face"),
            "reason": np.where(ok, "", "no face was found"),
            **dict.fromkeys(("face_w", "face_h"), 80.0),
            **{f"p_{name}": np.where(ok, probabilities[:, number], np.nan) for number, name in enumerate(EMOTIONS)},
        }
    )
    leading = np.array(EMOTIONS, dtype=object)[probabilities.argmax(axis=1)]
    table["emotion"] = pd.Series(leading, dtype=object).where(pd.Series(ok), None)
    return table


def make_thumbnails(table: pd.DataFrame) -> pd.Series:
    """A face where an emotion is strongest in a chunk of rows, as infer.py keeps them."""
    faces = [cv2.imencode(".png", draw_dataset_face(0, number, 96).image)[1].tobytes() for number in range(FACES)]
    kept = table[[f"p_{name}" for name in EMOTIONS]].fillna(0).groupby(np.arange(len(table)) // CHUNK_ROWS).idxmax()
    thumbnails = pd.Series(None, index=table.index, dtype=object)
    if table["frame"].max() == 0:
        kept = table.index.to_series().to_frame()
    rows = np.unique(kept.to_numpy())
    thumbnails.loc[rows] = [faces[number % FACES] for number in range(len(rows))]
    return thumbnails


def write_case(case: Case, folder: Path) -> Path:
    """Write the page of a case as the stage report does."""
    suffix = ".jpg" if case.frames == 1 else ".mp4"
    names = [f"{number:04d}{suffix}" for number in range(case.files)]
    if case.frames == 1:
        photo = cv2.imencode(".jpg", draw_dataset_face(0, 0, 480).image)[1].tobytes()
        for name in names:
            (folder / name).write_bytes(photo)
    table = smooth(make_table(case, names, np.random.default_rng(0)), "gaussian", 0.5, 2.0)
    duration = case.frames / SAMPLES_PER_S
    facts: dict[str, Any] = {"duration_s": duration, "fps": 25.0, "codec": "h264", "problem": ""}
    videos = summarize_videos(table, pd.DataFrame({"video": names}).assign(**facts))
    media = [Media(folder / name, name, "image" if case.frames == 1 else "video") for name in names]
    groups = None
    if case.groups:
        people = pd.DataFrame({"video": names, "respondent": names, "stimulus": "spot"})
        people["group"] = np.where(np.arange(len(names)) % 2, "A", "B")
        groups = GroupPage(compute_group_curves(table, people), compare_groups(table, people))
    fields: dict[str, Any] = {"title": case.name, "command": "", "created": "", "notes": [], "config_yaml": ""}
    report = VideoReport(
        videos=build_video_pages(media, videos, table, make_thumbnails(table), EMOTIONS, case.people > 1),
        classes=list(EMOTIONS),
        groups=groups,
        model={},
        environment={},
        smoothing="gaussian, 0.5 s",
        **fields,
    )
    write_video_report(report, folder / "report.html")
    return folder / "report.html"


def write_study(page: StudyPage, folder: Path) -> Path:
    """Write the page of a study."""
    path = folder / "study.html"
    write_study_page(page, path)
    return path


def measure_opening(page: Path) -> tuple[float, float | None]:
    """Seconds until Chromium has loaded the page, and until its first chart is drawn (None without one).

    The page is opened TIMES times, and the fastest time counts: other programs slow the others.
    """
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,900"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(shutil.which("chromedriver"))))
    try:
        times = [_open(driver, page) for _ in range(TIMES)]
    finally:
        driver.quit()
    drawn = [second for _, second in times if second is not None]
    return min(first for first, _ in times), min(drawn) if drawn else None


def _open(driver: Any, page: Path) -> tuple[float, float | None]:
    driver.get("about:blank")
    start = time.monotonic()
    driver.get(page.as_uri())
    loaded = time.monotonic() - start
    if not driver.execute_script("return document.querySelector('.chart, #curve') !== null"):
        return loaded, None
    driver.execute_script("document.querySelector('.chart, #curve').scrollIntoView()")
    while not driver.execute_script("return document.querySelector('.plot .trace, #curve .curve') !== null"):
        if time.monotonic() - start > PATIENCE_S:
            raise TimeoutError(f"{page}: no chart after {PATIENCE_S} s")
        time.sleep(0.02)
    return loaded, time.monotonic() - start


def main() -> None:
    """Print a row a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-browser", action="store_true", help="sizes only")
    parser.add_argument("--only", default="", metavar="WORDS", help="inputs whose name has them")
    args = parser.parse_args()
    print("| input | page, MB | written, s | loaded, s | first chart, s |\n| --- | --- | --- | --- | --- |")
    pages: list[tuple[str, Callable[[Path], Path]]] = [
        (case.name, partial(write_case, case)) for case in CASES if args.only in case.name
    ]
    for respondents, seconds in STUDIES:
        name = f"study: {respondents} respondents, two stimuli of {seconds} s"
        if args.only in name:
            pages.append((name, partial(write_study, study_page(study_data(respondents, seconds)))))
    for name, write in pages:
        with tempfile.TemporaryDirectory() as folder:
            start = time.monotonic()
            page = write(Path(folder))
            written = time.monotonic() - start
            loaded, drawn = (None, None) if args.no_browser else measure_opening(page)
            size = page.stat().st_size / 1e6
        numbers = [f"{number:.1f}" if number is not None else "–" for number in (written, loaded, drawn)]
        print(f"| {name} | {size:.2f} | {' | '.join(numbers)} |", flush=True)


if __name__ == "__main__":
    main()
