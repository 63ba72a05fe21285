"""A sound study as the content of its file, to be changed by tests of the checks."""

from typing import Any

from fer.config.study_loading import parse_study
from fer.study.checks import find_problems


def build_content() -> dict[str, Any]:
    """Two people who saw both of two stimuli, one who saw one, and one without consent."""
    groups = {"p1": "f", "p2": "f", "p3": "m", "p4": "m"}
    return {
        "stimuli": {"spotA": {"duration_s": 30}, "spotB": {"duration_s": 20}},
        "respondents": {name: {"consent": name != "p4", "groups": {"gender": value}} for name, value in groups.items()},
        "recordings": [
            {"file": f"/{name}{stimulus}.mp4", "respondent": name, "stimulus": f"spot{stimulus}"}
            for name, stimulus in (("p1", "A"), ("p1", "B"), ("p2", "A"), ("p2", "B"), ("p3", "A"), ("p4", "A"))
        ],
    }


def find(**changes: Any) -> list[str]:
    """Problems of the study above; `contrast` adds one, `recordings` are added, other keys replace."""
    content = build_content()
    if "contrast" in changes:
        content["contrasts"] = [changes.pop("contrast")]
    for key in ("recordings", "respondents", "stimuli"):
        added = changes.pop(key, [] if key == "recordings" else {})
        content[key] = content[key] + added if key == "recordings" else {**content[key], **added}
    return list(find_problems(parse_study({**content, **changes}, "study.yaml")))


def record(file: str, respondent: str, stimulus: str, **values: Any) -> dict[str, Any]:
    return {"file": file, "respondent": respondent, "stimulus": stimulus, **values}
