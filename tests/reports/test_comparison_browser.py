"""The comparison page in headless Chromium: sorting, runs that stand out, figures, and the test of two runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from fer.reports.comparison import write_comparison
from tests.helpers.browser import set_screen
from tests.helpers.comparison_report import comparison_report, failed_run, pair_table, run_row


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve runs and a failed one; the pair of the first and third run shares no image."""
    path = tmp_path_factory.mktemp("comparison") / "comparison.html"
    pairs = pair_table(12).astype({"same_data": object})
    pairs.loc[pairs["second"] == 2, ["images", "same_data"]] = [0, None]
    pairs.loc[pairs["second"] == 3, ["same_data", "differences"]] = [False, "data fingerprints"]
    write_comparison(comparison_report(pairs=pairs), path)
    return path


@pytest.fixture
def opened(driver: Any, page: Path) -> Iterator[Any]:
    """The driver with the page freshly loaded, wide and light; nothing may have failed in it in the end."""
    driver.get_log("browser")
    yield open_page(driver, page, 1200, "light")
    assert driver.get_log("browser") == []


def open_page(driver: Any, page: Path, width: int, theme: str) -> Any:
    set_screen(driver, width, theme)
    driver.get(page.as_uri())
    # On a busy machine a page was once found empty: be sure that it is this one, and complete.
    loaded = "return document.readyState === 'complete' && location.href === arguments[0]"
    WebDriverWait(driver, 30).until(lambda _: driver.execute_script(loaded, page.as_uri()))
    return driver


def find(driver: Any, selector: str) -> Any:
    return driver.find_element(By.CSS_SELECTOR, selector)


def text(driver: Any, selector: str) -> str:
    return str(find(driver, selector).text).replace("\u00a0", " ")


def order(driver: Any) -> list[int]:
    """The runs in the order of the table."""
    return [int(row.get_attribute("data-run")) for row in driver.find_elements(By.CSS_SELECTOR, ".runs tbody tr")]


def on(driver: Any, selector: str) -> list[int]:
    """The runs whose lines stand out in a drawing."""
    lines = driver.find_elements(By.CSS_SELECTOR, f"{selector} .line.on")
    return sorted(int(line.get_attribute("data-run")) for line in lines)


def heading(driver: Any, name: str) -> Any:
    return find(driver, f'.runs thead th[data-column="{name}"]')


def test_table_is_sorted_by_clicks_and_keys(opened: Any) -> None:
    assert order(opened) == list(range(13))
    accuracy = heading(opened, "test accuracy")
    accuracy.find_element(By.TAG_NAME, "button").click()
    assert (accuracy.get_attribute("aria-sort"), order(opened)) == ("descending", list(range(13)))
    accuracy.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
    # What has no figure stays at the end.
    assert (accuracy.get_attribute("aria-sort"), order(opened)) == ("ascending", [*range(11, -1, -1), 12])
    heading(opened, "seconds").find_element(By.TAG_NAME, "button").send_keys(Keys.SPACE)
    assert accuracy.get_attribute("aria-sort") is None
    assert order(opened) == list(range(13))
    # Numbers as numbers (0.0001 before 0.001), names as names; equal ones keep their order.
    heading(opened, "optimizer.weight_decay").find_element(By.TAG_NAME, "button").click()
    heading(opened, "optimizer.weight_decay").find_element(By.TAG_NAME, "button").click()
    assert order(opened)[:5] == [0, 3, 6, 9, 12]
    heading(opened, "status").find_element(By.TAG_NAME, "button").click()
    assert order(opened)[0] == 12 or order(opened)[-1] == 12


def test_a_run_under_the_pointer_or_ticked_stands_out_everywhere(opened: Any) -> None:
    row = find(opened, '.runs tr[data-run="4"]')
    ActionChains(opened).move_to_element(row.find_element(By.TAG_NAME, "th")).perform()
    assert on(opened, "#curves-drawing") == on(opened, "#parallel-drawing") == [4]
    assert "some" in find(opened, "#curves-drawing").get_attribute("class")
    find(opened, '.runs tr[data-run="7"] .tick').send_keys(Keys.SPACE)
    ActionChains(opened).move_to_element(find(opened, "h1")).perform()
    find(opened, "#untick").send_keys("")
    assert on(opened, "#curves-drawing") == on(opened, "#parallel-drawing") == [7]
    find(opened, "#untick").click()
    assert on(opened, "#curves-drawing") == []
    assert "some" not in find(opened, "#curves-drawing").get_attribute("class")


def test_curves_are_of_the_chosen_figure_and_tell_the_run(opened: Any) -> None:
    select = Select(find(opened, "#curve-figure"))
    assert [option.text for option in select.options] == ["val accuracy", "val loss"]
    assert len(opened.find_elements(By.CSS_SELECTOR, "#curves-drawing .line")) == 12
    svg = find(opened, "#curves-drawing svg")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", svg)
    # The best run ends in the upper right corner: 110 pixels (for names) and 10 from the edges, less 4 % of the axis.
    ActionChains(opened).move_to_element_with_offset(
        svg, svg.size["width"] // 2 - 110, -svg.size["height"] // 2 + 21
    ).perform()
    assert text(opened, "#curves-readout") == "lr/0: epoch 5, 80.0 %"
    assert on(opened, "#parallel-drawing") == [0]
    select.select_by_visible_text("val loss")
    assert find(opened, "#curves-drawing svg").get_attribute("aria-label") == (
        "val_loss of 12 runs over epochs 1 to 5, from 0.4 to 2"
    )


def test_dragging_along_an_axis_ticks_the_runs_that_pass(opened: Any) -> None:
    names = [axis.text for axis in opened.find_elements(By.CSS_SELECTOR, "#parallel-drawing .axis-name")]
    assert names == ["weight_decay", "model.name", "seed", "validation accuracy"]
    handle = opened.find_elements(By.CSS_SELECTOR, "#parallel-drawing .handle")[0]
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", handle)
    half = handle.size["height"] // 2
    # From the top to a quarter below it: only the largest rate, the axis being logarithmic.
    ActionChains(opened).move_to_element_with_offset(handle, 0, -half + 3).click_and_hold().move_by_offset(
        0, half // 2
    ).release().perform()
    ticked = [
        int(box.get_attribute("data-run")) for box in opened.find_elements(By.CSS_SELECTOR, ".runs tr:has(:checked)")
    ]
    assert ticked == [2, 5, 8, 11]
    assert len(opened.find_elements(By.CSS_SELECTOR, "#parallel-drawing .brush")) == 1
    handle = opened.find_elements(By.CSS_SELECTOR, "#parallel-drawing .handle")[0]
    ActionChains(opened).move_to_element(handle).click().perform()
    assert opened.find_elements(By.CSS_SELECTOR, ".runs :checked") == []


def test_two_runs_are_picked_and_tested(opened: Any) -> None:
    first, second = (Select(find(opened, f"#{name}-run")) for name in ("first", "second"))
    first.select_by_visible_text("lr/1")
    second.select_by_visible_text("lr/6")
    assert text(opened, "#pair table").splitlines()[1:] == [
        "Accuracy 79.0 % 74.0 % +5.0 +3.0 to +7.0 < 0.001",
        "Balanced accuracy 79.0 % 74.0 % +5.3 +3.3 to +7.3 < 0.001",
        "Macro-F1 79.0 % 74.0 % +5.5 +3.5 to +7.5 < 0.001",
    ]
    assert "Both classified 1,200 test images." in text(opened, "#pair")
    # No name of a measure is cut off at the edge of the drawing.
    lefts = "return [...document.querySelectorAll('#pair svg text')].map((text) => text.getBBox().x)"
    assert min(opened.execute_script(lefts)) >= 0
    assert "Accuracy: run lr/1 is better, and chance alone hardly explains it." in text(opened, "#pair")
    # The other way round everything changes its sign.
    first.select_by_visible_text("lr/6")
    second.select_by_visible_text("lr/5")
    assert text(opened, "#pair table").splitlines()[1] == "Accuracy 74.0 % 75.0 % −1.0 −3.0 to +1.0 0.250"
    assert "Accuracy: chance may explain the difference." in text(opened, "#pair")
    assert find(opened, "#pair svg").get_attribute("aria-label").startswith("Accuracy: difference −1, from −3 to 1")
    second.select_by_visible_text("lr/2")
    first.select_by_visible_text("lr/0")
    assert text(opened, "#pair").startswith("The two runs have no test image in common")
    second.select_by_visible_text("lr/3")
    assert "They differ in their data fingerprints: the test is of the images that both classified" in text(
        opened, "#pair"
    )
    second.select_by_visible_text("lr/12")
    assert text(opened, "#pair") == "lr/12 cannot be tested: it has no predictions of test."
    second.select_by_visible_text("lr/0")
    assert text(opened, "#pair") == "Choose two different runs."
    # Two ticked runs are the ones that are tested.
    for run in (9, 4):
        find(opened, f'.runs tr[data-run="{run}"] .tick').send_keys(Keys.SPACE)
    assert (first.first_selected_option.text, second.first_selected_option.text) == ("lr/4", "lr/9")
    assert "+5.0" in text(opened, "#pair table")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_page_fits_and_follows_the_theme(driver: Any, page: Path, width: int, theme: str) -> None:
    open_page(driver, page, width, theme)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    tick = find(driver, "#curves-drawing .grid text")
    assert tick.value_of_css_property("fill") == {"light": "rgb(89, 99, 110)", "dark": "rgb(160, 169, 179)"}[theme]
    # No two names of axes touch, whatever the width.
    boxes = [axis.rect for axis in driver.find_elements(By.CSS_SELECTOR, "#parallel-drawing .axis-name")]
    for one, other in zip(boxes, boxes[1:], strict=False):
        assert one["x"] + one["width"] < other["x"]
    assert find(driver, "#curves-drawing svg").size["width"] <= width


def test_tables_are_there_without_scripts(driver: Any, page: Path) -> None:
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        driver.get(page.as_uri())
        assert find(driver, "noscript").text.startswith("Sorting, curves, parallel coordinates and the test")
        assert "74.0 %" in text(driver, ".runs") and not find(driver, ".runs .tick").is_displayed()
        assert not find(driver, "#first-run").is_displayed()
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_runs_of_one_epoch_are_dots(driver: Any, tmp_path: Path) -> None:
    once = pd.DataFrame({"val_accuracy": [0.8]}, index=[1])
    path = tmp_path / "once.html"
    write_comparison(comparison_report([run_row(0, 0.8, history=once), run_row(1, 0.7)]), path)
    open_page(driver, path, 1200, "light")
    (dot,) = driver.find_elements(By.CSS_SELECTOR, "#curves-drawing .line.single")
    assert dot.get_attribute("data-run") == "0" and dot.value_of_css_property("stroke-width") == "8px"


def test_two_hundred_runs_and_unfinished_ones_can_be_handled(driver: Any, tmp_path: Path) -> None:
    runs = [run_row(place, 0.9 - place / 1000, label=f"{'long-name-' * 6}{place}") for place in range(199)]
    diverged = pd.DataFrame({"val_loss": [2.0, 1e9, float("nan")]}, index=[1, 2, 3])
    runs[198] = run_row(198, 0.1, history=diverged)
    path = tmp_path / "many.html"
    write_comparison(comparison_report([*runs, failed_run(199, "x" * 400)]), path)
    driver.get_log("browser")
    open_page(driver, path, 1200, "light")
    assert len(driver.find_elements(By.CSS_SELECTOR, "#parallel-drawing .line")) == 199
    Select(find(driver, "#curve-figure")).select_by_visible_text("val loss")
    assert text(driver, "#curves-readout") == "Values far above the others are cut off."
    top = find(driver, "#curves-drawing .grid text").text
    assert float(top) <= 4
    heading(driver, "test macro-F1").find_element(By.TAG_NAME, "button").click()
    Select(find(driver, "#second-run")).select_by_index(150)
    assert "Both classified 1,200 test images." in text(driver, "#pair")
    assert driver.execute_script("return document.documentElement.scrollWidth") <= 1200
    # The table scrolls inside itself, so the page stays short.
    assert driver.execute_script("return document.documentElement.scrollHeight") < 6500
    assert driver.get_log("browser") == []
