"""Names that others gave, in headless Chromium: none runs a script or asks the network for anything."""

import json
from pathlib import Path
from typing import Any

from selenium.webdriver.common.by import By

from fer.reports.videos import write_video_report
from tests.helpers.browser import until
from tests.helpers.video_report import CLASSES, emotion_rows, group_page, make_clip, person, video_page, video_report


def test_names_run_no_script_and_ask_for_nothing(driver: Any, tmp_path: Path) -> None:
    """Names of a video, its reason, a group, a class, the model, the command and the configuration."""
    breaks = "'\"></script></style></textarea><img src=http://127.0.0.1:9/x onerror=document.title=1>{{7*7}}${7*7}<!--"
    calls = "javascript:document.title=1#?%41&amp; <svg onload=document.title=1>"
    link = "<a href='javascript:document.title=1'>x</a><b>bold</b>"
    classes = [*CLASSES[:3], link, CLASSES[4], breaks, calls]
    clip = make_clip(tmp_path / "clip.webm")
    renamed = {f"{kind}_{old}": f"{kind}_{new}" for kind in "ps" for old, new in zip(CLASSES, classes, strict=True)}
    values = {"emotion": dict(zip(CLASSES, classes, strict=True))}

    def rename(name: str) -> dict[str, Any]:
        rows = emotion_rows(name).rename(columns=renamed).replace(values)
        return {"rows": rows, "persons": [person(classes=classes)]}

    # One of a suffix that browsers do not know is linked.
    linked = tmp_path / "a#b?c%41 '\"><img src=x onerror=document.title=1>&.avi"
    linked.write_bytes(b"RIFF")
    videos = [
        video_page(clip, breaks, exclusions=[(calls, 1), (link, 2)], **rename(breaks)),
        video_page(linked, codec="", **rename(linked.name)),
    ]
    report = video_report(
        videos,
        classes=classes,
        groups=group_page((breaks, link)),
        notes=[breaks, link],
        command=breaks,
        model={link: breaks},
        environment={breaks: calls},
        config_yaml=f"name: {breaks}\n",
        title=breaks,
    )
    page = tmp_path / "report.html"
    write_video_report(report, page)
    driver.get("about:blank")
    driver.get_log("performance")
    driver.get_log("browser")
    driver.get(page.as_uri())
    until(driver, lambda: driver.execute_script("return document.readyState") == "complete")
    driver.execute_script("document.querySelectorAll('section').forEach((section) => section.scrollIntoView())")
    until(driver, lambda: driver.find_elements(By.CSS_SELECTOR, ".scatterlayer .trace"))
    assert driver.title != "1" and breaks.split("<", maxsplit=1)[0] in driver.title
    hidden = "return document.querySelectorAll('[onerror],[onload],a[href^=\"javascript\"]').length"
    assert driver.execute_script(hidden) == 0
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [
        message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"
    ]
    files = [url for url in asked if not url.startswith("data:")]
    assert set(files) <= {page.as_uri(), linked.as_uri()}
    assert [entry for entry in driver.get_log("browser") if "Content Security Policy" in entry["message"]] == []
