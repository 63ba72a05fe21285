"""The page in headless Chromium: playing, seeking, and what it asks of the network."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from fer.reports.videos import write_video_report
from tests.helpers.browser import set_screen, until
from tests.helpers.video_report import CLASSES, group_page, make_clip, video_page, video_report

LEFT, RIGHT = 48, 24  # margins of the curves, as in videos.js
# Curves are drawn as soon as they are seen, which the browser finds out only where it draws a section.
SHOW_ALL = """
    const [done] = arguments;
    const drawn = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    (async () => {
      for (const section of document.querySelectorAll("section")) {
        section.scrollIntoView();
        await drawn();
      }
      done();
    })();
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three videos, of which only the first can be played, and two groups. HEVC has no picture in Chromium."""
    folder = tmp_path_factory.mktemp("report")
    clip = make_clip(folder / "clip.webm")
    unplayable = folder / "old film.avi"
    unplayable.write_bytes(b"RIFF")
    videos = [video_page(clip), video_page(unplayable, codec="")]
    if "libx265" in av.codecs_available:
        videos.append(video_page(make_clip(folder / "phone.mp4", "libx265"), codec="hevc"))
    path = folder / "report.html"
    write_video_report(video_report(videos, groups=group_page()), path)
    return path


@pytest.fixture
def opened(driver: Any, page: Path) -> Iterator[Any]:
    """The driver with the page freshly loaded, wide and light, the first curves drawn and the first player ready."""
    yield open_page(driver, page, 1200, "light")
    assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []


def open_page(driver: Any, page: Path, width: int, theme: str) -> Any:
    set_screen(driver, width, theme)
    driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": width < 600})
    driver.get(page.as_uri())
    until(driver, lambda: driver.execute_script("return document.querySelector('video').readyState >= 1"))
    section = driver.find_element(By.ID, "video-1")
    driver.execute_script("arguments[0].scrollIntoView()", section)
    until(driver, lambda: section.find_elements(By.CSS_SELECTOR, ".plot .scatterlayer .trace"))
    return driver


def current_time(driver: Any) -> float:
    return float(driver.execute_script("return document.querySelector('video').currentTime"))


def cursor_second(driver: Any, number: int = 1) -> float:
    """The moment at which the cursor of a video stands, from its place on the screen."""
    script = """
        const chart = document.querySelector(`#video-${arguments[0]}`);
        const plot = chart.querySelector(".plot").getBoundingClientRect();
        const cursor = chart.querySelector(".cursor").getBoundingClientRect();
        return [cursor.left + cursor.width / 2 - plot.left, plot.width];
    """
    left, width = driver.execute_script(script, number)
    return float((left - LEFT) / (width - LEFT - RIGHT) * 20)


def click_at(driver: Any, second: float, number: int = 1) -> None:
    """Click half-way up the curves of a video, at a moment of its 20 seconds."""
    plot = driver.find_element(By.CSS_SELECTOR, f"#video-{number} .plot")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    inner = plot.size["width"] - LEFT - RIGHT
    # Offsets count from the middle of the element.
    ActionChains(driver).move_to_element_with_offset(
        plot, round(LEFT + second / 20 * inner - plot.size["width"] / 2), 10
    ).click().perform()


def text_of(driver: Any, selector: str) -> str:
    return str(driver.find_element(By.CSS_SELECTOR, selector).get_attribute("textContent")).replace("\u00a0", " ")


def screenshot(driver: Any) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB"))


def test_page_asks_the_network_for_nothing(driver: Any, page: Path) -> None:
    driver.get("about:blank")
    driver.get_log("performance")
    driver.get_log("browser")
    open_page(driver, page, 1200, "light")
    driver.execute_async_script(SHOW_ALL)
    until(driver, lambda: driver.find_elements(By.CSS_SELECTOR, "#video-2 .scatterlayer .trace"))
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [
        message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"
    ]
    assert page.as_uri() in asked
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
    assert [url for url in asked if url.startswith("file:")] == [
        page.as_uri(),
        page.parent.as_uri() + "/old%20film.avi",
    ]
    assert driver.get_log("browser") == []


def test_click_on_the_curve_seeks_the_video(opened: Any) -> None:
    click_at(opened, 12.5)
    until(opened, lambda: abs(current_time(opened) - 12.5) < 0.1)
    assert abs(cursor_second(opened) - current_time(opened)) < 0.1
    # Beside the button of each emotion stands its probability at the cursor.
    assert text_of(opened, "#video-1 .toggle[data-emotion=happiness]") == "happiness 60 %"
    click_at(opened, 6.5)
    until(opened, lambda: abs(current_time(opened) - 6.5) < 0.1)
    assert text_of(opened, "#video-1 .toggle[data-emotion=happiness]") == "happiness –"
    assert text_of(opened, "#video-1 .readout").endswith("no usable face.")


def test_cursor_follows_playback(opened: Any) -> None:
    opened.execute_script("document.querySelector('video').play()")
    until(opened, lambda: current_time(opened) > 1)
    opened.execute_script("document.querySelector('video').pause()")
    until(opened, lambda: abs(cursor_second(opened) - current_time(opened)) < 0.1)
    opened.execute_script("document.querySelector('video').currentTime = 15.2")
    until(opened, lambda: abs(cursor_second(opened) - 15.2) < 0.1)
    assert text_of(opened, "#video-1 .readout") == "0:15.2: happiness 60 %."


def test_keys_go_from_sample_to_sample(opened: Any) -> None:
    slider = opened.find_element(By.CSS_SELECTOR, "#video-1 .timeline")
    slider.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    until(opened, lambda: current_time(opened) == 2)
    assert slider.get_attribute("aria-valuetext") == "0:02.0, sadness 60\u00a0%"
    slider.send_keys(Keys.END)
    until(opened, lambda: current_time(opened) == 19)
    slider.send_keys(Keys.HOME)
    until(opened, lambda: current_time(opened) == 0)


def test_curves_work_without_a_player(opened: Any) -> None:
    opened.execute_script("document.querySelector('#video-2').scrollIntoView()")
    until(opened, lambda: opened.find_elements(By.CSS_SELECTOR, "#video-2 .scatterlayer .trace"))
    note = opened.find_element(By.CSS_SELECTOR, "#video-2 .unplayable")
    until(opened, note.is_displayed)
    assert "cannot play the file" in note.text and "old film.avi" in note.text
    assert not opened.find_element(By.CSS_SELECTOR, "#video-2 video").is_displayed()
    click_at(opened, 3.0, number=2)
    until(opened, lambda: abs(cursor_second(opened, 2) - 3.0) < 0.1)
    assert text_of(opened, "#video-2 .readout").endswith("sadness 60 %.")
    opened.get_log("browser")  # the missing film


@pytest.mark.skipif("libx265" not in av.codecs_available, reason="cannot encode HEVC")
def test_a_codec_that_the_browser_lacks_always_gets_the_note(driver: Any, page: Path) -> None:
    """However late the page's script comes: what the browser knows already counts as what it tells later."""
    for _ in range(5):
        driver.get(page.as_uri())
        until(driver, lambda: driver.find_element(By.CSS_SELECTOR, "#video-3 .unplayable").is_displayed())
        assert not driver.find_element(By.CSS_SELECTOR, "#video-3 video").is_displayed()
        assert not driver.find_element(By.CSS_SELECTOR, "#video-1 .unplayable").is_displayed()
    driver.get_log("browser")  # the missing film


def test_the_page_switches_between_smoothed_and_raw(opened: Any) -> None:
    """Cards, tables and curves together; a click on a card shows the value that it was called by."""
    choose = opened.find_element(By.ID, "basis-raw")
    for basis, value, second in (("smoothed", 60, 13), ("raw", 70, 14)):
        if basis == "raw":
            opened.execute_script("arguments[0].scrollIntoView()", choose)
            choose.click()
        (card,) = [
            peak
            for peak in opened.find_elements(By.CSS_SELECTOR, "#video-1 .peak")
            if peak.is_displayed() and "surprise" in peak.text
        ]
        assert f"{value}.0" in card.text
        opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", card)
        card.click()
        until(opened, lambda second=second: current_time(opened) == second)
        assert text_of(opened, "#video-1 .readout") == f"0:{second}.0: surprise {value} %."
        tables = opened.find_elements(By.CSS_SELECTOR, "#video-1 .per-emotion")
        assert [table.is_displayed() for table in tables] == [basis == "smoothed", basis == "raw"]
    opened.execute_script("document.querySelector('#basis-smoothed').click()")
    assert text_of(opened, "#video-1 .readout") == "0:14.0: surprise 60 %."


def test_small_emotions_are_seen_on_axes_of_their_own(opened: Any) -> None:
    def axes() -> list[str]:
        titles = opened.find_elements(By.CSS_SELECTOR, "#video-1 .infolayer text[class^='y'][class$='title']")
        return [title.get_attribute("textContent") for title in titles]

    assert axes() == ["probability"]
    assert text_of(opened, "#video-1 .infolayer text.xtitle") == "time"
    height = opened.find_element(By.CSS_SELECTOR, "#video-1 .timeline").size["height"]
    opened.find_element(By.CSS_SELECTOR, "#video-1 .own").click()
    until(opened, lambda: len(axes()) == 7)
    assert sorted(axes()) == sorted(CLASSES)
    assert opened.find_element(By.CSS_SELECTOR, "#video-1 .timeline").size["height"] > height
    # Its highest value fills the axis: fear never passes 7 %.
    assert "6.7 %" in opened.find_element(By.CSS_SELECTOR, "#video-1 .plot").text
    opened.find_element(By.CSS_SELECTOR, "#video-1 .own").click()
    until(opened, lambda: axes() == ["probability"])
    shared, single = (opened.find_element(By.CSS_SELECTOR, f"#groups .{name}") for name in ("shared-axis", "own-axis"))
    assert (shared.is_displayed(), single.is_displayed()) == (True, False)
    box = opened.find_element(By.CSS_SELECTOR, "#groups .own")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", box)
    box.click()
    assert (shared.is_displayed(), single.is_displayed()) == (False, True)


def test_peak_goes_to_its_moment_and_its_face(opened: Any) -> None:
    opened.find_elements(By.CSS_SELECTOR, "#video-1 .peak")[1].click()
    until(opened, lambda: current_time(opened) == 13)
    assert opened.find_element(By.CSS_SELECTOR, "#video-1 .track").get_attribute("value") == "1"
    assert text_of(opened, "#video-1 .readout") == "0:13.0: surprise 60 %."


def test_curves_can_be_chosen(opened: Any) -> None:
    def curves() -> int:
        return len(opened.find_elements(By.CSS_SELECTOR, "#video-1 .scatterlayer .trace"))

    assert curves() == 7
    fear = opened.find_element(By.CSS_SELECTOR, "#video-1 .toggle[data-emotion=fear]")
    fear.send_keys(Keys.SPACE)
    until(opened, lambda: curves() == 6)
    assert fear.get_attribute("aria-pressed") == "false"
    opened.find_element(By.CSS_SELECTOR, "#video-1 .other").click()
    until(opened, lambda: curves() == 12)


def test_cursor_stays_at_its_moment_when_the_curves_are_enlarged(opened: Any) -> None:
    click_at(opened, 10.0)
    plot = opened.find_element(By.CSS_SELECTOR, "#video-1 .plot")
    inner = plot.size["width"] - LEFT - RIGHT
    start = round(LEFT + 5 / 20 * inner - plot.size["width"] / 2)
    ActionChains(opened).move_to_element_with_offset(plot, start, 10).click_and_hold().move_by_offset(
        round(inner / 2), 0
    ).release().perform()
    # Seconds 5 to 15 are shown now, so that second 10 stays in the middle; a drag does not seek.
    until(opened, lambda: "0:14" in plot.text and "0:16" not in plot.text)
    assert abs(cursor_second(opened) - 10.0) < 0.2
    assert abs(current_time(opened) - 10.0) < 0.1


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_page_fits_and_shows_its_curves(driver: Any, page: Path, width: int, theme: str) -> None:
    open_page(driver, page, width, theme)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    picture = screenshot(driver)
    paper, happiness = {"light": (253, 253, 252), "dark": (20, 23, 27)}[theme], (0xBD, 0x8A, 0x0A)
    assert (picture == paper).all(axis=2).mean() > 0.3
    assert (picture == happiness).all(axis=2).sum() > 50
    axis = driver.find_element(By.CSS_SELECTOR, "#video-1 .plot .xtick text")
    assert axis.value_of_css_property("fill") == {"light": "rgb(89, 99, 110)", "dark": "rgb(160, 169, 179)"}[theme]


def test_tables_are_there_without_scripts(driver: Any, page: Path) -> None:
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        driver.get(page.as_uri())
        assert driver.find_element(By.CSS_SELECTOR, "noscript").text.startswith("Curves over time need JavaScript")
        assert "happiness" in driver.find_element(By.CSS_SELECTOR, "#video-1 .per-emotion").text
        assert not driver.find_element(By.CSS_SELECTOR, "#video-1 .chart").is_displayed()
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
