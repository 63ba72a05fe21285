"""A person's corrections: the page in headless Chromium, merged into the table that a training takes."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fer.annotate import pipeline
from fer.annotate.merge import merge
from fer.annotate.page import main as page_main
from fer.annotate.page import write_page
from fer.annotate.pipeline import annotate
from fer.annotate.run import AnnotationRun, open_run
from fer.config.compose import load_overrides
from fer.errors import DataError, UserError
from fer.runs.run_directory import acquire_lock
from fer.train.pipeline import train
from tests.helpers.annotating import Says, write_faces, write_flat_faces
from tests.helpers.browser import driver, until

__all__ = ["driver"]
# Values 0 to 3: agreed, disagreed, agreed, nobody can tell.
FIRST = ("anger", "fear", "happiness", "")
SECOND = ("anger", "sadness", "happiness", "")


@pytest.fixture
def label(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, Path], AnnotationRun]:
    """Label the faces of a folder by two annotators."""
    monkeypatch.setattr(pipeline, "_pin_annotators", lambda config: config)
    monkeypatch.setattr(pipeline, "open_annotators", lambda config, folder: [Says("a", FIRST), Says("b", SECOND)])

    def begin(faces: Path, run: Path) -> AnnotationRun:
        annotate(load_overrides([f"annotation.input={faces}", "annotation.by=[a,b]"], "annotate"), run)
        return open_run(run)

    return begin


def write_corrections(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["image,label,person", *rows]) + "\n", encoding="utf-8")
    return path


def read_final(run: AnnotationRun) -> pd.DataFrame:
    return pd.read_parquet(run.directory / "final_emotion_dataset.parquet").set_index("path")


@pytest.fixture
def run(label: Callable[[Path, Path], AnnotationRun], tmp_path: Path) -> AnnotationRun:
    return label(write_flat_faces(tmp_path / "faces", range(8)), tmp_path / "run")


def test_a_person_has_the_last_word(run: AnnotationRun, tmp_path: Path) -> None:
    rows = ("001.png,Happy,Ann", "000.png,leave_out,Ann", "003.png,surprise,'=Bob")
    assert merge(run, write_corrections(tmp_path / "one.csv", *rows)) == 3
    final = read_final(run)
    assert final["annotator"].to_dict() == {
        "000.png": "Ann",
        "001.png": "Ann",
        "002.png": "a; b",
        "003.png": "=Bob",
        "004.png": "a; b",
        "005.png": "a",
        "006.png": "a; b",
        "007.png": "",
    }
    assert final["label"].tolist()[:4] == ["", "happiness", "happiness", "surprise"]
    assert final["confidence"].isna()["001.png"] and not final["confidence"].isna()["002.png"]
    # Merged again nothing changes; somebody else's later answer counts.
    before = (run.directory / "corrections.csv").read_bytes()
    merge(run, tmp_path / "one.csv")
    assert (run.directory / "corrections.csv").read_bytes() == before
    merge(run, write_corrections(tmp_path / "two.csv", "001.png,anger,Cy"))
    assert read_final(run).loc["001.png", ["label", "annotator"]].tolist() == ["anger", "Cy"]
    assert "Ann" in (run.directory / "corrections.csv").read_text(encoding="utf-8")
    assert 'Looked at by people</dt><dd class="value">3' in (run.directory / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("009.png,anger,Ann", r"line 2 names '009.png', which is no face of this run"),
        ("001.png,angst,Ann", r"line 2 has the label 'angst', which is no emotion, nor leave_out"),
        ("001.png,anger,", "does not say who said it"),
        ("001.png,anger,b", "b is the name of an annotator, and no person's"),
    ],
)
def test_a_row_that_cannot_be_used_takes_nothing(row: str, message: str, run: AnnotationRun, tmp_path: Path) -> None:
    before = read_final(run)
    with pytest.raises(DataError, match=message):
        merge(run, write_corrections(tmp_path / "wrong.csv", row, "002.png,anger,Ann"))
    assert not (run.directory / "corrections.csv").exists()
    assert read_final(run).equals(before)


def test_two_do_not_merge_at_once(run: AnnotationRun, tmp_path: Path) -> None:
    lock = acquire_lock(run.directory)
    with pytest.raises(UserError, match="another process is at work on this run"):
        merge(run, write_corrections(tmp_path / "one.csv", "001.png,anger,Ann"))
    lock.release()


def test_the_page_shows_disagreements_and_no_more_than_it_says(run: AnnotationRun, tmp_path: Path) -> None:
    page = write_page(run, shown=3).read_text(encoding="utf-8")
    order = [page.index(f'"quiet path">{name}.png') for name in ("003", "007", "001")]
    assert order == sorted(order) and page.count('class="card"') == 3
    assert "4 of 8 faces are in doubt; this page shows the 3 most doubtful of them" in page
    assert '<small title="a">a</small>' in page
    assert "http" not in page.partition("<body>")[2]
    merge(run, write_corrections(tmp_path / "one.csv", "001.png,anger,Ann", "003.png,fear,Ann", "007.png,fear,Ann"))
    page = write_page(run).read_text(encoding="utf-8")
    assert "1 of 8 faces are in doubt</p>" in page and "005.png" in page
    merge(run, write_corrections(tmp_path / "one.csv", "005.png,anger,Ann"))
    assert "No label is in doubt" in write_page(run).read_text(encoding="utf-8")


@pytest.mark.parametrize("count", ["0", "2001", "many"])
def test_a_wrong_number_of_faces_is_a_sentence(
    count: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["page", "run", "--faces", count])
    with pytest.raises(SystemExit):
        page_main()
    assert capsys.readouterr().err.endswith(f"argument --faces: {count}: choose a number from 1 to 2000\n")


@pytest.mark.browser
@pytest.mark.slow
def test_ten_labels_are_changed_by_clicks_and_trained_on(
    label: Callable[[Path, Path], AnnotationRun], tmp_path: Path, driver: Any
) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    run = label(write_faces(tmp_path / "faces", 60), tmp_path / "run")
    page = write_page(run, shown=20)
    driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path), "eventsEnabled": False}
    )
    driver.get(page.as_uri())
    cards = driver.find_elements(By.CSS_SELECTOR, ".card")
    driver.find_element(By.ID, "save").click()
    assert driver.find_element(By.ID, "progress").text == "Nothing is answered yet."
    # Keys answer the first face at once, and the one on which something was clicked.
    driver.execute_script("document.activeElement.blur()")
    ActionChains(driver).send_keys("1").perform()
    assert driver.switch_to.active_element == cards[1]
    cards[0].find_element(By.CSS_SELECTOR, '[data-label="anger"]').click()
    assert driver.find_element(By.ID, "progress").text == "0 of 20 answered"
    ActionChains(driver).send_keys("2").perform()
    assert cards[0].find_element(By.CSS_SELECTOR, '[aria-pressed="true"]').get_attribute("data-label") == "disgust"
    changed = {}
    for card in cards[:10]:
        card.find_element(By.CSS_SELECTOR, '[data-label="surprise"]').click()
        changed[card.find_element(By.CSS_SELECTOR, ".path").text] = "surprise"
    # An answer is taken back by a second click; keys give the others: a label, and one that is left out.
    again = cards[9].find_element(By.CSS_SELECTOR, '[data-label="surprise"]')
    again.click()
    assert again.get_attribute("aria-pressed") == "false"
    again.click()
    cards[10].send_keys("4")
    assert driver.switch_to.active_element == cards[11]
    cards[11].send_keys("0")
    for number, name in ((10, "happiness"), (11, "")):
        changed[cards[number].find_element(By.CSS_SELECTOR, ".path").text] = name
    progress = driver.find_element(By.ID, "progress")
    assert progress.text == "12 of 20 answered"

    # Nobody's answers are not saved; those of a closed page are still there.
    driver.find_element(By.ID, "save").click()
    assert progress.text.startswith("Who are you?") and not (tmp_path / "corrections.csv").exists()
    driver.find_element(By.ID, "person").send_keys("Ann, of the lab", Keys.TAB)
    driver.get("about:blank")
    driver.get(page.as_uri())
    assert driver.find_element(By.ID, "progress").text == "12 of 20 answered"
    driver.find_element(By.ID, "save").click()
    until(driver, (tmp_path / "corrections.csv").exists)
    assert driver.find_element(By.ID, "progress").text == "12 answers saved"
    assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []

    merge(run, tmp_path / "corrections.csv")
    overrides = [
        *("dataset=table", f"dataset.sources.table.table={run.directory / 'final_emotion_dataset.parquet'}"),
        *(f"dataset.sources.table.root={tmp_path / 'faces'}", f"dataset.cache_dir={tmp_path / 'cache'}"),
        *("dataset.on_empty_class=ignore", "dataset.batch_size=16", "model=mobilenetv2_050", "model.image_size=32"),
        *("trainer=debug", "trainer.threads=1", "trainer.stages=[fit]", "dataset.near_duplicate_bits=-1"),
    ]
    train(load_overrides(overrides), tmp_path / "training")
    manifest = pd.read_parquet(tmp_path / "training" / "manifest.parquet").set_index("path")
    for path, name in changed.items():
        if name:
            assert manifest.loc[path, ["label", "annotator"]].tolist() == [name, "Ann, of the lab"]
        else:
            assert path not in manifest.index
    assert (manifest["annotator"] == "Ann, of the lab").sum() == 11
    assert set(manifest["annotator"]) > {"Ann, of the lab"}
    assert (tmp_path / "training" / "bundle" / "weights.safetensors").is_file()
