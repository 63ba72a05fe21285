"""The page of a study in headless Chromium: videos, curves and heat map that follow each other, print, phone, dark."""

import base64
import json
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from fer.reports.study import StudyMedia, write_study_page
from fer.reports.study_data import StudyData
from tests.helpers.browser import set_screen, until
from tests.helpers.pdf_text import read_pages
from tests.helpers.study_tables import HOSTILE, empty_data, study_data, study_page
from tests.helpers.video_report import make_clip

LEFT, RIGHT = 58, 16  # margins of the curves, as in study_charts.js
SECONDS = 20
ONSET_S = 2.0


@pytest.fixture(scope="module")
def data() -> StudyData:
    return study_data(8, SECONDS)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, data: StudyData) -> Path:
    """The first stimulus has a video beside the page, the second none; so has every recording of the first."""
    folder = tmp_path_factory.mktemp("study")
    stimulus = make_clip(folder / "spot a.webm", seconds=SECONDS)
    recording = make_clip(folder / "face.webm", seconds=SECONDS + 4)
    known = data.recordings[data.recordings["stimulus"] == "spot A"]["recording"]
    media = StudyMedia({"spot A": stimulus, "spot B": None}, dict.fromkeys(known, recording))
    write_study_page(study_page(data, media=media), folder / "study.html")
    return folder / "study.html"


@pytest.fixture
def opened(driver: Any, page: Path) -> Iterator[Any]:
    yield open_page(driver, page, 1200, "light")
    assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []


def open_page(driver: Any, page: Path, width: int, theme: str) -> Any:
    set_screen(driver, width, theme)
    driver.get(page.as_uri())
    until(driver, lambda: driver.find_elements(By.CSS_SELECTOR, "#curve .curve"))
    until(
        driver, lambda: driver.execute_script("return document.querySelector('#stimulus-player video').readyState >= 1")
    )
    return driver


def find(driver: Any, selector: str) -> Any:
    return driver.find_element(By.CSS_SELECTOR, selector)


def text_of(driver: Any, selector: str) -> str:
    return str(find(driver, selector).get_attribute("textContent")).replace("\u00a0", " ")


def video_time(driver: Any, player: str) -> float:
    return float(driver.execute_script(f"return document.querySelector('#{player} video').currentTime"))


def cursor_second(driver: Any, chart: str) -> float:
    """The moment at which a cursor stands, from its place on the screen."""
    script = """
        const chart = document.querySelector(arguments[0]).getBoundingClientRect();
        const cursor = document.querySelector(`${arguments[0]} .cursor`).getBoundingClientRect();
        return [cursor.left + cursor.width / 2 - chart.left, chart.width];
    """
    left, width = driver.execute_script(script, chart)
    return float((left - LEFT) / (width - LEFT - RIGHT) * SECONDS)


def click_at(driver: Any, chart: str, second: float, down: float = 0.5) -> None:
    """Click a chart at a moment, at a share of its height."""
    element = find(driver, chart)
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    width, height = element.size["width"], element.size["height"]
    across = LEFT + second / SECONDS * (width - LEFT - RIGHT) - width / 2
    ActionChains(driver).move_to_element_with_offset(
        element, round(across), round((down - 0.5) * height)
    ).click().perform()


def requests_of(driver: Any) -> list[str]:
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [
        message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"
    ]


def test_page_asks_the_network_for_nothing(driver: Any, page: Path) -> None:
    driver.get("about:blank")
    driver.get_log("performance")
    driver.get_log("browser")
    open_page(driver, page, 1200, "light")
    click_at(driver, "#heat canvas", 10.5)
    until(driver, lambda: driver.execute_script("return document.querySelector('#own-player video').readyState >= 1"))
    files = {url for url in requests_of(driver) if not url.startswith("data:")}
    folder = page.parent.as_uri()
    assert files == {page.as_uri(), f"{folder}/spot%20a.webm", f"{folder}/face.webm"}
    assert driver.get_log("browser") == []


def test_click_on_a_curve_seeks_the_stimulus(opened: Any) -> None:
    click_at(opened, "#curve svg", 12.5)
    until(opened, lambda: abs(video_time(opened, "stimulus-player") - 12.5) < 0.15)
    assert abs(cursor_second(opened, "#curve") - 12.5) < 0.15
    assert abs(cursor_second(opened, "#heat") - 12.5) < 0.15
    assert text_of(opened, "#curve-readout").startswith("0:12.")
    click_at(opened, "#share svg", 3.5)
    until(opened, lambda: abs(video_time(opened, "stimulus-player") - 3.5) < 0.15)


def test_cursors_follow_the_stimulus(opened: Any) -> None:
    opened.execute_script("document.querySelector('#stimulus-player video').play()")
    until(opened, lambda: video_time(opened, "stimulus-player") > 1)
    opened.execute_script("document.querySelector('#stimulus-player video').pause()")
    until(opened, lambda: abs(cursor_second(opened, "#curve") - video_time(opened, "stimulus-player")) < 0.15)
    opened.execute_script("document.querySelector('#stimulus-player video').currentTime = 15.2")
    until(opened, lambda: abs(cursor_second(opened, "#curve") - 15.2) < 0.15)
    until(opened, lambda: abs(cursor_second(opened, "#share") - 15.2) < 0.15)


def test_keys_go_from_step_to_step(opened: Any) -> None:
    find(opened, "#curve").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    until(opened, lambda: abs(video_time(opened, "stimulus-player") - 2) < 0.1)
    find(opened, "#curve").send_keys(Keys.END)
    until(opened, lambda: abs(video_time(opened, "stimulus-player") - 19) < 0.1)


def test_click_on_the_heat_map_opens_that_recording_at_that_moment(opened: Any) -> None:
    assert not find(opened, "#own-player video").is_displayed()
    Select(find(opened, "#heat-sort")).select_by_value("name")
    click_at(opened, "#heat canvas", 12.5, down=2.5 / 8)
    video = find(opened, "#own-player video")
    until(opened, video.is_displayed)
    assert video.get_attribute("aria-label") == "Recording of R002"
    assert Select(find(opened, "#respondent")).first_selected_option.text == "R002"
    # The recording began two seconds before the stimulus.
    until(opened, lambda: abs(video_time(opened, "own-player") - (12.5 + ONSET_S)) < 0.2)
    until(opened, lambda: abs(video_time(opened, "stimulus-player") - 12.5) < 0.2)
    assert "happiness of R002 (women, 50+)" in text_of(opened, "#own-title")
    # The recording leads as well.
    opened.execute_script("document.querySelector('#own-player video').currentTime = 7")
    until(opened, lambda: abs(cursor_second(opened, "#own-curve") - 5) < 0.15)
    until(opened, lambda: abs(video_time(opened, "stimulus-player") - 5) < 0.15)


def test_heat_map_is_reached_by_keyboard(opened: Any) -> None:
    Select(find(opened, "#heat-sort")).select_by_value("name")
    heat = find(opened, "#heat")
    heat.send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN, *[Keys.ARROW_RIGHT] * 4)
    assert text_of(opened, "#heat-readout").startswith("R001, 0:04.0: ")
    assert find(opened, "#heat .tip").is_displayed()
    heat.send_keys(Keys.ENTER)
    until(opened, lambda: abs(video_time(opened, "own-player") - (4 + ONSET_S)) < 0.2)
    assert find(opened, "#own-player video").get_attribute("aria-label") == "Recording of R001"


def test_pointer_over_the_heat_map_tells_the_value(opened: Any, data: StudyData) -> None:
    Select(find(opened, "#heat-sort")).select_by_value("name")
    found = data.steps.query("respondent == 'R000' and stimulus == 'spot A' and second == 12")["happiness"]
    said = f"{100 * found.iloc[0]:.0f} %" if len(found) else "no usable face"
    canvas = find(opened, "#heat canvas")
    width, height = canvas.size["width"], canvas.size["height"]
    across = LEFT + 12.5 / SECONDS * (width - LEFT - RIGHT) - width / 2
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    ActionChains(opened).move_to_element_with_offset(canvas, round(across), round(-height / 2 + 5)).perform()
    assert text_of(opened, "#heat .tip") == f"R000, 0:12.0: {said}"


def test_switches_change_what_is_shown(opened: Any) -> None:
    assert len(opened.find_elements(By.CSS_SELECTOR, "#curve .curve")) == 1
    Select(find(opened, "#grouping")).select_by_visible_text("each gender")
    assert len(opened.find_elements(By.CSS_SELECTOR, "#curve .curve")) == 2
    assert len(opened.find_elements(By.CSS_SELECTOR, "#curve .band")) == 2
    find(opened, "#bands").click()
    assert opened.find_elements(By.CSS_SELECTOR, "#curve .band") == []
    toggle = find(opened, "#group-legend .toggle")
    toggle.click()
    assert find(opened, "#group-legend .toggle").get_attribute("aria-pressed") == "false"
    assert len(opened.find_elements(By.CSS_SELECTOR, "#curve .curve")) == 1
    Select(find(opened, "#measure")).select_by_visible_text("valence")
    assert text_of(opened, "#curve-title") == "valence, mean over respondents: spot A"
    assert not find(opened, "#share-part").is_displayed()  # only emotions lead
    Select(find(opened, "#grouping")).select_by_visible_text("each stimulus")
    assert [line.get_attribute("data-name") for line in opened.find_elements(By.CSS_SELECTOR, "#curve .curve")] == [
        "spot A",
        "spot B",
    ]
    events = [text.text for text in opened.find_elements(By.CSS_SELECTOR, "#curve .event-text")]
    assert events == ["joke", "logo"]


def test_stimulus_without_a_file_can_be_chosen(opened: Any, page: Path) -> None:
    Select(find(opened, "#stimulus")).select_by_visible_text("spot B")
    assert not find(opened, "#stimulus-player video").is_displayed()
    assert text_of(opened, "#stimulus-player .missing") == "The video does not stand beside this page."
    click_at(opened, "#curve svg", 9.5)
    assert abs(cursor_second(opened, "#curve") - 9.5) < 0.15  # curves work without it
    find(opened, "#stimulus-player input").send_keys(str(page.parent / "spot a.webm"))
    until(opened, lambda: find(opened, "#stimulus-player video").is_displayed())
    until(opened, lambda: abs(video_time(opened, "stimulus-player") - 9.5) < 0.15)
    assert find(opened, "#stimulus-player video").get_attribute("src").startswith("blob:")
    Select(find(opened, "#stimulus")).select_by_visible_text("spot A")
    Select(find(opened, "#stimulus")).select_by_visible_text("spot B")
    assert find(opened, "#stimulus-player video").get_attribute("src").startswith("blob:")


def test_moment_of_a_table_goes_there(opened: Any) -> None:
    row = next(row for row in opened.find_elements(By.CSS_SELECTOR, ".moments tbody tr") if "spot B" in row.text)
    row.find_element(By.CSS_SELECTOR, ".goto").click()
    assert abs(cursor_second(opened, "#curve") - 12) < 0.15
    assert text_of(opened, "#curve-title").endswith("spot B")
    opened.execute_script("document.querySelector('#segments .goto').scrollIntoView({block: 'center'})")
    find(opened, "#segments .goto").click()
    assert text_of(opened, "#curve-title").endswith("spot A")


def test_clusters_are_shaded_on_the_difference(opened: Any) -> None:
    assert len(opened.find_elements(By.CSS_SELECTOR, "#difference-curve .cluster")) == 1
    assert text_of(opened, "#difference-curve .cluster-text") == "p = 0.004"
    click_at(opened, "#difference-curve svg", 11.5, down=0.7)
    until(opened, lambda: abs(video_time(opened, "stimulus-player") - 11.5) < 0.15)
    Select(find(opened, "#difference-measure")).select_by_visible_text("valence")
    assert opened.find_elements(By.CSS_SELECTOR, "#difference-curve .cluster") == []
    assert "No stretch of time was found" in text_of(opened, "#difference-readout")


def test_print_begins_with_a_summary_of_one_page(driver: Any, page: Path) -> None:
    open_page(driver, page, 1200, "dark")
    assert driver.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    driver.execute_script("addEventListener('beforeprint', () => { window.told = true; })")
    paper = {"paperWidth": 8.27, "paperHeight": 11.69}
    printed = base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", paper)["data"])
    assert driver.execute_script("return window.told")  # the heat map is drawn for paper then
    pages = [unicodedata.normalize("NFKC", text) for text in read_pages(printed)]
    assert len(pages) > 2
    first = pages[0]
    for said in ("Strongest moments", "What was asked", "happiness is higher in women than in men", "Read with care"):
        assert said in first
    assert "All figures are a classifier" in first and "Curves and videos" not in first
    assert pages[1].startswith("Curves and videos")
    whole = "".join(pages)
    assert "Choose the video file" not in whole and "95 % bands" not in whole
    # The last columns of the widest tables are not cut off.
    assert "Power" in whole and "91.0 %" in whole and "only 21 % of its frames" in whole
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 688, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": []})
    assert driver.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    script = "return [...document.querySelectorAll('table')].map((table) => table.getBoundingClientRect().right)"
    assert max(driver.execute_script(script)) <= 690
    for hidden in (".switches", "#stimulus-player", ".contents", "#curve .cursor"):
        assert not find(driver, hidden).is_displayed()


def test_heat_map_is_light_on_paper_and_dark_on_a_dark_screen(driver: Any, page: Path) -> None:
    def corner() -> int:
        """How light the map's first cells are."""
        return int(
            driver.execute_script(
                "const canvas = document.querySelector('#heat canvas');"
                "const ratio = canvas.width / canvas.clientWidth;"
                "const data = canvas.getContext('2d').getImageData(60 * ratio, 0, 200, canvas.height).data;"
                "return data.reduce((sum, value, at) => sum + (at % 4 === 3 ? 0 : value), 0) / data.length * 4 / 3"
            )
        )

    open_page(driver, page, 1200, "dark")
    assert corner() < 110
    driver.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert corner() > 150
    driver.execute_script("dispatchEvent(new Event('afterprint'))")
    assert corner() < 110
    features = [{"name": "prefers-color-scheme", "value": "light"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": features})
    until(driver, lambda: corner() > 150)


def test_phone_needs_no_sideways_scrolling(driver: Any, page: Path) -> None:
    driver.get_log("browser")
    open_page(driver, page, 360, "light")
    Select(find(driver, "#grouping")).select_by_visible_text("each age")
    click_at(driver, "#heat canvas", 12.5)
    until(driver, lambda: find(driver, "#own-player video").is_displayed())
    assert driver.execute_script("return document.documentElement.scrollWidth") <= 360
    # A respondent's recording comes after the map that opens it.
    top = "return document.querySelector(arguments[0]).getBoundingClientRect().top"
    assert driver.execute_script(top, "#own-player") > driver.execute_script(top, "#heat")
    assert driver.execute_script(top, "#stimulus-player") < driver.execute_script(top, "#curve")
    assert driver.get_log("browser") == []


def test_hostile_names_run_no_script(driver: Any, tmp_path: Path) -> None:
    groups = {HOSTILE[0]: HOSTILE[:2], "x": ("受访", "y" * 200)}
    data = study_data([*HOSTILE, "e"], 14, stimuli=HOSTILE[:2], groups=groups, conditions=("", HOSTILE[1]))
    page = tmp_path / "study.html"
    write_study_page(study_page(data, notes=list(HOSTILE)), page)
    driver.get("about:blank")
    driver.get_log("performance")
    driver.get_log("browser")
    driver.get(page.as_uri())
    until(driver, lambda: driver.find_elements(By.CSS_SELECTOR, "#curve .curve"))
    assert Select(find(driver, "#stimulus")).first_selected_option.text == HOSTILE[0]
    for grouping in range(len(Select(find(driver, "#grouping")).options)):
        Select(find(driver, "#grouping")).select_by_index(grouping)
    click_at(driver, "#heat canvas", 10.0)
    assert driver.title.endswith("study") and driver.find_elements(By.CSS_SELECTOR, "[onerror]") == []
    assert {url for url in requests_of(driver) if not url.startswith("data:")} == {page.as_uri()}
    assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert driver.get_log("browser") == []


@pytest.mark.parametrize("kind", ["empty", "one"])
def test_little_data_raises_no_error(driver: Any, tmp_path: Path, data: StudyData, kind: str) -> None:
    few = empty_data(data) if kind == "empty" else study_data(1, 5, stimuli=("only",), groups={})
    page = tmp_path / "study.html"
    write_study_page(study_page(few), page)
    driver.get_log("browser")
    driver.get(page.as_uri())
    until(driver, lambda: driver.execute_script("return document.readyState") == "complete")
    assert driver.find_elements(By.CSS_SELECTOR, "#curve .curve") if kind == "one" else True
    assert driver.get_log("browser") == []


def test_stimulus_that_has_no_video_asks_for_none(driver: Any, tmp_path: Path, data: StudyData) -> None:
    path = tmp_path / "study.html"
    write_study_page(study_page(replace(data, stimuli=data.stimuli.assign(file=None))), path)
    driver.get(path.as_uri())
    until(driver, lambda: driver.find_elements(By.CSS_SELECTOR, "#curve .curve"))
    assert text_of(driver, "#stimulus-player .missing") == "This stimulus has no video."
    assert not find(driver, "#stimulus-player .choose").is_displayed()
    # What is rounded to 0 has no sign.
    written = "return Courses.write({unit: 'share', change: true}, -0.0002)"
    assert driver.execute_script(written).replace("\u00a0", " ") == "0.0 points"
    assert driver.execute_script("return Courses.write({unit: 'number'}, -0.2)") == "−0.20"
